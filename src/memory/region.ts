/**
 * A run of guest-physical memory backed by one `ArrayBuffer`. What other rooms get are views into it: nothing is copied.
 */
import { PageViews } from "./page-views.js";

/** How a region is used. */
export interface RegionOptions {
  /**
   * Another thread or process (a virtual machine) sees this memory too: index fields are then accessed with the
   * ordering that this needs. Default false.
   */
  shared?: boolean;
  /** Address of the first byte in this process, for system calls that write to it. Default 0: not known. */
  nativeAddress?: number;
}

/** One run of guest memory, by address and as views. */
export class MemoryRegion {
  /** Guest-physical address of the first byte. */
  readonly base: number;
  /** Bytes. */
  readonly size: number;
  /** First address past the region. */
  readonly end: number;
  bytes: Uint8Array;
  view: DataView;
  /**
   * The same bytes as 16-bit words in host order, for atomic access to ring indices. Empty when the bytes start at an
   * odd offset of their buffer (private buffers may; guest memory does not).
   */
  words: Uint16Array;
  /** The same bytes as 32-bit words in host order; empty when the bytes start at no multiple of 4. */
  words32: Uint32Array;
  /** Cached views, so that copies out of this region allocate nothing. */
  pages: PageViews;
  readonly shared: boolean;
  /** Address of the first byte in this process; 0 when it is not known. */
  readonly nativeAddress: number;

  /**
   * @param base guest-physical address, an even safe integer.
   * @throws RangeError when the region is empty, starts at an odd address or leaves the range of safe integers.
   */
  constructor(base: number, bytes: Uint8Array, options: RegionOptions = {}) {
    if (!Number.isSafeInteger(base) || base < 0 || base % 2 !== 0 || !Number.isSafeInteger(base + bytes.byteLength)) {
      throw new RangeError(`region base must be an even safe integer ≥ 0, got ${base}`);
    }
    if (bytes.byteLength === 0) throw new RangeError("a region needs at least one byte");
    this.base = base;
    this.size = bytes.byteLength;
    this.end = base + bytes.byteLength;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.words = words16Of(bytes);
    this.words32 = words32Of(bytes);
    this.pages = new PageViews(bytes);
    this.shared = options.shared ?? false;
    this.nativeAddress = options.nativeAddress ?? 0;
  }
  /**
   * The same memory is at `bytes` from now on: a WebAssembly memory that grew has a new `ArrayBuffer`, and the old views are
   * empty. Whoever keeps views of a region (queues do) has to take them anew.
   * @throws RangeError when the size is another.
   */
  rebase(bytes: Uint8Array): void {
    if (bytes.byteLength !== this.size) throw new RangeError(`a region of ${this.size} bytes got ${bytes.byteLength}`);
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.words = words16Of(bytes);
    this.words32 = words32Of(bytes);
    this.pages = new PageViews(bytes);
  }
}

function words16Of({ buffer, byteOffset, byteLength }: Uint8Array): Uint16Array {
  return byteOffset % 2 === 0 ? new Uint16Array(buffer, byteOffset, Math.floor(byteLength / 2)) : new Uint16Array(0);
}

function words32Of({ buffer, byteOffset, byteLength }: Uint8Array): Uint32Array {
  return byteOffset % 4 === 0 ? new Uint32Array(buffer, byteOffset, Math.floor(byteLength / 4)) : new Uint32Array(0);
}
