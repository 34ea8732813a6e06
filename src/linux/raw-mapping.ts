/** A file mapped at an address, without views: for copying by address only, so that it can be let go of at once. */
import { libcFunction } from "./libc.js";
import { systemCallError } from "./system-error.js";

const mapCall = libcFunction("void *mmap(void *, size_t, int, int, int, int64_t)");
const unmapCall = libcFunction("int munmap(uintptr_t, size_t)");
const residentCall = libcFunction("int mincore(uintptr_t, size_t, void *)");
const adviseCall = libcFunction("int madvise(uintptr_t, size_t, int)");
const copyCall = libcFunction("void memcpy(uintptr_t, uintptr_t, size_t)");

const readable = 1;
const mapShared = 1;
const mapFailed = 0xffff_ffff_ffff_ffffn;
const populateRead = 22;
const pageSize = 4096;

export class RawMapping {
  /** Where it lies in this process. */
  readonly address: number;
  readonly size: number;
  readonly #pages: Uint8Array;

  /** For reading only: writing to it ends the process. @param size bytes. @throws SystemCallError */
  constructor(descriptor: number, size: number) {
    const address: bigint = mapCall()(null, size, readable, mapShared, descriptor, 0);
    if (address === mapFailed) throw systemCallError("mmap", `${size} bytes`);
    this.address = Number(address);
    this.size = size;
    this.#pages = new Uint8Array(512);
  }

  /**
   * Whether the page cache has all of a range of at most 2 MiB that starts at a page. Systems say yes to everything when
   * the file is neither ours nor open for writing.
   */
  isResident(offset: number, length: number): boolean {
    const pages = this.#pages;
    if (residentCall()(this.address + offset, length, pages) < 0) return false;
    const count = Math.ceil(length / pageSize);
    for (let page = 0; page < count; page++) if ((pages[page] & 1) === 0) return false;
    return true;
  }

  /** Makes touching a resident range cheap. Where the kernel cannot, touching it costs a fault for some pages each. */
  populate(offset: number, length: number): void {
    adviseCall()(this.address + offset, length, populateRead);
  }

  /** Afterwards the addresses may belong to something else. */
  close(): void {
    unmapCall()(this.address, this.size);
  }
}

/** Copies memory by address. Ranges are the caller's to check; they must not overlap. */
export function copyMemory(target: number, source: number, length: number): void {
  copyCall()(target, source, length);
}
