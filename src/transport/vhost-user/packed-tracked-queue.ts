/** The device half of a packed ring that writes down what is in flight, and serves first what an earlier server left. */
import type { ViolationCode } from "../../errors/index.js";
import type { GuestMemory } from "../../memory/index.js";
import {
  type Chain,
  movePlace,
  type PackedDescriptor,
  type PackedDevice,
  type RingAddresses,
  wrapBit,
} from "../../virtqueue/index.js";
import type { PackedInflightRecord } from "./packed-inflight.js";
import type { DeviceRing } from "./tracked-queue.js";

export class PackedTrackedQueue implements DeviceRing {
  readonly index: number;
  readonly size: number;
  readonly #ring: PackedDevice;
  readonly #record: PackedInflightRecord;
  /** Chains to serve again, last first. */
  readonly #again: (readonly PackedDescriptor[])[];
  #abandoned = false;

  /** @param again chains that an earlier server popped, in order: the ring's position is past them. */
  constructor(ring: PackedDevice, record: PackedInflightRecord, again: readonly (readonly PackedDescriptor[])[]) {
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

  get nextAvailable(): number {
    return this.#before(this.#ring.nextAvailable);
  }

  get nextUsed(): number {
    return this.#ring.nextUsed;
  }

  get base(): number {
    const { base } = this.#ring;
    return (this.#before(base & 0xffff) | (base & 0xffff_0000)) >>> 0;
  }

  pop(): Chain | undefined {
    if (this.#again.length > 0) return this.#popAgain();
    const slot = this.#ring.nextAvailable & ~wrapBit;
    const chain = this.#ring.pop();
    if (chain !== undefined && !this.#abandoned) this.#record.begin(chain.head, this.#ring, slot, chain.descriptors);
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
    if (this.#abandoned) return this.#ring.publish();
    this.#record.prepare(this.#ring.nextUsed);
    const wanted = this.#ring.publish();
    this.#record.commit();
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
    this.#record.clear(this.#ring.nextUsed);
  }

  #before(place: number): number {
    const waiting = this.#again.reduce((sum, chain) => sum + chain.length, 0);
    return movePlace(place, -waiting, this.size);
  }

  /** Its entry is in the record already. */
  #popAgain(): Chain | undefined {
    if (this.#abandoned || this.#ring.broken !== undefined) return undefined;
    return this.#ring.popAgain(this.#again.pop() as readonly PackedDescriptor[]);
  }
}
