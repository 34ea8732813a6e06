/** Resets of the SCSI bus: everything that was started is over, and targets get their time. */
import type { AdapterRequest } from "./adapter-request.js";
import type { BusSequencer } from "./bus-sequencer.js";
import type { ChipControl } from "./chip-control.js";
import type { LiveRequests } from "./live-requests.js";
import type { AdapterClock } from "./options.js";

/** Time that SCSI RST is held, milliseconds; the standard wants 25 µs. */
const resetHold = 1;
/** Bus resets in a row without a command that was answered. */
const deadBusResets = 5;

/** What resetting needs. */
export interface BusResetParts {
  readonly chip: ChipControl;
  readonly sequencer: BusSequencer;
  readonly live: LiveRequests;
  readonly clock: AdapterClock;
  /** Milliseconds that targets get. */
  readonly settleTime: number;
  isClosed(): boolean;
  /** Ends a command that the reset ended. */
  endByReset(request: AdapterRequest): void;
  /** All commands have ended. */
  done(): void;
  /** Resets bring nothing. */
  dead(): void;
  /** The machine's registers cannot be reached any more. */
  failed(error: unknown): void;
}

export class BusReset {
  /** Resets so far, ours and others'. */
  count = 0;
  /** Resolves when targets have had their time after the last reset. */
  settled: Promise<void> = Promise.resolve();
  readonly #parts: BusResetParts;
  #inARow = 0;
  #generation = 0;

  constructor(parts: BusResetParts) {
    this.#parts = parts;
  }

  /** A command was answered: the bus lives. */
  answered(): void {
    this.#inARow = 0;
  }

  /** The reset at the beginning. */
  begin(): void {
    this.#drive();
  }

  /** Resets the bus (`drives`), or takes note that somebody did. */
  reset(drives: boolean): void {
    const { chip, sequencer, live, endByReset, done, dead } = this.#parts;
    this.count++;
    if (++this.#inARow > deadBusResets) {
      dead();
      return;
    }
    if (drives) {
      chip.abort(true);
      this.#drive();
      chip.abort(false);
    } else this.settled = new Promise((resolve) => this.#settle(resolve));
    const started = live.all().filter(({ state }) => state === "started");
    // Before anybody is told: who is may send the next command.
    for (const request of started) sequencer.forget(request);
    sequencer.takeDown();
    sequencer.forgetAgreements();
    for (const request of started) endByReset(request);
    done();
  }

  #drive(): void {
    const { chip, clock } = this.#parts;
    chip.driveBusReset(true);
    this.settled = new Promise((resolve) => {
      clock.after(resetHold, () => {
        this.#guarded(() => chip.driveBusReset(false));
        this.#settle(resolve);
      });
    });
  }

  #settle(resolve: () => void): void {
    const { chip, sequencer, clock, settleTime } = this.#parts;
    const generation = ++this.#generation;
    clock.after(settleTime, () => {
      // After a later reset targets get their time again.
      if (generation === this.#generation) {
        this.#guarded(() => {
          chip.clearFifos();
          chip.takeCauses();
          sequencer.bringUp();
          sequencer.proceed();
        });
      }
      resolve();
    });
  }

  #guarded(work: () => void): void {
    const { isClosed, failed } = this.#parts;
    if (isClosed()) return;
    try {
      work();
    } catch (error) {
      failed(error);
    }
  }
}
