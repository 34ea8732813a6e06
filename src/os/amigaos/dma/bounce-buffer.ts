/** A slot's own buffer that devices can always reach: small transfers are copied through it, without mapping anything. */
import type { DmaBlock } from "../../../memory/index.js";
import { type ExecMemory, execPageSize } from "../exec/index.js";

/** One buffer of the ring; there is one a slot. */
export class BounceBuffer {
  readonly #memory: ExecMemory;
  readonly #block: DmaBlock;

  /** @param size bytes. @throws RangeError when memory is short. */
  constructor(memory: ExecMemory, size: number) {
    this.#memory = memory;
    this.#block = memory.dma.allocate(size, execPageSize);
  }

  /** Bytes. */
  get size(): number {
    return this.#block.size;
  }

  /** Where the device finds it. */
  get address(): number {
    return this.#block.address;
  }

  /** Copies `length` bytes of a program's memory into it. Allocates nothing, as {@link copyOut}. */
  copyIn(from: number, length: number): void {
    const { bytes } = this.#block.region;
    for (let done = 0; done < length; ) {
      const step = Math.min(length - done, execPageSize - ((from + done) % execPageSize));
      const physical = this.#memory.physical(from + done);
      const region = this.#memory.memory.find(physical);
      if (region === undefined) return;
      region.pages.copyTo(physical - region.base, bytes, this.#block.offset + done, step);
      done += step;
    }
  }

  /** Copies its first `length` bytes to a program's memory. */
  copyOut(to: number, length: number): void {
    const { pages } = this.#block.region;
    for (let done = 0; done < length; ) {
      const step = Math.min(length - done, execPageSize - ((to + done) % execPageSize));
      const physical = this.#memory.physical(to + done);
      const region = this.#memory.memory.find(physical);
      if (region === undefined) return;
      pages.copyTo(this.#block.offset + done, region.bytes, physical - region.base, step);
      done += step;
    }
  }

  /** Gives the memory back. */
  free(): void {
    this.#memory.dma.free(this.#block);
  }
}
