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
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /**
   * The same bytes as 16-bit words in host order, for atomic access to ring indices. Empty when the bytes start at an
   * odd offset of their buffer (private buffers may; guest memory does not).
   */
  readonly words: Uint16Array;
  /** The same bytes as 32-bit words in host order; empty when the bytes start at no multiple of 4. */
  readonly words32: Uint32Array;
  /** Cached views, so that copies out of this region allocate nothing. */
  readonly pages: PageViews;
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
    this.words =
      bytes.byteOffset % 2 === 0
        ? new Uint16Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.byteLength / 2))
        : new Uint16Array(0);
    this.words32 =
      bytes.byteOffset % 4 === 0
        ? new Uint32Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.byteLength / 4))
        : new Uint32Array(0);
    this.pages = new PageViews(bytes);
    this.shared = options.shared ?? false;
    this.nativeAddress = options.nativeAddress ?? 0;
  }
}
