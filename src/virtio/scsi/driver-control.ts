/** The control queue, driver half: task management and asynchronous notifications, virtio 1.2 §5.6.6.2. */
import type { DmaBlock } from "../../memory/index.js";
import { blockBytes } from "../../memory/index.js";
import type { DriverLink } from "../../transport/index.js";
import { ChainPieces, type QueueDriver } from "../../virtqueue/index.js";
import {
  asyncRequest,
  asyncResponse,
  ControlType,
  ScsiResponse,
  taskManagementRequest,
  taskManagementResponse,
} from "./protocol.js";

/** A control request in flight. */
interface Pending {
  readonly block: DmaBlock;
  readonly requestLength: number;
  readonly resolve: (response: DataView) => void;
  readonly reject: (error: Error) => void;
}

/** The control queue of one driver. */
export class ControlQueue {
  readonly #link: DriverLink;
  readonly #queue: QueueDriver<Pending>;
  readonly #waiting: { pending: Pending; responseLength: number }[] = [];
  #closed: Error | undefined;

  constructor(link: DriverLink, queue: QueueDriver<Pending>) {
    this.#link = link;
    this.#queue = queue;
  }

  async manage(subtype: number, lun: Uint8Array, id: bigint): Promise<number> {
    const request = new DataView(new ArrayBuffer(taskManagementRequest.size));
    const { endianness } = this.#link.transport;
    taskManagementRequest.write(request, 0, endianness, { type: ControlType.TaskManagement, subtype, lun, id });
    const answer = await this.#send(request, taskManagementResponse.size);
    return taskManagementResponse.read(answer, 0, endianness).response;
  }

  async notifications(lun: Uint8Array, eventRequested: number, query: boolean) {
    const request = new DataView(new ArrayBuffer(asyncRequest.size));
    const { endianness } = this.#link.transport;
    const type = query ? ControlType.AsyncQuery : ControlType.AsyncSubscribe;
    asyncRequest.write(request, 0, endianness, { type, lun, eventRequested });
    return asyncResponse.read(await this.#send(request, asyncResponse.size), 0, endianness);
  }

  poll(): void {
    do {
      for (let pending = this.#queue.reap(); pending !== undefined; pending = this.#queue.reap()) {
        const response = blockBytes(pending.block).slice(pending.requestLength);
        this.#link.transport.dma.free(pending.block);
        pending.resolve(new DataView(response.buffer));
      }
      this.#submit();
    } while (!this.#queue.enableInterrupts());
  }

  /** After a reset: what was in flight fails. Memory that the device may still write to is kept. */
  close(error: Error, keepsMemory: boolean): void {
    this.#closed = error;
    const left = [...this.#queue.detachAll(keepsMemory), ...this.#waiting.splice(0).map(({ pending }) => pending)];
    for (const pending of left) {
      if (!keepsMemory) this.#link.transport.dma.free(pending.block);
      pending.reject(error);
    }
  }

  #send(request: DataView, responseLength: number): Promise<DataView> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    const block = this.#link.transport.dma.allocate(request.byteLength + responseLength, 16);
    const bytes = blockBytes(block);
    bytes.set(new Uint8Array(request.buffer));
    // A device that writes nothing must not look like one that answered.
    bytes.fill(ScsiResponse.Failure, request.byteLength);
    return new Promise((resolve, reject) => {
      const pending = { block, requestLength: request.byteLength, resolve, reject };
      this.#waiting.push({ pending, responseLength });
      this.#submit();
    });
  }

  #submit(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const { pending, responseLength } = next;
      const pieces = new ChainPieces();
      pieces.addReadable(pending.block.address, pending.requestLength);
      pieces.addWritable(pending.block.address + pending.requestLength, responseLength);
      if (!this.#queue.add(pieces, pending)) break;
      this.#waiting.shift();
    }
    if (this.#queue.publish()) this.#link.transport.notify(this.#queue.index);
  }
}
