/**
 * The request queues of a driver and the requests that go over them: the ring level, synchronous and without allocation.
 * Life cycle and promises are {@link RequestDriver}'s.
 */
import type { DriverLink } from "../../transport/index.js";
import type { QueueDriver } from "../../virtqueue/index.js";
import type { RingRequest } from "./ring-request.js";

/** What the rings are made of. */
export interface RequestRingsOptions<Request> {
  /** Number of the first request queue on the device. */
  readonly firstQueue: number;
  readonly count: number;
  /** A new request with a slot of its own. */
  readonly create: () => Request;
}

export class RequestRings<Request extends RingRequest> {
  readonly queues: readonly QueueDriver<Request>[];
  readonly #link: DriverLink;
  readonly #create: () => Request;
  readonly #pool: Request[] = [];
  readonly #all: Request[] = [];

  /** Makes the queues on the device. @throws ProtocolError `queue-missing` */
  constructor(link: DriverLink, { firstQueue, count, create }: RequestRingsOptions<Request>) {
    this.#link = link;
    this.#create = create;
    this.queues = Array.from({ length: count }, (_, index) => link.createQueue<Request>(firstQueue + index));
  }

  /** Requests that the device has. */
  get inFlight(): number {
    return this.queues.reduce((sum, queue) => sum + queue.inFlight, 0);
  }

  acquire(): Request {
    const pooled = this.#pool.pop();
    if (pooled !== undefined) return pooled;
    const request = this.#create();
    this.#all.push(request);
    return request;
  }

  release(request: Request): void {
    request.outcome = "idle";
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
      if (queue.publish()) this.#link.transport.notify(queue.index);
    }
  }

  /** Takes finished requests off all rings and ends them. Returns how many. @throws ProtocolError */
  poll(): number {
    const { queues } = this;
    let count = 0;
    for (let index = 0; index < queues.length; index++) count += this.#reap(queues[index]);
    return count;
  }

  /** After a reset: what was in flight. Tables that a device which did not reset may still follow are kept. */
  detachAll(keepsMemory: boolean): Request[] {
    return this.queues.flatMap((queue) => queue.detachAll(keepsMemory));
  }

  /** Gives the requests' memory back; only after a reset. */
  free(): void {
    for (const request of this.#all) this.#link.transport.dma.free(request.slot);
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
