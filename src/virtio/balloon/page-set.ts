/** A set of page numbers below a limit, a bit for each: what a hostile driver tells takes no more memory. */
export class PageSet {
  readonly limit: number;
  readonly #bits: Uint32Array;
  #size = 0;

  constructor(limit: number) {
    this.limit = limit;
    this.#bits = new Uint32Array(Math.ceil(limit / 32));
  }

  /** Pages in it. */
  get size(): number {
    return this.#size;
  }

  has(page: number): boolean {
    return page < this.limit && (this.#bits[page >>> 5] & (1 << (page & 31))) !== 0;
  }

  /** False when it was there. */
  add(page: number): boolean {
    if (this.has(page)) return false;
    this.#bits[page >>> 5] |= 1 << (page & 31);
    this.#size++;
    return true;
  }

  /** False when it was not there. */
  delete(page: number): boolean {
    if (!this.has(page)) return false;
    this.#bits[page >>> 5] &= ~(1 << (page & 31));
    this.#size--;
    return true;
  }

  clear(): void {
    this.#bits.fill(0);
    this.#size = 0;
  }
}
