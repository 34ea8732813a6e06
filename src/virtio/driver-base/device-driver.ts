/**
 * The life of a driver whose queues are each of their own kind: brought up, frozen and restored, given up, taken off its
 * device under load. Whatever happens, everything that was in flight ends exactly once.
 */
import { DeviceError, ProtocolError } from "../../errors/index.js";
import type { Observer } from "../../observe/index.js";
import { DriverLink, type DriverTransport, type LinkOptions } from "../../transport/index.js";

/** What every such driver takes. */
export interface DeviceDriverOptions {
  /** Feature bits to take if offered, besides VERSION_1. */
  readonly features?: bigint;
  /** Largest ring. Default what the device offers. */
  readonly maxQueueSize?: number;
  /** Index that rings start at; for tests. */
  readonly startIndex?: number;
  /** How long a reset may take, in milliseconds. Default 5000. */
  readonly resetTimeout?: number;
  readonly observer?: Observer | undefined;
}

/** One queue of a driver while its device is up. */
export interface DriverQueue {
  /** Takes what the device used, until there is no more and interrupts are on. @throws ProtocolError */
  poll(): void;
  /** After a reset: everything in flight ends with `error`. Memory that the device may still write to is kept. */
  close(error: Error, keepsMemory: boolean): void;
}

/** How far a driver is. */
export type DriverState = "down" | "up" | "frozen" | "closed";

export abstract class DeviceDriver {
  readonly transport: DriverTransport;
  readonly #options: DeviceDriverOptions;
  readonly #queues = new Map<number, DriverQueue>();
  readonly #onFailure = new Set<(error: Error) => void>();
  #link: DriverLink | undefined;
  #state: DriverState = "down";
  #failure: Error | undefined;
  #closing: Promise<void> | undefined;

  protected constructor(transport: DriverTransport, options: DeviceDriverOptions) {
    this.transport = transport;
    this.#options = options;
  }

  /** Features that the driver understands, and the queues that it will make. */
  protected abstract wanted(): Pick<LinkOptions, "features" | "queues">;
  /** Makes the queues and {@link DeviceDriver.own}s each; the device does not run yet. */
  protected abstract setUp(link: DriverLink): void;
  /** After DRIVER_OK: the time to give the device buffers. */
  protected started(): void {}
  /** The configuration changed. */
  protected configured(): void {}
  /** Before a freeze, while the device still works: what has to be brought home. */
  protected async prepareFreeze(): Promise<void> {}
  /** The queues are gone, for now or for good; a device that did not reset may still write to memory (`keepsMemory`). */
  protected takenDown(_keepsMemory: boolean): void {}

  get state(): DriverState {
    return this.#state;
  }

  /** The connection to the device. @throws the reason why there is none: frozen, closed, given up. */
  get link(): DriverLink {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#link === undefined) throw new DeviceError(`the driver is ${this.#state}`);
    return this.#link;
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

  /** Looks at all queues, and at how the device is: for those who have no interrupts. */
  poll(): void {
    for (const index of this.#queues.keys()) this.#interrupt(index);
    this.#configInterrupt();
  }

  /** Resets the device and lets its memory go, to be restored later: what is in flight fails. */
  async freeze(): Promise<void> {
    if (this.#state !== "up") throw new DeviceError(`the driver is ${this.#state}`);
    await this.prepareFreeze();
    if (this.#state !== "up") throw this.#failure ?? new DeviceError(`the driver is ${this.#state}`);
    this.#state = "frozen";
    try {
      await this.#takeDown(new DeviceError("the driver is frozen"));
    } catch (error) {
      this.giveUp(error);
      throw error;
    }
  }

  /** Brings a frozen driver up again, on a device that may have forgotten everything. @throws ProtocolError */
  async restore(): Promise<void> {
    if (this.#state !== "frozen") throw new DeviceError(`the driver is ${this.#state}`);
    await this.bringUp();
  }

  /** Takes the driver off its device, also under load: reset first, then everything in flight fails, then memory goes. */
  close(reason: Error = new DeviceError("the driver was removed")): Promise<void> {
    this.#closing ??= this.#close(reason);
    return this.#closing;
  }

  /** Negotiates, makes the queues, starts. @throws ProtocolError when the device breaks the rules; it is reset then. */
  protected async bringUp(): Promise<void> {
    const { maxQueueSize, startIndex, resetTimeout, observer } = this.#options;
    const link = await DriverLink.open(this.transport, {
      ...this.wanted(),
      handlers: { queue: (index) => this.#interrupt(index), config: () => this.#configInterrupt() },
      ...(maxQueueSize === undefined ? {} : { maxQueueSize }),
      ...(startIndex === undefined ? {} : { startIndex }),
      ...(resetTimeout === undefined ? {} : { resetTimeout }),
      observer,
    });
    this.#link = link;
    try {
      this.setUp(link);
      link.start();
      this.#state = "up";
      this.started();
    } catch (error) {
      this.#state = "down";
      await this.#takeDown(error instanceof Error ? error : new DeviceError(String(error)));
      throw error;
    }
  }

  /** A queue, of a driver that is up. @throws the reason why it is not: frozen, closed, given up. */
  protected inUse<Queue>(queue: Queue | undefined): Queue {
    if (queue !== undefined && this.#link !== undefined) return queue;
    throw this.#failure ?? new DeviceError(`the driver is ${this.#state}`);
  }

  /** Takes a queue under its care: polled at interrupts, closed with the device. */
  protected own<Queue extends DriverQueue>(index: number, queue: Queue): Queue {
    this.#queues.set(index, queue);
    return queue;
  }

  /** The device cannot be used any more: closes, and tells those who listen. */
  protected giveUp(cause: unknown): void {
    if (this.#failure !== undefined) return;
    const error = cause instanceof Error ? cause : new DeviceError(String(cause));
    this.#failure = error;
    for (const listener of this.#onFailure) listener(error);
    this.close(error).catch(() => {});
  }

  /** Does what an interrupt does, and gives the device up when it broke a rule. */
  protected guarded(work: () => void): void {
    if (this.#failure !== undefined || this.#link === undefined) return;
    try {
      work();
    } catch (error) {
      this.giveUp(error);
    }
  }

  #interrupt(index: number): void {
    this.guarded(() => this.#queues.get(index)?.poll());
  }

  #configInterrupt(): void {
    if (this.#state !== "up") return;
    this.guarded(() => {
      const problem = this.link.health();
      if (problem !== undefined) throw new ProtocolError(problem);
      this.configured();
    });
  }

  async #close(reason: Error): Promise<void> {
    this.#failure ??= reason;
    this.#state = "closed";
    await this.#takeDown(this.#failure);
  }

  /** @throws ProtocolError when the device does not reset: its memory is then never used again. */
  async #takeDown(error: Error): Promise<void> {
    const link = this.#link;
    if (link === undefined) return;
    this.#link = undefined;
    let stuck: unknown;
    try {
      await link.close();
    } catch (failure) {
      stuck = failure;
    }
    const queues = [...this.#queues.values()];
    this.#queues.clear();
    for (const queue of queues) queue.close(error, stuck !== undefined);
    this.takenDown(stuck !== undefined);
    if (stuck !== undefined) throw stuck;
  }
}
