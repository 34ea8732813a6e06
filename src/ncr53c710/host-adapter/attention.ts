/**
 * When the chip is looked at: after an interrupt, again and again without interrupts, and now and then in any case, since
 * interrupts get lost and commands get late.
 */
import { RequestAborted } from "../../errors/index.js";
import type { BusSequencer } from "./bus-sequencer.js";
import type { LiveRequests } from "./live-requests.js";
import type { AdapterClock } from "./options.js";
import type { Recovery } from "./recovery.js";
import type { StopHandler } from "./stop-handler.js";

/** Stops that one look at the chip takes care of. */
const stopsAtOnce = 64;
/** Intervals that count at most between two looks. */
const longestPause = 8;
/** Looks in a row that find the chip stopped all the time, and no command has started, moved data or ended. */
const fruitlessLooks = 64;

/** What looking needs. */
export interface AttentionParts {
  readonly stops: StopHandler;
  readonly sequencer: BusSequencer;
  readonly recovery: Recovery;
  readonly live: LiveRequests;
  readonly clock: AdapterClock;
  readonly isPolled: boolean;
  /** Milliseconds between looks in any case. */
  readonly interval: number;
  /** The chip stops again and again, and nothing comes of it. */
  endless(): void;
  /** The machine's registers cannot be reached any more. */
  failed(error: unknown): void;
}

export class Attention {
  lostInterrupts = 0;
  /** The chip is being looked at: what is to be started is started at the end of that. */
  isLooking = false;
  readonly #parts: AttentionParts;
  readonly #onTick = () => this.#tick();
  readonly #onTurn = () => this.#turn();
  #fruitless = 0;
  /**
   * Milliseconds up to the last look. Time in which nobody could look, since the processor was busy with something else or
   * asleep, is not a target's and hardly counts.
   */
  #now = 0;
  /** The clock then. Asking for each command costs more than it tells. */
  #seen = 0;
  #isPolling = false;
  #isClosed = false;
  #stopWatch: (() => void) | undefined;

  constructor(parts: AttentionParts) {
    this.#parts = parts;
  }

  /** Looks at the chip until it runs, a bounded number of times. Returns how often it had stopped. */
  look(): number {
    if (this.isLooking || this.#isClosed) return 0;
    this.isLooking = true;
    const { stops, sequencer, endless, failed } = this.#parts;
    const before = sequencer.progress;
    let count = 0;
    try {
      while (count < stopsAtOnce && stops.handle()) count++;
    } catch (error) {
      failed(error);
    } finally {
      this.isLooking = false;
    }
    if (count < stopsAtOnce || sequencer.progress !== before) this.#fruitless = 0;
    else if (++this.#fruitless > fruitlessLooks) {
      this.#fruitless = 0;
      endless();
    }
    return count;
  }

  /**
   * Something is under way: from now on somebody looks.
   * @param timeout milliseconds, 0 for ever. @returns when they are over ({@link Attention.deadline}); 0 for never.
   */
  wake(timeout = 0): number {
    if (this.#isClosed) return 0;
    const { clock, interval, isPolled } = this.#parts;
    if (this.#stopWatch === undefined) {
      this.#seen = clock.now();
      this.#stopWatch = clock.after(interval, this.#onTick);
    }
    if (isPolled && !this.#isPolling) {
      this.#isPolling = true;
      // Chips that are quick will have ended already.
      queueMicrotask(this.#onTurn);
    }
    return timeout === 0 ? 0 : this.deadline(timeout);
  }

  /** When so many milliseconds are over, by a clock that goes with the looks. */
  deadline(milliseconds: number): number {
    return this.#now + this.#parts.interval + Math.ceil(milliseconds);
  }

  /** Nobody looks any more. */
  close(): void {
    this.#isClosed = true;
    this.#stopWatch?.();
  }

  /** Without interrupts: once in a turn of the event loop, while anything is under way. */
  #turn(): void {
    this.look();
    const { live, clock } = this.#parts;
    if (this.#isClosed || live.count === 0) this.#isPolling = false;
    else clock.after(0, this.#onTurn);
  }

  /** Finds interrupts that were lost and commands that are late. */
  #tick(): void {
    this.#stopWatch = undefined;
    if (this.#isClosed) return;
    const { live, recovery, isPolled, failed } = this.#parts;
    if (this.look() > 0 && !isPolled) this.lostInterrupts++;
    this.#passTime();
    try {
      this.#callOffLate();
      recovery.tick(this.#now);
    } catch (error) {
      failed(error);
    }
    if (live.count > 0 || recovery.isActive) this.wake();
  }

  #passTime(): void {
    const { clock, interval } = this.#parts;
    const passed = Math.max(0, Math.floor(clock.now() - this.#seen));
    this.#seen += passed;
    this.#now += Math.min(passed, interval * longestPause);
  }

  #callOffLate(): void {
    const { live, recovery } = this.#parts;
    const now = this.#now;
    for (let request = live.oldest; request !== undefined; ) {
      // What is called off may be gone from the list.
      const { younger } = request;
      if (request.deadline > 0 && now >= request.deadline && request.calledOff === undefined) {
        recovery.callOff(request, new RequestAborted(`${request.describe()}: no answer in ${request.timeout} ms`));
      }
      request = younger;
    }
  }
}
