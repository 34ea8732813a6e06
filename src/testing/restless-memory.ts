/**
 * Memory whose bytes change while they are read: what a peer on another processor can do at any moment. Reads go
 * through views that tell of each access, so that a test can change what was just read and count how often it was.
 */
import { MemoryRegion } from "../memory/index.js";

/** Told after a value was read: where (byte offset in the region), how many bytes, what. */
export type ReadListener = (offset: number, width: number, value: number) => void;

/** `DataView` with the type that a class can extend. */
const View = DataView as new (buffer: ArrayBufferLike, byteOffset: number, byteLength: number) => DataView;

/** A `DataView` that tells of reads of 8, 16 and 32 bits. */
class TellingView extends View {
  readonly #onRead: ReadListener;

  constructor(bytes: Uint8Array, onRead: ReadListener) {
    super(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#onRead = onRead;
  }

  override getUint8(offset: number): number {
    const value = super.getUint8(offset);
    this.#onRead(offset, 1, value);
    return value;
  }

  override getUint16(offset: number, little?: boolean): number {
    const value = super.getUint16(offset, little);
    this.#onRead(offset, 2, value);
    return value;
  }

  override getUint32(offset: number, little?: boolean): number {
    const value = super.getUint32(offset, little);
    this.#onRead(offset, 4, value);
    return value;
  }
}

/** The region's words, telling of reads. Slow; for tests. */
function tellingWords<T extends Uint16Array | Uint32Array>(words: T, onRead: ReadListener): T {
  const width = words.BYTES_PER_ELEMENT;
  return new Proxy(words, {
    get(target, key) {
      const index = typeof key === "string" ? Number(key) : Number.NaN;
      if (!Number.isInteger(index)) return Reflect.get(target, key, target);
      const value = target[index];
      if (value !== undefined) onRead(width * index, width, value);
      return value;
    },
    set(target, key, value) {
      return Reflect.set(target, key, value, target);
    },
  });
}

/** A region that tells of every read through `view`, `words` and `words32`; copies of data through `pages` are not told of. */
export class RestlessRegion extends MemoryRegion {
  override readonly view: DataView;
  override readonly words: Uint16Array;
  override readonly words32: Uint32Array;
  /** Called after each read; may change the bytes. */
  onRead: ReadListener | undefined;

  /** @param bytes at a multiple of 4 of their buffer. */
  constructor(base: number, bytes: Uint8Array) {
    super(base, bytes);
    const tell: ReadListener = (offset, width, value) => this.onRead?.(offset, width, value);
    this.view = new TellingView(bytes, tell);
    this.words = tellingWords(new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 1), tell);
    this.words32 = tellingWords(new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2), tell);
  }
}
