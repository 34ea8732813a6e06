/**
 * Expressions: numbers and names with `+ - * / % << >>`, and `& | ^` too in definitions and inside parentheses
 * (elsewhere these are operators of register moves).
 */
import { type SourcePlace, SourceProblem } from "./diagnostics.js";
import type { TokenReader } from "./token-reader.js";

/** An expression as it was written. */
export type Expression =
  | { readonly kind: "number"; readonly value: number; readonly place: SourcePlace }
  | { readonly kind: "name"; readonly name: string; readonly place: SourcePlace }
  | { readonly kind: "unary"; readonly sign: string; readonly operand: Expression; readonly place: SourcePlace }
  | {
      readonly kind: "binary";
      readonly sign: string;
      readonly left: Expression;
      readonly right: Expression;
      readonly place: SourcePlace;
    };

/** What an expression is worth: a number, perhaps relative to where the program or an external symbol will be. */
export interface Value {
  readonly value: number;
  /** How many times the program's load address is to be added: 0 or 1 where it makes sense. */
  readonly labels: number;
  /** An external symbol whose address is to be added. */
  readonly external: string | undefined;
}

/** Finds out what a name is worth. */
export type Lookup = (name: string, place: SourcePlace) => Value;

const depthLimit = 32;
const levels: readonly (readonly string[])[] = [["|"], ["^"], ["&"], ["<<", ">>"], ["+", "-"], ["*", "/", "%"]];
const firstTopLevel = 3;

/** Reads an expression; `what` says what it stands for, in messages. @throws SourceProblem */
export function parseExpression(reader: TokenReader, what: string): Expression {
  return parseLevel(reader, what, firstTopLevel, 0);
}

/** Reads an expression where no register move can be meant: all operators. @throws SourceProblem */
export function parseDefinition(reader: TokenReader, what: string): Expression {
  return parseLevel(reader, what, 0, 0);
}

function parseLevel(reader: TokenReader, what: string, level: number, depth: number): Expression {
  if (level === levels.length) return parsePrimary(reader, what, depth);
  let left = parseLevel(reader, what, level + 1, depth);
  while (reader.is(...levels[level])) {
    const { text: sign, line, column } = reader.take();
    left = { kind: "binary", sign, left, right: parseLevel(reader, what, level + 1, depth), place: { line, column } };
  }
  return left;
}

function parsePrimary(reader: TokenReader, what: string, depth: number): Expression {
  const { kind, line, column, value, text } = reader.next;
  const place = { line, column };
  if (depth > depthLimit) throw new SourceProblem(place, `expected parentheses no deeper than ${depthLimit}`);
  if (kind === "number") {
    reader.take();
    return { kind: "number", value, place };
  }
  if (kind === "name") {
    reader.take();
    return { kind: "name", name: text, place };
  }
  if (reader.is("-", "+", "~")) {
    reader.take();
    return { kind: "unary", sign: text, operand: parsePrimary(reader, what, depth + 1), place };
  }
  if (!reader.accept("(")) reader.fail(what);
  const inner = parseLevel(reader, what, 0, depth + 1);
  reader.expect(")");
  return inner;
}

/** @throws SourceProblem where the expression has no value. */
export function evaluate(expression: Expression, lookup: Lookup): Value {
  switch (expression.kind) {
    case "number":
      return constant(expression.value);
    case "name":
      return lookup(expression.name, expression.place);
    case "unary": {
      const operand = evaluate(expression.operand, lookup);
      if (expression.sign === "+") return operand;
      if (expression.sign === "-") return subtract(constant(0), operand, expression.place);
      return constant(~plain(operand, expression.place) >>> 0);
    }
    default: {
      const left = evaluate(expression.left, lookup);
      const right = evaluate(expression.right, lookup);
      if (expression.sign === "+") return add(left, right, expression.place);
      if (expression.sign === "-") return subtract(left, right, expression.place);
      const { sign, place } = expression;
      return bounded(calculate(sign, plain(left, place), plain(right, place), place), place);
    }
  }
}

/** A number that depends on nothing. */
export function constant(value: number): Value {
  return { value, labels: 0, external: undefined };
}

function add(left: Value, right: Value, place: SourcePlace): Value {
  if (left.external !== undefined && right.external !== undefined) {
    throw new SourceProblem(place, "expected at most one external symbol in an expression");
  }
  const sum = bounded(left.value + right.value, place);
  return { value: sum.value, labels: left.labels + right.labels, external: left.external ?? right.external };
}

function subtract(left: Value, right: Value, place: SourcePlace): Value {
  if (right.external !== undefined) throw new SourceProblem(place, "an external symbol cannot be subtracted");
  const difference = bounded(left.value - right.value, place);
  return { value: difference.value, labels: left.labels - right.labels, external: left.external };
}

function plain(value: Value, place: SourcePlace): number {
  if (value.labels === 0 && value.external === undefined) return value.value;
  throw new SourceProblem(place, "expected numbers around this operator: labels and externals take + and - only");
}

function calculate(sign: string, left: number, right: number, place: SourcePlace): number {
  switch (sign) {
    case "*":
      return left * right;
    case "/":
    case "%":
      if (right === 0) throw new SourceProblem(place, "expected a divisor other than 0");
      return sign === "/" ? Math.trunc(left / right) : left % right;
    case "<<":
      return right < 0 || right > 31 ? 0 : (left << right) >>> 0;
    case ">>":
      return right < 0 || right > 31 ? 0 : left >>> right;
    case "&":
      return (left & right) >>> 0;
    case "|":
      return (left | right) >>> 0;
    default:
      return (left ^ right) >>> 0;
  }
}

function bounded(value: number, place: SourcePlace): Value {
  if (value >= -0x8000_0000 && value <= 0xffff_ffff) return constant(value);
  throw new SourceProblem(place, "expected a value of at most 32 bits");
}
