/** A block reader over bytes, for tests of what reads partition tables. */
export interface CountingReader {
  readonly blockSize: number;
  readonly blocks: number;
  /** How often `readBlocks` was called. */
  readonly calls: number;
  /** Blocks read in all. */
  readonly blocksRead: number;
  readBlocks(lba: number, count: number): Promise<Uint8Array>;
}

/**
 * Reads from `bytes`, which is the start of a disk of `blocks` blocks (what is past it is zeros), and counts. A read
 * outside the disk rejects with a RangeError, which no partition reader may cause.
 */
export function blockReaderOf(bytes: Uint8Array, blockSize: number, blocks = bytes.length / blockSize): CountingReader {
  let calls = 0;
  let blocksRead = 0;
  return {
    blockSize,
    blocks,
    get calls() {
      return calls;
    },
    get blocksRead() {
      return blocksRead;
    },
    async readBlocks(lba, count) {
      if (!(Number.isInteger(lba) && Number.isInteger(count) && lba >= 0 && count > 0 && lba + count <= blocks)) {
        throw new RangeError(`${count} blocks at ${lba} of ${blocks}`);
      }
      calls++;
      blocksRead += count;
      const answer = new Uint8Array(count * blockSize);
      answer.set(bytes.subarray(lba * blockSize, (lba + count) * blockSize));
      return answer;
    },
  };
}
