/**
 * Pieces of guest memory as the kernel takes them (`struct iovec`): a table of slots, one for each request that is under
 * way. Filling a slot allocates nothing.
 */
import { NativeBuffer } from "../../linux/index.js";
import type { Scatter } from "../../memory/index.js";

/** Pieces in a slot; requests of more are carried out in several steps. */
export const maxPieces = 128;
const vectorSize = 16;
const word32 = 0x1_0000_0000;

export class IoVectors {
  readonly #buffer: NativeBuffer;
  readonly #words: Uint32Array;
  readonly #address: number;
  /** Bytes that the last filled slot stands for. */
  byteLength = 0;

  constructor(slots: number) {
    this.#buffer = new NativeBuffer(slots * maxPieces * vectorSize);
    const { bytes } = this.#buffer;
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
    this.#address = Number(this.#buffer.address);
  }

  /** Gives the table's memory back. Nothing is under way. */
  close(): void {
    this.#buffer.close();
  }

  /** Where a slot lies, for the kernel. */
  addressOf(slot: number): number {
    return this.#address + slot * maxPieces * vectorSize;
  }

  /**
   * Describes bytes `skip` to `length` of a scatter, or as many of them as fit. @returns the number of vectors;
   * {@link IoVectors.byteLength} says how many bytes they are. Fewer than asked for when the scatter has shrunk.
   */
  fill(slot: number, scatter: Scatter, length: number, skip: number): number {
    const words = this.#words;
    let at = slot * maxPieces * (vectorSize / 4);
    let past = skip;
    let left = length - skip;
    let count = 0;
    for (let index = scatter.first; index < scatter.end && left > 0 && count < maxPieces; index++) {
      const piece = scatter.lengths[index];
      if (past >= piece) {
        past -= piece;
        continue;
      }
      const step = Math.min(piece - past, left);
      const address = scatter.regions[index].nativeAddress + scatter.offsets[index] + past;
      words[at] = address % word32;
      words[at + 1] = address / word32;
      words[at + 2] = step % word32;
      words[at + 3] = step / word32;
      at += 4;
      left -= step;
      past = 0;
      count++;
    }
    this.byteLength = length - skip - left;
    return count;
  }

  /** Describes one piece. */
  set(slot: number, address: number, length: number): void {
    const words = this.#words;
    const at = slot * maxPieces * (vectorSize / 4);
    words[at] = address % word32;
    words[at + 1] = address / word32;
    words[at + 2] = length % word32;
    words[at + 3] = length / word32;
    this.byteLength = length;
  }
}

/** Whether every piece that the first `length` bytes touch lies at a known address, a multiple of `alignment`. */
export function hasAddresses(scatter: Scatter, length: number, alignment = 1): boolean {
  let left = length;
  for (let index = scatter.first; index < scatter.end && left > 0; index++) {
    const { nativeAddress } = scatter.regions[index];
    if (nativeAddress === 0) return false;
    const step = Math.min(scatter.lengths[index], left);
    if (alignment > 1 && ((nativeAddress + scatter.offsets[index]) % alignment !== 0 || step % alignment !== 0)) {
      return false;
    }
    left -= step;
  }
  return true;
}
