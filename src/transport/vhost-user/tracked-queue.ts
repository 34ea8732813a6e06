/** A device ring that writes down what is in flight, and serves first what an earlier server left. */
import { type Chain, type MovableQueueDevice, type SplitDevice, WrappedQueue } from "../../virtqueue/index.js";
import type { InflightRecord } from "./inflight.js";

/** A queue of a vhost-user device: besides serving it, it can be moved and let go. */
export interface DeviceRing extends MovableQueueDevice {
  /** Takes what is in flight out of the record: it goes back to the driver unserved. */
  giveBack?(): void;
}

export class TrackedQueue extends WrappedQueue<SplitDevice> implements DeviceRing {
  readonly #record: InflightRecord;
  /** Heads to serve again, last first. */
  readonly #again: number[];
  #abandoned = false;

  /** @param again heads that an earlier server popped, in order: the ring's position is past them. */
  constructor(ring: SplitDevice, record: InflightRecord, again: readonly number[]) {
    super(ring);
    this.#record = record;
    this.#again = [...again].reverse();
  }

  /** Where the next server starts without a record: before what was not served again yet. */
  override get nextAvailable(): number {
    return (this.ring.nextAvailable - this.#again.length) & 0xffff;
  }

  override get base(): number {
    return (this.ring.base - this.#again.length) & 0xffff;
  }

  override pop(): Chain | undefined {
    if (this.#again.length > 0) return this.#popAgain();
    const chain = this.ring.pop();
    if (chain !== undefined) this.#record.begin(chain.head);
    return chain;
  }

  override push(chain: Chain, written: number): void {
    if (!this.#abandoned) this.#record.push(chain.head);
    this.ring.push(chain, written);
  }

  override retire(chain: Chain, written: number): void {
    if (!this.#abandoned) this.#record.push(chain.head);
    this.ring.retire(chain, written);
  }

  override publish(): boolean {
    const wanted = this.ring.publish();
    if (!this.#abandoned) this.#record.publish(this.ring.nextUsed);
    return wanted;
  }

  override enableNotifications(): boolean {
    return this.ring.enableNotifications() && this.#again.length === 0;
  }

  /** What is in flight stays written down. */
  override abandon(): void {
    this.#abandoned = true;
    this.#again.length = 0;
    this.ring.abandon();
  }

  giveBack(): void {
    this.#record.clear();
  }

  /** Its entry is in the record already. */
  #popAgain(): Chain | undefined {
    if (this.#abandoned || this.ring.broken !== undefined) return undefined;
    return this.ring.popAgain(this.#again.pop() as number);
  }
}
