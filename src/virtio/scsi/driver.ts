/**
 * The driver half of virtio-scsi (virtio 1.2 §5.6). At ring level it is synchronous: `submit`, `flush`, `poll`, with
 * reusable requests and no allocation. Above that, {@link VirtioScsiDriver.execute} takes a command and gives a promise.
 */
import { DeviceError, ProtocolError } from "../../errors/index.js";
import type { SharedBuffer } from "../../memory/index.js";
import type { Observer } from "../../observe/index.js";
import { describeCdb, encodeVirtioLun, type UnitAddress } from "../../scsi/index.js";
import { DriverLink, type DriverTransport, featureSet, ringFeatures } from "../../transport/index.js";
import { openScsiConfig, type ScsiConfig } from "./driver-config.js";
import { ControlQueue } from "./driver-control.js";
import { EventReceiver, type ScsiEventListener } from "./driver-events.js";
import type { ScsiRequest } from "./driver-request.js";
import { RequestRings } from "./driver-rings.js";
import { ScsiQueue, ScsiResponse, scsiFeatures, TaskManagement } from "./protocol.js";

/** What the driver takes and how long it waits. */
export interface ScsiDriverOptions {
  /** Feature bits to take if offered, besides VERSION_1. Default: all that this driver knows, without INOUT. */
  features?: bigint;
  /** Request queues to use, at most what the device has. Default 1. */
  requestQueues?: number;
  /** Largest ring. Default what the device offers. */
  maxQueueSize?: number;
  /** Sense bytes and CDB bytes to configure; default: the device's defaults are left alone. */
  senseSize?: number;
  cdbSize?: number;
  /** Milliseconds until a command that did not end is aborted. Default 30000; 0 for never. */
  timeout?: number;
  /** Buffers on the event queue. Default 8; 0 leaves the event queue alone. */
  eventBuffers?: number;
  /** Index that rings start at; for tests. */
  startIndex?: number;
  observer?: Observer | undefined;
}

/** Data and patience of one command. */
export interface CommandOptions {
  /** Data for the device. */
  dataOut?: Uint8Array;
  /** Room for data from the device. */
  dataIn?: Uint8Array;
  /** Milliseconds; default the driver's. */
  timeout?: number;
  /** Stops waiting and has the command aborted. The memory stays lent until the device gave it back. */
  signal?: AbortSignal;
  /** Request queue to use. Default 0. */
  queue?: number;
}

/** How a command ended. */
export interface CommandResult {
  /** virtio-scsi response code. */
  readonly response: number;
  /** SCSI status, meaningful with response OK. */
  readonly status: number;
  /** Sense data, empty without. */
  readonly sense: Uint8Array;
  /** Bytes of the data buffers that were not used. */
  readonly residual: number;
}

/** A command did not end in time, or was called off. */
export class CommandAborted extends DeviceError {
  override readonly name = "CommandAborted";
}

/** Milliseconds that a device has to give an aborted command back. */
const abortGrace = 2000;

/** All features that the driver half knows; INOUT only when asked for. */
export const knownScsiFeatures = featureSet(
  scsiFeatures.HOTPLUG,
  scsiFeatures.CHANGE,
  ringFeatures.INDIRECT_DESC,
  ringFeatures.EVENT_IDX,
);

/** The driver of one adapter. */
export class VirtioScsiDriver {
  readonly link: DriverLink;
  readonly config: ScsiConfig;
  readonly #rings: RequestRings;
  readonly #control: ControlQueue;
  readonly #events: EventReceiver | undefined;
  readonly #options: ScsiDriverOptions;
  readonly #waiting: { request: ScsiRequest; queue: number }[] = [];
  readonly #onFailure = new Set<(error: Error) => void>();
  #failure: Error | undefined;
  #closing: Promise<void> | undefined;
  #memoryLost = false;

  private constructor(link: DriverLink, options: ScsiDriverOptions) {
    this.link = link;
    this.#options = options;
    this.config = openScsiConfig(link, options);
    this.#control = new ControlQueue(link, link.createQueue(ScsiQueue.Control));
    const eventQueue = link.createQueue<number>(ScsiQueue.Event);
    const eventBuffers = options.eventBuffers ?? 8;
    this.#events =
      eventBuffers > 0 ? new EventReceiver(link, eventQueue, eventBuffers, this.config.eventInfoSize) : undefined;
    const count = Math.max(1, Math.min(options.requestQueues ?? 1, this.config.numQueues));
    this.#rings = new RequestRings(link, count, this.config);
  }

  /**
   * Brings the device up.
   * @throws ProtocolError when the device breaks the rules of initialisation.
   */
  static async open(transport: DriverTransport, options: ScsiDriverOptions = {}): Promise<VirtioScsiDriver> {
    let driver: VirtioScsiDriver | undefined;
    const link = await DriverLink.open(transport, {
      features: options.features ?? knownScsiFeatures,
      queues: ScsiQueue.FirstRequest + Math.max(1, options.requestQueues ?? 1),
      handlers: {
        queue: (index) => driver?.interrupt(index),
        config: () => driver?.checkHealth(),
      },
      ...(options.maxQueueSize === undefined ? {} : { maxQueueSize: options.maxQueueSize }),
      ...(options.startIndex === undefined ? {} : { startIndex: options.startIndex }),
      // QEMU (seen with 7.2 and 10.0) counts data that it read as written; the residual tells what was moved.
      excessUsedLength: "cut",
      observer: options.observer,
    });
    try {
      driver = new VirtioScsiDriver(link, options);
      link.start();
      driver.#events?.start();
      return driver;
    } catch (error) {
      await link.close();
      throw error;
    }
  }

  /** Number of request queues in use. */
  get requestQueues(): number {
    return this.#rings.queues.length;
  }

  /** Commands that the device has. */
  get inFlight(): number {
    return this.#rings.inFlight;
  }

  /** Why the driver gave up its device, if it did. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Listens to events of the device. Returns the way to stop. */
  onEvent(listener: ScsiEventListener): () => void {
    return this.#events?.listen(listener) ?? (() => {});
  }

  /** Called once when the driver has to give up its device. */
  onFailure(listener: (error: Error) => void): () => void {
    this.#onFailure.add(listener);
    return () => this.#onFailure.delete(listener);
  }

  // Ring level

  /** A request for ring-level use. Give it back with `releaseRequest`. */
  acquireRequest(): ScsiRequest {
    return this.#rings.acquire();
  }

  releaseRequest(request: ScsiRequest): void {
    this.#rings.release(request);
  }

  /** Points a request at a unit. */
  address(request: ScsiRequest, address: UnitAddress): void {
    this.#rings.address(request, address);
  }

  /**
   * Puts a request on a ring; the device sees it after `flush`. False when the ring is full: poll, then try again.
   * @throws the failure when the driver gave up its device.
   */
  submit(request: ScsiRequest, queueIndex = 0): boolean {
    if (this.#failure !== undefined) throw this.#failure;
    return this.#rings.submit(request, queueIndex);
  }

  /** Shows the device what was submitted, and notifies it if it wants that. */
  flush(): void {
    this.#rings.flush();
  }

  /** Takes finished requests off all rings and ends them. Returns how many. @throws ProtocolError */
  poll(): number {
    const count = this.#rings.poll();
    if (count > 0 && this.#waiting.length > 0) this.#submitWaiting();
    return count;
  }

  /** A used-buffer interrupt: looks at the rings until they are empty and interrupts are on again. */
  interrupt(index: number): void {
    try {
      if (index === ScsiQueue.Control) this.#control.poll();
      else if (index === ScsiQueue.Event) this.#events?.poll();
      else {
        const queue = this.#rings.queues[index - ScsiQueue.FirstRequest];
        if (queue === undefined || this.#failure !== undefined) return;
        do this.poll();
        while (!queue.enableInterrupts());
      }
    } catch (error) {
      this.#giveUp(error);
    }
  }

  /** Asks the device how it is, and gives it up when it is broken or gone. */
  checkHealth(): void {
    const problem = this.link.health();
    if (problem !== undefined) this.#giveUp(new ProtocolError(problem));
  }

  // Promises

  /**
   * Sends one command and waits for its end.
   * @throws CommandAborted when it ran out of time or was called off; ProtocolError when the device broke a rule.
   */
  execute(address: UnitAddress, cdb: Uint8Array, options: CommandOptions = {}): Promise<CommandResult> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (cdb.length > this.config.cdbSize) {
      return Promise.reject(new RangeError(`CDB of ${cdb.length} bytes, the device takes ${this.config.cdbSize}`));
    }
    const { dma } = this.link.transport;
    const request = this.acquireRequest();
    this.address(request, address);
    request.cdb.fill(0);
    request.cdb.set(cdb);
    const shared: SharedBuffer[] = [];
    const queue = Math.min(options.queue ?? 0, this.#rings.queues.length - 1);
    try {
      if (options.dataOut !== undefined) shared.push(dma.share(options.dataOut, "to-device"));
      if (options.dataIn !== undefined) shared.push(dma.share(options.dataIn, "from-device"));
      for (const buffer of shared) {
        for (const { address: at, length } of buffer.segments) {
          if (buffer.direction === "to-device") request.addOut(at, length);
          else request.addIn(at, length);
        }
      }
      this.#checkPieces(request, this.#rings.queues[queue].size);
    } catch (error) {
      for (const buffer of shared) dma.unshare(buffer);
      this.releaseRequest(request);
      return Promise.reject(error);
    }
    const length = (options.dataIn?.length ?? 0) + (options.dataOut?.length ?? 0);
    let ended = false;
    const result = new Promise<CommandResult>((resolve, reject) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const callOff = () => this.#callOff(request, `${describeCdb(cdb)}: called off`, reject);
      request.onEnd = () => {
        ended = true;
        clearTimeout(timer);
        options.signal?.removeEventListener("abort", callOff);
        if (!this.#memoryLost) for (const buffer of shared) dma.unshare(buffer);
        if (request.outcome === "failed") reject(request.error);
        else {
          resolve({
            response: request.response,
            status: request.status,
            sense: request.sense.slice(0, request.response === ScsiResponse.Ok ? request.senseLength : 0),
            residual: Math.min(request.residual, length),
          });
        }
        this.releaseRequest(request);
      };
      const timeout = options.timeout ?? this.#options.timeout ?? 30_000;
      if (timeout > 0) {
        const late = () => {
          // Perhaps only the interrupt was lost.
          this.interrupt(ScsiQueue.FirstRequest + queue);
          if (!ended) this.#callOff(request, `${describeCdb(cdb)}: no answer in ${timeout} ms`, reject);
        };
        timer = setTimeout(late, timeout);
      }
      options.signal?.addEventListener("abort", callOff, { once: true });
      if (options.signal?.aborted) callOff();
    });
    if (ended) return result;
    try {
      this.#enqueue(request, queue);
    } catch (error) {
      // The device's registers cannot be reached any more: this request fails with all others.
      this.#giveUp(error);
    }
    return result;
  }

  /**
   * A task management function. `tag` is for ABORT TASK and QUERY TASK.
   * @returns the response code.
   */
  manageTasks(subtype: number, address: UnitAddress, tag = 0n): Promise<number> {
    return this.#control.manage(subtype, encodeVirtioLun(address), tag);
  }

  /** Asks which of `events` (`AsyncEvent` bits) a unit can report, and subscribes to them unless `query`. */
  asyncNotifications(
    address: UnitAddress,
    events: number,
    query = false,
  ): Promise<{ eventActual: number; response: number }> {
    return this.#control.notifications(encodeVirtioLun(address), events, query);
  }

  /**
   * Takes the driver off its device, also under load: the device is reset first, then every request that it had fails
   * once, then memory is given back.
   */
  close(reason: Error = new DeviceError("the driver was removed")): Promise<void> {
    this.#closing ??= this.#close(reason);
    return this.#closing;
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
    const requests = [...this.#rings.detachAll(), ...this.#waiting.splice(0).map(({ request }) => request)];
    for (const request of requests) this.#endWithError(request, this.#failure);
    this.#control.close(this.#failure);
    this.#events?.close();
    if (stuck !== undefined) throw stuck;
    this.#rings.free();
  }

  #endWithError(request: ScsiRequest, error: Error): void {
    request.outcome = "failed";
    request.error = error;
    request.onEnd?.(request);
  }

  /** §2.7.5.3.1: a chain is no longer than its queue, so such a request could wait for ever. */
  #checkPieces(request: ScsiRequest, queueSize: number): void {
    request.seal();
    const { count } = request.pieces;
    if (count > queueSize) {
      throw new RangeError(`the buffers lie in ${count - 2} pieces, the device takes ${queueSize - 2} at once`);
    }
  }

  #enqueue(request: ScsiRequest, queue: number): void {
    request.outcome = "waiting";
    this.#waiting.push({ request, queue });
    this.#submitWaiting();
  }

  #submitWaiting(): void {
    let next = this.#waiting[0];
    while (next !== undefined && this.#failure === undefined && this.submit(next.request, next.queue)) {
      this.#waiting.shift();
      next = this.#waiting[0];
    }
    this.flush();
  }

  /** Stops waiting for a request: has it aborted; resets the device when that does not help. */
  #callOff(request: ScsiRequest, message: string, reject: (error: Error) => void): void {
    const error = new CommandAborted(message);
    reject(error);
    const waiting = this.#waiting.findIndex((entry) => entry.request === request);
    if (waiting >= 0 || request.outcome === "idle") {
      if (waiting >= 0) this.#waiting.splice(waiting, 1);
      this.#endWithError(request, error);
      return;
    }
    if (request.outcome !== "in-flight") return;
    // The request ends with ABORTED through the ring; a device that keeps it, or does not answer, is given up.
    const tag = this.#rings.tagOf(request);
    setTimeout(() => {
      if (request.outcome === "in-flight" && this.#rings.tagOf(request) === tag) this.#giveUp(error);
    }, abortGrace);
    this.manageTasks(TaskManagement.AbortTask, request.address, tag).catch((failure: unknown) => this.#giveUp(failure));
  }

  #giveUp(cause: unknown): void {
    if (this.#failure !== undefined) return;
    const error = cause instanceof Error ? cause : new DeviceError(String(cause));
    this.#failure = error;
    for (const listener of this.#onFailure) listener(error);
    this.close(error).catch(() => {});
  }
}
