/** The device half of a packed ring that writes down what is in flight, and serves first what an earlier server left. */
import {
  type Chain,
  movePlace,
  type PackedDescriptor,
  type PackedDevice,
  WrappedQueue,
  wrapBit,
} from "../../virtqueue/index.js";
import type { PackedInflightRecord } from "./packed-inflight.js";
import type { DeviceRing } from "./tracked-queue.js";

export class PackedTrackedQueue extends WrappedQueue<PackedDevice> implements DeviceRing {
  readonly #record: PackedInflightRecord;
  /** Chains to serve again, last first. */
  readonly #again: (readonly PackedDescriptor[])[];
  #abandoned = false;

  /** @param again chains that an earlier server popped, in order: the ring's position is past them. */
  constructor(ring: PackedDevice, record: PackedInflightRecord, again: readonly (readonly PackedDescriptor[])[]) {
    super(ring);
    this.#record = record;
    this.#again = [...again].reverse();
  }

  override get nextAvailable(): number {
    return this.#before(this.ring.nextAvailable);
  }

  override get base(): number {
    const { base } = this.ring;
    return (this.#before(base & 0xffff) | (base & 0xffff_0000)) >>> 0;
  }

  override pop(): Chain | undefined {
    if (this.#again.length > 0) return this.#popAgain();
    const slot = this.ring.nextAvailable & ~wrapBit;
    const chain = this.ring.pop();
    if (chain !== undefined && !this.#abandoned) this.#record.begin(chain.head, this.ring, slot, chain.descriptors);
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
    if (this.#abandoned) return this.ring.publish();
    this.#record.prepare(this.ring.nextUsed);
    const wanted = this.ring.publish();
    this.#record.commit();
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
    this.#record.clear(this.ring.nextUsed);
  }

  #before(place: number): number {
    const waiting = this.#again.reduce((sum, chain) => sum + chain.length, 0);
    return movePlace(place, -waiting, this.size);
  }

  /** Its entry is in the record already. */
  #popAgain(): Chain | undefined {
    if (this.#abandoned || this.ring.broken !== undefined) return undefined;
    return this.ring.popAgain(this.#again.pop() as readonly PackedDescriptor[]);
  }
}
