/**
 * The kernel's buffer cache: one buffer a block, used by one process at a time, the one that was released longest ago
 * is taken for another block.
 */
import type { DmaBlock, DmaMemory } from "../../memory/index.js";
import { type Xv6Disk, xv6DiskBlock } from "./disk.js";
import { Xv6Panic } from "./panic.js";
import { xv6Buffers } from "./profile.js";
import { SleepChannel } from "./sleep-channel.js";

/** A cached block, locked by whoever got it. */
export interface Xv6Buffer {
  readonly block: number;
  /** 1024 bytes, in memory that the disk reaches. */
  readonly data: Uint8Array;
}

interface CachedBuffer extends Xv6Buffer {
  block: number;
  readonly memory: DmaBlock;
  isValid: boolean;
  isLocked: boolean;
  /** Processes that have it or wait for it. */
  references: number;
  readonly unlocked: SleepChannel;
}

export class BufferCache {
  readonly #disk: Xv6Disk;
  readonly #dma: DmaMemory;
  /** Most recently released first. */
  readonly #buffers: CachedBuffer[] = [];
  readonly #released = new SleepChannel();
  /** Blocks found in the cache, and blocks read from the disk. */
  readonly counts = { hits: 0, reads: 0 };

  constructor(disk: Xv6Disk, dma: DmaMemory, buffers = xv6Buffers) {
    this.#disk = disk;
    this.#dma = dma;
    for (let index = 0; index < buffers; index++) {
      const memory = dma.allocate(xv6DiskBlock, xv6DiskBlock);
      this.#buffers.push({
        block: -1,
        memory,
        data: memory.region.bytes.subarray(memory.offset, memory.offset + xv6DiskBlock),
        isValid: false,
        isLocked: false,
        references: 0,
        unlocked: new SleepChannel(),
      });
    }
  }

  /** The block's buffer, read if need be, locked until {@link BufferCache.release}. @throws what the disk throws */
  async read(block: number): Promise<Xv6Buffer> {
    const buffer = await this.#get(block);
    if (buffer.isValid) {
      this.counts.hits++;
      return buffer;
    }
    try {
      this.counts.reads++;
      await this.#disk.transfer(block, buffer.memory, false);
    } catch (error) {
      this.release(buffer);
      throw error;
    }
    buffer.isValid = true;
    return buffer;
  }

  /** Writes a locked buffer to the disk. @throws what the disk throws */
  async write(buffer: Xv6Buffer): Promise<void> {
    const cached = this.#mine(buffer, "bwrite");
    await this.#disk.transfer(cached.block, cached.memory, true);
  }

  /** Unlocks a buffer. */
  release(buffer: Xv6Buffer): void {
    const cached = this.#mine(buffer, "brelse");
    cached.isLocked = false;
    cached.references--;
    cached.unlocked.wakeup();
    if (cached.references > 0) return;
    this.#buffers.splice(this.#buffers.indexOf(cached), 1);
    this.#buffers.unshift(cached);
    this.#released.wakeup();
  }

  /** Gives the memory back; only when the disk is closed. */
  free(): void {
    for (const { memory } of this.#buffers.splice(0)) this.#dma.free(memory);
  }

  async #get(block: number): Promise<CachedBuffer> {
    for (;;) {
      const buffer = this.#buffers.find((cached) => cached.block === block) ?? this.#recycle(block);
      if (buffer !== undefined) {
        buffer.references++;
        while (buffer.isLocked) await buffer.unlocked.sleep();
        buffer.isLocked = true;
        return buffer;
      }
      if (this.#disk.profile.onTrouble === "panic") throw new Xv6Panic("bget: no buffers");
      await this.#released.sleep();
    }
  }

  #recycle(block: number): CachedBuffer | undefined {
    const buffer = this.#buffers.findLast((cached) => cached.references === 0);
    if (buffer === undefined) return undefined;
    buffer.block = block;
    buffer.isValid = false;
    return buffer;
  }

  #mine(buffer: Xv6Buffer, caller: string): CachedBuffer {
    const cached = buffer as CachedBuffer;
    if (!this.#buffers.includes(cached) || !cached.isLocked) throw new Xv6Panic(caller);
    return cached;
  }
}
