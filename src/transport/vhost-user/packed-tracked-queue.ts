/** The device half of a packed ring with a record of what is in flight. */
import { type Chain, movePlace, type PackedDescriptor, type PackedDevice, wrapBit } from "../../virtqueue/index.js";
import type { PackedInflightRecord } from "./packed-inflight.js";
import { RecordedQueue } from "./recorded-queue.js";

/** Keeps descriptors. */
export class PackedTrackedQueue extends RecordedQueue<readonly PackedDescriptor[], PackedDevice, PackedInflightRecord> {
  override get nextAvailable(): number {
    return this.#before(this.ring.nextAvailable);
  }

  override get base(): number {
    const { base } = this.ring;
    return (this.#before(base & 0xffff) | (base & 0xffff_0000)) >>> 0;
  }

  override publish(): boolean {
    if (this.isAbandoned) return this.ring.publish();
    this.record.prepare(this.ring.nextUsed);
    const wanted = this.ring.publish();
    this.record.commit();
    return wanted;
  }

  giveBack(): void {
    this.record.clear(this.ring.nextUsed);
  }

  protected popNew(): Chain | undefined {
    const slot = this.ring.nextAvailable & ~wrapBit;
    const chain = this.ring.pop();
    if (chain !== undefined) this.record.begin(chain.head, this.ring, slot, chain.descriptors);
    return chain;
  }

  #before(place: number): number {
    const waiting = this.again.reduce((sum, chain) => sum + chain.length, 0);
    return movePlace(place, -waiting, this.size);
  }
}
