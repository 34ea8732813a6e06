/** A queue of buffers that the device fills: each is lent for one request, and says how much came. */
import { RequestAborted } from "../../errors/index.js";
import type { SharedBuffer } from "../../memory/index.js";
import type { DriverLink } from "../../transport/index.js";
import { ChainPieces, type QueueDriver } from "../../virtqueue/index.js";
import type { DriverQueue } from "./driver-life.js";

interface Filling {
  readonly shared: SharedBuffer;
  readonly resolve: (length: number) => void;
  readonly reject: (error: Error) => void;
  timer: ReturnType<typeof setTimeout> | undefined;
}

export class FillQueue implements DriverQueue {
  readonly #link: DriverLink;
  readonly #queue: QueueDriver<Filling>;
  readonly #waiting: Filling[] = [];
  readonly #pieces = new ChainPieces();
  #closed: Error | undefined;

  /** @throws ProtocolError `queue-missing` */
  constructor(link: DriverLink, index: number) {
    this.#link = link;
    this.#queue = link.createQueue<Filling>(index);
  }

  /** Buffers that the device has. */
  get inFlight(): number {
    return this.#queue.inFlight;
  }

  /**
   * Lends `bytes` (at least one) to the device. @param timeout milliseconds, 0 for ever.
   * @returns how many bytes it says it wrote. @throws RequestAborted after the timeout: the bytes stay lent until the
   * device gives them back; RangeError when memory runs out; the reason when the driver is taken off its device.
   */
  fill(bytes: Uint8Array, timeout: number): Promise<number> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    let shared: SharedBuffer;
    try {
      shared = this.#link.transport.dma.share(bytes, "from-device");
    } catch (error) {
      return Promise.reject(error);
    }
    if (shared.segments.length > this.#queue.size) {
      this.#link.transport.dma.unshare(shared);
      return Promise.reject(new RangeError(`the buffer lies in ${shared.segments.length} pieces`));
    }
    return new Promise<number>((resolve, reject) => {
      const filling: Filling = { shared, resolve, reject, timer: undefined };
      if (timeout > 0) filling.timer = setTimeout(() => this.#late(filling, timeout), timeout);
      this.#waiting.push(filling);
      this.#submit();
    });
  }

  poll(): void {
    do {
      for (let filling = this.#queue.reap(); filling !== undefined; filling = this.#queue.reap()) {
        const length = Math.min(this.#queue.usedLength, filling.shared.bytes.length);
        clearTimeout(filling.timer);
        this.#link.transport.dma.unshare(filling.shared);
        filling.resolve(length);
      }
      this.#submit();
    } while (!this.#queue.enableInterrupts());
  }

  close(error: Error, keepsMemory: boolean): void {
    this.#closed = error;
    const waiting = this.#waiting.splice(0);
    for (const filling of this.#queue.detachAll(keepsMemory)) this.#fail(filling, error, keepsMemory);
    for (const filling of waiting) this.#fail(filling, error, false);
  }

  #fail(filling: Filling, error: Error, keepsMemory: boolean): void {
    clearTimeout(filling.timer);
    if (!keepsMemory) this.#link.transport.dma.unshare(filling.shared);
    filling.reject(error);
  }

  /** Nobody waits any more; a buffer that the device has not seen yet is taken back. */
  #late(filling: Filling, milliseconds: number): void {
    const at = this.#waiting.indexOf(filling);
    if (at >= 0) {
      this.#waiting.splice(at, 1);
      this.#link.transport.dma.unshare(filling.shared);
    }
    filling.reject(new RequestAborted(`no answer in ${milliseconds} ms`));
  }

  #submit(): void {
    let count = 0;
    for (; count < this.#waiting.length; count++) {
      const filling = this.#waiting[count];
      this.#pieces.clear();
      for (const { address, length } of filling.shared.segments) this.#pieces.addWritable(address, length);
      if (!this.#queue.add(this.#pieces, filling)) break;
    }
    if (count === 0) return;
    this.#waiting.splice(0, count);
    if (this.#queue.publish()) this.#link.transport.notify(this.#queue.index);
  }
}
