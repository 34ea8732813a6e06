/**
 * What drivers of request queues have in common above their rings: requests that wait for room or for a restore, promises
 * with a limit, and giving a device up that keeps a request. A device type's driver adds its own protocol.
 */
import { Cancellation, RequestAborted } from "../../errors/index.js";
import type { SharedBuffer } from "../../memory/index.js";
import type { DriverLink, DriverTransport } from "../../transport/index.js";
import { type DeviceDriverOptions, DriverLife } from "./driver-life.js";
import { RequestRings } from "./request-rings.js";
import type { RingRequest } from "./ring-request.js";

/** What every driver of request queues takes, and how long it waits. */
export interface RequestDriverOptions extends DeviceDriverOptions {
  /** Milliseconds until a request that did not end is called off. Default 30000; 0 for never. */
  readonly timeout?: number;
}

/** A buffer that goes with a request. */
export interface Lending {
  readonly bytes: Uint8Array;
  readonly direction: "to-device" | "from-device";
}

/** One request for {@link RequestDriver.send}. */
export interface Sending<Request, Result> {
  /** Milliseconds until nobody waits any more; default the driver's. 0 for ever. */
  readonly timeout?: number | undefined;
  /** Stops the waiting. Memory stays lent until the device gave it back. */
  readonly signal?: AbortSignal | undefined;
  /** Names the request in errors. */
  readonly describe: () => string;
  /** Reads the result when the device answered; throws when the answer is a failure. */
  readonly result: (request: Request) => Result;
  /** Called once when the device no longer has the request, whatever became of the promise. */
  readonly onReturn?: () => void;
}

/** Milliseconds between two looks at what a freeze waits for. */
const freezeTurn = 1;

/**
 * A freeze waits for what the device has, as long as requests have limits, and for those without one as long as
 * `timeout` says; what is left then fails with the reset. Requests of the promise level that are sent meanwhile, or did not
 * find room before, wait for the restore; their limits and signals go on.
 */
export abstract class RequestDriver<Request extends RingRequest> extends DriverLife {
  readonly #rings: RequestRings<Request>;
  readonly #timeout: number;
  /** Requests that wait for room or for a restore, by queue. */
  readonly #waiting: Request[][] = [];
  /** Kept to be stopped: a driver that was removed must not hold its program up. */
  readonly #graceTimers = new Set<ReturnType<typeof setTimeout>>();
  /** New requests go to the device: it is up, and no freeze is on its way. */
  #isOpen = false;
  #memoryLost = false;

  protected constructor(transport: DriverTransport, options: RequestDriverOptions) {
    super(transport, options);
    this.#timeout = options.timeout ?? 30_000;
    this.#rings = new RequestRings(transport, () => this.createRequest());
  }

  /** A new request with a slot of its own. */
  protected abstract createRequest(): Request;
  /** What to do about a request that the device keeps although nobody waits for it any more. */
  protected abstract callOff(request: Request, error: RequestAborted): void;
  /** Whether a request that waits may go on its ring now. Others go before it meanwhile. */
  protected mayStart(_request: Request): boolean {
    return true;
  }
  /** A request that waited went on its ring. */
  protected wasSubmitted(_request: Request): void {}
  /** The device has something that a freeze should wait for. */
  protected isBusy(): boolean {
    return this.inFlight > 0;
  }

  /** Makes the request queues: to be called by `setUp`. @throws ProtocolError, UnsupportedError */
  protected openRings(link: DriverLink, firstQueue: number, count: number): void {
    this.#rings.connect(link, firstQueue, count);
    while (this.#waiting.length < count) this.#waiting.push([]);
    for (const queue of this.#rings.queues) {
      this.own(queue.index, {
        poll: () => {
          do this.poll();
          while (!queue.enableInterrupts());
        },
        close: (error, keepsMemory) => {
          this.#memoryLost ||= keepsMemory;
          for (const request of queue.detachAll(keepsMemory)) request.fail(error);
        },
      });
    }
  }

  /** Number of request queues in use. */
  get requestQueues(): number {
    return this.#rings.queues.length;
  }

  /** Requests that the device has. */
  get inFlight(): number {
    return this.#rings.inFlight;
  }

  // Ring level

  /**
   * A request for ring-level use. Give it back with `releaseRequest`.
   * @throws the failure when the driver gave up its device: its requests' memory is no longer theirs.
   */
  acquireRequest(): Request {
    if (this.failure !== undefined) throw this.failure;
    return this.#rings.acquire();
  }

  releaseRequest(request: Request): void {
    this.#rings.release(request);
  }

  /** Descriptors that a chain on this queue may have, virtio 1.2 §2.7.5.3.1. */
  queueSize(queue = 0): number {
    return this.#rings.queues[queue].size;
  }

  /**
   * Puts a request on a ring; the device sees it after `flush`. False when the ring is full: poll, then try again; and
   * from a freeze to the restore.
   * @throws the failure when the driver gave up its device.
   */
  submit(request: Request, queue = 0): boolean {
    if (this.failure !== undefined) throw this.failure;
    return this.#isOpen && this.#rings.submit(request, queue);
  }

  /** Shows the device what was submitted, and notifies it if it wants that. */
  flush(): void {
    if (this.state === "up") this.#rings.flush();
  }

  /** Takes finished requests off all rings and ends them. Returns how many. @throws ProtocolError */
  poll(): number {
    if (this.state !== "up") return 0;
    const count = this.#rings.poll();
    if (count > 0) this.#submitWaiting();
    return count;
  }

  // Promises

  /**
   * Lends buffers to the device as a request's data: those for the device come first. When that fails, nothing is lent
   * and the request is back in the pool.
   * @throws RangeError when memory runs out, or when the chain would be longer than its queue, virtio 1.2 §2.7.5.3.1:
   * such a request could wait for ever.
   */
  protected lend(request: Request, queue: number, buffers: readonly Lending[]): SharedBuffer[] {
    const lent: SharedBuffer[] = [];
    try {
      for (const { bytes, direction } of buffers) lent.push(this.transport.dma.share(bytes, direction));
      for (const { segments, direction } of lent) {
        for (const { address, length } of segments) {
          if (direction === "to-device") request.addOut(address, length);
          else request.addIn(address, length);
        }
      }
      request.seal();
      const { count } = request.pieces;
      const size = this.queueSize(queue);
      if (count > size) {
        const ours = count - lent.reduce((sum, { segments }) => sum + segments.length, 0);
        throw new RangeError(`the buffers lie in ${count - ours} pieces, the device takes ${size - ours} at once`);
      }
      return lent;
    } catch (error) {
      this.unshare(lent);
      this.releaseRequest(request);
      throw error;
    }
  }

  /**
   * Sends a request whose data is in place, waiting for room if it must, and gives it back to the pool when it ends.
   * @throws RequestAborted when it ran out of time or was called off; the failure of a driver that gave up; whatever
   * `sending.result` throws.
   */
  protected send<Result>(request: Request, queue: number, sending: Sending<Request, Result>): Promise<Result> {
    const { signal, describe, onReturn } = sending;
    const cancellation = signal === undefined ? undefined : Cancellation.of(signal);
    let isEnded = false;
    const promise = new Promise<Result>((resolve, reject) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const abort = (why: string) => {
        const error = new RequestAborted(`${describe()}: ${why}`);
        reject(error);
        this.#abort(request, error);
      };
      const callOff = () => abort("called off");
      request.onEnd = () => {
        isEnded = true;
        clearTimeout(timer);
        cancellation?.remove(callOff);
        try {
          if (request.outcome === "failed") reject(request.error);
          else resolve(sending.result(request));
        } catch (error) {
          reject(error);
        }
        this.#rings.release(request);
        onReturn?.();
      };
      const limit = sending.timeout ?? this.#timeout;
      request.isTimed = limit > 0;
      if (request.isTimed) {
        const late = () => {
          // Perhaps only the interrupt was lost.
          this.interrupt(this.#rings.queues[queue].index);
          if (isEnded) return;
          // A device that was pulled out answers nothing; then everything ends at once.
          this.checkHealth();
          if (this.failure === undefined) abort(`no answer in ${limit} ms`);
        };
        timer = setTimeout(late, limit);
      }
      cancellation?.add(callOff);
      if (cancellation?.isCalledOff) callOff();
    });
    if (!isEnded) this.#enqueue(request, queue);
    return promise;
  }

  /** Takes back what was lent, unless a device that did not reset may still write to it. */
  protected unshare(buffers: readonly SharedBuffer[]): void {
    if (this.#memoryLost) return;
    for (const buffer of buffers) this.transport.dma.unshare(buffer);
  }

  // Life cycle

  /** Gives the device up when it still has this very request after some time. */
  protected giveUpUnlessReturned(request: Request, milliseconds: number, error: Error): void {
    const { uses } = request;
    const timer = setTimeout(() => {
      this.#graceTimers.delete(timer);
      if (this.hasStill(request, uses)) this.giveUp(error);
    }, milliseconds);
    this.#graceTimers.add(timer);
  }

  /** Whether the device has a request that was put on a ring `uses` times. */
  protected hasStill(request: Request, uses: number): boolean {
    return request.outcome === "in-flight" && request.uses === uses;
  }

  protected override async prepareFreeze(): Promise<void> {
    this.#isOpen = false;
    const end = this.#timeout > 0 ? Date.now() + this.#timeout : Number.POSITIVE_INFINITY;
    while (this.state === "up" && this.isBusy() && (Date.now() < end || this.#rings.hasTimed)) {
      await new Promise<void>((resolve) => setTimeout(resolve, freezeTurn));
      this.lookAtQueues();
      this.checkHealth();
    }
  }

  protected override started(): void {
    this.#isOpen = true;
    this.#submitWaiting();
  }

  protected override takenDown(keepsMemory: boolean): void {
    this.#isOpen = false;
    if (!keepsMemory) this.#rings.trim();
  }

  protected override ended(error: Error): void {
    for (const timer of this.#graceTimers) clearTimeout(timer);
    for (const waiting of this.#waiting) for (const request of waiting.splice(0)) request.fail(error);
    if (!this.#memoryLost) this.#rings.free();
  }

  #enqueue(request: Request, queue: number): void {
    if (this.failure !== undefined) {
      request.fail(this.failure);
      return;
    }
    request.outcome = "waiting";
    this.#waiting[queue].push(request);
    try {
      this.#submitWaiting();
    } catch (error) {
      // The device's registers cannot be reached any more: this request fails with all others.
      this.giveUp(error);
    }
  }

  #submitWaiting(): void {
    if (!this.#isOpen || this.failure !== undefined) return;
    let count = 0;
    for (let queue = 0; queue < this.#waiting.length; queue++) {
      const waiting = this.#waiting[queue];
      let kept = 0;
      let at = 0;
      for (; at < waiting.length; at++) {
        const request = waiting[at];
        if (!this.mayStart(request)) waiting[kept++] = request;
        else if (this.#rings.submit(request, queue)) {
          this.wasSubmitted(request);
          count++;
        } else break;
      }
      if (at > kept) waiting.splice(kept, at - kept);
    }
    if (count > 0) this.#rings.flush();
  }

  #abort(request: Request, error: RequestAborted): void {
    if (request.outcome === "in-flight") {
      this.callOff(request, error);
      return;
    }
    for (const waiting of this.#waiting) {
      const at = waiting.indexOf(request);
      if (at >= 0) waiting.splice(at, 1);
    }
    if (request.outcome === "waiting" || request.outcome === "idle") request.fail(error);
  }
}
