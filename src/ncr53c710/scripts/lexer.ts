/** Splits a line of SCRIPTS source into words, numbers and signs, each with its column. */
import { type SourcePlace, SourceProblem } from "./diagnostics.js";

/** One piece of a line. */
export interface Token extends SourcePlace {
  readonly kind: "name" | "number" | "sign" | "end";
  readonly text: string;
  /** `text` in upper case: keywords have any case. */
  readonly upper: string;
  /** Of a number. */
  readonly value: number;
}

/** A line with more pieces than this is refused. */
export const tokensPerLine = 1000;

const pattern =
  /[ \t\f\v\r]+|(;.*)|([A-Za-z_.$][\w.$]*)|(0[xX][0-9a-fA-F]+|0[bB][01]+|\d+)(?![\w.$])|(<<|>>|[-+*/%&|^~(),:={}])/y;

/** The pieces of a line, ended by one of kind `end`. @throws SourceProblem */
export function tokenize(text: string, line: number): Token[] {
  const tokens: Token[] = [];
  pattern.lastIndex = 0;
  while (pattern.lastIndex < text.length) {
    const column = pattern.lastIndex + 1;
    const match = pattern.exec(text);
    if (match === null) throw new SourceProblem({ line, column }, unreadable(text.slice(column - 1)));
    const [whole, comment, name, number, sign] = match;
    if (comment !== undefined) break;
    if (tokens.length >= tokensPerLine) {
      throw new SourceProblem({ line, column }, `expected at most ${tokensPerLine} words and signs on a line`);
    }
    if (name !== undefined)
      tokens.push({ kind: "name", text: whole, upper: whole.toUpperCase(), value: 0, line, column });
    else if (number !== undefined) {
      tokens.push({
        kind: "number",
        text: whole,
        upper: whole,
        value: numberOf(number, { line, column }),
        line,
        column,
      });
    } else if (sign !== undefined) tokens.push({ kind: "sign", text: whole, upper: whole, value: 0, line, column });
  }
  tokens.push({ kind: "end", text: "", upper: "", value: 0, line, column: text.length + 1 });
  return tokens;
}

function unreadable(rest: string): string {
  const word = /^\S{1,20}/.exec(rest)?.[0] ?? rest.slice(0, 1);
  if (/^\d/.test(word)) return `expected a number (decimal, 0x hexadecimal, 0 octal or 0b binary), found "${word}"`;
  return `expected a name, a number or a sign, found ${printable(word)}`;
}

/** Text for a message: quoted, with what is not printable escaped. */
export function printable(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
}

function numberOf(text: string, place: SourcePlace): number {
  const isOctal = /^0\d/.test(text);
  if (isOctal && /[89]/.test(text)) {
    throw new SourceProblem(place, `expected octal digits after the leading 0, found "${text}"`);
  }
  const value = isOctal ? Number.parseInt(text, 8) : Number(text);
  if (value <= 0xffff_ffff) return value;
  throw new SourceProblem(place, `expected a number of at most 32 bits, found "${printable(text).slice(1, -1)}"`);
}
