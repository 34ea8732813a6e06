/** Messages from a target to its initiator, in order, and what follows when one has been taken. */

/** What a message brings about: nothing, leaving the bus with the command alive, or its end. */
export type Consequence = "continue" | "leave" | "finish";

export class OutgoingMessages {
  readonly #list: { readonly bytes: readonly number[]; readonly consequence: Consequence }[] = [];
  #at = 0;
  /** A byte was sent, and its ACK has not been released. */
  awaitsAck = false;

  get count(): number {
    return this.#list.length;
  }

  get isEmpty(): boolean {
    return this.#list.length === 0;
  }

  /** Every byte of the first message was sent; also when there is none. */
  get isWhole(): boolean {
    return this.isEmpty || this.#at >= this.#list[0].bytes.length;
  }

  /** What follows the first message. */
  get consequence(): Consequence {
    return this.#list[0]?.consequence ?? "continue";
  }

  /** Whether the first message starts with this byte. */
  startsWith(code: number): boolean {
    return this.#list[0]?.bytes[0] === code;
  }

  add(bytes: readonly number[], consequence: Consequence = "continue"): void {
    this.#list.push({ bytes, consequence });
  }

  /** The next byte of the first message; 0 when there is none. */
  sendByte(): number {
    this.awaitsAck = true;
    return this.#list[0]?.bytes[this.#at++] ?? 0;
  }

  /** Sends the first message once more. */
  rewind(): void {
    this.#at = 0;
  }

  /** Drops the first message. */
  drop(): void {
    this.#list.shift();
    this.#at = 0;
  }

  clear(): void {
    this.#list.length = 0;
    this.#at = 0;
    this.awaitsAck = false;
  }
}
