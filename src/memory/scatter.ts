/**
 * A list of pieces of guest memory that together are one buffer. A chain has one of the readable and one of the
 * writable side; logical units and stores read from it and write to it. Reused from request to request: filling and
 * using it allocates nothing.
 */
import { PageViews } from "./page-views.js";
import { MemoryRegion } from "./region.js";

export class Scatter {
  /** Piece `i` is `lengths[i]` bytes at `offsets[i]` of `regions[i]`, for `first` ≤ i < `end`. */
  readonly regions: MemoryRegion[] = [];
  readonly offsets: number[] = [];
  readonly lengths: number[] = [];
  first = 0;
  end = 0;
  /** Bytes in all pieces. */
  byteLength = 0;

  /** A scatter of one piece: all of `bytes`, which is not copied. For callers without guest memory. */
  static of(bytes: Uint8Array): Scatter {
    const scatter = new Scatter();
    if (bytes.byteLength > 0) scatter.push(new MemoryRegion(0, bytes), 0, bytes.byteLength);
    return scatter;
  }

  clear(): void {
    this.first = 0;
    this.end = 0;
    this.byteLength = 0;
  }

  push(region: MemoryRegion, offset: number, length: number): void {
    const index = this.end++;
    this.regions[index] = region;
    this.offsets[index] = offset;
    this.lengths[index] = length;
    this.byteLength += length;
  }

  /** Moves the first `length` bytes (at most what there is) to the end of `head`. */
  splitFront(length: number, head: Scatter): void {
    let left = Math.min(length, this.byteLength);
    this.byteLength -= left;
    while (left > 0) {
      const index = this.first;
      const piece = this.lengths[index];
      const step = piece < left ? piece : left;
      head.push(this.regions[index], this.offsets[index], step);
      this.#consume(index, piece, step);
      left -= step;
    }
  }

  /** Forgets the first `length` bytes (at most what there is). */
  dropFront(length: number): void {
    let left = Math.min(length, this.byteLength);
    this.byteLength -= left;
    while (left > 0) {
      const index = this.first;
      const piece = this.lengths[index];
      const step = piece < left ? piece : left;
      this.#consume(index, piece, step);
      left -= step;
    }
  }

  #consume(index: number, piece: number, step: number): void {
    if (step === piece) this.first++;
    else {
      this.offsets[index] += step;
      this.lengths[index] = piece - step;
    }
  }

  /** Copies up to `length` bytes, from `skip` on, to `target` at `at`. Returns the number copied. */
  copyOut(target: Uint8Array, at: number, length: number, skip = 0): number {
    let done = 0;
    let past = skip;
    for (let index = this.first; index < this.end && done < length; index++) {
      const piece = this.lengths[index];
      if (past >= piece) {
        past -= piece;
        continue;
      }
      const step = Math.min(piece - past, length - done);
      this.regions[index].pages.copyTo(this.offsets[index] + past, target, at + done, step);
      done += step;
      past = 0;
    }
    return done;
  }

  /**
   * Copies the first `length` bytes to the start of `target`: for headers, which nearly always lie in one piece.
   * `length` must not exceed `byteLength`.
   */
  copyHeader(target: DataView, bytes: Uint8Array, length: number): void {
    const index = this.first;
    if (this.lengths[index] < length) {
      this.copyOut(bytes, 0, length);
      return;
    }
    const { view } = this.regions[index];
    const from = this.offsets[index];
    let at = 0;
    for (; at + 4 <= length; at += 4) target.setUint32(at, view.getUint32(from + at, true), true);
    for (; at < length; at++) target.setUint8(at, view.getUint8(from + at));
  }

  /** Copies up to `length` bytes of `source`, from `from` on, into the pieces, after `skip` bytes. Returns the number. */
  copyIn(source: PageViews, from: number, length: number, skip = 0): number {
    let done = 0;
    let past = skip;
    for (let index = this.first; index < this.end && done < length; index++) {
      const piece = this.lengths[index];
      if (past >= piece) {
        past -= piece;
        continue;
      }
      const step = Math.min(piece - past, length - done);
      source.copyTo(from + done, this.regions[index].bytes, this.offsets[index] + past, step);
      done += step;
      past = 0;
    }
    return done;
  }

  /** Writes `bytes` into the pieces after `skip` bytes; returns how many fitted. For small, rare data. */
  write(bytes: Uint8Array, skip = 0): number {
    return this.copyIn(new PageViews(bytes), 0, bytes.byteLength, skip);
  }

  /** All bytes in one new array. */
  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.byteLength);
    this.copyOut(bytes, 0, bytes.byteLength);
    return bytes;
  }

  /** Sets `length` bytes after `skip` bytes to `value`. */
  fill(value: number, length = this.byteLength, skip = 0): void {
    let left = length;
    let past = skip;
    for (let index = this.first; index < this.end && left > 0; index++) {
      const piece = this.lengths[index];
      if (past >= piece) {
        past -= piece;
        continue;
      }
      const step = Math.min(piece - past, left);
      const start = this.offsets[index] + past;
      this.regions[index].bytes.fill(value, start, start + step);
      left -= step;
      past = 0;
    }
  }
}
