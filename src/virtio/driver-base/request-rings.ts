/**
 * The request queues of a driver and the requests that go over them: the ring level, synchronous and without allocation.
 * Life cycle and promises are {@link RequestDriver}'s.
 */
import { UnsupportedError } from "../../errors/index.js";
import type { DriverLink, DriverTransport } from "../../transport/index.js";
import type { QueueDriver } from "../../virtqueue/index.js";
import type { RingRequest } from "./ring-request.js";

export class RequestRings<Request extends RingRequest> {
  /** Of the time with the device that is, or was last. */
  queues: readonly QueueDriver<Request>[] = [];
  readonly #transport: DriverTransport;
  readonly #create: () => Request;
  readonly #pool: Request[] = [];
  readonly #all = new Set<Request>();

  /** @param create a new request with a slot of its own */
  constructor(transport: DriverTransport, create: () => Request) {
    this.#transport = transport;
    this.#create = create;
  }

  /**
   * Makes the queues on the device, from number `first` on.
   * @throws ProtocolError `queue-missing`; UnsupportedError when requests that were laid out for earlier queues might not
   * fit.
   */
  connect(link: DriverLink, first: number, count: number): void {
    const before = this.queues;
    if (count < before.length) {
      throw new UnsupportedError(`the device came back with ${count} of ${before.length} request queues`);
    }
    this.queues = Array.from({ length: count }, (_, index) => link.createQueue<Request>(first + index));
    for (const [index, { size }] of before.entries()) {
      const now = this.queues[index].size;
      if (now < size) throw new UnsupportedError(`queue ${first + index} came back with ${now} of ${size} descriptors`);
    }
  }

  /** Requests that the device has. */
  get inFlight(): number {
    return this.queues.reduce((sum, queue) => sum + queue.inFlight, 0);
  }

  /** Of these, some are called off when they take too long. */
  get hasTimed(): boolean {
    for (const request of this.#all) if (request.isTimed && request.outcome === "in-flight") return true;
    return false;
  }

  acquire(): Request {
    const pooled = this.#pool.pop();
    if (pooled !== undefined) return pooled;
    const request = this.#create();
    this.#all.add(request);
    return request;
  }

  release(request: Request): void {
    request.outcome = "idle";
    request.isTimed = false;
    request.onEnd = undefined;
    request.error = undefined;
    request.clearData();
    this.#pool.push(request);
  }

  /** Puts a request on a ring; false when the ring is full. The device sees it after `flush`. */
  submit(request: Request, queueIndex: number): boolean {
    request.seal();
    if (!this.queues[queueIndex].add(request.pieces, request)) return false;
    request.uses++;
    request.outcome = "in-flight";
    return true;
  }

  /** Shows the device what was submitted, and notifies it if it wants that. */
  flush(): void {
    const { queues } = this;
    for (let index = 0; index < queues.length; index++) {
      const queue = queues[index];
      if (queue.publish()) this.#transport.notify(queue.index);
    }
  }

  /** Takes finished requests off all rings and ends them. Returns how many. @throws ProtocolError */
  poll(): number {
    const { queues } = this;
    let count = 0;
    for (let index = 0; index < queues.length; index++) count += this.#reap(queues[index]);
    return count;
  }

  /** Gives the memory of requests that nobody uses back. */
  trim(): void {
    for (const request of this.#pool.splice(0)) {
      this.#all.delete(request);
      this.#transport.dma.free(request.slot);
    }
  }

  /** Gives the requests' memory back; only after a reset, and when no request is used again. */
  free(): void {
    for (const request of this.#all) this.#transport.dma.free(request.slot);
    this.#all.clear();
  }

  #reap(queue: QueueDriver<Request>): number {
    let count = 0;
    for (let request = queue.reap(); request !== undefined; request = queue.reap()) {
      request.readAnswer(queue.usedLength);
      count++;
      request.onEnd?.();
    }
    return count;
  }
}
