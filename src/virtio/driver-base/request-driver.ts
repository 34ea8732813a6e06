/**
 * What drivers of request queues have in common above their rings: requests that wait for room, promises with a limit,
 * giving a device up, and being taken off it under load. A device type's driver adds its own protocol.
 */
import { Cancellation, DeviceError, ProtocolError, RequestAborted } from "../../errors/index.js";
import type { SharedBuffer } from "../../memory/index.js";
import type { Observer } from "../../observe/index.js";
import { DriverLink, type DriverTransport, type LinkOptions } from "../../transport/index.js";
import { RequestRings, type RequestRingsOptions } from "./request-rings.js";
import type { RingRequest } from "./ring-request.js";

/** What every driver of request queues takes, and how long it waits. */
export interface RequestDriverOptions {
  /** Feature bits to take if offered, besides VERSION_1. */
  features?: bigint;
  /** Largest ring. Default what the device offers. */
  maxQueueSize?: number;
  /** Milliseconds until a request that did not end is called off. Default 30000; 0 for never. */
  timeout?: number;
  /** Index that rings start at; for tests. */
  startIndex?: number;
  observer?: Observer | undefined;
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

export abstract class RequestDriver<Request extends RingRequest> {
  readonly link: DriverLink;
  readonly #rings: RequestRings<Request>;
  readonly #firstQueue: number;
  readonly #timeout: number;
  /** Requests that wait for room, by queue. */
  readonly #waiting: Request[][];
  readonly #onFailure = new Set<(error: Error) => void>();
  /** Kept to be stopped: a driver that was removed must not hold its program up. */
  readonly #graceTimers = new Set<ReturnType<typeof setTimeout>>();
  #failure: Error | undefined;
  #closing: Promise<void> | undefined;
  #memoryLost = false;

  protected constructor(link: DriverLink, rings: RequestRingsOptions<Request>, options: RequestDriverOptions) {
    this.link = link;
    this.#rings = new RequestRings(link, rings);
    this.#firstQueue = rings.firstQueue;
    this.#timeout = options.timeout ?? 30_000;
    this.#waiting = this.#rings.queues.map(() => []);
  }

  /**
   * Brings a device up: negotiation, then the driver that `create` makes of the link, then DRIVER_OK.
   * @throws ProtocolError when the device breaks the rules of initialisation; it is reset then.
   */
  protected static async bringUp<Driver extends RequestDriver<RingRequest>>(
    transport: DriverTransport,
    { maxQueueSize, startIndex, observer }: RequestDriverOptions,
    wanted: Pick<LinkOptions, "features" | "queues" | "excessUsedLength">,
    create: (link: DriverLink) => Driver,
  ): Promise<Driver> {
    let driver: Driver | undefined;
    const link = await DriverLink.open(transport, {
      ...wanted,
      handlers: {
        queue: (index) => driver?.interrupt(index),
        config: () => driver?.configChanged(),
      },
      ...(maxQueueSize === undefined ? {} : { maxQueueSize }),
      ...(startIndex === undefined ? {} : { startIndex }),
      observer,
    });
    try {
      driver = create(link);
      link.start();
      driver.started();
      return driver;
    } catch (error) {
      await link.close();
      throw error;
    }
  }

  /** What to do about a request that the device keeps although nobody waits for it any more. */
  protected abstract callOff(request: Request, error: RequestAborted): void;
  /** Whether a request that waits may go on its ring now. Others go before it meanwhile. */
  protected mayStart(_request: Request): boolean {
    return true;
  }
  /** A request that waited went on its ring. */
  protected wasSubmitted(_request: Request): void {}
  /** After DRIVER_OK: the time to fill queues that are no request queues. */
  protected started(): void {}
  /** An interrupt of a queue that is no request queue. */
  protected otherInterrupt(_index: number): void {}
  /** After the reset: ends what other queues had in flight; gives their memory back unless the device may still write. */
  protected closeOthers(_error: Error, _keepsMemory: boolean): void {}

  /** Number of request queues in use. */
  get requestQueues(): number {
    return this.#rings.queues.length;
  }

  /** Requests that the device has. */
  get inFlight(): number {
    return this.#rings.inFlight;
  }

  /** Why the driver gave up its device, if it did. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Called once when the driver has to give up its device. Returns the way to stop. */
  onFailure(listener: (error: Error) => void): () => void {
    this.#onFailure.add(listener);
    return () => this.#onFailure.delete(listener);
  }

  // Ring level

  /**
   * A request for ring-level use. Give it back with `releaseRequest`.
   * @throws the failure when the driver gave up its device: its requests' memory is no longer theirs.
   */
  acquireRequest(): Request {
    if (this.#failure !== undefined) throw this.#failure;
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
   * Puts a request on a ring; the device sees it after `flush`. False when the ring is full: poll, then try again.
   * @throws the failure when the driver gave up its device.
   */
  submit(request: Request, queue = 0): boolean {
    if (this.#failure !== undefined) throw this.#failure;
    return this.#rings.submit(request, queue);
  }

  /** Shows the device what was submitted, and notifies it if it wants that. */
  flush(): void {
    if (this.#failure === undefined) this.#rings.flush();
  }

  /** Takes finished requests off all rings and ends them. Returns how many. @throws ProtocolError */
  poll(): number {
    if (this.#failure !== undefined) return 0;
    const count = this.#rings.poll();
    if (count > 0) this.#submitWaiting();
    return count;
  }

  /** A used-buffer interrupt: looks at the rings until they are empty and interrupts are on again. */
  interrupt(index: number): void {
    if (this.#failure !== undefined) return;
    try {
      const queue = this.#rings.queues[index - this.#firstQueue];
      if (queue === undefined) this.otherInterrupt(index);
      else {
        do this.poll();
        while (!queue.enableInterrupts());
      }
    } catch (error) {
      this.giveUp(error);
    }
  }

  /** A configuration interrupt. */
  configChanged(): void {
    this.checkHealth();
  }

  /** Asks the device how it is, and gives it up when it is broken or gone. */
  checkHealth(): void {
    const problem = this.link.health();
    if (problem !== undefined) this.giveUp(new ProtocolError(problem));
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
      for (const { bytes, direction } of buffers) lent.push(this.link.transport.dma.share(bytes, direction));
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
      if (limit > 0) {
        const late = () => {
          // Perhaps only the interrupt was lost.
          this.interrupt(this.#firstQueue + queue);
          if (!isEnded) abort(`no answer in ${limit} ms`);
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
    for (const buffer of buffers) this.link.transport.dma.unshare(buffer);
  }

  // The way out

  /**
   * Takes the driver off its device, also under load: the device is reset first, then every request that it had fails
   * once, then memory is given back.
   */
  close(reason: Error = new DeviceError("the driver was removed")): Promise<void> {
    this.#closing ??= this.#close(reason);
    return this.#closing;
  }

  /** The device cannot be used any more: closes, and tells those who listen. */
  protected giveUp(cause: unknown): void {
    if (this.#failure !== undefined) return;
    const error = cause instanceof Error ? cause : new DeviceError(String(cause));
    this.#failure = error;
    for (const listener of this.#onFailure) listener(error);
    this.close(error).catch(() => {});
  }

  /** Gives the device up when it still has this very request after some time. */
  protected giveUpUnlessReturned(request: Request, milliseconds: number, error: Error): void {
    const { uses } = request;
    const timer = setTimeout(() => {
      this.#graceTimers.delete(timer);
      if (request.outcome === "in-flight" && request.uses === uses) this.giveUp(error);
    }, milliseconds);
    this.#graceTimers.add(timer);
  }

  async #close(reason: Error): Promise<void> {
    this.#failure ??= reason;
    for (const timer of this.#graceTimers) clearTimeout(timer);
    let stuck: unknown;
    try {
      await this.link.close();
    } catch (error) {
      // The device may still write: what it was lent is never used again.
      stuck = error;
      this.#memoryLost = true;
    }
    const left = [...this.#rings.detachAll(this.#memoryLost), ...this.#waiting.flatMap((list) => list.splice(0))];
    for (const request of left) request.fail(this.#failure);
    this.closeOthers(this.#failure, this.#memoryLost);
    if (stuck !== undefined) throw stuck;
    this.#rings.free();
  }

  #enqueue(request: Request, queue: number): void {
    if (this.#failure !== undefined) {
      request.fail(this.#failure);
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
