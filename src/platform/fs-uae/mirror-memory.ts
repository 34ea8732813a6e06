/**
 * Memory of a machine that we reach only through a serial line: a mirror here that drivers work on, and a record of
 * what the machine's own memory is known to hold. `share` sends what differs, `unshare` fetches what the device wrote.
 * Whatever the device is to read has to be shared, allocated structures too.
 */
import {
  DmaAllocator,
  type DmaBlock,
  type DmaDirection,
  type DmaMemory,
  GuestMemory,
  MemoryRegion,
  type SharedBuffer,
} from "../../memory/index.js";
import type { MonitorClient } from "./monitor-client.js";

/** A shared buffer that is not in the mirror itself. */
interface BouncedBuffer extends SharedBuffer {
  readonly bounce: DmaBlock;
}

/** Differences nearer than this are sent as one: a request has 9 bytes around its data and costs a round trip. */
const joinDistance = 64;
/** A longer run of one byte is filled there instead of sent. */
const longestPlain = 16;

export class MirrorMemory implements DmaMemory {
  /** The mirror, as the memory of the machine. */
  readonly memory: GuestMemory;
  readonly #region: MemoryRegion;
  /** What the machine's memory holds, as far as we know. */
  readonly #known: Uint8Array;
  readonly #monitor: MonitorClient;
  readonly #allocator: DmaAllocator;

  /** Mirrors `size` bytes from `base` on, which are cleared there. */
  constructor(monitor: MonitorClient, base: number, size: number) {
    this.#monitor = monitor;
    this.#region = new MemoryRegion(base, new Uint8Array(size));
    this.memory = new GuestMemory([this.#region]);
    this.#known = new Uint8Array(size);
    this.#allocator = new DmaAllocator(this.memory, base, size);
    monitor.fill(base, size, 0);
  }

  /** Bytes that are allocated now. */
  get allocatedBytes(): number {
    return this.#allocator.allocatedBytes;
  }

  allocate(size: number, alignment?: number): DmaBlock {
    const block = this.#allocator.allocate(size, alignment);
    this.upload(block.address, block.size);
    return block;
  }

  free(block: DmaBlock): void {
    this.#allocator.free(block);
  }

  share(bytes: Uint8Array, direction: DmaDirection): SharedBuffer {
    if (bytes.byteLength === 0) return { bytes, direction, segments: [] };
    const inside = this.#addressOf(bytes);
    if (inside !== undefined) {
      this.upload(inside, bytes.byteLength);
      return { bytes, direction, segments: [{ address: inside, length: bytes.byteLength }] };
    }
    const bounce = this.#allocator.allocate(bytes.byteLength, 512);
    if (direction !== "from-device") bounce.region.bytes.set(bytes, bounce.offset);
    this.upload(bounce.address, bounce.size);
    const shared: BouncedBuffer = {
      bytes,
      direction,
      segments: [{ address: bounce.address, length: bytes.byteLength }],
      bounce,
    };
    return shared;
  }

  unshare(shared: SharedBuffer): void {
    const { bytes, direction, segments } = shared;
    if (segments.length === 0) return;
    if (direction !== "to-device") this.download(segments[0].address, segments[0].length);
    if (!("bounce" in shared)) return;
    const { bounce } = shared as BouncedBuffer;
    if (direction !== "to-device") {
      bytes.set(bounce.region.bytes.subarray(bounce.offset, bounce.offset + bytes.byteLength));
    }
    this.#allocator.free(bounce);
  }

  toDevice(address: number, length: number): void {
    this.upload(address, length);
  }

  fromDevice(address: number, length: number): void {
    this.download(address, length);
  }

  /** Makes the machine's memory what the mirror is, there. @throws RangeError outside the mirror, FsUaeError */
  upload(address: number, length: number): void {
    const [start, end] = this.#range(address, length);
    const { bytes } = this.#region;
    for (let at = start; at < end; ) {
      while (at < end && bytes[at] === this.#known[at]) at++;
      if (at === end) return;
      let last = at;
      for (let next = at; next < end && next - last <= joinDistance; next++) {
        if (bytes[next] !== this.#known[next]) last = next;
      }
      const part = bytes.subarray(at, last + 1);
      const first = part[0];
      if (part.length > longestPlain && part.every((byte) => byte === first)) {
        this.#monitor.fill(this.#region.base + at, part.length, first);
      } else this.#monitor.upload(this.#region.base + at, part);
      this.#known.set(part, at);
      at = last + 1;
    }
  }

  /** Makes the mirror what the machine's memory is, there. @throws RangeError outside the mirror, FsUaeError */
  download(address: number, length: number): void {
    const [start, end] = this.#range(address, length);
    const part = this.#region.bytes.subarray(start, end);
    this.#monitor.download(address, part);
    this.#known.set(part, start);
  }

  #range(address: number, length: number): [start: number, end: number] {
    const start = address - this.#region.base;
    if (start < 0 || length < 0 || start + length > this.#region.size) {
      throw new RangeError(`0x${address.toString(16)} + ${length} bytes is not mirrored memory`);
    }
    return [start, start + length];
  }

  /** The address of bytes that are a view of the mirror. */
  #addressOf(bytes: Uint8Array): number | undefined {
    const { bytes: mirror, base, size } = this.#region;
    const offset = bytes.byteOffset - mirror.byteOffset;
    const isInside = bytes.buffer === mirror.buffer && offset >= 0 && offset + bytes.byteLength <= size;
    return isInside ? base + offset : undefined;
  }
}
