/**
 * The driver's side of memory: structures that the device reads or writes for long are *allocated*; buffers of a
 * caller are *shared* for one request and *unshared* after it. What is shared belongs to the device until then.
 */
import type { GuestMemory } from "./guest-memory.js";
import type { MemoryRegion } from "./region.js";

/** Coherent memory for rings, headers and the like: zeroed, physically contiguous. */
export interface DmaBlock {
  /** Address as the device sees it. */
  readonly address: number;
  readonly size: number;
  readonly region: MemoryRegion;
  /** Byte offset of the block in its region. */
  readonly offset: number;
}

/** Which way the device uses a shared buffer. */
export type DmaDirection = "to-device" | "from-device" | "both";

/** A caller's buffer, lent to the device. */
export interface SharedBuffer {
  readonly bytes: Uint8Array;
  readonly direction: DmaDirection;
  /** Where the device finds it: one or more pieces in order. */
  readonly segments: readonly { readonly address: number; readonly length: number }[];
}

/** What a driver half needs of its platform's memory. */
export interface DmaMemory {
  /**
   * @param size bytes, more than 0. @param alignment a power of two.
   * @throws RangeError when no memory is left.
   */
  allocate(size: number, alignment?: number): DmaBlock;
  free(block: DmaBlock): void;
  /** Lends a buffer to the device; copies it only when the device cannot reach it where it is. */
  share(bytes: Uint8Array, direction: DmaDirection): SharedBuffer;
  /** Takes it back; what the device wrote is in `shared.bytes` afterwards. */
  unshare(shared: SharedBuffer): void;
  /**
   * Shows the device what a driver wrote to allocated memory, and the other way round. Only where that memory is a local
   * mirror of what the device reaches; undefined where both see the same bytes.
   */
  toDevice?(address: number, length: number): void;
  fromDevice?(address: number, length: number): void;
}

/** First-fit allocator over a range of one region. Free ranges are kept sorted and merged. */
export class DmaAllocator {
  readonly #region: MemoryRegion;
  readonly #free: { start: number; end: number }[];
  readonly #used = new Map<number, number>();

  /** Manages `size` bytes at `address`, which must lie in one region of `memory`. */
  constructor(memory: GuestMemory, address: number, size: number) {
    const region = memory.findRange(address, size);
    if (region === undefined || size <= 0) throw new RangeError("the DMA area must lie in one region of guest memory");
    this.#region = region;
    this.#free = [{ start: address, end: address + size }];
  }

  /** Bytes that are allocated now. */
  get allocatedBytes(): number {
    let sum = 0;
    for (const size of this.#used.values()) sum += size;
    return sum;
  }

  /** Zeroed memory. @throws RangeError when nothing fits. */
  allocate(size: number, alignment = 16): DmaBlock {
    if (!Number.isSafeInteger(size) || size <= 0) throw new RangeError(`size must be a positive integer, got ${size}`);
    if (alignment <= 0 || (alignment & (alignment - 1)) !== 0) throw new RangeError(`bad alignment ${alignment}`);
    for (let index = 0; index < this.#free.length; index++) {
      const range = this.#free[index];
      const start = Math.ceil(range.start / alignment) * alignment;
      if (start + size > range.end) continue;
      const rest: { start: number; end: number }[] = [];
      if (start > range.start) rest.push({ start: range.start, end: start });
      if (start + size < range.end) rest.push({ start: start + size, end: range.end });
      this.#free.splice(index, 1, ...rest);
      this.#used.set(start, size);
      const offset = start - this.#region.base;
      this.#region.bytes.fill(0, offset, offset + size);
      return { address: start, size, region: this.#region, offset };
    }
    throw new RangeError(`no DMA memory left for ${size} bytes (${this.allocatedBytes} in use)`);
  }

  /** @throws RangeError when `block` is not allocated. */
  free(block: DmaBlock): void {
    if (this.#used.get(block.address) !== block.size) throw new RangeError("this block is not allocated");
    this.#used.delete(block.address);
    let index = this.#free.findIndex((range) => range.start > block.address);
    if (index < 0) index = this.#free.length;
    this.#free.splice(index, 0, { start: block.address, end: block.address + block.size });
    for (const at of [index, index - 1]) {
      const range = this.#free[at];
      const next = this.#free[at + 1];
      if (range && next && range.end === next.start) {
        range.end = next.end;
        this.#free.splice(at + 1, 1);
      }
    }
  }
}

/** A shared buffer that went through a bounce buffer. */
interface BouncedBuffer extends SharedBuffer {
  readonly bounce: DmaBlock;
}

/** DMA memory that lies in guest memory which this process can reach. Other buffers go through bounce buffers. */
export class GuestDma implements DmaMemory {
  readonly memory: GuestMemory;
  readonly allocator: DmaAllocator;
  readonly #bounceAll: boolean;

  /**
   * @param options.bounceAll copy every shared buffer, also one that lies in guest memory: shows a forgotten
   * `unshare`. Default false.
   */
  constructor(memory: GuestMemory, allocator: DmaAllocator, options: { bounceAll?: boolean } = {}) {
    this.memory = memory;
    this.allocator = allocator;
    this.#bounceAll = options.bounceAll ?? false;
  }

  allocate(size: number, alignment?: number): DmaBlock {
    return this.allocator.allocate(size, alignment);
  }

  free(block: DmaBlock): void {
    this.allocator.free(block);
  }

  share(bytes: Uint8Array, direction: DmaDirection): SharedBuffer {
    if (bytes.byteLength === 0) return { bytes, direction, segments: [] };
    const address = this.#bounceAll ? undefined : this.#addressOf(bytes);
    if (address !== undefined) return { bytes, direction, segments: [{ address, length: bytes.byteLength }] };
    const bounce = this.allocator.allocate(bytes.byteLength, 512);
    if (direction !== "from-device") bounce.region.bytes.set(bytes, bounce.offset);
    const segments = [{ address: bounce.address, length: bytes.byteLength }];
    const shared: BouncedBuffer = { bytes, direction, segments, bounce };
    return shared;
  }

  unshare(shared: SharedBuffer): void {
    if (!("bounce" in shared)) return;
    const { bounce, bytes, direction } = shared as BouncedBuffer;
    if (direction !== "to-device") {
      bytes.set(bounce.region.bytes.subarray(bounce.offset, bounce.offset + bytes.byteLength));
    }
    this.allocator.free(bounce);
  }

  /** The guest address of bytes that are a view of guest memory. */
  #addressOf(bytes: Uint8Array): number | undefined {
    for (const region of this.memory.regions) {
      if (bytes.buffer !== region.bytes.buffer) continue;
      const offset = bytes.byteOffset - region.bytes.byteOffset;
      if (offset >= 0 && offset + bytes.byteLength <= region.size) return region.base + offset;
    }
    return undefined;
  }
}

/** The bytes of a block, as a view. */
export function blockBytes(block: DmaBlock): Uint8Array {
  return block.region.bytes.subarray(block.offset, block.offset + block.size);
}
