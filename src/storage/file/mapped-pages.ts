/**
 * The mapped lane: small reads copied from a mapping of the file to guest memory, without a system call, where the page
 * cache is known to have them. Writes never go this way: the first one to a clean page costs a fault that is dearer than
 * a system call, and the kernel's write-back makes pages clean again. What is known is a quarter of a second old at most:
 * a page that was reclaimed meanwhile costs a fault that waits for the medium, no more.
 *
 * Touching a page that is gone (the file was made shorter, the medium failed) would end the process by SIGBUS; the
 * mapping is guarded (see linux/bus-error-guard), and when the guard has counted a page the request is carried out by
 * system calls instead, which give the error, and the mapping is not used again.
 */
import { fstatSync } from "node:fs";
import { copyMemory, type GuardedRange, guardMemory, RawMapping, SystemCallError } from "../../linux/index.js";
import type { Scatter } from "../../memory/index.js";
import { hasAddresses } from "./io-vectors.js";

/** Bytes whose residency is known together. */
const chunkSize = 2 << 20;
/** Reads in a row that the page cache had before a chunk is looked at: looking costs as much as several of them. */
const worthLook = 8;
/** How long it is believed, in milliseconds. */
const interval = 250;
/** Above this a system call copies as fast or faster (measured: even between 32 and 64 KiB). */
const largest = 32 << 10;
/** Above this the chunks' table is not worth its memory. */
const largestFile = 2 ** 43;

export class MappedPages {
  readonly #fd: number;
  readonly #byteLength: number;
  readonly #mapping: RawMapping;
  readonly #guard: GuardedRange;
  /** When a chunk was looked at last; 0 for never. */
  readonly #seen: Float64Array;
  readonly #isResident: Uint8Array;
  /** Reads of a chunk in a row that went by system calls and did not wait. */
  readonly #hits: Uint8Array;
  #sizeSeen = 0;
  #isOpen = true;

  private constructor(fd: number, mapping: RawMapping, guard: GuardedRange) {
    this.#fd = fd;
    this.#byteLength = mapping.size;
    this.#mapping = mapping;
    this.#guard = guard;
    const chunks = Math.ceil(mapping.size / chunkSize);
    this.#seen = new Float64Array(chunks);
    this.#isResident = new Uint8Array(chunks);
    this.#hits = new Uint8Array(chunks);
  }

  /**
   * Maps an open file. @param isWritable the descriptor is open for writing too. @returns undefined where its memory cannot be guarded, or nobody would say what is resident: then
   * system calls are the way.
   */
  static open(fd: number, byteLength: number, isWritable: boolean): MappedPages | undefined {
    const { uid } = fstatSync(fd);
    if (byteLength > largestFile || (!isWritable && uid !== process.geteuid?.())) return undefined;
    let mapping: RawMapping;
    try {
      mapping = new RawMapping(fd, byteLength);
    } catch (error) {
      if (error instanceof SystemCallError) return undefined;
      throw error;
    }
    const guard = guardMemory(mapping.address, Math.ceil(byteLength / 4096) * 4096);
    if (guard !== undefined) return new MappedPages(fd, mapping, guard);
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

  /** Told of a read that went by system calls: whether the page cache had all of it. */
  learn(position: number, isHit: boolean): void {
    const chunk = Math.floor(position / chunkSize);
    this.#hits[chunk] = isHit ? Math.min(worthLook, this.#hits[chunk] + 1) : 0;
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
      if (now - this.#seen[chunk] > interval || this.#seen[chunk] === 0) {
        if (this.#isResident[chunk] === 0 && this.#hits[chunk] < worthLook) return false;
        this.#look(chunk, now);
      }
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
