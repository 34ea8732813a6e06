/** A queue whose buffers wait for what the device has to say: given, taken back filled, given again. */
import { blockBytes, type DmaBlock } from "../../memory/index.js";
import type { DriverLink } from "../../transport/index.js";
import { ChainPieces, type QueueDriver } from "../../virtqueue/index.js";
import type { DriverQueue } from "./driver-life.js";

/** How many buffers, how large, and who is told. */
export interface ReceiveQueueOptions {
  /** At most the queue's size. */
  readonly buffers: number;
  /** Bytes of each. */
  readonly bufferSize: number;
  /** What the device wrote: a view that is valid during the call only. It may be empty. @throws ProtocolError */
  readonly received: (bytes: Uint8Array) => void;
}

export class ReceiveQueue implements DriverQueue {
  readonly #link: DriverLink;
  readonly #queue: QueueDriver<number>;
  readonly #options: ReceiveQueueOptions;
  readonly #block: DmaBlock;
  readonly #bytes: Uint8Array;
  readonly #count: number;
  readonly #pieces = new ChainPieces();
  #isClosed = false;

  /** @throws ProtocolError `queue-missing`; RangeError when memory runs out. */
  constructor(link: DriverLink, index: number, options: ReceiveQueueOptions) {
    this.#link = link;
    this.#options = options;
    this.#queue = link.createQueue<number>(index);
    this.#count = Math.min(options.buffers, this.#queue.size);
    this.#block = link.transport.dma.allocate(this.#count * options.bufferSize, 16);
    this.#bytes = blockBytes(this.#block);
  }

  /** Buffers that the device has. */
  get inFlight(): number {
    return this.#queue.inFlight;
  }

  /** Gives the device all buffers; call it after DRIVER_OK. */
  start(): void {
    for (let buffer = 0; buffer < this.#count; buffer++) this.#give(buffer);
    this.#publish();
  }

  poll(): void {
    const { bufferSize, received } = this.#options;
    do {
      for (let buffer = this.#queue.reap(); buffer !== undefined; buffer = this.#queue.reap()) {
        const at = buffer * bufferSize;
        received(this.#bytes.subarray(at, at + Math.min(this.#queue.usedLength, bufferSize)));
        if (this.#isClosed) return;
        this.#give(buffer);
      }
      this.#publish();
    } while (!this.#queue.enableInterrupts());
  }

  close(_error: Error, keepsMemory: boolean): void {
    this.#isClosed = true;
    this.#queue.detachAll(keepsMemory);
    if (!keepsMemory) this.#link.transport.dma.free(this.#block);
  }

  #give(buffer: number): void {
    const { bufferSize } = this.#options;
    this.#pieces.clear();
    this.#pieces.addWritable(this.#block.address + buffer * bufferSize, bufferSize);
    this.#queue.add(this.#pieces, buffer);
  }

  #publish(): void {
    if (this.#queue.publish()) this.#link.transport.notify(this.#queue.index);
  }
}
