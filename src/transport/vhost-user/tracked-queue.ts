/** The device half of a split ring with a record of what is in flight. */
import type { Chain, SplitDevice } from "../../virtqueue/index.js";
import type { InflightRecord } from "./inflight.js";
import { RecordedQueue } from "./recorded-queue.js";

/** Keeps heads. */
export class TrackedQueue extends RecordedQueue<number, SplitDevice, InflightRecord> {
  /** Where the next server starts without a record: before what was not served again yet. */
  override get nextAvailable(): number {
    return (this.ring.nextAvailable - this.again.length) & 0xffff;
  }

  override get base(): number {
    return (this.ring.base - this.again.length) & 0xffff;
  }

  override publish(): boolean {
    const wanted = this.ring.publish();
    if (!this.isAbandoned) this.record.publish(this.ring.nextUsed);
    return wanted;
  }

  giveBack(): void {
    this.record.clear();
  }

  protected popNew(): Chain | undefined {
    const chain = this.ring.pop();
    if (chain !== undefined) this.record.begin(chain.head);
    return chain;
  }
}
