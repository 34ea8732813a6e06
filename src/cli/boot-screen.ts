/** The PC's text screen as lines: each is printed when it has not changed for a moment. For boot loaders that know no serial line. */
import type { V86Emulator } from "../platform/v86/index.js";

/** How long a line has to stand still, in milliseconds. */
const settleTime = 120;

/** Follows a screen. */
export class BootScreen {
  readonly #rows: string[][] = [];
  readonly #printed: string[] = [];
  readonly #changed = new Set<number>();
  readonly #print: (line: string) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(emulator: V86Emulator, print: (line: string) => void) {
    this.#print = print;
    const put = ([row, column, character]: readonly [number, number, number]) => this.#put(row, column, character);
    emulator.add_listener("screen-put-char", put as (argument: never) => void);
    emulator.add_listener("screen-clear", () => this.#rows.splice(0));
  }

  /** Prints what stands there. */
  flush(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#timer = undefined;
    const rows = [...this.#changed].sort((a, b) => a - b);
    this.#changed.clear();
    for (const row of rows) {
      const text = Array.from(this.#rows[row] ?? [], (character) => character ?? " ")
        .join("")
        .trimEnd();
      // A screen that scrolls shows old lines at other places.
      if (text === "" || this.#printed.includes(text)) continue;
      this.#printed.push(text);
      if (this.#printed.length > 50) this.#printed.shift();
      this.#print(text);
    }
  }

  #put(row: number, column: number, code: number): void {
    const character = code >= 0x20 && code < 0x7f ? String.fromCharCode(code) : " ";
    this.#rows[row] ??= [];
    if (this.#rows[row][column] === character) return;
    this.#rows[row][column] = character;
    this.#changed.add(row);
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.flush(), settleTime);
  }
}
