/** A DMA list (ASOT_DMAENTRY): physical pieces of a buffer, in order. Reused; filling it allocates nothing. */

/** A list for at most `capacity` pieces. */
export class DmaList {
  readonly capacity: number;
  readonly addresses: Float64Array;
  readonly lengths: Float64Array;
  /** Pieces that are in it. */
  count = 0;
  /** Pieces that were written behind its end, over whatever lay there. */
  overrun = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.addresses = new Float64Array(capacity);
    this.lengths = new Float64Array(capacity);
  }

  clear(): void {
    this.count = 0;
  }

  /** Appends a piece; joins it to the last one where it follows that. False when it does not fit: it is not taken. */
  push(address: number, length: number): boolean {
    const last = this.count - 1;
    if (last >= 0 && this.addresses[last] + this.lengths[last] === address) {
      this.lengths[last] += length;
      return true;
    }
    if (this.count === this.capacity) return false;
    this.addresses[this.count] = address;
    this.lengths[this.count++] = length;
    return true;
  }
}
