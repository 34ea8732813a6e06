/**
 * A queue whose requests are told to v86's compiler: code that was compiled from a page that a device fills would run on.
 * It is told when a request is taken, before its data arrive; until it ends the pages are the device's.
 */
import type { ViolationCode } from "../../errors/index.js";
import type { GuestMemory } from "../../memory/index.js";
import type { Chain, MovableQueueDevice, RingAddresses } from "../../virtqueue/index.js";

/** Called with the first and the last plus one byte of memory that a device is going to write. */
export type WrittenSoon = (from: number, to: number) => void;

/** The queue around another. */
export class CoherentQueue implements MovableQueueDevice {
  readonly index: number;
  readonly size: number;
  readonly #ring: MovableQueueDevice;
  readonly #writtenSoon: WrittenSoon;

  constructor(ring: MovableQueueDevice, writtenSoon: WrittenSoon) {
    this.index = ring.index;
    this.size = ring.size;
    this.#ring = ring;
    this.#writtenSoon = writtenSoon;
  }

  get inFlight(): number {
    return this.#ring.inFlight;
  }

  get broken(): ViolationCode | undefined {
    return this.#ring.broken;
  }

  get nextAvailable(): number {
    return this.#ring.nextAvailable;
  }

  get nextUsed(): number {
    return this.#ring.nextUsed;
  }

  get base(): number {
    return this.#ring.base;
  }

  pop(): Chain | undefined {
    const chain = this.#ring.pop();
    if (chain === undefined) return undefined;
    const { writable } = chain;
    for (let piece = writable.first; piece < writable.end; piece++) {
      const from = writable.regions[piece].base + writable.offsets[piece];
      this.#writtenSoon(from, from + writable.lengths[piece]);
    }
    return chain;
  }

  push(chain: Chain, written: number): void {
    this.#ring.push(chain, written);
  }

  retire(chain: Chain, written: number): void {
    this.#ring.retire(chain, written);
  }

  publish(): boolean {
    return this.#ring.publish();
  }

  enableNotifications(): boolean {
    return this.#ring.enableNotifications();
  }

  disableNotifications(): void {
    this.#ring.disableNotifications();
  }

  move(memory: GuestMemory, addresses: RingAddresses): void {
    this.#ring.move(memory, addresses);
  }

  abandon(): void {
    this.#ring.abandon();
  }
}
