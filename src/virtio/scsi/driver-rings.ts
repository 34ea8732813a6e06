/**
 * The request queues of a virtio-scsi driver and the requests that go over them: the ring level, synchronous and without
 * allocation. Life cycle, promises and task management are the driver's.
 */
import { ProtocolError } from "../../errors/index.js";
import { type UnitAddress, writeVirtioLun } from "../../scsi/index.js";
import type { DriverLink } from "../../transport/index.js";
import type { QueueDriver } from "../../virtqueue/index.js";
import { ScsiRequest } from "./driver-request.js";
import { requestHeader, responseHeader, ScsiQueue, ScsiResponse } from "./protocol.js";

/** Request queues, and the requests that go over them. */
export class RequestRings {
  readonly queues: readonly QueueDriver<ScsiRequest>[];
  readonly #link: DriverLink;
  readonly #cdbSize: number;
  readonly #senseSize: number;
  readonly #little: boolean;
  readonly #pool: ScsiRequest[] = [];
  readonly #all: ScsiRequest[] = [];
  #nextTag = 1;

  /** Makes `count` request queues on the device. */
  constructor(link: DriverLink, count: number, sizes: { readonly cdbSize: number; readonly senseSize: number }) {
    this.#link = link;
    this.#cdbSize = sizes.cdbSize;
    this.#senseSize = sizes.senseSize;
    this.#little = link.transport.endianness === "little";
    this.queues = Array.from({ length: count }, (_, index) =>
      link.createQueue<ScsiRequest>(ScsiQueue.FirstRequest + index),
    );
  }

  /** Commands that the device has. */
  get inFlight(): number {
    return this.queues.reduce((sum, queue) => sum + queue.inFlight, 0);
  }

  acquire(): ScsiRequest {
    const pooled = this.#pool.pop();
    if (pooled !== undefined) return pooled;
    const slot = this.#link.transport.dma.allocate(ScsiRequest.slotSize(this.#cdbSize, this.#senseSize), 16);
    const request = new ScsiRequest(slot, this.#cdbSize, this.#senseSize);
    this.#all.push(request);
    return request;
  }

  release(request: ScsiRequest): void {
    request.outcome = "idle";
    request.onEnd = undefined;
    request.error = undefined;
    request.clearData();
    this.#pool.push(request);
  }

  /** Points a request at a unit. */
  address(request: ScsiRequest, address: UnitAddress): void {
    if (request.address === address) return;
    const { bytes } = request.slot.region;
    writeVirtioLun(bytes, request.slot.offset + requestHeader.offset.lun, address);
    request.address = address;
  }

  /** The tag that a request carries, as the device reads it. */
  tagOf(request: ScsiRequest): bigint {
    return request.slot.region.view.getBigUint64(request.slot.offset + requestHeader.offset.id, this.#little);
  }

  /** Puts a request on a ring; false when the ring is full. The device sees it after `flush`. */
  submit(request: ScsiRequest, queueIndex: number): boolean {
    const { slot } = request;
    const { view } = slot.region;
    request.seal();
    view.setUint32(slot.offset + requestHeader.offset.id, this.#nextTag, true);
    // A device that writes nothing must not look like one that answered.
    view.setUint8(request.responseOffset + responseHeader.offset.response, ScsiResponse.Failure);
    if (!this.queues[queueIndex].add(request.pieces, request)) return false;
    this.#nextTag = (this.#nextTag + 1) >>> 0;
    request.outcome = "in-flight";
    return true;
  }

  /** Shows the device what was submitted, and notifies it if it wants that. */
  flush(): void {
    const { transport } = this.#link;
    for (const queue of this.queues) if (queue.publish()) transport.notify(queue.index);
  }

  /** Takes finished requests off all rings and ends them. Returns how many. @throws ProtocolError */
  poll(): number {
    let count = 0;
    for (const queue of this.queues) count += this.#reap(queue);
    return count;
  }

  /** After a reset: what was in flight. */
  detachAll(): ScsiRequest[] {
    return this.queues.flatMap((queue) => queue.detachAll());
  }

  /** Gives the requests' memory back; only after a reset. */
  free(): void {
    for (const request of this.#all) this.#link.transport.dma.free(request.slot);
  }

  #reap(queue: QueueDriver<ScsiRequest>): number {
    let count = 0;
    for (let request = queue.reap(); request !== undefined; request = queue.reap()) {
      this.#readResponse(request, queue.usedLength);
      count++;
      request.onEnd?.(request);
    }
    return count;
  }

  #readResponse(request: ScsiRequest, usedLength: number): void {
    const { view } = request.slot.region;
    const { offset } = responseHeader;
    const at = request.responseOffset;
    const little = this.#little;
    request.outcome = "done";
    if (usedLength < responseHeader.size) {
      request.outcome = "failed";
      request.error = new ProtocolError("response-short", { detail: `${usedLength} of ${responseHeader.size} bytes` });
      return;
    }
    request.senseLength = Math.min(view.getUint32(at + offset.senseLength, little), request.sense.length);
    request.residual = view.getUint32(at + offset.residual, little);
    request.status = view.getUint8(at + offset.status);
    request.response = view.getUint8(at + offset.response);
  }
}
