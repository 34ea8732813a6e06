/** How many random bytes a device gives in a period: at most `bytes` in any `milliseconds` that began with a request. */
export interface EntropyRate {
  readonly bytes: number;
  readonly milliseconds: number;
}

/** What is left of the rate. */
export class FillBudget {
  readonly #rate: EntropyRate | undefined;
  readonly #now: () => number;
  #left: number;
  #periodEnd = Number.NEGATIVE_INFINITY;

  /** @param now milliseconds, from any start. @throws RangeError for a rate that would never give a byte. */
  constructor(rate: EntropyRate | undefined, now: () => number) {
    if (rate !== undefined && !(rate.bytes >= 1 && rate.milliseconds > 0)) {
      throw new RangeError(`a rate needs at least a byte and some time, got ${rate.bytes} in ${rate.milliseconds} ms`);
    }
    this.#rate = rate;
    this.#now = now;
    this.#left = rate === undefined ? Number.POSITIVE_INFINITY : 0;
  }

  /** Takes up to `wanted` bytes; returns how many may be given now. */
  take(wanted: number): number {
    const rate = this.#rate;
    if (rate === undefined) return wanted;
    const now = this.#now();
    if (now >= this.#periodEnd) {
      this.#left = Math.floor(rate.bytes);
      this.#periodEnd = now + rate.milliseconds;
    }
    const taken = Math.min(wanted, this.#left);
    this.#left -= taken;
    return taken;
  }

  /** What is left now, and the milliseconds that the period still has. */
  save(): { readonly left: number; readonly period: number } {
    if (this.#rate === undefined) return { left: 0, period: 0 };
    return { left: this.#left, period: Math.max(0, this.#periodEnd - this.#now()) };
  }

  /** Goes on with so much, as far as the rate allows it. */
  restore(left: number, period: number): void {
    const rate = this.#rate;
    if (rate === undefined) return;
    this.#left = Math.min(left, Math.floor(rate.bytes));
    this.#periodEnd = this.#now() + Math.min(period, rate.milliseconds);
  }

  /** Milliseconds until there is more, 0 when there is some now. */
  get wait(): number {
    return this.#left > 0 ? 0 : Math.max(0, this.#periodEnd - this.#now());
  }
}
