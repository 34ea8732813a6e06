/** Aligned memory for direct I/O whose guest memory is not aligned: a few buffers, made when first needed and kept. */
import { NativeBuffer } from "../../linux/index.js";
import { PageViews } from "../../memory/index.js";

/** Bytes of a buffer: a larger request goes through one in several steps. */
export const bounceSize = 256 * 1024;
/** Requests that can be in buffers at once; more wait. */
const count = 32;
const scratchSize = 4096;

export class BounceBuffers {
  #scratch: NativeBuffer | undefined;
  readonly #buffers: { readonly memory: NativeBuffer; readonly address: number; readonly pages: PageViews }[] = [];
  readonly #free: number[] = [];

  /** Memory whose content does not count. */
  get scratchAddress(): number {
    this.#scratch ??= new NativeBuffer(scratchSize);
    return Number(this.#scratch.address);
  }

  /** The number of a buffer, -1 when all are in use. */
  take(): number {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#buffers.length === count) return -1;
    const buffer = new NativeBuffer(bounceSize);
    return (
      this.#buffers.push({ memory: buffer, address: Number(buffer.address), pages: new PageViews(buffer.bytes) }) - 1
    );
  }

  giveBack(buffer: number): void {
    this.#free.push(buffer);
  }

  /** Gives all memory back. Nothing is under way. */
  close(): void {
    this.#scratch?.close();
    for (const { memory } of this.#buffers) memory.close();
  }

  addressOf(buffer: number): number {
    return this.#buffers[buffer].address;
  }

  bytesOf(buffer: number): Uint8Array {
    return this.#buffers[buffer].pages.bytes;
  }

  pagesOf(buffer: number): PageViews {
    return this.#buffers[buffer].pages;
  }
}
