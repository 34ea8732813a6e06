/**
 * Memory that may vanish: a mapped file that somebody makes shorter, or whose medium fails. Touching what is gone raises
 * SIGBUS, which ends a process. In guarded memory it does not: a private zero page takes the lost page's place, the
 * access goes on, and the guard counts it; whoever reads or writes such memory looks at the count afterwards.
 *
 * A signal handler cannot be JavaScript. So it is a few machine instructions of our own, for x86-64, which touch
 * nothing but their table and make system calls. Faults elsewhere end the process as ever.
 *
 * Handler and table are the process's: each thread guards its own ranges in them, and a range is guarded whichever thread
 * touches it. The main thread installs the handler, before it makes threads that want to guard too.
 */
import { getEnvironmentData, isMainThread, setEnvironmentData } from "node:worker_threads";
import { koffi, libcFunction } from "./libc.js";
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

// The table: how many entries were ever in use, zeros that are SIG_DFL for the kernel, then 32 bytes for each range:
// start, end (0: matches nothing), pages lost, and whether somebody has the entry.
const headerSize = 64;
const entrySize = 32;
const mostRanges = 4096;
const tableSize = headerSize + entrySize * mostRanges;
const endAt = 8;
const faultsAt = 16;
const takenAt = 24;
/** Where threads made later learn of the table. */
const tableName = "ringside.bus-error-guard";

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

/** The table as this thread sees it. */
interface Table {
  readonly words: Int32Array;
  readonly longs: BigUint64Array;
}

let table: Table | undefined;
let isInstalled = false;

/** Installs the handler now: threads that are made afterwards can guard memory too. For the main thread. */
export function prepareGuard(): boolean {
  if (!isInstalled) {
    isInstalled = true;
    table = isMainThread ? install() : inherit();
  }
  return table !== undefined;
}

/**
 * Guards `size` bytes of this process's memory, shared mappings of files with small pages.
 * @returns undefined where that cannot be done: another processor, a thread whose main thread has not prepared it, too
 * many ranges.
 */
export function guardMemory(address: number, size: number): GuardedRange | undefined {
  if (!prepareGuard() || table === undefined) return undefined;
  const entry = takeEntry(table);
  return entry < 0 ? undefined : new Range(table, entry, address, size);
}

class Range implements GuardedRange {
  readonly #words: Int32Array;
  readonly #longs: BigUint64Array;
  /** Where the entry's words are. */
  readonly #at: number;
  #lost = 0;
  #isOpen = true;

  constructor({ words, longs }: Table, entry: number, address: number, size: number) {
    this.#words = words;
    this.#longs = longs;
    this.#at = (headerSize + entrySize * entry) >> 2;
    const at = this.#at >> 1;
    Atomics.store(longs, at, BigInt(address));
    Atomics.store(words, this.#at + (faultsAt >> 2), 0);
    // The end comes last: with it the entry counts, also for handlers that run in other threads just now.
    Atomics.store(longs, at + (endAt >> 3), BigInt(address + size));
  }

  get faults(): number {
    return this.#isOpen ? this.#words[this.#at + (faultsAt >> 2)] : this.#lost;
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#lost = this.faults;
    this.#isOpen = false;
    Atomics.store(this.#longs, (this.#at >> 1) + (endAt >> 3), 0n);
    Atomics.store(this.#words, this.#at + (takenAt >> 2), 0);
  }
}

/** The number of an entry that nobody has; -1 when there is none. */
function takeEntry({ words }: Table): number {
  for (let entry = 0; entry < mostRanges; entry++) {
    const taken = (headerSize + entrySize * entry + takenAt) >> 2;
    if (Atomics.compareExchange(words, taken, 0, 1) !== 0) continue;
    for (let count = Atomics.load(words, 0); count <= entry; count = Atomics.load(words, 0)) {
      Atomics.compareExchange(words, 0, count, entry + 1);
    }
    return entry;
  }
  return -1;
}

function tableAt(buffer: ArrayBuffer): Table {
  return { words: new Int32Array(buffer), longs: new BigUint64Array(buffer) };
}

/** What the main thread has installed. */
function inherit(): Table | undefined {
  const address = getEnvironmentData(tableName);
  return typeof address === "bigint" ? tableAt(koffi().view(address, tableSize)) : undefined;
}

function install(): Table | undefined {
  if (process.platform !== "linux" || process.arch !== "x64") return undefined;
  const { address, view } = new NativeBuffer(tableSize);
  const code = new NativeBuffer(handlerCode.length / 2);
  for (let at = 0; at < code.bytes.length; at++) {
    code.bytes[at] = Number.parseInt(handlerCode.slice(2 * at, 2 * at + 2), 16);
  }
  for (const at of tablePlaces) code.view.setBigUint64(at, address, true);
  // Some hardened systems allow no memory that is run and was written.
  if (protectCall()(code.address, code.bytes.length, readAndRun) < 0) return undefined;
  const action = new DataView(new ArrayBuffer(actionSize));
  action.setBigUint64(0, code.address, true);
  action.setInt32(actionFlagsAt, actionFlags, true);
  if (actionCall()(busError, new Uint8Array(action.buffer), null) !== 0) return undefined;
  setEnvironmentData(tableName, address);
  return tableAt(view.buffer as ArrayBuffer);
}
