/** What a disk should hold, block by block, where writes may end in ways that leave it open. */
import assert from "node:assert/strict";

export const blockSize = 512;

/** The bytes of blocks with a stamp: each tells its number, too. */
export function stampedRun(stamp: number, block: number, count: number): Uint8Array {
  const bytes = new Uint8Array(count * blockSize).fill(stamp);
  for (let index = 0; index < count; index++) {
    bytes[index * blockSize] = block + index;
    bytes[(index + 1) * blockSize - 1] = (block + index) ^ stamp;
  }
  return bytes;
}

export class DiskModel {
  /** Undefined where nothing is known. */
  readonly #stamps: (number | undefined)[];

  constructor(blocks: number, stamp: number) {
    this.#stamps = new Array<number | undefined>(blocks).fill(stamp);
  }

  /** A write ended: well, with this stamp, or in another way: then it has happened or not, and does not happen later. */
  written(first: number, count: number, stamp: number | undefined): void {
    this.#stamps.fill(stamp, first, first + count);
  }

  /** Compares what was read. @throws AssertionError */
  compare(bytes: Uint8Array, first: number, where: string): void {
    for (let index = 0; index * blockSize < bytes.length; index++) {
      const stamp = this.#stamps[first + index];
      if (stamp === undefined) continue;
      const found = Buffer.from(bytes.subarray(index * blockSize, (index + 1) * blockSize));
      const isRight = found.equals(stampedRun(stamp, first + index, 1));
      assert.ok(isRight, `${where} block ${first + index}: ${found.subarray(0, 4).join()}…, expected stamp ${stamp}`);
    }
  }
}
