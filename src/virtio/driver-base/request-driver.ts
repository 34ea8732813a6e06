/**
 * What drivers of request queues have in common above their rings: requests that wait for room, promises with a limit,
 * giving a device up, and being taken off it under load. A device type's driver adds its own protocol.
 */
import { DeviceError, ProtocolError } from "../../errors/index.js";
import type { SharedBuffer } from "../../memory/index.js";
import type { DriverLink } from "../../transport/index.js";
import type { Cancellation } from "./cancellation.js";
import { RequestRings, type RequestRingsOptions } from "./request-rings.js";
import type { RingRequest } from "./ring-request.js";

/** A request did not end in time, or was called off. */
export class RequestAborted extends DeviceError {
  override readonly name = "RequestAborted";
}

/** One request for {@link RequestDriver.send}. */
export interface Sending<Request, Result> {
  /** Milliseconds until nobody waits any more; default the driver's. 0 for ever. */
  readonly timeout?: number | undefined;
  /** Stops the waiting. Memory stays lent until the device gave it back. */
  readonly cancellation?: Cancellation | undefined;
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
  #failure: Error | undefined;
  #closing: Promise<void> | undefined;
  #memoryLost = false;

  /** @param timeout milliseconds until a request that did not end is called off; 0 for never. */
  protected constructor(link: DriverLink, rings: RequestRingsOptions<Request>, timeout: number) {
    this.link = link;
    this.#rings = new RequestRings(link, rings);
    this.#firstQueue = rings.firstQueue;
    this.#timeout = timeout;
    this.#waiting = this.#rings.queues.map(() => []);
  }

  /** What to do about a request that the device keeps although nobody waits for it any more. */
  protected abstract callOff(request: Request, error: RequestAborted): void;
  /** An interrupt of a queue that is no request queue. */
  protected otherInterrupt(_index: number): void {}
  /** After the reset: ends what other queues had in flight. */
  protected closeOthers(_error: Error): void {}

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

  /** A request for ring-level use. Give it back with `releaseRequest`. */
  acquireRequest(): Request {
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
    this.#rings.flush();
  }

  /** Takes finished requests off all rings and ends them. Returns how many. @throws ProtocolError */
  poll(): number {
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

  /** Asks the device how it is, and gives it up when it is broken or gone. */
  checkHealth(): void {
    const problem = this.link.health();
    if (problem !== undefined) this.giveUp(new ProtocolError(problem));
  }

  // Promises

  /**
   * Sends a request whose data is in place, waiting for room if it must, and gives it back to the pool when it ends.
   * @throws RequestAborted when it ran out of time or was called off; the failure of a driver that gave up; whatever
   * `sending.result` throws.
   */
  protected send<Result>(request: Request, queue: number, sending: Sending<Request, Result>): Promise<Result> {
    const { cancellation, describe, onReturn } = sending;
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
    setTimeout(() => {
      if (request.outcome === "in-flight" && request.uses === uses) this.giveUp(error);
    }, milliseconds);
  }

  async #close(reason: Error): Promise<void> {
    this.#failure ??= reason;
    let stuck: unknown;
    try {
      await this.link.close();
    } catch (error) {
      // The device may still write: what it was lent is never used again.
      stuck = error;
      this.#memoryLost = true;
    }
    const left = [...this.#rings.detachAll(), ...this.#waiting.flatMap((list) => list.splice(0))];
    for (const request of left) request.fail(this.#failure);
    this.closeOthers(this.#failure);
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
      let taken = 0;
      while (taken < waiting.length && this.#rings.submit(waiting[taken], queue)) taken++;
      if (taken > 0) waiting.splice(0, taken);
      count += taken;
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
