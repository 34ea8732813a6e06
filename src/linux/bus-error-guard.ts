/**
 * Memory that may vanish: a mapped file that somebody makes shorter, or whose medium fails. Touching what is gone raises
 * SIGBUS, which ends a process. In guarded memory it does not: a private zero page takes the lost page's place, the
 * access goes on, and the guard counts it; whoever reads or writes such memory looks at the count afterwards.
 *
 * A signal handler cannot be JavaScript. So it is a few machine instructions of our own, for x86-64, which touch
 * nothing but their table and make system calls. Faults elsewhere end the process as ever.
 */
import { isMainThread } from "node:worker_threads";
import { libcFunction } from "./libc.js";
import { NativeBuffer } from "./native-buffer.js";

const protectCall = libcFunction("int mprotect(uintptr_t, size_t, int)");
const actionCall = libcFunction("int sigaction(int, void *, void *)");

const busError = 7;
const readAndRun = 5;
/** SA_SIGINFO and SA_ONSTACK. */
const actionFlags = 0x0800_0004;
/** glibc's `struct sigaction`: handler, 128 bytes of mask, flags, restorer. */
const actionSize = 152;
const actionFlagsAt = 136;

// The table: a count, zeros that are SIG_DFL for the kernel, then 32 bytes for each range.
const headerSize = 64;
const entrySize = 32;
const mostRanges = 4096;
const endAt = 8;
const faultsAt = 16;

/**
 * The handler, position-independent. Two places take the table's address.
 *
 *     mov rdi, [rsi+16]          ; the address of the fault
 *     movabs r8, TABLE
 *     mov rcx, [r8]              ; for each range …
 *     lea r9, [r8+64]
 *   next: test rcx, rcx
 *     jz foreign
 *     cmp rdi, [r9]
 *     jb skip
 *     cmp rdi, [r9+8]
 *     jb found
 *   skip: add r9, 32
 *     dec rcx
 *     jmp next
 *   found: lock inc qword [r9+16]
 *     push r9
 *     mmap(rdi & -4096, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0)
 *     pop r9
 *     movabs r8, TABLE
 *     cmp rax, -4095             ; an error: no help for it
 *     jae foreign
 *     ret
 *   foreign: rt_sigaction(SIGBUS, TABLE+32, 0, 8)   ; the default; the access then faults again
 *     ret
 */
const handlerCode =
  "488b7e1049b88877665544332211498b084d8d48404885c97458493b397206493b790872094983c12048ffc9ebe7" +
  "f049ff411041514881e700f0ffffbe00100000ba0300000041ba3200000049c7c0ffffffff4531c9b8090000000f05" +
  "415949b88877665544332211483d01f0ffff7301c3498d7020bf0700000031d241ba08000000b80d0000000f05c3";
const tablePlaces = [6, 0x61];

/** A range that is guarded. */
export interface GuardedRange {
  /** Pages of it that were lost so far. */
  readonly faults: number;
  /** Faults in it end the process again. The range must not be touched afterwards. */
  close(): void;
}

let table: NativeBuffer | undefined;
let isInstalled: boolean | undefined;
const ranges: Range[] = [];

/**
 * Guards `size` bytes of this process's memory, shared mappings of files with small pages.
 * @returns undefined where that cannot be done: another processor, a thread that is not the main one, too many ranges.
 */
export function guardMemory(address: number, size: number): GuardedRange | undefined {
  isInstalled ??= install();
  if (!isInstalled || ranges.length === mostRanges) return undefined;
  return new Range(address, size);
}

class Range implements GuardedRange {
  index: number;
  #lost = 0;
  #isOpen = true;

  constructor(address: number, size: number) {
    this.index = ranges.push(this) - 1;
    const { view } = table as NativeBuffer;
    const at = this.#at;
    view.setBigUint64(at, BigInt(address), true);
    view.setBigUint64(at + endAt, BigInt(address + size), true);
    view.setUint32(at + faultsAt, 0, true);
    view.setUint32(0, ranges.length, true);
  }

  get faults(): number {
    return this.#isOpen ? (table as NativeBuffer).view.getUint32(this.#at + faultsAt, true) : this.#lost;
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#lost = this.faults;
    this.#isOpen = false;
    // The last range takes its place.
    const { bytes, view } = table as NativeBuffer;
    const last = ranges.pop() as Range;
    if (last !== this) {
      bytes.copyWithin(this.#at, last.#at, last.#at + entrySize);
      ranges[this.index] = last;
      last.index = this.index;
    }
    view.setUint32(0, ranges.length, true);
  }

  get #at(): number {
    return headerSize + entrySize * this.index;
  }
}

function install(): boolean {
  if (process.platform !== "linux" || process.arch !== "x64" || !isMainThread) return false;
  table = new NativeBuffer(headerSize + entrySize * mostRanges);
  const code = new NativeBuffer(handlerCode.length / 2);
  for (let at = 0; at < code.bytes.length; at++) {
    code.bytes[at] = Number.parseInt(handlerCode.slice(2 * at, 2 * at + 2), 16);
  }
  for (const at of tablePlaces) code.view.setBigUint64(at, table.address, true);
  // Some hardened systems allow no memory that is run and was written.
  if (protectCall()(code.address, code.bytes.length, readAndRun) < 0) return false;
  const action = new DataView(new ArrayBuffer(actionSize));
  action.setBigUint64(0, code.address, true);
  action.setInt32(actionFlagsAt, actionFlags, true);
  return actionCall()(busError, new Uint8Array(action.buffer), null) === 0;
}
