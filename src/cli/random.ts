/** Numbers and patterns that follow from a seed, so that a failing run can be repeated. */

/** 32 bits from 32 bits (a multiply-and-shift mixer): each input bit changes about half of the output. */
function mix(value: number): number {
  let mixed = (value + 0x9e37_79b9) >>> 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0_aaad);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a_2d97);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

/** A source of whole numbers, 0 ≤ n < `limit`. */
export function numbersFrom(seed: number): (limit: number) => number {
  let counter = seed >>> 0;
  return (limit) => {
    counter = (counter + 0x9e37_79b9) >>> 0;
    return Math.floor((mix(counter) / 2 ** 32) * limit);
  };
}

/** Fills `bytes` (a multiple of 4) with what belongs at byte `position` of a disk: no two places look the same. */
export function fillPattern(bytes: Uint8Array, seed: number, position: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let state = mix(mix(seed ^ (position >>> 0)) ^ Math.floor(position / 2 ** 32)) || 1;
  for (let at = 0; at + 4 <= bytes.byteLength; at += 4) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    view.setUint32(at, state);
  }
}
