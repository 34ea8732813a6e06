/**
 * The simplest data plane: a device type on the event loop. Every kick is an event of the loop, requests are carried
 * out where all else is.
 */
import type { Endianness } from "../../bytes/index.js";
import type { ProtocolError, ViolationCode } from "../../errors/index.js";
import type { Observer } from "../../observe/index.js";
import type { QueueDevice } from "../../virtqueue/index.js";
import type { DeviceHost, DeviceType } from "../device-type.js";
import { hasFeature } from "../features.js";
import { openRing } from "./open-ring.js";
import { PacedRing, type PaceMaker } from "./paced-ring.js";
import type { QueueRunner, RingPlace, RingSetup, RunnerEvents, RunningRing } from "./queue-runner.js";
import type { DeviceRing } from "./recorded-queue.js";

/** Event descriptors, as the event loop knows them. */
export interface EventSystem {
  /** Calls `onEvent` whenever the descriptor was signalled, until it is closed. */
  watch(descriptor: number, onEvent: () => void): { close(): void };
  signal(descriptor: number): void;
  /** Calls `then` once, after other events that wait had their turn. */
  soon(then: () => void): { close(): void };
}

/** How the event loop serves a device. */
export interface EventLoopRunnerOptions {
  events: EventSystem;
  /** How long a queue that is stopped waits for its requests, in milliseconds. They are given up after it. Default 30 s. */
  patience?: number;
  /** How long a ring is looked at after work before the loop sleeps, in microseconds; at most 1000. Default 0: not at all. */
  spin?: number;
  observer?: Observer | undefined;
}

const defaultPatience = 30_000;
/** Microseconds. */
const longestSpin = 1000;
/** Requests that one ring may carry out before others have a turn: with other rings on the loop, and without. */
const longestTurn = { shared: 64, alone: 512 } as const;
/** Between looks at a ring whose front end does not kick, in milliseconds. */
const pollInterval = 1;

export class EventLoopRunner implements QueueRunner, DeviceHost {
  readonly type: DeviceType;
  /** How often each rule was broken in rings and requests. */
  readonly violations = new Map<ViolationCode, number>();
  endianness: Endianness = "little";
  readonly #options: EventLoopRunnerOptions;
  readonly #rings: (LoopRing | undefined)[] = [];
  #events: RunnerEvents | undefined;
  #features = 0n;

  constructor(type: DeviceType, options: EventLoopRunnerOptions) {
    this.type = type;
    this.#options = options;
    const { spin = 0 } = options;
    if (!(spin >= 0 && spin <= longestSpin))
      throw new RangeError(`spin must be within 0…${longestSpin} µs, got ${spin}`);
    type.attach(this);
  }

  // What the control plane asks

  connect(events: RunnerEvents): void {
    this.#events = events;
  }

  start(setup: RingSetup): RunningRing {
    const { index, features, endianness } = setup;
    const queue = openRing(setup, this.#options.observer);
    this.negotiated(features, endianness);
    const ring = new LoopRing(this.type, queue, setup, this.#options, () => {
      if (this.#rings[index] === ring) this.#rings[index] = undefined;
      this.#setTurns();
    });
    this.#rings[index] = ring;
    this.#setTurns();
    ring.resume();
    return ring;
  }

  #setTurns(): void {
    const running = this.#rings.filter((ring) => ring !== undefined);
    for (const ring of running) ring.longestTurn = running.length > 1 ? longestTurn.shared : longestTurn.alone;
  }

  /** What was negotiated, when that is known before the first queue starts. */
  negotiated(features: bigint, endianness: Endianness): void {
    this.endianness = endianness;
    if (features === this.#features) return;
    this.#features = features;
    this.type.featuresChanged?.();
  }

  reset(): void {
    this.#features = 0n;
    this.type.reset();
    this.type.featuresChanged?.();
  }

  // What the device type asks

  has(feature: number): boolean {
    return hasFeature(this.#features, feature);
  }

  queue(index: number): QueueDevice | undefined {
    return this.#rings[index]?.queue;
  }

  signal(index: number): void {
    this.#rings[index]?.signal();
  }

  configChanged(): void {
    this.#events?.configChanged();
  }

  fail(error: ProtocolError): void {
    this.count(error.code);
    if (error.queue !== undefined) this.#events?.ringFailed(error.queue);
  }

  count(code: ViolationCode): void {
    this.violations.set(code, (this.violations.get(code) ?? 0) + 1);
  }
}

/** One queue on the event loop. */
class LoopRing implements RunningRing, PaceMaker {
  readonly queue: DeviceRing;
  longestTurn: number = longestTurn.alone;
  readonly #type: DeviceType;
  readonly #index: number;
  readonly #events: EventSystem;
  readonly #patience: number;
  readonly #ended: () => void;
  #kick: number | undefined;
  #call: number | undefined;
  #watch: { close(): void } | undefined;
  #isPaused = true;
  /** The rest of a long turn. */
  #later: { close(): void } | undefined;

  constructor(
    type: DeviceType,
    ring: DeviceRing,
    setup: RingSetup,
    options: EventLoopRunnerOptions,
    ended: () => void,
  ) {
    this.queue = new PacedRing(ring, this, options.spin);
    this.#type = type;
    this.#index = setup.index;
    this.#events = options.events;
    this.#patience = options.patience ?? defaultPatience;
    this.#ended = ended;
    this.#kick = setup.kick;
    this.#call = setup.call;
  }

  signal(): void {
    if (this.#call !== undefined) this.#events.signal(this.#call);
  }

  continueLater(): void {
    if (this.#later !== undefined) return;
    this.#later = this.#events.soon(() => {
      this.#later = undefined;
      this.#kicked();
    });
  }

  setCall(call: number | undefined): void {
    this.#call = call;
  }

  setKick(kick: number | undefined): void {
    this.#kick = kick;
    if (this.#isPaused) return;
    this.#unwatch();
    this.resume();
  }

  move(place: RingPlace, released: () => void): void {
    this.queue.move(place.memory, place.addresses);
    if (this.#busy() === 0) released();
    else void this.#drained().then(released);
    if (!this.#isPaused) this.#type.notified(this.#index);
  }

  async pause(): Promise<void> {
    this.#isPaused = true;
    this.#unwatch();
    await this.#drained();
  }

  resume(): void {
    this.#isPaused = false;
    this.#watch ??= this.#kick === undefined ? this.#poll() : this.#events.watch(this.#kick, () => this.#kicked());
    // What was made available before anybody waited is not announced again.
    this.#type.notified(this.#index);
  }

  async stop(): Promise<number> {
    await this.pause();
    // Buffers that the device type keeps for later go back to the driver: they were the last to be popped.
    const { base } = this.queue;
    this.queue.giveBack?.();
    this.#end();
    return base;
  }

  async abandon(): Promise<void> {
    this.queue.abandon();
    await this.pause();
    this.#end();
  }

  #end(): void {
    this.#later?.close();
    this.queue.abandon();
    this.#type.resetQueue?.(this.#index);
    this.#ended();
  }

  #kicked(): void {
    if (!this.#isPaused) this.#type.notified(this.#index);
  }

  #poll(): { close(): void } {
    const timer = setInterval(() => this.#kicked(), pollInterval);
    return { close: () => clearInterval(timer) };
  }

  #unwatch(): void {
    this.#watch?.close();
    this.#watch = undefined;
  }

  /** Requests that are being carried out. */
  #busy(): number {
    return this.#type.keepsChains?.(this.#index) === true ? 0 : this.queue.inFlight;
  }

  async #drained(): Promise<void> {
    const deadline = Date.now() + this.#patience;
    while (this.#busy() > 0 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
