/** Random numbers that come again with the same seed, so that a failing test can be repeated. */
export interface SeededRandom {
  /** A whole number, 0 ≤ n < `limit`. */
  below(limit: number): number;
  /** True with this probability. */
  chance(probability: number): boolean;
  /** Puts `items` into random order, in place. */
  shuffle<T>(items: T[]): T[];
}

/** The generator `mulberry32`: 32 bits of state, good enough to choose test cases. */
export function seededRandom(seed: number): SeededRandom {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    below: (limit) => Math.floor(next() * limit),
    chance: (probability) => next() < probability,
    shuffle(items) {
      for (let index = items.length - 1; index > 0; index--) {
        const other = Math.floor(next() * (index + 1));
        const item = items[index];
        items[index] = items[other];
        items[other] = item;
      }
      return items;
    },
  };
}
