/** Latencies in buckets that are 1.1 % wide: percentiles of any number of requests in a few kilobytes. */

/** Buckets of each power of two. */
const perOctave = 64;
/** 0.1 µs … 2^27 × 0.1 µs. */
const octaves = 30;
const unit = 0.1;

export class LatencyHistogram {
  readonly #buckets = new Float64Array(perOctave * octaves);
  #count = 0;
  #largest = 0;

  /** Microseconds of the slowest. */
  get largest(): number {
    return this.#largest;
  }

  get count(): number {
    return this.#count;
  }

  add(microseconds: number): void {
    const index = Math.floor(Math.log2(Math.max(1, microseconds / unit)) * perOctave);
    this.#buckets[Math.min(index, this.#buckets.length - 1)]++;
    this.#count++;
    if (microseconds > this.#largest) this.#largest = microseconds;
  }

  /** Microseconds that this share of requests did not exceed; 0 without requests. @param share 0…1 */
  percentile(share: number): number {
    const wanted = Math.max(1, Math.ceil(this.#count * share));
    let seen = 0;
    for (const [index, count] of this.#buckets.entries()) {
      seen += count;
      // The upper end of the bucket, which the slowest of all may not reach.
      if (seen >= wanted && count > 0) return Math.min(this.#largest, unit * 2 ** ((index + 1) / perOctave));
    }
    return 0;
  }
}
