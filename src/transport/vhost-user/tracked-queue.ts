/** A device ring that writes down what is in flight, and serves first what an earlier server left. */
import type { ViolationCode } from "../../errors/index.js";
import type { GuestMemory } from "../../memory/index.js";
import {
  type Chain,
  type MovableQueueDevice,
  OrderedQueue,
  type RingAddresses,
  type SplitDevice,
} from "../../virtqueue/index.js";
import type { InflightRecord } from "./inflight.js";

/** A queue of a vhost-user device: besides serving it, it can be moved and let go. */
export interface DeviceRing extends MovableQueueDevice {
  /** Takes what is in flight out of the record: it goes back to the driver unserved. */
  giveBack?(): void;
}

/** IN_ORDER: answers wait for those before them. */
export class OrderedRing extends OrderedQueue<DeviceRing> implements DeviceRing {
  giveBack(): void {
    this.ring.giveBack?.();
  }
}

export class TrackedQueue implements DeviceRing {
  readonly index: number;
  readonly size: number;
  readonly #ring: SplitDevice;
  readonly #record: InflightRecord;
  /** Heads to serve again, last first. */
  readonly #again: number[];
  #abandoned = false;

  /** @param again heads that an earlier server popped, in order: the ring's position is past them. */
  constructor(ring: SplitDevice, record: InflightRecord, again: readonly number[]) {
    this.index = ring.index;
    this.size = ring.size;
    this.#ring = ring;
    this.#record = record;
    this.#again = [...again].reverse();
  }

  get inFlight(): number {
    return this.#ring.inFlight;
  }

  get broken(): ViolationCode | undefined {
    return this.#ring.broken;
  }

  /** Where the next server starts without a record: before what was not served again yet. */
  get nextAvailable(): number {
    return (this.#ring.nextAvailable - this.#again.length) & 0xffff;
  }

  get nextUsed(): number {
    return this.#ring.nextUsed;
  }

  get base(): number {
    return (this.#ring.base - this.#again.length) & 0xffff;
  }

  pop(): Chain | undefined {
    if (this.#again.length > 0) return this.#popAgain();
    const chain = this.#ring.pop();
    if (chain !== undefined) this.#record.begin(chain.head);
    return chain;
  }

  push(chain: Chain, written: number): void {
    if (!this.#abandoned) this.#record.push(chain.head);
    this.#ring.push(chain, written);
  }

  retire(chain: Chain, written: number): void {
    if (!this.#abandoned) this.#record.push(chain.head);
    this.#ring.retire(chain, written);
  }

  publish(): boolean {
    const wanted = this.#ring.publish();
    if (!this.#abandoned) this.#record.publish(this.#ring.nextUsed);
    return wanted;
  }

  enableNotifications(): boolean {
    return this.#ring.enableNotifications() && this.#again.length === 0;
  }

  disableNotifications(): void {
    this.#ring.disableNotifications();
  }

  move(memory: GuestMemory, addresses: RingAddresses): void {
    this.#ring.move(memory, addresses);
  }

  /** What is in flight stays written down. */
  abandon(): void {
    this.#abandoned = true;
    this.#again.length = 0;
    this.#ring.abandon();
  }

  giveBack(): void {
    this.#record.clear();
  }

  /** Its entry is in the record already. */
  #popAgain(): Chain | undefined {
    if (this.#abandoned || this.#ring.broken !== undefined) return undefined;
    return this.#ring.popAgain(this.#again.pop() as number);
  }
}
