/**
 * IN_ORDER for the device's half of any ring (virtio 1.2 §6.2): a device type may answer in any order, its answers are
 * given back in the order in which the chains were made available. An answer that comes early is held back.
 */
import type { Chain } from "./chain.js";
import type { MovableQueueDevice } from "./queue.js";
import { WrappedQueue } from "./wrapped-queue.js";

/** What became of a chain: with the device, answered, answered and its object given up. */
const Answer = { None: 0, Pushed: 1, Retired: 2 } as const;

export class OrderedQueue extends WrappedQueue {
  /** Chains in the order in which they were popped, round and round. */
  private readonly _chains: (Chain | undefined)[];
  private readonly _answers: Uint8Array;
  private readonly _written: Uint32Array;
  /** Place of the oldest chain that was not given back, and how many there are from it on. */
  private _oldest = 0;
  private _count = 0;

  constructor(ring: MovableQueueDevice) {
    super(ring);
    this._chains = new Array<Chain | undefined>(ring.size).fill(undefined);
    this._answers = new Uint8Array(ring.size);
    this._written = new Uint32Array(ring.size);
  }

  override pop(): Chain | undefined {
    const chain = this.ring.pop();
    if (chain === undefined) return undefined;
    let place = this._oldest + this._count++;
    if (place >= this.size) place -= this.size;
    this._chains[place] = chain;
    this._answers[place] = Answer.None;
    chain.order = place;
    return chain;
  }

  override push(chain: Chain, written: number): void {
    this._answer(chain, written, Answer.Pushed);
  }

  override retire(chain: Chain, written: number): void {
    chain.readable.clear();
    chain.writable.clear();
    this._answer(chain, written, Answer.Retired);
  }

  private _answer(chain: Chain, written: number, answer: number): void {
    this._answers[chain.order] = answer;
    this._written[chain.order] = written;
    while (this._count > 0 && this._answers[this._oldest] !== Answer.None) {
      const place = this._oldest;
      const oldest = this._chains[place] as Chain;
      this._chains[place] = undefined;
      this._oldest = place + 1 === this.size ? 0 : place + 1;
      this._count--;
      if (this._answers[place] === Answer.Pushed) this.ring.push(oldest, this._written[place]);
      else this.ring.retire(oldest, this._written[place]);
    }
  }
}
