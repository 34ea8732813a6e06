/**
 * The slow lane for flushes and for writes through the page cache, and for everything where io_uring is refused
 * (containers, `kernel.io_uring_disabled`): blocking calls on the threads of Node's pool, as many at once as that has (4,
 * or what UV_THREADPOOL_SIZE says).
 */
import { koffi, libcFunction } from "../../linux/index.js";
import { type SlowEnded, type SlowLane, SlowOperation } from "./slow-lane.js";

const readCall = libcFunction("int64_t preadv(int, uintptr_t, int, int64_t)");
const writeCall = libcFunction("int64_t pwritev(int, uintptr_t, int, int64_t)");
const syncCall = libcFunction("int fdatasync(int)");

/** Calls that koffi is given at once, for all files together; it takes 64. More would only wait for a thread. */
const mostCalls = 32;
let calls = 0;
const waiting: (() => void)[] = [];

export class ThreadLane implements SlowLane {
  readonly name = "threads";
  readonly #fd: number;
  readonly #ended: SlowEnded;

  constructor(fd: number, ended: SlowEnded) {
    this.#fd = fd;
    this.#ended = ended;
  }

  begin(operation: SlowOperation, position: number, address: number, vectors: number, slot: number): void {
    if (calls === mostCalls) {
      waiting.push(() => this.begin(operation, position, address, vectors, slot));
      return;
    }
    const done = (error: unknown, result: number | bigint) => {
      const count = error === null ? Number(result) : -1;
      const outcome = count >= 0 ? count : -koffi().errno();
      calls--;
      waiting.shift()?.();
      this.#ended(slot, outcome);
    };
    calls++;
    if (operation === SlowOperation.Sync) syncCall().async(this.#fd, done);
    else if (operation === SlowOperation.Read) readCall().async(this.#fd, address, vectors, position, done);
    else writeCall().async(this.#fd, address, vectors, position, done);
  }

  close(): void {}
}
