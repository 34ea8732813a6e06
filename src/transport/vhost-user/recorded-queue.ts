/** A device ring that writes down what is in flight, and serves first what an earlier server left. */
import { type Chain, type MovableQueueDevice, WrappedQueue } from "../../virtqueue/index.js";

/** A queue of a vhost-user device: besides serving it, it can be moved and let go. */
export interface DeviceRing extends MovableQueueDevice {
  /** Takes what is in flight out of the record: it goes back to the driver unserved. */
  giveBack?(): void;
}

/** A ring that can be served what its record has kept of a chain. */
interface RepeatableRing<Kept> extends MovableQueueDevice {
  popAgain(kept: Kept): Chain;
}

/** What both formats of the record are told. */
interface FlightRecord {
  /** A request was pushed; it ends with the batch. */
  push(head: number): void;
}

/** What both ring formats do alike; a class for each says how its record is kept. */
export abstract class RecordedQueue<Kept, Ring extends RepeatableRing<Kept>, Record extends FlightRecord>
  extends WrappedQueue<Ring>
  implements DeviceRing
{
  protected readonly record: Record;
  /** Chains to serve again, last first. */
  protected readonly again: Kept[];
  protected isAbandoned = false;

  /** @param again chains that an earlier server popped, in order: the ring's position is past them. */
  constructor(ring: Ring, record: Record, again: readonly Kept[]) {
    super(ring);
    this.record = record;
    this.again = again.toReversed();
  }

  abstract giveBack(): void;

  /** A chain that nobody had yet; it is in the record before anything is done for it. */
  protected abstract popNew(): Chain | undefined;

  override pop(): Chain | undefined {
    return this.again.length > 0 ? this.#popAgain() : this.popNew();
  }

  override push(chain: Chain, written: number): void {
    if (!this.isAbandoned) this.record.push(chain.head);
    this.ring.push(chain, written);
  }

  override retire(chain: Chain, written: number): void {
    if (!this.isAbandoned) this.record.push(chain.head);
    this.ring.retire(chain, written);
  }

  override enableNotifications(): boolean {
    return this.ring.enableNotifications() && this.again.length === 0;
  }

  /** What is in flight stays written down. */
  override abandon(): void {
    this.isAbandoned = true;
    this.again.length = 0;
    this.ring.abandon();
  }

  /** Its entry is in the record already. */
  #popAgain(): Chain | undefined {
    if (this.isAbandoned || this.ring.broken !== undefined) return undefined;
    return this.ring.popAgain(this.again.pop() as Kept);
  }
}
