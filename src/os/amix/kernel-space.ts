/**
 * The kernel's virtual addresses. The low gigabyte is memory and Zorro II as they are; above it only what `sptalloc`
 * mapped answers, so a Zorro III board has to be mapped page by page (the user area lies at 0x40000000, where the first
 * such board has its physical address).
 */
import { type AccessWidth, type RegisterWindow, readRegister, writeRegister } from "../../bytes/index.js";

/** An access to an address that is not mapped: the end of the kernel. */
export class KernelFault extends Error {
  override readonly name = "KernelFault";
  readonly address: number;

  constructor(address: number) {
    super(`panic: bus error at virtual address 0x${address.toString(16)}, which nothing is mapped to`);
    this.address = address;
  }
}

/** Bytes of a page. */
export const amixPageSize = 2048;
const pageShift = 11;
/** Where virtual addresses stop being physical ones. */
const identityEnd = 0x4000_0000;
/** First page that `sptalloc` gives away: with it the registers of the first A4091 are at 0x401CA000, as was observed. */
const poolBase = 0x401c_9800;
const defaultPoolPages = 64;

/** The page frame of a physical address (`phystopfn`). */
export function pageFrame(physical: number): number {
  return physical >>> pageShift;
}

/** The address space; offsets of its accesses are virtual addresses. */
export class KernelSpace implements RegisterWindow {
  readonly #physical: RegisterWindow;
  readonly #poolPages: number;
  /** Physical base by virtual page number. */
  readonly #pages = new Map<number, number>();
  #used = 0;

  /** @param poolPages pages that `sptalloc` has. Default 64. */
  constructor(physical: RegisterWindow, poolPages = defaultPoolPages) {
    this.#physical = physical;
    this.#poolPages = poolPages;
  }

  /** Maps `pages` pages from page frame `frame` on; answers their virtual address, or 0 when there is no room. */
  sptalloc(pages: number, frame: number): number {
    if (!Number.isInteger(pages) || pages < 1 || this.#used + pages > this.#poolPages) return 0;
    const first = poolBase + this.#used * amixPageSize;
    this.#used += pages;
    for (let page = 0; page < pages; page++) {
      this.#pages.set((first >>> pageShift) + page, (frame + page) * amixPageSize);
    }
    return first;
  }

  read8(address: number): number {
    return this.#read(address, 1);
  }

  read16(address: number): number {
    return this.#read(address, 2);
  }

  read32(address: number): number {
    return this.#read(address, 4);
  }

  write8(address: number, value: number): void {
    this.#write(address, 1, value);
  }

  write16(address: number, value: number): void {
    this.#write(address, 2, value);
  }

  write32(address: number, value: number): void {
    this.#write(address, 4, value);
  }

  #read(address: number, width: AccessWidth): number {
    return readRegister(this.#physical, this.#translate(address), width);
  }

  #write(address: number, width: AccessWidth, value: number): void {
    writeRegister(this.#physical, this.#translate(address), width, value);
  }

  /** @throws KernelFault */
  #translate(address: number): number {
    if (address >= 0 && address < identityEnd) return address;
    const page = this.#pages.get(address >>> pageShift);
    if (page === undefined) throw new KernelFault(address);
    return page + (address & (amixPageSize - 1));
  }
}
