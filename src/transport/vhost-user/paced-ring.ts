/**
 * The pace of a queue on the event loop: how early the front end hears of what is done, how long others wait for their
 * turn, and whether the ring is looked at for a while before the next wait.
 *
 * Waking the other side takes longer than a small request. So what is done is published before all is done: the front
 * end wakes up while the rest of the batch is carried out.
 */
import { type Chain, WrappedQueue } from "../../virtqueue/index.js";
import type { DeviceRing } from "./recorded-queue.js";

/** Requests after which the front end hears of a batch for the first time, and again. */
const earlyRequests = 4;
const moreRequests = 8;
/** Bytes that are worth telling of on their own. */
const manyBytes = 64 * 1024;

/** So many looks in a row may find nothing; after that ever more occasions are let pass, up to so many. */
const freeMisses = 3;
const longestSkip = 64;

/** What a paced ring asks of the one who runs it. */
export interface PaceMaker {
  /** Tells the front end that something was published. */
  signal(): void;
  /** Calls the device type again, after everything else had its turn. */
  continueLater(): void;
  /** Requests of one turn; then everything else on the loop has its turn. */
  readonly longestTurn: number;
}

export class PacedRing extends WrappedQueue<DeviceRing> implements DeviceRing {
  readonly #maker: PaceMaker;
  /** Milliseconds. */
  readonly #spin: number;
  #pushed = 0;
  #bytes = 0;
  #limit = earlyRequests;
  #popped = 0;
  #worked = false;
  /** Looks in a row that found nothing. */
  #misses = 0;
  /** Occasions to look that are let pass. */
  #skips = 0;
  /** Found while spinning. */
  #next: Chain | undefined;

  /** @param spin microseconds for which the ring is looked at after work, before notifications are asked for. */
  constructor(ring: DeviceRing, maker: PaceMaker, spin = 0) {
    super(ring);
    this.#maker = maker;
    this.#spin = spin / 1000;
  }

  override pop(): Chain | undefined {
    const found = this.#next;
    if (found !== undefined) {
      this.#next = undefined;
      return found;
    }
    if (this.#popped >= this.#maker.longestTurn) return undefined;
    const chain = this.ring.pop();
    if (chain !== undefined) this.#popped++;
    return chain;
  }

  override push(chain: Chain, written: number): void {
    this.#bytes += chain.readable.byteLength + written;
    this.ring.push(chain, written);
    this.#count();
  }

  override retire(chain: Chain, written: number): void {
    this.ring.retire(chain, written);
    this.#count();
  }

  override publish(): boolean {
    this.#pushed = 0;
    this.#bytes = 0;
    this.#limit = earlyRequests;
    return this.ring.publish();
  }

  override enableNotifications(): boolean {
    if (this.#popped >= this.#maker.longestTurn) {
      this.#popped = 0;
      this.#maker.continueLater();
      return true;
    }
    // While requests are under way elsewhere their end is the next thing to happen, and it is no news of this ring.
    if (this.#spin > 0 && this.#worked && this.ring.inFlight === 0 && this.#isPromising() && this.#findMore()) {
      return false;
    }
    const isAsleep = this.ring.enableNotifications();
    if (isAsleep) this.#popped = 0;
    return isAsleep;
  }

  giveBack(): void {
    this.ring.giveBack?.();
  }

  #count(): void {
    this.#worked = true;
    if (++this.#pushed < this.#limit && this.#bytes < manyBytes) return;
    if (this.publish()) this.#maker.signal();
    this.#limit = moreRequests;
  }

  /** Whether looking has found something lately: where it does not, the processor is better left to the driver. */
  #isPromising(): boolean {
    if (this.#skips === 0) return true;
    this.#skips--;
    this.#worked = false;
    return false;
  }

  /** Looks at the ring for a while. What is done is told first: the front end makes more of it. */
  #findMore(): boolean {
    this.#worked = false;
    if (this.publish()) this.#maker.signal();
    const end = performance.now() + this.#spin;
    do {
      this.#next = this.ring.pop();
      if (this.#next !== undefined) {
        this.#popped++;
        this.#misses = 0;
        return true;
      }
    } while (performance.now() < end && this.ring.broken === undefined);
    if (++this.#misses > freeMisses) this.#skips = Math.min(longestSkip, 2 ** (this.#misses - freeMisses));
    return false;
  }
}
