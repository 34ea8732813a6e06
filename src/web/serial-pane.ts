/** A serial line as text: what a guest prints, without a terminal's colours and cursors, and what is typed. */

/** Characters that are kept. */
const mostCharacters = 100_000;

/** Keys that are more than one character, as a terminal sends them. */
const keys: Readonly<Record<string, string>> = {
  ...{ Enter: "\r", Backspace: "\x7f", Tab: "\t", Escape: "\x1b", Delete: "\x1b[3~" },
  ...{ ArrowUp: "\x1b[A", ArrowDown: "\x1b[B", ArrowRight: "\x1b[C", ArrowLeft: "\x1b[D" },
};

/** Text that grows at its end. */
export class SerialText {
  #text = "";
  #line: string[] = [];
  #column = 0;
  #escape = "";

  /** All of it. */
  get text(): string {
    return this.#text + this.#line.join("");
  }

  /** Takes a byte that the guest sent. */
  put(byte: number): void {
    const character = String.fromCharCode(byte);
    if (this.#escape !== "" || byte === 0x1b) {
      this.#escape += character;
      // CSI sequences end with a letter, character sets have one more character; of others two are enough.
      const [, kind] = this.#escape;
      const isOver =
        kind === "["
          ? /^\[[^a-zA-Z]*[a-zA-Z]$/.test(this.#escape.slice(1))
          : this.#escape.length > (kind === "(" ? 2 : 1);
      if (isOver || this.#escape.length > 32) this.#escape = "";
      return;
    }
    if (character === "\n") {
      this.#text = `${this.#text}${this.#line.join("")}\n`.slice(-mostCharacters);
      this.#line = [];
      this.#column = 0;
    } else if (character === "\r") this.#column = 0;
    else if (byte === 8) this.#column = Math.max(0, this.#column - 1);
    else if (byte >= 0x20 && byte < 0x7f) this.#line[this.#column++] = character;
  }
}

/** What a key sends; undefined for keys that send nothing. */
export function bytesOfKey(key: string, control: boolean): string | undefined {
  if (control && /^[a-zA-Z]$/.test(key)) return String.fromCharCode(key.toUpperCase().charCodeAt(0) - 64);
  if (control) return undefined;
  return key.length === 1 ? key : keys[key];
}
