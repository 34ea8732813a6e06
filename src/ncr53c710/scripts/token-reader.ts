/** Reads the pieces of one line in order, and says what was expected where something else came. */
import { type SourcePlace, SourceProblem } from "./diagnostics.js";
import { printable, type Token } from "./lexer.js";

export class TokenReader {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  /** The next piece. */
  get next(): Token {
    return this.#tokens[this.#at];
  }

  /** The piece `ahead` places after the next one; `end` past the line. */
  peek(ahead: number): Token {
    return this.#tokens[Math.min(this.#at + ahead, this.#tokens.length - 1)];
  }

  /** Takes the next piece. */
  take(): Token {
    const token = this.next;
    if (token.kind !== "end") this.#at++;
    return token;
  }

  /** Whether the next piece is this sign or one of these keywords. */
  is(...words: readonly string[]): boolean {
    const { kind, upper } = this.next;
    return (kind === "name" || kind === "sign") && words.includes(upper);
  }

  /** Takes the next piece if it is one of these. */
  accept(...words: readonly string[]): boolean {
    if (!this.is(...words)) return false;
    this.#at++;
    return true;
  }

  /** @throws SourceProblem unless the next piece is one of these. */
  expect(...words: readonly string[]): Token {
    if (!this.is(...words)) this.fail(words.join(" or "));
    return this.take();
  }

  /** @throws SourceProblem unless the next piece is a name; `what` says what it names. */
  name(what: string): Token {
    if (this.next.kind !== "name") this.fail(what);
    return this.take();
  }

  /** @throws SourceProblem unless the line ends here. */
  end(): void {
    if (this.next.kind !== "end") this.fail("the end of the line");
  }

  /** @throws SourceProblem that says what was expected and what is there. */
  fail(expected: string, place: SourcePlace = this.next): never {
    const found = this.next.kind === "end" ? "the end of the line" : printable(this.next.text);
    throw new SourceProblem(place, `expected ${expected}, found ${found}`);
  }
}
