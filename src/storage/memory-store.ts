/**
 * Bytes in memory, allocated in chunks when first written: a store of 3 TiB costs what was written to it. What was
 * never written reads as zeros.
 */
import { PageViews, Scatter } from "../memory/index.js";
import { checkRange } from "./check-range.js";
import { type Answer, type ExtentStatus, type Store, StoreError } from "./store.js";

/** Limits and looks of a store in memory. */
export interface MemoryStoreOptions {
  /** Bytes allocated at a time: a power of two, at least 4096. Default 1 MiB. */
  chunkSize?: number;
  /** A write that needs more memory than this fails with `no-space`. Default: no limit. */
  maxAllocatedBytes?: number;
  /** Default false. */
  isReadOnly?: boolean;
  /** Default `memory`. */
  description?: string;
}

type Chunk = PageViews | undefined;

/** Chunks are found through leaves of this many, so that the table of a large, empty store is small. */
const chunksPerLeaf = 1024;

export class MemoryStore implements Store {
  readonly description: string;
  readonly byteLength: number;
  readonly isReadOnly: boolean;
  readonly #chunkSize: number;
  readonly #maxAllocatedBytes: number;
  readonly #leaves: (Chunk[] | undefined)[] = [];
  #allocatedBytes = 0;

  /** @throws RangeError when a size is not usable. */
  constructor(byteLength: number, options: MemoryStoreOptions = {}) {
    const chunkSize = options.chunkSize ?? 1024 * 1024;
    if (!Number.isSafeInteger(byteLength) || byteLength < 0) throw new RangeError(`bad store size ${byteLength}`);
    if (!(chunkSize >= 4096 && chunkSize <= 2 ** 30) || (chunkSize & (chunkSize - 1)) !== 0) {
      throw new RangeError(`the chunk size must be a power of two within 4096…2^30, got ${chunkSize}`);
    }
    this.description = options.description ?? "memory";
    this.byteLength = byteLength;
    this.isReadOnly = options.isReadOnly ?? false;
    this.#chunkSize = chunkSize;
    this.#maxAllocatedBytes = options.maxAllocatedBytes ?? Number.POSITIVE_INFINITY;
    const leaves = Math.ceil(byteLength / chunkSize / chunksPerLeaf);
    for (let index = 0; index < leaves; index++) this.#leaves.push(undefined);
  }

  /** A store with a copy of `bytes`; it may be read-only. */
  static of(bytes: Uint8Array, options: MemoryStoreOptions = {}): MemoryStore {
    const store = new MemoryStore(bytes.byteLength, options);
    store.#put(0, Scatter.of(bytes), bytes.byteLength);
    return store;
  }

  /** Bytes of memory that hold data now. */
  get allocatedBytes(): number {
    return this.#allocatedBytes;
  }

  read(position: number, target: Scatter, length: number): Answer {
    checkRange(this.byteLength, position, length, target);
    const size = this.#chunkSize;
    let index = Math.floor(position / size);
    let offset = position - index * size;
    let done = 0;
    while (done < length) {
      const room = size - offset;
      const step = length - done < room ? length - done : room;
      const chunk = this.#chunkAt(index);
      if (chunk === undefined) target.fill(0, step, done);
      else target.copyIn(chunk, offset, step, done);
      done += step;
      index++;
      offset = 0;
    }
    return undefined;
  }

  write(position: number, source: Scatter, length: number): Answer {
    this.#checkWritable();
    checkRange(this.byteLength, position, length, source);
    this.#put(position, source, length);
    return undefined;
  }

  /** Memory survives nothing, so there is nothing to do. */
  flush(): Answer {
    return undefined;
  }

  /** Frees whole chunks and zeroes the rest. */
  discard(position: number, length: number): Answer {
    this.#checkWritable();
    checkRange(this.byteLength, position, length);
    const size = this.#chunkSize;
    const end = position + length;
    let at = position;
    while (at < end) {
      const index = Math.floor(at / size);
      const leafIndex = Math.floor(index / chunksPerLeaf);
      const leaf = this.#leaves[leafIndex];
      if (leaf === undefined) {
        at = (leafIndex + 1) * chunksPerLeaf * size;
        continue;
      }
      const start = index * size;
      const stop = Math.min(end, start + size);
      const chunk = leaf[index - leafIndex * chunksPerLeaf];
      if (chunk !== undefined) {
        if (stop - at === chunk.bytes.byteLength) {
          leaf[index - leafIndex * chunksPerLeaf] = undefined;
          this.#allocatedBytes -= chunk.bytes.byteLength;
        } else chunk.bytes.fill(0, at - start, stop - start);
      }
      at = stop;
    }
    return undefined;
  }

  /** As {@link discard}: to keep space for zeros would let a guest fill the host's memory without sending a byte. */
  writeZeroes(position: number, length: number, _keepSpace: boolean): Answer {
    return this.discard(position, length);
  }

  extentAt(position: number): ExtentStatus {
    checkRange(this.byteLength, position, 0);
    const size = this.#chunkSize;
    let index = Math.floor(position / size);
    const allocated = this.#chunkAt(index) !== undefined;
    while (index * size < this.byteLength && (this.#chunkAt(index) !== undefined) === allocated) {
      const leafIndex = Math.floor(index / chunksPerLeaf);
      index = this.#leaves[leafIndex] === undefined ? (leafIndex + 1) * chunksPerLeaf : index + 1;
    }
    return { allocated, length: Math.min(this.byteLength, index * size) - position };
  }

  /** Frees the memory. */
  close(): Answer {
    this.#leaves.length = 0;
    this.#allocatedBytes = 0;
    return undefined;
  }

  #put(position: number, source: Scatter, length: number): void {
    const size = this.#chunkSize;
    let index = Math.floor(position / size);
    let offset = position - index * size;
    let done = 0;
    while (done < length) {
      const room = size - offset;
      const step = length - done < room ? length - done : room;
      const chunk = this.#chunkAt(index) ?? this.#allocate(index);
      source.copyOut(chunk.bytes, offset, step, done);
      done += step;
      index++;
      offset = 0;
    }
  }

  #chunkAt(index: number): Chunk {
    const leafIndex = Math.floor(index / chunksPerLeaf);
    const leaf = this.#leaves[leafIndex];
    return leaf === undefined ? undefined : leaf[index - leafIndex * chunksPerLeaf];
  }

  #allocate(index: number): PageViews {
    const size = Math.min(this.#chunkSize, this.byteLength - index * this.#chunkSize);
    if (this.#allocatedBytes + size > this.#maxAllocatedBytes) {
      throw new StoreError("no-space", `${this.description} holds its limit of ${this.#maxAllocatedBytes} bytes`);
    }
    let bytes: Uint8Array;
    try {
      bytes = new Uint8Array(size);
    } catch (cause) {
      throw new StoreError("no-space", `${this.description} cannot grow by ${size} bytes`, { cause });
    }
    const leafIndex = Math.floor(index / chunksPerLeaf);
    const leaf = (this.#leaves[leafIndex] ??= new Array<Chunk>(chunksPerLeaf).fill(undefined));
    const chunk = new PageViews(bytes);
    leaf[index - leafIndex * chunksPerLeaf] = chunk;
    this.#allocatedBytes += size;
    return chunk;
  }

  #checkWritable(): void {
    if (this.isReadOnly) throw new StoreError("read-only", `${this.description} is read-only`);
  }
}
