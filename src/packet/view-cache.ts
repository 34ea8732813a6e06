/**
 * Copies out of one `ArrayBuffer` at any offset without allocating in steady state. JavaScript copies whole typed arrays
 * only, so a copy of a part needs a view of it; rings use the same buffers again and again, so views are kept.
 */

/** Slots of a cache; each holds the view that was last made for it. */
const slotBits = 11;
const slotCount = 1 << slotBits;
/** Up to here a loop over bytes costs less than a view. */
const smallCopy = 40;

export class ViewCache {
  readonly bytes: Uint8Array;
  readonly #offsets = new Float64Array(slotCount).fill(-1);
  readonly #lengths = new Float64Array(slotCount);
  readonly #views: Uint8Array[] = [];

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    for (let slot = 0; slot < slotCount; slot++) this.#views.push(bytes);
  }

  /** Copies `length` bytes at `offset` to `at` of `target`. Ranges are the caller's to check. */
  copyTo(offset: number, length: number, target: Uint8Array, at: number): void {
    const { bytes } = this;
    if (length <= smallCopy) {
      for (let index = 0; index < length; index++) target[at + index] = bytes[offset + index];
      return;
    }
    // Buffers of a ring lie at even distances: offsets are mixed before they are cut down to a slot.
    const slot = (Math.imul(offset | 0, 0x9e37_79b1) ^ Math.imul(length, 0x85eb_ca6b)) >>> (32 - slotBits);
    if (this.#offsets[slot] !== offset || this.#lengths[slot] !== length) {
      this.#offsets[slot] = offset;
      this.#lengths[slot] = length;
      this.#views[slot] = bytes.subarray(offset, offset + length);
    }
    target.set(this.#views[slot], at);
  }
}

/** One cache for each array that copies come from. */
export class ViewCaches {
  readonly #caches = new WeakMap<Uint8Array, ViewCache>();
  #last: ViewCache | undefined;

  /** The cache of `bytes`. */
  of(bytes: Uint8Array): ViewCache {
    const last = this.#last;
    if (last !== undefined && last.bytes === bytes) return last;
    let cache = this.#caches.get(bytes);
    if (cache === undefined) {
      cache = new ViewCache(bytes);
      this.#caches.set(bytes, cache);
    }
    this.#last = cache;
    return cache;
  }
}
