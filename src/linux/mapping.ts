/**
 * Files mapped into this process, shared with whoever else maps them.
 *
 * JavaScript cannot be stopped from using a view that it still has, so the addresses of a closed mapping stay taken
 * (by private zero pages, which cost nothing) until the garbage collector has seen the last view go.
 */
import { koffi, libcFunction } from "./libc.js";
import { systemCallError } from "./system-error.js";

const mapCall = libcFunction("void *mmap(void *, size_t, int, int, int, int64_t)");
const unmapCall = libcFunction("int munmap(void *, size_t)");

const readable = 1;
const writable = 2;
const mapShared = 0x01;
const mapPrivate = 0x02;
const mapFixed = 0x10;
const mapAnonymous = 0x20;
const mapNoReserve = 0x4000;
const mapFailed = 0xffff_ffff_ffff_ffffn;

const forgotten = new FinalizationRegistry<{ address: bigint; size: number }>(({ address, size }) => {
  unmapCall()(address, size);
});

/** `size` bytes of a file as memory. */
export class SharedMapping {
  /** The file's bytes. After {@link SharedMapping.close} a view reads zeros and no longer reaches the file. */
  readonly bytes: Uint8Array;
  /** Where the mapping is in this process. A safe integer: user space ends at 2^47 or 2^52. */
  readonly address: number;
  readonly #address: bigint;
  #open = true;

  /**
   * @param descriptor may be closed afterwards. @param size bytes, more than 0. @param offset a multiple of the page size.
   * @param options.write default true. Writing to a mapping made without it ends the process.
   * @throws SystemCallError, RangeError
   */
  constructor(descriptor: number, size: number, offset = 0, options: { write?: boolean } = {}) {
    if (!Number.isSafeInteger(size) || size <= 0) throw new RangeError(`size must be a positive integer, got ${size}`);
    const protection = options.write === false ? readable : readable | writable;
    this.#address = mapCall()(null, size, protection, mapShared, descriptor, offset);
    if (this.#address === mapFailed) throw systemCallError("mmap", `${size} bytes`);
    this.address = Number(this.#address);
    const buffer = koffi().view(this.#address, size);
    forgotten.register(buffer, { address: this.#address, size });
    this.bytes = new Uint8Array(buffer);
  }

  /** Lets go of the file at once. May be called again. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    const flags = mapFixed | mapPrivate | mapAnonymous | mapNoReserve;
    const address = mapCall()(this.#address, this.bytes.length, readable | writable, flags, -1, 0);
    if (address === mapFailed) throw systemCallError("mmap", "closing a mapping");
  }
}
