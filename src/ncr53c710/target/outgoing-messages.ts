/** Messages from a target to its initiator, in order, and what follows when one has been taken. */

/** What a message brings about: nothing, leaving the bus with the command alive, or its end. */
export type Consequence = "continue" | "leave" | "finish";

/** Messages taken after which the lists are moved to their start. */
const staleLimit = 32;

/** The lists are kept, so that a message allocates nothing. */
export class OutgoingMessages {
  readonly #bytes: (readonly number[])[] = [];
  readonly #consequences: Consequence[] = [];
  #first = 0;
  #end = 0;
  #at = 0;
  #isCut = false;
  /** A byte was sent, and its ACK has not been released. */
  awaitsAck = false;

  get count(): number {
    return this.#end - this.#first;
  }

  get isEmpty(): boolean {
    return this.#end === this.#first;
  }

  /** Every byte of the first message was sent; also when there is none. */
  get isWhole(): boolean {
    return this.isEmpty || this.#at >= this.#bytes[this.#first].length;
  }

  /** At least one byte of the first message was sent. */
  get isUnderWay(): boolean {
    return !this.isEmpty && this.#at > 0;
  }

  /** What follows the first message. */
  get consequence(): Consequence {
    return this.isEmpty ? "continue" : this.#consequences[this.#first];
  }

  /** Whether the first message starts with this byte. */
  startsWith(code: number): boolean {
    return !this.isEmpty && this.#bytes[this.#first][0] === code;
  }

  /** Adds a message at the end; `bytes` are not to change. */
  add(bytes: readonly number[], consequence: Consequence = "continue"): void {
    if (this.#first >= staleLimit) {
      this.#bytes.splice(0, this.#first);
      this.#consequences.splice(0, this.#first);
      this.#end -= this.#first;
      this.#first = 0;
    }
    this.#bytes[this.#end] = bytes;
    this.#consequences[this.#end++] = consequence;
  }

  /** The byte that {@link sendByte} gives next. */
  get nextByte(): number {
    return this.isEmpty ? 0 : (this.#bytes[this.#first][this.#at] ?? 0);
  }

  /** The next byte of the first message; 0 when there is none. */
  sendByte(): number {
    this.awaitsAck = true;
    return this.isEmpty ? 0 : (this.#bytes[this.#first][this.#at++] ?? 0);
  }

  /** Sends the first message once more. */
  rewind(): void {
    this.#at = 0;
    this.#isCut = false;
  }

  /** ATN came in the middle of the first message: what is left of it is not sent, unless it is rewound. */
  cut(): void {
    this.#isCut = true;
  }

  /** The first message was cut, and not rewound since. */
  get isCut(): boolean {
    return this.#isCut;
  }

  /** Keeps the first `count` messages. */
  keep(count: number): void {
    this.#end = Math.max(this.#first, Math.min(this.#end, this.#first + count));
  }

  /** Drops the first message. */
  drop(): void {
    this.#at = 0;
    this.#isCut = false;
    if (!this.isEmpty) this.#first++;
    if (this.isEmpty) this.#restart();
  }

  clear(): void {
    this.#restart();
    this.#at = 0;
    this.#isCut = false;
    this.awaitsAck = false;
  }

  #restart(): void {
    this.#first = 0;
    this.#end = 0;
  }
}
