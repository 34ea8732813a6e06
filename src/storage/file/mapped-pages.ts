/**
 * The mapped lane: a file's bytes copied between its mapping and guest memory, without a system call, where the page
 * cache is known to have them. What is known is a quarter of a second old at most: a page that was reclaimed meanwhile
 * costs a fault that waits for the medium, no more.
 *
 * Touching a page that is gone (the file was made shorter, the medium failed, there is no space for a hole) would end
 * the process by SIGBUS; the mapping is guarded (see linux/bus-error-guard), and when the guard has counted a page the
 * request is carried out by system calls instead, which give the error, and the mapping is not used again.
 */
import { fstatSync } from "node:fs";
import { copyMemory, type GuardedRange, guardMemory, RawMapping, SystemCallError } from "../../linux/index.js";
import type { Scatter } from "../../memory/index.js";
import { hasAddresses } from "./io-vectors.js";

/** Bytes whose residency is known together. */
const chunkSize = 2 << 20;
/** How long it is believed, in milliseconds. */
const interval = 250;
/** A copy of more would hold the loop for too long. */
const largest = 4 << 20;
/**
 * The first write to a page that is on the medium costs a fault (about 3 µs a page, measured; a system call does a large
 * write for 0.5 µs a page), the next ones almost nothing: small writes gain, large ones mostly lose.
 */
const largestWrite = 8192;
/** Above this the chunks' table is not worth its memory. */
const largestFile = 2 ** 43;

export class MappedPages {
  readonly #fd: number;
  readonly #byteLength: number;
  readonly #mapping: RawMapping;
  readonly #guard: GuardedRange;
  readonly #isWritable: boolean;
  /** When a chunk was looked at last; 0 for never. */
  readonly #seen: Float64Array;
  readonly #isResident: Uint8Array;
  #sizeSeen = 0;
  #isOpen = true;

  private constructor(fd: number, mapping: RawMapping, guard: GuardedRange, isWritable: boolean) {
    this.#fd = fd;
    this.#byteLength = mapping.size;
    this.#mapping = mapping;
    this.#guard = guard;
    this.#isWritable = isWritable;
    const chunks = Math.ceil(mapping.size / chunkSize);
    this.#seen = new Float64Array(chunks);
    this.#isResident = new Uint8Array(chunks);
  }

  /**
   * Maps an open file. @returns undefined where its memory cannot be guarded, or nobody would say what is resident: then
   * system calls are the way.
   */
  static open(fd: number, byteLength: number, isWritable: boolean): MappedPages | undefined {
    const { uid } = fstatSync(fd);
    if (byteLength > largestFile || (!isWritable && uid !== process.geteuid?.())) return undefined;
    let mapping: RawMapping;
    try {
      mapping = new RawMapping(fd, byteLength, isWritable);
    } catch (error) {
      if (error instanceof SystemCallError) return undefined;
      throw error;
    }
    const guard = guardMemory(mapping.address, Math.ceil(byteLength / 4096) * 4096);
    if (guard !== undefined) return new MappedPages(fd, mapping, guard, isWritable);
    mapping.close();
    return undefined;
  }

  /** Reads, if that needs nothing but memory. False: nothing counts that was done, go another way. */
  read(position: number, target: Scatter, length: number): boolean {
    if (!this.#has(position, length) || !hasAddresses(target, length)) return false;
    let from = this.#mapping.address + position;
    let left = length;
    for (let index = target.first; left > 0; index++) {
      const step = Math.min(target.lengths[index], left);
      copyMemory(target.regions[index].nativeAddress + target.offsets[index], from, step);
      from += step;
      left -= step;
    }
    return this.#isIntact();
  }

  /** Writes, likewise. */
  write(position: number, source: Scatter, length: number): boolean {
    if (!this.#isWritable || length > largestWrite || !this.#has(position, length) || !hasAddresses(source, length))
      return false;
    let to = this.#mapping.address + position;
    let left = length;
    for (let index = source.first; left > 0; index++) {
      const step = Math.min(source.lengths[index], left);
      copyMemory(to, source.regions[index].nativeAddress + source.offsets[index], step);
      to += step;
      left -= step;
    }
    return this.#isIntact();
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#guard.close();
    this.#mapping.close();
  }

  #isIntact(): boolean {
    if (this.#guard.faults === 0) return true;
    this.close();
    return false;
  }

  #has(position: number, length: number): boolean {
    if (!this.#isOpen || length > largest) return false;
    const now = performance.now();
    const last = Math.floor((position + length - 1) / chunkSize);
    for (let chunk = Math.floor(position / chunkSize); chunk <= last; chunk++) {
      if (now - this.#seen[chunk] > interval || this.#seen[chunk] === 0) this.#look(chunk, now);
      if (this.#isResident[chunk] === 0) return false;
    }
    return this.#isOpen;
  }

  #look(chunk: number, now: number): void {
    this.#seen[chunk] = now;
    const start = chunk * chunkSize;
    const length = Math.min(chunkSize, this.#byteLength - start);
    // Past the end of a file within its last page nothing faults, and what is written there is lost.
    if (now - this.#sizeSeen > interval) {
      this.#sizeSeen = now;
      const { size, mode } = fstatSync(this.#fd);
      if ((mode & 0o170000) === 0o100000 && size < this.#byteLength) this.close();
    }
    const isResident = this.#isOpen && this.#mapping.isResident(start, length);
    if (isResident && this.#isResident[chunk] === 0) this.#mapping.populate(start, length);
    this.#isResident[chunk] = isResident ? 1 : 0;
  }
}
