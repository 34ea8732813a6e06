/** The `IF` and `WHEN` part of transfer control. */
import { SourceProblem } from "./diagnostics.js";
import type { Encoder } from "./encoder.js";
import { type Expression, parseExpression } from "./expression.js";
import { phaseAliases, phaseNames, TransferBits } from "./instruction-set.js";
import type { TokenReader } from "./token-reader.js";

const phases: ReadonlyMap<string, number> = new Map([
  ...phaseNames.map((name, number) => [name, number] as const),
  ...Object.entries(phaseAliases),
]);

/** Takes a phase name if one is next. */
export function acceptPhase(reader: TokenReader): number | undefined {
  const phase = reader.next.kind === "name" ? phases.get(reader.next.upper) : undefined;
  if (phase !== undefined) reader.take();
  return phase;
}

/** Takes a phase name. @throws SourceProblem */
export function expectPhase(reader: TokenReader): number {
  return acceptPhase(reader) ?? reader.fail(`a phase (${phaseNames.join(", ")})`);
}

/** A condition: bits that are known at once, and operands. */
export interface Condition {
  readonly bits: number;
  readonly data: Expression | undefined;
  readonly mask: Expression | undefined;
}

/** Reads `[,] [IF|WHEN …]` up to the end of the line. @throws SourceProblem */
export function parseCondition(reader: TokenReader): Condition {
  const hasComma = reader.accept(",");
  if (!reader.is("IF", "WHEN")) {
    if (hasComma) reader.fail("IF or WHEN");
    return { bits: TransferBits.True, data: undefined, mask: undefined };
  }
  const when = reader.take().upper === "WHEN" ? TransferBits.When : 0;
  const isNegated = reader.accept("NOT");
  let truth: number = isNegated ? 0 : TransferBits.True;
  let compares = 0;
  let data: Expression | undefined;
  let mask: Expression | undefined;
  do {
    const place = reader.next;
    let bits: number;
    const phase = acceptPhase(reader);
    if (phase !== undefined) bits = TransferBits.Phase | (phase << 24);
    else if (reader.accept("ATN")) bits = TransferBits.Phase;
    else if (reader.accept("CARRY")) bits = TransferBits.Carry;
    else if (reader.accept("TRUE")) bits = 0;
    else if (reader.accept("FALSE")) {
      bits = 0;
      truth ^= TransferBits.True;
    } else {
      if (data !== undefined) throw new SourceProblem(place, "expected at most one data byte in a condition");
      bits = TransferBits.Data;
      data = parseExpression(reader, "a phase, ATN, CARRY, TRUE, FALSE or a data byte");
      mask = parseMask(reader);
    }
    if ((compares & bits & (TransferBits.Phase | TransferBits.Carry)) !== 0) {
      throw new SourceProblem(place, "expected at most one phase and one CARRY in a condition");
    }
    compares |= bits;
  } while (acceptJoiner(reader, isNegated));
  mask ??= parseMask(reader);
  if (mask !== undefined && data === undefined) reader.fail("a data byte before MASK");
  return { bits: (compares | truth | when) >>> 0, data, mask };
}

/** `[,] AND MASK byte`. */
function parseMask(reader: TokenReader): Expression | undefined {
  const skip = reader.is(",") ? 1 : 0;
  if (reader.peek(skip).upper !== "AND" || reader.peek(skip + 1).upper !== "MASK") return undefined;
  for (let count = 0; count < skip + 2; count++) reader.take();
  return parseExpression(reader, "a mask byte");
}

/** Compares are joined by AND; after NOT by OR, since then each of them has to fail. */
function acceptJoiner(reader: TokenReader, isNegated: boolean): boolean {
  const skip = reader.is(",") ? 1 : 0;
  const joiner = reader.peek(skip);
  if (joiner.kind !== "name" || reader.peek(skip + 1).upper === "MASK") return false;
  const expected = isNegated ? "OR" : "AND";
  if (joiner.upper === "AND" || joiner.upper === "OR") {
    if (skip === 1) reader.take();
    if (joiner.upper !== expected) {
      reader.fail(isNegated ? "OR (after NOT all compares have to fail)" : "AND (all compares have to match)");
    }
    reader.take();
    return true;
  }
  return false;
}

/** The bits of a condition in the command word. */
export function encodeCondition(encoder: Encoder, condition: Condition): number {
  const data = condition.data === undefined ? 0 : encoder.field(condition.data, 8, "a data byte", { signed: true });
  const mask = condition.mask === undefined ? 0 : encoder.field(condition.mask, 8, "a mask byte", { signed: true });
  return (condition.bits | (mask << 8) | data) >>> 0;
}
