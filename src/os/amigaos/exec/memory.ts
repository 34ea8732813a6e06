/**
 * The programs' address space: pages at virtual addresses that are not the physical ones, and that may lie anywhere in
 * the machine's memory. Who gives a virtual address to a device gives it a wrong one.
 */
import type { DmaBlock, DmaMemory, GuestMemory, MemoryRegion } from "../../../memory/index.js";

/** Bytes of a page. */
export const execPageSize = 4096;
/** First virtual address: low ones are nobody's, so that NULL with an offset is noticed. */
const virtualBase = 0x1000_0000;
const virtualPages = 0x3_0000;

/** How pages lie in physical memory. */
export type PageOrder = "contiguous" | "scattered";

/** One allocation. */
interface Allocation {
  readonly block: DmaBlock;
  readonly firstPage: number;
  readonly pages: number;
}

/** Memory of programs and of the device's own buffers. */
export class ExecMemory {
  readonly dma: DmaMemory;
  readonly memory: GuestMemory;
  readonly #order: PageOrder;
  /** Per virtual page: physical page + 1; 0 where there is nothing. */
  readonly #pages = new Uint32Array(virtualPages);
  readonly #allocations = new Map<number, Allocation>();
  #nextPage = 0;

  /** @param order how the pages of what is allocated lie; `scattered` puts no two neighbours side by side. */
  constructor(memory: GuestMemory, dma: DmaMemory, order: PageOrder = "contiguous") {
    this.memory = memory;
    this.dma = dma;
    this.#order = order;
  }

  /** Allocations that were not freed. */
  get allocations(): number {
    return this.#allocations.size;
  }

  /** AllocVecTags: zeroed, page aligned. @throws RangeError when none is left. */
  allocate(size: number, order: PageOrder = this.#order): number {
    const pages = Math.max(1, Math.ceil(size / execPageSize));
    const firstPage = this.#findPages(pages);
    const block = this.dma.allocate(pages * execPageSize, execPageSize);
    const base = block.address / execPageSize + 1;
    for (let page = 0; page < pages; page++) {
      // Backwards: a page's neighbour is never the one that follows it physically.
      this.#pages[firstPage + page] = base + (order === "contiguous" ? page : pages - 1 - page);
    }
    const address = virtualBase + firstPage * execPageSize;
    block.region.bytes.fill(0, block.offset, block.offset + block.size);
    this.#allocations.set(address, { block, firstPage, pages });
    return address;
  }

  /** FreeVec. @throws RangeError when nothing was allocated at `address`. */
  free(address: number): void {
    const found = this.#allocations.get(address);
    if (found === undefined) throw new RangeError(`nothing is allocated at 0x${address.toString(16)}`);
    this.#allocations.delete(address);
    this.#pages.fill(0, found.firstPage, found.firstPage + found.pages);
    this.dma.free(found.block);
  }

  /** The physical address of a byte, -1 where there is no memory. Neighbouring pages need not be neighbours. */
  physical(address: number): number {
    const page = this.#pageOf(address);
    return page === 0 ? -1 : (page - 1) * execPageSize + (address % execPageSize);
  }

  /** Whether all of these bytes are there. */
  isMapped(address: number, length: number): boolean {
    const end = address + Math.max(1, length);
    for (let at = address; at < end; at += execPageSize - (at % execPageSize)) if (this.#pageOf(at) === 0) return false;
    return true;
  }

  /** The region of the machine's memory behind a byte, for accesses within its page. */
  region(address: number): MemoryRegion | undefined {
    const at = this.physical(address);
    return at < 0 ? undefined : this.memory.find(at);
  }

  /** Copies bytes out. @throws RangeError where there is no memory. */
  read(address: number, length: number): Uint8Array {
    const target = new Uint8Array(length);
    this.#each(address, length, (region, offset, done, step) => {
      target.set(region.bytes.subarray(offset, offset + step), done);
    });
    return target;
  }

  /** Copies bytes in. @throws RangeError where there is no memory. */
  write(address: number, bytes: Uint8Array): void {
    this.#each(address, bytes.length, (region, offset, done, step) => {
      region.bytes.set(bytes.subarray(done, done + step), offset);
    });
  }

  /** Fills with one byte. @throws RangeError where there is no memory. */
  fill(address: number, value: number, length: number): void {
    this.#each(address, length, (region, offset, _, step) => region.bytes.fill(value, offset, offset + step));
  }

  #pageOf(address: number): number {
    const page = Math.floor((address - virtualBase) / execPageSize);
    return page >= 0 && page < virtualPages ? this.#pages[page] : 0;
  }

  #each(
    address: number,
    length: number,
    visit: (region: MemoryRegion, offset: number, done: number, step: number) => void,
  ): void {
    for (let done = 0; done < length; ) {
      const at = address + done;
      const step = Math.min(length - done, execPageSize - (at % execPageSize));
      const physical = this.physical(at);
      const region = physical < 0 ? undefined : this.memory.find(physical);
      if (region === undefined) throw new RangeError(`no memory at 0x${at.toString(16)}`);
      visit(region, physical - region.base, done, step);
      done += step;
    }
  }

  /** Free virtual pages in a row: behind the last allocation, or from the start again. A page stays free between two. */
  #findPages(count: number): number {
    for (const start of [this.#nextPage, 0]) {
      for (let first = start, free = 0, page = start; page < virtualPages; page++) {
        if (this.#pages[page] !== 0) {
          free = 0;
          first = page + 1;
          continue;
        }
        if (++free < count + 1) continue;
        this.#nextPage = first + count + 1;
        return first;
      }
    }
    throw new RangeError(`no addresses left for ${count} pages`);
  }
}
