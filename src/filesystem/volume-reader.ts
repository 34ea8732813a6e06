/**
 * Blocks of a file system on a disk whose blocks may have another size: a range of the disk, read in any block size that
 * is a power of two. Nothing outside the range is ever asked of the disk.
 */
import type { BlockReader } from "../partition/index.js";
import { FileSystemError } from "./file-system-error.js";

/** Where on a disk a volume lies, in blocks of the disk. */
export interface VolumePlace {
  /** Default 0. */
  readonly firstBlock?: number;
  /** Default: all up to the disk's end. */
  readonly blocks?: number;
}

/** Bytes of blocks that are kept, so that walking a directory does not read its blocks again and again. */
const keptBytes = 256 * 1024;

/** A volume's bytes. */
export class VolumeReader {
  /** Bytes of the volume. */
  readonly byteLength: number;
  readonly #reader: BlockReader;
  readonly #first: number;
  readonly #blocks: number;
  readonly #kept = new Map<string, Uint8Array>();
  #keptBytes = 0;

  /** @throws FileSystemError `not-this-format` when the place is not on the disk. */
  constructor(reader: BlockReader, place: VolumePlace = {}) {
    const first = place.firstBlock ?? 0;
    const blocks = place.blocks ?? reader.blocks - first;
    if (!(Number.isSafeInteger(first) && Number.isSafeInteger(blocks) && first >= 0 && blocks >= 0)) {
      throw new FileSystemError("not-this-format", `a volume cannot have ${blocks} blocks from block ${first} on`);
    }
    this.#reader = reader;
    this.#first = first;
    // A partition that ends past its disk: what there is can be read.
    this.#blocks = Math.max(0, Math.min(blocks, reader.blocks - first));
    this.byteLength = this.#blocks * reader.blockSize;
  }

  /** Whether `length` bytes at `offset` lie in the volume. */
  has(offset: number, length: number): boolean {
    return Number.isSafeInteger(offset) && offset >= 0 && length >= 0 && length <= this.byteLength - offset;
  }

  /**
   * `length` bytes from `offset` on, not kept. The caller must not change them.
   * @throws FileSystemError `damaged` when they lie outside; what the disk throws
   */
  async bytes(offset: number, length: number): Promise<Uint8Array> {
    if (!this.has(offset, length)) {
      throw new FileSystemError("damaged", `${length} bytes at ${offset} lie outside the volume's ${this.byteLength}`);
    }
    if (length === 0) return new Uint8Array(0);
    const { blockSize } = this.#reader;
    const from = Math.floor(offset / blockSize);
    const count = Math.ceil((offset + length) / blockSize) - from;
    const found = await this.#reader.readBlocks(this.#first + from, count);
    if (found.byteLength !== count * blockSize) {
      throw new RangeError(`asked for ${count} blocks of ${blockSize} bytes, got ${found.byteLength} bytes`);
    }
    const skip = offset - from * blockSize;
    return found.subarray(skip, skip + length);
  }

  /** As {@link bytes}, of what is likely to be read again. The view is big-endian unless told otherwise at each access. */
  async view(offset: number, length: number): Promise<DataView> {
    const name = `${offset} ${length}`;
    let bytes = this.#kept.get(name);
    if (bytes === undefined) {
      // A reader may use its buffer again.
      bytes = (await this.bytes(offset, length)).slice();
      this.#keptBytes += length;
    } else {
      this.#kept.delete(name);
    }
    this.#kept.set(name, bytes);
    for (const [old, value] of this.#kept) {
      if (this.#keptBytes <= keptBytes || old === name) break;
      this.#kept.delete(old);
      this.#keptBytes -= value.length;
    }
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
}
