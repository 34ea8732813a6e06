/**
 * Memory at an address that is known and does not move: for structures that a system call takes with pointers in them.
 */
import { koffi, libcFunction } from "./libc.js";
import { systemCallError } from "./system-error.js";

const mapCall = libcFunction("void *mmap(void *, size_t, int, int, int, int64_t)");
const unmapCall = libcFunction("int munmap(void *, size_t)");
const adviseCall = libcFunction("int madvise(void *, size_t, int)");
const readWrite = 3;
const privateAnonymous = 0x22;
const mapFailed = 0xffff_ffff_ffff_ffffn;
const doNotNeed = 4;

const forgotten = new FinalizationRegistry<{ address: bigint; size: number }>(({ address, size }) => {
  unmapCall()(address, size);
});

/** Zeroed memory, kept until it is closed: make few, and reuse them. */
export class NativeBuffer {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly view: DataView;

  /** @param size bytes. @throws SystemCallError */
  constructor(size: number) {
    this.address = mapCall()(null, size, readWrite, privateAnonymous, -1, 0);
    if (this.address === mapFailed) throw systemCallError("mmap", `${size} bytes`);
    const buffer = koffi().view(this.address, size);
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
  }

  /**
   * Gives the memory back, the addresses when the last view is gone. The caller sees to it that nobody uses the address
   * any more: no system call under way, nothing that only knows the number. For one call.
   */
  close(): void {
    const { address, bytes } = this;
    adviseCall()(address, bytes.length, doNotNeed);
    forgotten.register(bytes.buffer, { address, size: bytes.length });
  }
}
