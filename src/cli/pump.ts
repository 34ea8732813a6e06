/** Keeps a machine going while drivers work on it: interrupts are delivered, or rings are polled where there are none. */
import type { Machine } from "../machine/index.js";
import { WorkFailed } from "./errors.js";

/** A driver as the pump sees it. */
export interface Pumped {
  /** Nothing tells of what has ended: somebody has to look. */
  readonly mustPoll: boolean;
  /** Requests that the device has. */
  readonly inFlight: number;
  poll(): void;
  /** The machine ended: all that wait for an answer fail now, not when their time is up. */
  fail(error: Error): void;
}

/** Longest sleep while nothing happens, milliseconds. */
const nap = 20;

export class Pump {
  readonly #machine: Machine;
  readonly #drivers: Pumped[] = [];
  readonly #ended: Promise<void>;
  #failure: Error | undefined;
  #isOpen = true;

  constructor(machine: Machine) {
    this.#machine = machine;
    this.#ended = this.#run().catch((error: unknown) => {
      this.#failure = error instanceof Error ? error : new WorkFailed(String(error));
      for (const driver of this.#drivers) driver.fail(this.#failure);
    });
  }

  /** Looks after a driver too. */
  add(driver: Pumped): void {
    this.#drivers.push(driver);
    if (this.#failure !== undefined) driver.fail(this.#failure);
  }

  /** Lets the machine rest. */
  async close(): Promise<void> {
    this.#isOpen = false;
    await this.#ended;
  }

  async #run(): Promise<void> {
    while (this.#isOpen) {
      let mustPoll = false;
      let isBusy = false;
      for (const driver of this.#drivers) {
        if (!driver.mustPoll) continue;
        mustPoll = true;
        driver.poll();
        isBusy ||= driver.inFlight > 0;
      }
      // With rings to be polled, every turn of the event loop counts.
      if (isBusy) {
        await this.#machine.idle(0);
        await new Promise<void>((resolve) => setImmediate(resolve));
      } else await this.#machine.idle(mustPoll ? 1 : nap);
    }
  }
}
