/** A set of page numbers below a limit, a bit for each: what a hostile driver tells takes no more memory. */
export class PageSet {
  readonly limit: number;
  readonly #bits: Uint8Array;
  #size = 0;

  constructor(limit: number) {
    this.limit = limit;
    this.#bits = new Uint8Array(Math.ceil(limit / 8));
  }

  /** Pages in it. */
  get size(): number {
    return this.#size;
  }

  has(page: number): boolean {
    return page < this.limit && (this.#bits[page >>> 3] & (1 << (page & 7))) !== 0;
  }

  /** False when it was there. */
  add(page: number): boolean {
    if (this.has(page)) return false;
    this.#bits[page >>> 3] |= 1 << (page & 7);
    this.#size++;
    return true;
  }

  /** False when it was not there. */
  delete(page: number): boolean {
    if (!this.has(page)) return false;
    this.#bits[page >>> 3] &= ~(1 << (page & 7));
    this.#size--;
    return true;
  }

  clear(): void {
    this.#bits.fill(0);
    this.#size = 0;
  }

  /** A bit for each page, from the lowest of the first byte on; zeros at the end are left out. */
  toBits(): Uint8Array {
    return this.#bits.slice(0, this.#bits.findLastIndex((byte) => byte !== 0) + 1);
  }

  /** Adds the pages of such bits. @param added called for each that was not there */
  addBits(bits: Uint8Array, added: (page: number) => void): void {
    for (const [index, byte] of bits.entries()) {
      for (let bit = 0; byte >>> bit !== 0; bit++) {
        const page = 8 * index + bit;
        if ((byte & (1 << bit)) !== 0 && this.add(page)) added(page);
      }
    }
  }
}
