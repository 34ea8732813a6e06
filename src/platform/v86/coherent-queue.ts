/**
 * A queue whose requests are told to v86's compiler: code that was compiled from a page that a device fills would run on.
 * It is told when a request is taken, before its data arrive; until it ends the pages are the device's.
 */
import { type Chain, type MovableQueueDevice, WrappedQueue } from "../../virtqueue/index.js";

/** Called with the first and the last plus one byte of memory that a device is going to write. */
export type WrittenSoon = (from: number, to: number) => void;

/** The queue around another. */
export class CoherentQueue extends WrappedQueue {
  readonly #writtenSoon: WrittenSoon;

  constructor(ring: MovableQueueDevice, writtenSoon: WrittenSoon) {
    super(ring);
    this.#writtenSoon = writtenSoon;
  }

  override pop(): Chain | undefined {
    const chain = this.ring.pop();
    if (chain === undefined) return undefined;
    const { writable } = chain;
    for (let piece = writable.first; piece < writable.end; piece++) {
      const from = writable.regions[piece].base + writable.offsets[piece];
      this.#writtenSoon(from, from + writable.lengths[piece]);
    }
    return chain;
  }
}
