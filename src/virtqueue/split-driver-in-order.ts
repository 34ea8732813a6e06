/**
 * The driver's half of a split ring with IN_ORDER (virtio 1.2 §2.7.9): descriptors are taken round and round, and one used
 * element may stand for a batch of chains.
 */
import type { GuestMemory } from "../memory/index.js";
import type { QueueDriverOptions } from "./queue.js";
import { SplitDriver } from "./split-driver.js";

/** One driver half; chains come back in the order in which they were added. */
export class InOrderSplitDriver<Cookie> extends SplitDriver<Cookie> {
  /** Head of the chain that comes back next. */
  private _oldest = 0;
  /** Last chain of the batch that is being taken back, or -1, and what was written to it. */
  private _batchEnd = -1;
  private _batchWritten = 0;

  /** @throws as {@link SplitDriver} */
  constructor(memory: GuestMemory, options: QueueDriverOptions) {
    super(memory, options);
    // §2.7.5.2: in order, the last descriptor of the table is followed by the first one.
    this._next[this.size - 1] = 0;
  }

  override reap(): Cookie | undefined {
    if (this._nextUsed === this._seenUsed && !this._moreUsed()) {
      if (this._batchEnd < 0) return undefined;
      throw this._violation("used-index-jump", this._batchEnd, "the used index is behind the last chain of a batch");
    }
    if (this._batchEnd < 0) {
      this._batchEnd = this._readUsed();
      this._batchWritten = this.usedLength;
    }
    const id = this._oldest;
    if (id === this._batchEnd) {
      this.usedLength = this._batchWritten;
      this._batchEnd = -1;
    } else this.usedLength = this._room[id];
    this._oldest = this._next[this._tail[id]];
    return this._take(id);
  }
}
