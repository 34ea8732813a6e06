/** Disks as character devices (/dev/rdsk): a transfer goes through the block driver a page at a time. */
import { blockBytes, type DmaMemory } from "../../memory/index.js";
import type { DiskDriver } from "./dd.js";
import { Errno } from "./errno.js";
import { amixPageSize } from "./kernel-space.js";
import type { AmixSlice } from "./numbering.js";
import { amixBlock } from "./sdpart.js";

/** How a transfer ended. */
export interface RawResult {
  readonly errno: number;
  /** Bytes that were moved. */
  readonly count: number;
}

/** The raw side of the driver. */
export class RawDisks {
  readonly #disks: DiskDriver;
  readonly #dma: DmaMemory;

  constructor(disks: DiskDriver, dma: DmaMemory) {
    this.#disks = disks;
    this.#dma = dma;
  }

  /**
   * Reads from byte `offset` of an open slice into `bytes`, up to the slice's end. At the end itself nothing comes and that
   * is no error.
   */
  read(slice: AmixSlice, offset: number, bytes: Uint8Array): Promise<RawResult> {
    return this.#move(slice, offset, bytes, false);
  }

  /** Writes `bytes` from byte `offset` of an open slice on, up to the slice's end. */
  write(slice: AmixSlice, offset: number, bytes: Uint8Array): Promise<RawResult> {
    return this.#move(slice, offset, bytes, true);
  }

  async #move(slice: AmixSlice, offset: number, bytes: Uint8Array, write: boolean): Promise<RawResult> {
    const place = this.#disks.placeOf(slice);
    const size = (place?.blocks ?? 0) * amixBlock;
    if (place === undefined || offset < 0 || offset > size) return { errno: Errno.NoDevice, count: 0 };
    const length = Math.min(bytes.length, size - offset);
    if (offset % amixBlock !== 0 || length % amixBlock !== 0) return { errno: Errno.Invalid, count: 0 };
    if (length === 0) return { errno: Errno.None, count: 0 };
    const page = this.#dma.allocate(amixPageSize, amixPageSize);
    try {
      const bounce = blockBytes(page);
      for (let done = 0; done < length; done += amixPageSize) {
        const bcount = Math.min(amixPageSize, length - done);
        if (write) bounce.set(bytes.subarray(done, done + bcount));
        const block = (offset + done) / amixBlock;
        if (!(await this.#disks.transfer({ ...slice, write, block, bcount, addr: page.address }))) {
          return { errno: Errno.Io, count: done };
        }
        if (!write) bytes.set(bounce.subarray(0, bcount), done);
      }
      return { errno: Errno.None, count: length };
    } finally {
      this.#dma.free(page);
    }
  }
}
