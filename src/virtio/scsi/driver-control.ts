/** The control queue, driver half: task management and asynchronous notifications, virtio 1.2 §5.6.6.2. */
import type { DmaBlock } from "../../memory/index.js";
import { blockBytes } from "../../memory/index.js";
import type { DriverLink, DriverTransport } from "../../transport/index.js";
import { ChainPieces, type QueueDriver } from "../../virtqueue/index.js";
import type { DriverQueue } from "../driver-base/index.js";
import {
  asyncRequest,
  asyncResponse,
  ControlType,
  ScsiQueue,
  ScsiResponse,
  taskManagementRequest,
  taskManagementResponse,
} from "./protocol.js";

/** A control request in flight. */
interface Pending {
  readonly block: DmaBlock;
  readonly requestLength: number;
  readonly responseLength: number;
  readonly resolve: (response: DataView) => void;
  readonly reject: (error: Error) => void;
}

/** The control queue of one driver; what is sent while there is none waits. */
export class ControlQueue implements DriverQueue {
  readonly #transport: DriverTransport;
  readonly #waiting: Pending[] = [];
  #queue: QueueDriver<Pending> | undefined;
  #closed: Error | undefined;

  constructor(transport: DriverTransport) {
    this.#transport = transport;
  }

  /** Requests that the device has. */
  get inFlight(): number {
    return this.#queue?.inFlight ?? 0;
  }

  /** Makes the queue. @throws ProtocolError `queue-missing` */
  connect(link: DriverLink): void {
    this.#queue = link.createQueue(ScsiQueue.Control);
  }

  /** Sends what waits; call it after DRIVER_OK. */
  start(): void {
    this.#submit();
  }

  async manage(subtype: number, lun: Uint8Array, id: bigint): Promise<number> {
    const request = new DataView(new ArrayBuffer(taskManagementRequest.size));
    const { endianness } = this.#transport;
    taskManagementRequest.write(request, 0, endianness, { type: ControlType.TaskManagement, subtype, lun, id });
    const answer = await this.#send(request, taskManagementResponse.size);
    return taskManagementResponse.read(answer, 0, endianness).response;
  }

  async notifications(lun: Uint8Array, eventRequested: number, query: boolean) {
    const request = new DataView(new ArrayBuffer(asyncRequest.size));
    const { endianness } = this.#transport;
    const type = query ? ControlType.AsyncQuery : ControlType.AsyncSubscribe;
    asyncRequest.write(request, 0, endianness, { type, lun, eventRequested });
    return asyncResponse.read(await this.#send(request, asyncResponse.size), 0, endianness);
  }

  poll(): void {
    const queue = this.#queue;
    if (queue === undefined) return;
    do {
      for (let pending = queue.reap(); pending !== undefined; pending = queue.reap()) {
        const response = blockBytes(pending.block).slice(pending.requestLength);
        this.#transport.dma.free(pending.block);
        pending.resolve(new DataView(response.buffer));
      }
      this.#submit();
    } while (!queue.enableInterrupts());
  }

  /** After a reset: what was in flight fails. Memory that the device may still write to is kept. */
  close(error: Error, keepsMemory: boolean): void {
    const left = this.#queue?.detachAll(keepsMemory) ?? [];
    this.#queue = undefined;
    for (const pending of left) this.#fail(pending, error, keepsMemory);
  }

  /** What waits fails, and everything that comes. */
  end(error: Error): void {
    this.#closed = error;
    for (const pending of this.#waiting.splice(0)) this.#fail(pending, error, false);
  }

  #fail(pending: Pending, error: Error, keepsMemory: boolean): void {
    if (!keepsMemory) this.#transport.dma.free(pending.block);
    pending.reject(error);
  }

  #send(request: DataView, responseLength: number): Promise<DataView> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    const block = this.#transport.dma.allocate(request.byteLength + responseLength, 16);
    const bytes = blockBytes(block);
    bytes.set(new Uint8Array(request.buffer));
    // A device that writes nothing must not look like one that answered.
    bytes.fill(ScsiResponse.Failure, request.byteLength);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ block, requestLength: request.byteLength, responseLength, resolve, reject });
      this.#submit();
    });
  }

  #submit(): void {
    const queue = this.#queue;
    if (queue === undefined) return;
    for (let pending = this.#waiting[0]; pending !== undefined; pending = this.#waiting[0]) {
      const { block, requestLength, responseLength } = pending;
      const pieces = new ChainPieces();
      pieces.addReadable(block.address, requestLength);
      pieces.addWritable(block.address + requestLength, responseLength);
      if (!queue.add(pieces, pending)) break;
      this.#waiting.shift();
    }
    if (queue.publish()) this.#transport.notify(queue.index);
  }
}
