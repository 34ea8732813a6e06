/**
 * The life of a driver: brought up, frozen and restored, given up, taken off its device under load. Whatever happens,
 * everything that was in flight ends exactly once. What its queues carry is the business of those that extend it.
 */
import { DeviceError, ProtocolError, UnsupportedError } from "../../errors/index.js";
import type { Observer } from "../../observe/index.js";
import {
  DriverLink,
  type DriverTransport,
  type FeatureTable,
  featureNames,
  hasFeature,
  type LinkOptions,
  ringFeatures,
} from "../../transport/index.js";

/** What every driver takes. */
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

/** What a driver wants of its device. */
export interface WantedOfDevice extends Pick<LinkOptions, "features" | "choose" | "queues" | "excessUsedLength"> {
  /** Names of the device type's feature bits, for messages. */
  readonly featureTable?: FeatureTable;
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

export abstract class DriverLife {
  readonly transport: DriverTransport;
  readonly #options: DeviceDriverOptions;
  readonly #queues = new Map<number, DriverQueue>();
  readonly #onFailure = new Set<(error: Error) => void>();
  #link: DriverLink | undefined;
  /** What was agreed on first, and has to be agreed on at every restore. */
  #features: bigint | undefined;
  #state: DriverState = "down";
  #failure: Error | undefined;
  /** A freeze or a restore that is under way. */
  #changing: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  /** Why the device kept its memory, if it did. */
  #stuck: unknown;

  protected constructor(transport: DriverTransport, options: DeviceDriverOptions) {
    this.transport = transport;
    this.#options = options;
  }

  /** Features that the driver understands, and the queues that it will make. */
  protected abstract wanted(): WantedOfDevice;
  /** Makes the queues and {@link DriverLife.own}s each; the device does not run yet. */
  protected abstract setUp(link: DriverLink): void;
  /** After DRIVER_OK: the time to give the device buffers. */
  protected started(): void {}
  /** The configuration changed. */
  protected configured(): void {}
  /** Before a freeze, while the device still works: what has to be brought home. */
  protected async prepareFreeze(): Promise<void> {}
  /** The queues are gone, for now or for good; a device that did not reset may still write to memory (`keepsMemory`). */
  protected takenDown(_keepsMemory: boolean): void {}
  /** The driver is closed, and its queues are: what waited for a restore ends. */
  protected ended(_error: Error): void {}

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

  /** A used-buffer interrupt: looks at a queue, and gives the device up when it broke a rule. */
  interrupt(index: number): void {
    if (this.#failure !== undefined || this.#link === undefined) return;
    try {
      this.#queues.get(index)?.poll();
    } catch (error) {
      this.giveUp(error);
    }
  }

  /** A configuration interrupt: looks at how the device is, then at its configuration. */
  configChanged(): void {
    this.checkHealth();
    if (this.#state === "up") this.guarded(() => this.configured());
  }

  /** Asks the device how it is, and gives it up when it is broken or gone. */
  checkHealth(): void {
    this.guarded(() => {
      const problem = this.link.health();
      if (problem !== undefined) throw new ProtocolError(problem);
    });
  }

  /**
   * Resets the device and lets its memory go, to be restored later.
   * @throws DeviceError when the driver is not up; the failure of a driver that is closed or given up meanwhile.
   */
  freeze(): Promise<void> {
    return this.#change("up", () => this.#freeze());
  }

  /**
   * Brings a frozen driver up again, on a device that may have forgotten everything. When that fails the driver is closed.
   * @throws DeviceError when the driver is not frozen; ProtocolError when the device breaks the rules; UnsupportedError
   * when it can less than before.
   */
  restore(): Promise<void> {
    return this.#change("frozen", () => this.#restore());
  }

  /** Takes the driver off its device, also under load: reset first, then everything in flight fails, then memory goes. */
  close(reason: Error = new DeviceError("the driver was removed")): Promise<void> {
    this.#closing ??= this.#close(reason);
    return this.#closing;
  }

  /** Negotiates, makes the queues, starts. @throws ProtocolError when the device breaks the rules; it is reset then. */
  protected async bringUp(): Promise<void> {
    const { maxQueueSize, startIndex, resetTimeout, observer } = this.#options;
    const { featureTable = {}, choose, ...wanted } = this.wanted();
    const link = await DriverLink.open(this.transport, {
      ...wanted,
      choose: (agreed) => this.#sameFeatures(choose?.(agreed) ?? agreed, featureTable),
      handlers: { queue: (index) => this.interrupt(index), config: () => this.configChanged() },
      ...(maxQueueSize === undefined ? {} : { maxQueueSize }),
      ...(startIndex === undefined ? {} : { startIndex }),
      ...(resetTimeout === undefined ? {} : { resetTimeout }),
      observer,
    });
    this.#link = link;
    try {
      // It may have been closed while the device was reset.
      if (this.#failure !== undefined) throw this.#failure;
      this.#features = link.features;
      this.setUp(link);
      link.start();
      this.#state = "up";
      this.started();
    } catch (error) {
      if (this.#state === "up") this.#state = "down";
      await this.#takeDown(error instanceof Error ? error : new DeviceError(String(error)));
      throw error;
    }
  }

  /** Whether a feature was negotiated, also while the driver is frozen. */
  protected has(feature: number): boolean {
    return hasFeature(this.#features ?? 0n, feature);
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

  /** Looks at all queues, as interrupts would. */
  protected lookAtQueues(): void {
    for (const index of this.#queues.keys()) this.interrupt(index);
  }

  /** The device cannot be used any more: closes, and tells those who listen. */
  protected giveUp(cause: unknown): void {
    if (this.#failure !== undefined) return;
    const error = cause instanceof Error ? cause : new DeviceError(String(cause));
    this.#failure = error;
    for (const listener of this.#onFailure) listener(error);
    this.close(error).catch(() => {});
  }

  /** Does what an interrupt asks for, and gives the device up when it broke a rule. */
  protected guarded(work: () => void): void {
    if (this.#failure !== undefined || this.#link === undefined) return;
    try {
      work();
    } catch (error) {
      this.giveUp(error);
    }
  }

  /** Requests and listeners count on what was agreed on first: a restore takes that, no less and no more. */
  #sameFeatures(agreed: bigint, table: FeatureTable): bigint {
    if (this.#features === undefined) return agreed;
    const lacking = this.#features & ~agreed;
    if (lacking === 0n) return this.#features;
    if (this.transport.readStatus() === 0) throw new ProtocolError("device-gone");
    throw new UnsupportedError(`the device no longer offers ${featureNames(lacking, table, ringFeatures).join(", ")}`);
  }

  /** Goes from one state to another, one such change at a time. */
  async #change(from: DriverState, work: () => Promise<void>): Promise<void> {
    if (this.#state !== from) throw new DeviceError(`the driver is ${this.#state}`);
    if (this.#changing !== undefined) throw new DeviceError("the driver is about to be frozen or restored");
    this.#changing = work();
    try {
      await this.#changing;
    } finally {
      this.#changing = undefined;
    }
  }

  async #freeze(): Promise<void> {
    await this.prepareFreeze();
    if (this.#failure !== undefined) throw this.#failure;
    this.#state = "frozen";
    try {
      await this.#takeDown(new DeviceError("the driver is frozen"));
    } catch (error) {
      this.giveUp(error);
      throw error;
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #restore(): Promise<void> {
    try {
      await this.bringUp();
    } catch (error) {
      this.giveUp(error);
      throw error;
    }
  }

  async #close(reason: Error): Promise<void> {
    this.#failure ??= reason;
    this.#state = "closed";
    const changing = this.#changing;
    await this.#takeDown(this.#failure).catch(() => {});
    // What freezes or restores sees that it is too late, and leaves the device reset.
    await changing?.catch(() => {});
    this.ended(this.#failure);
    if (this.#stuck !== undefined) throw this.#stuck;
  }

  /** @throws ProtocolError when the device does not reset: its memory is then never used again. */
  async #takeDown(error: Error): Promise<void> {
    const link = this.#link;
    if (link === undefined) return;
    this.#link = undefined;
    try {
      await link.close();
    } catch (failure) {
      this.#stuck = failure;
    }
    const keepsMemory = this.#stuck !== undefined;
    const queues = [...this.#queues.values()];
    this.#queues.clear();
    for (const queue of queues) queue.close(error, keepsMemory);
    this.takenDown(keepsMemory);
    if (keepsMemory) throw this.#stuck;
  }
}
