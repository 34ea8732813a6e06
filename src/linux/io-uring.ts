/**
 * io_uring: one more ring, with the kernel as the device. Submission entries are written and completion entries read as
 * typed arrays over the shared mappings; one system call hands over a whole batch. What is in the page cache is done
 * inside that call. Layouts: include/uapi/linux/io_uring.h.
 */
import { closeDescriptor } from "./descriptor.js";
import { libcFunction } from "./libc.js";
import { SharedMapping } from "./mapping.js";
import { systemCallError, wasInterrupted, wouldBlock } from "./system-error.js";

// All arguments are integers or pointers, so the fixed prototypes pass them as the variadic call would.
const setupCall = libcFunction("int64_t syscall(long, unsigned int, void *)");
const enterCall = libcFunction("int64_t syscall(long, int, unsigned int, unsigned int, unsigned int, void *, size_t)");
const registerCall = libcFunction("int64_t syscall(long, int, unsigned int, void *, unsigned int)");

const systemCall = { setup: 425, enter: 426, register: 427 } as const;
const mapOffset = { submissions: 0, entries: 0x1000_0000 } as const;
const setupFlags = { clamp: 1 << 4, cooperativeTaskRun: 1 << 8, singleIssuer: 1 << 12 } as const;
const singleMapFeature = 1;
const getEvents = 1;
const registerEventfd = 4;
const word32 = 0x1_0000_0000;

/** Operations, as the kernel numbers them. */
export const UringOperation = {
  ReadVector: 1,
  WriteVector: 2,
} as const;

/** A pair of submission and completion rings. For one thread. */
export class IoUring {
  readonly descriptor: number;
  /** Entries that can be prepared before they are submitted. */
  readonly size: number;
  readonly #rings: SharedMapping;
  readonly #entries: SharedMapping;
  readonly #words: Int32Array;
  readonly #entryWords: Uint32Array;
  readonly #submissionTail: number;
  readonly #submissionHead: number;
  readonly #submissionMask: number;
  readonly #completionHead: number;
  readonly #completionTail: number;
  readonly #completionMask: number;
  readonly #completions: number;
  #prepared = 0;

  private constructor(descriptor: number, params: DataView) {
    const word = (at: number) => params.getUint32(at, true);
    this.descriptor = descriptor;
    this.size = word(0);
    const completionEntries = word(4);
    const submissionArray = word(40 + 24);
    const completionQueue = word(80 + 20);
    const ringSize = Math.max(submissionArray + 4 * this.size, completionQueue + 16 * completionEntries);
    this.#rings = new SharedMapping(descriptor, ringSize, mapOffset.submissions);
    this.#entries = new SharedMapping(descriptor, 64 * this.size, mapOffset.entries);
    const { bytes } = this.#rings;
    this.#words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
    this.#entryWords = new Uint32Array(this.#entries.bytes.buffer, this.#entries.bytes.byteOffset, 16 * this.size);
    this.#submissionHead = word(40) >> 2;
    this.#submissionTail = word(44) >> 2;
    this.#submissionMask = this.size - 1;
    this.#completionHead = word(80) >> 2;
    this.#completionTail = word(84) >> 2;
    this.#completionMask = completionEntries - 1;
    this.#completions = completionQueue >> 2;
    // Entry n of the array always names submission entry n.
    for (let index = 0; index < this.size; index++) this.#words[(submissionArray >> 2) + index] = index;
  }

  /**
   * Opens a pair for up to `entries` operations at once.
   * @returns undefined where the kernel has none, or it is forbidden. @throws SystemCallError for anything else
   */
  static open(entries: number): IoUring | undefined {
    for (const flags of [
      setupFlags.clamp | setupFlags.cooperativeTaskRun | setupFlags.singleIssuer,
      setupFlags.clamp,
    ]) {
      const params = new DataView(new ArrayBuffer(120));
      params.setUint32(8, flags, true);
      const descriptor = Number(setupCall()(systemCall.setup, entries, new Uint8Array(params.buffer)));
      if (descriptor < 0) continue;
      if ((params.getUint32(20, true) & singleMapFeature) === 0) {
        closeDescriptor(descriptor);
        return undefined;
      }
      try {
        return new IoUring(descriptor, params);
      } catch (error) {
        closeDescriptor(descriptor);
        throw error;
      }
    }
    return undefined;
  }

  /** Operations prepared and not yet handed to the kernel. */
  get prepared(): number {
    return this.#prepared;
  }

  /** Adds 1 to an eventfd for every operation that ends. @throws SystemCallError */
  notifyThrough(eventfd: number): void {
    const argument = new Int32Array([eventfd]);
    if (Number(registerCall()(systemCall.register, this.descriptor, registerEventfd, argument, 1)) < 0) {
      throw systemCallError("io_uring_register");
    }
  }

  /** Prepares an operation. False when there is no entry left: submit first. Allocates nothing. */
  prepare(
    operation: number,
    descriptor: number,
    position: number,
    address: number,
    length: number,
    flags: number,
    token: number,
  ): boolean {
    const words = this.#words;
    const tail = words[this.#submissionTail];
    if (((tail - Atomics.load(words, this.#submissionHead)) | 0) >= this.size) return false;
    const at = (tail & this.#submissionMask) << 4;
    const entry = this.#entryWords;
    entry[at] = operation;
    entry[at + 1] = descriptor;
    entry[at + 2] = position % word32;
    entry[at + 3] = position / word32;
    entry[at + 4] = address % word32;
    entry[at + 5] = address / word32;
    entry[at + 6] = length;
    entry[at + 7] = flags;
    entry[at + 8] = token;
    entry[at + 9] = 0;
    entry[at + 10] = 0;
    Atomics.store(words, this.#submissionTail, (tail + 1) | 0);
    this.#prepared++;
    return true;
  }

  /**
   * Hands over what was prepared. @param wait operations to wait for; 0 returns at once.
   * @throws SystemCallError
   */
  submit(wait = 0): void {
    while (this.#prepared > 0 || wait > 0) {
      const flags = wait > 0 ? getEvents : 0;
      const done = Number(enterCall()(systemCall.enter, this.descriptor, this.#prepared, wait, flags, null, 0));
      if (done >= 0) {
        this.#prepared -= done;
        if (this.#prepared === 0) return;
        continue;
      }
      // EAGAIN and EBUSY ask for completions to be taken first.
      if (wouldBlock()) return;
      if (!wasInterrupted()) throw systemCallError("io_uring_enter");
    }
  }

  /** Calls `ended` for every operation that ended. Returns how many. `result` is a count, or a negative error number. */
  reap(ended: (token: number, result: number) => void): number {
    const words = this.#words;
    let head = words[this.#completionHead];
    const tail = Atomics.load(words, this.#completionTail);
    let count = 0;
    while (head !== tail) {
      const at = this.#completions + ((head & this.#completionMask) << 2);
      const token = words[at];
      const result = words[at + 2];
      head = (head + 1) | 0;
      // Given back before the handler runs: it may submit more.
      Atomics.store(words, this.#completionHead, head);
      count++;
      ended(token, result);
    }
    return count;
  }

  close(): void {
    this.#rings.close();
    this.#entries.close();
    closeDescriptor(this.descriptor);
  }
}
