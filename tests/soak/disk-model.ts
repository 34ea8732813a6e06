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
  /** Blocks about which nothing will be known any more. */
  readonly #lost = new Set<number>();
  readonly #writesLate: boolean;

  /** @param writesLate writes may still happen after they were called off. */
  constructor(blocks: number, stamp: number, writesLate: boolean) {
    this.#stamps = new Array<number | undefined>(blocks).fill(stamp);
    this.#writesLate = writesLate;
  }

  /** A write ended: well, with this stamp, or in another way. */
  written(first: number, count: number, stamp: number | undefined): void {
    for (let block = first; block < first + count; block++) {
      if (stamp === undefined && this.#writesLate) this.#lost.add(block);
      this.#stamps[block] = this.#lost.has(block) ? undefined : stamp;
    }
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
