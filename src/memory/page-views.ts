/**
 * Copying between two `ArrayBuffer`s without allocating: JavaScript can only copy a whole typed array
 * (`target.set(source, offset)`), so the source views are made once for each page and kept.
 */
const pageBits = 12;
const pageSize = 1 << pageBits;
const sectorBits = 9;
const sectorSize = 1 << sectorBits;
/** From here on one temporary view costs less than many cached ones. */
const largeCopy = 32 * 1024;
/** Up to here a loop over bytes costs less than a view. */
const smallCopy = 32;

export class PageViews {
  readonly bytes: Uint8Array;
  #pages: (Uint8Array | undefined)[] = [];
  #sectors: (Uint8Array | undefined)[] = [];

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** Copies `length` bytes at `offset` to `targetOffset` of `target`. Ranges are the caller's to check. */
  copyTo(offset: number, target: Uint8Array, targetOffset: number, length: number): void {
    const { bytes } = this;
    if (length >= largeCopy) {
      target.set(bytes.subarray(offset, offset + length), targetOffset);
      return;
    }
    let from = offset;
    let to = targetOffset;
    const end = offset + length;
    while (from < end) {
      const left = end - from;
      if (left >= pageSize && from % pageSize === 0) {
        target.set(this.#page(from / pageSize), to);
        from += pageSize;
        to += pageSize;
      } else if (left >= sectorSize && from % sectorSize === 0) {
        target.set(this.#sector(from / sectorSize), to);
        from += sectorSize;
        to += sectorSize;
      } else {
        const step = Math.min(left, sectorSize - (from % sectorSize));
        if (step <= smallCopy) for (let index = 0; index < step; index++) target[to + index] = bytes[from + index];
        else target.set(bytes.subarray(from, from + step), to);
        from += step;
        to += step;
      }
    }
  }

  #page(index: number): Uint8Array {
    return (this.#pages[index] ??= this.bytes.subarray(index * pageSize, (index + 1) * pageSize));
  }

  #sector(index: number): Uint8Array {
    return (this.#sectors[index] ??= this.bytes.subarray(index * sectorSize, (index + 1) * sectorSize));
  }
}
