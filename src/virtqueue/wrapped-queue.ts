/** A device's half of a ring around another: everything passes through, and a class of its own changes what it is for. */
import type { ViolationCode } from "../errors/index.js";
import type { GuestMemory } from "../memory/index.js";
import type { Chain } from "./chain.js";
import type { MovableQueueDevice } from "./queue.js";
import type { RingAddresses } from "./ring-layout.js";

export class WrappedQueue<Ring extends MovableQueueDevice = MovableQueueDevice> implements MovableQueueDevice {
  readonly index: number;
  readonly size: number;
  protected readonly ring: Ring;

  constructor(ring: Ring) {
    this.index = ring.index;
    this.size = ring.size;
    this.ring = ring;
  }

  get inFlight(): number {
    return this.ring.inFlight;
  }

  get broken(): ViolationCode | undefined {
    return this.ring.broken;
  }

  get nextAvailable(): number {
    return this.ring.nextAvailable;
  }

  get nextUsed(): number {
    return this.ring.nextUsed;
  }

  get base(): number {
    return this.ring.base;
  }

  pop(): Chain | undefined {
    return this.ring.pop();
  }

  push(chain: Chain, written: number): void {
    this.ring.push(chain, written);
  }

  retire(chain: Chain, written: number): void {
    this.ring.retire(chain, written);
  }

  publish(): boolean {
    return this.ring.publish();
  }

  enableNotifications(): boolean {
    return this.ring.enableNotifications();
  }

  disableNotifications(): void {
    this.ring.disableNotifications();
  }

  move(memory: GuestMemory, addresses: RingAddresses): void {
    this.ring.move(memory, addresses);
  }

  abandon(): void {
    this.ring.abandon();
  }
}
