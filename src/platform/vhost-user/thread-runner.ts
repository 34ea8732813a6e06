/**
 * A data plane in threads: each queue belongs to one thread, which waits for its kicks and carries its requests out on a
 * device of its own. What concerns all queues (features, configuration, reset) is told to every thread, in the same
 * order, before it is answered; so their devices are always in the same state. That fits devices whose requests on
 * different queues have nothing to do with each other, such as virtio-blk over a file.
 */
import type { Endianness } from "../../bytes/index.js";
import type { ProtocolError, ViolationCode } from "../../errors/index.js";
import { prepareGuard } from "../../linux/index.js";
import {
  type DeviceHost,
  type DeviceType,
  hasFeature,
  type QueueRunner,
  type RingPlace,
  type RingSetup,
  type RunnerEvents,
  type RunningRing,
} from "../../transport/index.js";
import { MemoryLender } from "./lent-memory.js";
import { OwnedThread } from "./owned-thread.js";
import type { ThreadWork } from "./queue-thread-messages.js";

/** How threads are made. */
export interface ThreadRunnerOptions {
  readonly threads: number;
  /** The module that each thread runs; it calls `serveQueueThread`. */
  readonly module: URL;
  /** What it finds as its `workerData`, besides the number of the thread. */
  readonly data: (thread: number) => unknown;
}

export class ThreadRunner implements QueueRunner, DeviceHost {
  /** The device that the control plane asks: it never sees a request. */
  readonly type: DeviceType;
  /** How often each rule was broken in what the control plane's device saw. Threads count for themselves. */
  readonly violations = new Map<ViolationCode, number>();
  /** Fails when a thread ended that was not asked to. Nothing is served by it any more then. */
  readonly failure: Promise<never>;
  endianness: Endianness = "little";
  readonly #lender = new MemoryLender();
  readonly #threads: OwnedThread[];
  #features = 0n;
  #events: RunnerEvents | undefined;

  private constructor(type: DeviceType, { threads, module, data }: ThreadRunnerOptions) {
    this.type = type;
    // Before the threads are made: they inherit it.
    prepareGuard();
    const news = {
      configChanged: () => this.configChanged(),
      ringFailed: (index: number) => this.#events?.ringFailed(index),
      forgotten: (key: string, count: number) => this.#lender.takeBack(key, count),
    };
    this.#threads = Array.from({ length: threads }, (_, index) => new OwnedThread(module, data(index), news));
    this.failure = Promise.race(this.#threads.map((thread) => thread.failure));
    // Who does not look is not surprised by it either.
    this.failure.catch(() => {});
    type.attach(this);
  }

  /** Makes the threads and waits until their devices are open. @throws Error with the words of one that could not. */
  static async open(type: DeviceType, options: ThreadRunnerOptions): Promise<ThreadRunner> {
    const runner = new ThreadRunner(type, options);
    try {
      await Promise.all(runner.#threads.map((thread) => thread.ready));
    } catch (error) {
      await runner.close();
      throw error;
    }
    return runner;
  }

  // What the control plane asks

  connect(events: RunnerEvents): void {
    this.#events = events;
  }

  async start(setup: RingSetup): Promise<RunningRing> {
    const { index, size, features, endianness, base, kick, call, inflight } = setup;
    if (features !== this.#features || endianness !== this.endianness) {
      this.#features = features;
      this.endianness = endianness;
      this.type.featuresChanged?.();
      await this.#tellAll({ kind: "negotiated", features, endianness });
    }
    const thread = this.#threads[index % this.#threads.length];
    const lent = {
      place: this.#lender.lendPlace(setup),
      inflight: inflight === undefined ? undefined : this.#lender.lend(inflight.bytes, inflight.address),
    };
    await thread.ask({ kind: "start", setup: { index, size, features, endianness, base, kick, call, ...lent } });
    return new ThreadRing(thread, this.#lender, index, base);
  }

  async reset(): Promise<void> {
    this.#features = 0n;
    this.type.reset();
    this.type.featuresChanged?.();
    await this.#tellAll({ kind: "reset" });
  }

  configWritten(config: Uint8Array, offset: number, length: number): Promise<void> {
    return this.#tellAll({ kind: "config", config, offset, length });
  }

  /** Ends the threads; no ring runs. */
  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }

  async #tellAll(work: ThreadWork): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.ask(work)));
  }

  // What the control plane's device asks

  has(feature: number): boolean {
    return hasFeature(this.#features, feature);
  }

  queue(): undefined {
    return undefined;
  }

  signal(): void {}

  configChanged(): void {
    this.#events?.configChanged();
  }

  fail(error: ProtocolError): void {
    this.count(error.code);
  }

  count(code: ViolationCode): void {
    this.violations.set(code, (this.violations.get(code) ?? 0) + 1);
  }
}

/** One queue in a thread. */
class ThreadRing implements RunningRing {
  readonly #thread: OwnedThread;
  readonly #lender: MemoryLender;
  readonly #index: number;
  readonly #base: number;

  constructor(thread: OwnedThread, lender: MemoryLender, index: number, base: number) {
    this.#thread = thread;
    this.#lender = lender;
    this.#index = index;
    this.#base = base;
  }

  async setCall(descriptor: number | undefined): Promise<void> {
    await this.#thread.ask({ kind: "call", ring: this.#index, descriptor });
  }

  async setKick(descriptor: number | undefined): Promise<void> {
    await this.#thread.ask({ kind: "kick", ring: this.#index, descriptor });
  }

  async move(place: RingPlace, released: () => void): Promise<void> {
    const lent = this.#lender.lendPlace(place);
    await this.#thread.ask({ kind: "move", ring: this.#index, place: lent }, released);
  }

  async pause(): Promise<void> {
    await this.#thread.ask({ kind: "pause", ring: this.#index });
  }

  async resume(): Promise<void> {
    await this.#thread.ask({ kind: "resume", ring: this.#index });
  }

  async stop(): Promise<number> {
    return (await this.#thread.ask({ kind: "stop", ring: this.#index })) ?? this.#base;
  }

  async abandon(): Promise<void> {
    await this.#thread.ask({ kind: "abandon", ring: this.#index });
  }
}
