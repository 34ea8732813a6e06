/** A queue of messages for the device: each is copied into a slot of DMA memory and ends when the device used it. */
import { blockBytes, type DmaBlock } from "../../memory/index.js";
import type { DriverLink } from "../../transport/index.js";
import { ChainPieces, type QueueDriver } from "../../virtqueue/index.js";
import type { DriverQueue } from "./driver-life.js";

/** How many messages the device may have at once, and how large they are. */
export interface SendQueueOptions {
  /** At most the queue's size. */
  readonly slots: number;
  /** Bytes. */
  readonly slotSize: number;
}

interface Message {
  readonly bytes: Uint8Array;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

interface Slot {
  readonly index: number;
  message: Message | undefined;
}

export class SendQueue implements DriverQueue {
  readonly #link: DriverLink;
  readonly #queue: QueueDriver<Slot>;
  readonly #slotSize: number;
  readonly #block: DmaBlock;
  readonly #bytes: Uint8Array;
  readonly #slots: readonly Slot[];
  readonly #free: Slot[];
  readonly #waiting: Message[] = [];
  readonly #pieces = new ChainPieces();
  #closed: Error | undefined;

  /** @throws ProtocolError `queue-missing`; RangeError when memory runs out. */
  constructor(link: DriverLink, index: number, { slots, slotSize }: SendQueueOptions) {
    this.#link = link;
    this.#queue = link.createQueue<Slot>(index);
    this.#slotSize = slotSize;
    const count = Math.min(slots, this.#queue.size);
    this.#block = link.transport.dma.allocate(count * slotSize, 16);
    this.#bytes = blockBytes(this.#block);
    this.#slots = Array.from({ length: count }, (_, slot) => ({ index: slot, message: undefined }));
    this.#free = [...this.#slots];
  }

  /** Messages that the device has. */
  get inFlight(): number {
    return this.#queue.inFlight;
  }

  /** Messages that wait for a slot. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Sends a message of 1 to `slotSize` bytes; ends when the device used it. The bytes may not change before.
   * @throws RangeError for another length; the reason when the driver is taken off its device.
   */
  send(bytes: Uint8Array): Promise<void> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    if (bytes.length === 0 || bytes.length > this.#slotSize) {
      return Promise.reject(new RangeError(`a message has 1 to ${this.#slotSize} bytes, not ${bytes.length}`));
    }
    return new Promise<void>((resolve, reject) => {
      this.#waiting.push({ bytes, resolve, reject });
      this.#submit();
    });
  }

  poll(): void {
    do {
      for (let slot = this.#queue.reap(); slot !== undefined; slot = this.#queue.reap()) {
        const { message } = slot;
        slot.message = undefined;
        this.#free.push(slot);
        message?.resolve();
      }
      this.#submit();
    } while (!this.#queue.enableInterrupts());
  }

  /** Nobody waits any more for what was sent so far; what the device has not seen yet it never sees. */
  abandon(error: Error): void {
    for (const slot of this.#slots) {
      slot.message?.reject(error);
      slot.message = undefined;
    }
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  close(error: Error, keepsMemory: boolean): void {
    this.#closed = error;
    this.#queue.detachAll(keepsMemory);
    this.abandon(error);
    if (!keepsMemory) this.#link.transport.dma.free(this.#block);
  }

  #submit(): void {
    let count = 0;
    while (count < this.#waiting.length && this.#free.length > 0) {
      const slot = this.#free[this.#free.length - 1];
      const message = this.#waiting[count];
      const at = slot.index * this.#slotSize;
      this.#bytes.set(message.bytes, at);
      this.#pieces.clear();
      this.#pieces.addReadable(this.#block.address + at, message.bytes.length);
      if (!this.#queue.add(this.#pieces, slot)) break;
      slot.message = message;
      this.#free.pop();
      count++;
    }
    if (count === 0) return;
    this.#waiting.splice(0, count);
    if (this.#queue.publish()) this.#link.transport.notify(this.#queue.index);
  }
}
