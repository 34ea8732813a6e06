/**
 * The slow lane through io_uring. The first operation of a turn of the event loop is handed over at once, then two
 * together, then more: the medium works while the turn goes on, and a long turn makes few system calls.
 */
import {
  closeDescriptor,
  createEventDescriptor,
  IoUring,
  UringOperation,
  type Watch,
  watchEvent,
} from "../../linux/index.js";
import { type SlowEnded, type SlowLane, SlowOperation, type Transfer } from "./slow-lane.js";

/** Operations that are handed over together at most, before the turn ends. */
const largestBatch = 8;

export class UringLane implements SlowLane {
  readonly name = "io_uring";
  readonly #fd: number;
  readonly #ring: IoUring;
  readonly #wakeUp: number;
  readonly #watch: Watch;
  readonly #ended: SlowEnded;
  /** Operations that are next handed over together. */
  #batch = 1;
  #isInTurn = false;

  private constructor(fd: number, ring: IoUring, wakeUp: number, ended: SlowEnded) {
    this.#fd = fd;
    this.#ring = ring;
    this.#wakeUp = wakeUp;
    this.#ended = ended;
    ring.notifyThrough(wakeUp);
    this.#watch = watchEvent(wakeUp, () => this.#ring.reap(this.#ended));
  }

  /** A lane of up to `depth` operations; undefined where io_uring is missing or forbidden. */
  static open(fd: number, depth: number, ended: SlowEnded): UringLane | undefined {
    const ring = IoUring.open(depth);
    if (ring === undefined) return undefined;
    const wakeUp = createEventDescriptor();
    try {
      return new UringLane(fd, ring, wakeUp, ended);
    } catch (error) {
      ring.close();
      closeDescriptor(wakeUp);
      throw error;
    }
  }

  begin(operation: Transfer, position: number, address: number, vectors: number, slot: number): void {
    const ring = this.#ring;
    const code = operation === SlowOperation.Read ? UringOperation.ReadVector : UringOperation.WriteVector;
    while (!ring.prepare(code, this.#fd, position, address, vectors, 0, slot)) ring.submit();
    if (ring.prepared >= this.#batch) {
      ring.submit();
      this.#batch = Math.min(largestBatch, 2 * this.#batch);
    }
    if (this.#isInTurn) return;
    this.#isInTurn = true;
    queueMicrotask(() => {
      this.#isInTurn = false;
      this.#batch = 1;
      ring.submit();
      ring.reap(this.#ended);
    });
  }

  close(): void {
    this.#watch.close();
    this.#ring.close();
    closeDescriptor(this.#wakeUp);
  }
}
