/** JUMP, CALL, RETURN, INT and INTFLY. */
import { encodeCondition, parseCondition } from "./conditions.js";
import type { Target } from "./encoder.js";
import { parseExpression } from "./expression.js";
import { TransferBits } from "./instruction-set.js";
import type { Statement } from "./statements.js";
import type { TokenReader } from "./token-reader.js";

const relatives: Readonly<Record<string, Target["relative"]>> = { REL: "dialect", REL24: "masked", REL32: "extended" };

/** Reads `address`, `REL(address)`, or REL24 or REL32 of it. */
export function parseTarget(reader: TokenReader): Target {
  const relative = reader.peek(1).text === "(" ? relatives[reader.next.upper] : undefined;
  if (relative === undefined) return { expression: parseExpression(reader, "an address or REL(…)"), relative: "no" };
  reader.take();
  reader.expect("(");
  const expression = parseExpression(reader, "a place in this program");
  reader.expect(")");
  return { expression, relative };
}

/** JUMP and CALL. */
export function transfer(reader: TokenReader, opcode: number): Statement {
  const target = parseTarget(reader);
  const condition = parseCondition(reader);
  const relative = target.relative === "no" ? 0 : TransferBits.Relative;
  return {
    length: 2,
    encode: (encoder) => encoder.emit(opcode | relative | encodeCondition(encoder, condition), encoder.target(target)),
  };
}

/** RETURN, which has no operand, and INT, which has a vector. */
export function conditionFree(reader: TokenReader, opcode: number, operand: "nothing" | "vector"): Statement {
  const { line, column } = reader.next;
  const vector = operand === "vector" ? parseExpression(reader, "a vector") : undefined;
  const condition = parseCondition(reader);
  return {
    length: 2,
    encode: (encoder) => {
      const onTheFly = (opcode & TransferBits.OnTheFly) !== 0;
      if (onTheFly && encoder.dialect.overflow === "error") {
        encoder.require(encoder.chip.interruptOnTheFly, "INTFLY", { line, column });
      }
      encoder.emit(opcode | encodeCondition(encoder, condition), vector === undefined ? 0 : encoder.address(vector));
    },
  };
}
