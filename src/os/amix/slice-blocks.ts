/** A slice as a disk: what file systems and partition readers take, through the block driver. */
import { DeviceError } from "../../errors/index.js";
import { blockBytes, type DmaMemory } from "../../memory/index.js";
import type { DiskDriver } from "./dd.js";
import type { Buf } from "./dd-unit.js";
import { type AmixSlice, sliceName } from "./numbering.js";
import { amixBlock } from "./sdpart.js";

/** Bytes of one request: several file system blocks. */
const largestRequest = 64 * 1024;

/** A request ended with B_ERROR. */
export class AmixIoError extends DeviceError {
  override readonly name = "AmixIoError";
  /** What the unit complained of last; undefined when it did not say anything. */
  readonly senseKey: number | undefined;

  constructor(buf: Buf) {
    const what = `${buf.write ? "write" : "read"} of ${buf.bcount} bytes at block ${buf.block} of ${sliceName(buf)}`;
    const key = buf.senseKey === undefined ? "" : `, sense key ${buf.senseKey}`;
    super(`${what} failed (EIO${key})`);
    this.senseKey = buf.senseKey;
  }
}

/** An open slice. */
export class SliceBlocks {
  readonly blockSize = amixBlock;
  readonly blocks: number;
  readonly slice: AmixSlice;
  readonly #disks: DiskDriver;
  readonly #dma: DmaMemory;

  /** @param blocks of the slice, where the caller knows better than the driver. */
  constructor(disks: DiskDriver, dma: DmaMemory, slice: AmixSlice, blocks?: number) {
    this.#disks = disks;
    this.#dma = dma;
    this.slice = slice;
    this.blocks = blocks ?? disks.placeOf(slice)?.blocks ?? 0;
  }

  /** `count` blocks from block `lba` on, in a new array. @throws AmixIoError */
  async readBlocks(lba: number, count: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(count * amixBlock);
    await this.read(lba, bytes);
    return bytes;
  }

  /** Fills `bytes`, a whole number of blocks. @throws AmixIoError */
  read(lba: number, bytes: Uint8Array): Promise<void> {
    return this.#move(lba, bytes, false);
  }

  /** Writes `bytes`, a whole number of blocks. @throws AmixIoError */
  write(lba: number, bytes: Uint8Array): Promise<void> {
    return this.#move(lba, bytes, true);
  }

  async #move(lba: number, bytes: Uint8Array, write: boolean): Promise<void> {
    const pieces: Promise<void>[] = [];
    for (let at = 0; at < bytes.length; at += largestRequest) {
      const part = bytes.subarray(at, Math.min(bytes.length, at + largestRequest));
      pieces.push(this.#piece(lba + at / amixBlock, part, write));
    }
    for (const outcome of await Promise.allSettled(pieces)) if (outcome.status === "rejected") throw outcome.reason;
  }

  async #piece(block: number, bytes: Uint8Array, write: boolean): Promise<void> {
    const shared = this.#dma.share(bytes, write ? "to-device" : "from-device");
    const [segment] = shared.segments;
    try {
      if (shared.segments.length === 1) await this.#request(block, segment.address, bytes.length, write);
      else await this.#bounced(block, bytes, write);
    } finally {
      this.#dma.unshare(shared);
    }
  }

  /** A buffer in several pieces goes through one: a request has one address. */
  async #bounced(block: number, bytes: Uint8Array, write: boolean): Promise<void> {
    const whole = this.#dma.allocate(bytes.length, amixBlock);
    try {
      if (write) blockBytes(whole).set(bytes);
      await this.#request(block, whole.address, bytes.length, write);
      if (!write) bytes.set(blockBytes(whole));
    } finally {
      this.#dma.free(whole);
    }
  }

  async #request(block: number, addr: number, bcount: number, write: boolean): Promise<void> {
    const { slice } = this;
    const buf = await new Promise<Buf>((done) => {
      this.#disks.strategy({ ...slice, write, block, bcount, addr, error: false, resid: 0, done });
    });
    if (buf.error) throw new AmixIoError(buf);
  }
}
