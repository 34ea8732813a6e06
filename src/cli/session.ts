/** A driver on the adapter of a machine, kept going: interrupts are delivered, or rings are polled where there are none. */
import { type FoundAdapter, findVirtioAdapters, type Machine, openAdapter } from "../machine/index.js";
import type { Observer } from "../observe/index.js";
import type { InterruptPreference } from "../transport/index.js";
import { ScsiQueue, VirtioScsiDriver, virtioScsiId } from "../virtio/index.js";
import { asUsageError, WorkFailed } from "./errors.js";
import { type RegisterChoice, registersFor } from "./platform.js";

/** What `run` and `scsi` bring up alike. */
export interface SessionOptions {
  readonly registers: RegisterChoice;
  readonly interrupts: InterruptPreference;
  readonly observer?: Observer | undefined;
}

/** Longest sleep while nothing happens, milliseconds. */
const nap = 20;

export class Session {
  readonly adapter: FoundAdapter;
  readonly driver: VirtioScsiDriver;
  readonly #machine: Machine;
  readonly #pump: Promise<void>;
  #isOpen = true;

  private constructor(machine: Machine, adapter: FoundAdapter, driver: VirtioScsiDriver) {
    this.adapter = adapter;
    this.driver = driver;
    this.#machine = machine;
    // A machine that ended answers no command any more: all that wait for one fail now, not when their time is up.
    this.#pump = this.#run().catch((error: unknown) => {
      driver.close(error instanceof Error ? error : new WorkFailed(String(error))).catch(() => {});
    });
  }

  /** Opens the first virtio-scsi adapter. @throws WorkFailed when there is none; UsageError when it cannot be had so. */
  static async open(machine: Machine, options: SessionOptions): Promise<Session> {
    const adapter = findVirtioAdapters(machine).find(({ deviceId }) => deviceId === virtioScsiId);
    if (adapter === undefined) throw new WorkFailed(`there is no virtio-scsi adapter on ${machine.board.name}`);
    const { interrupts: prefer, observer } = options;
    const registers = registersFor(machine.board, options.registers);
    let transport: ReturnType<typeof openAdapter>;
    try {
      transport = openAdapter(machine, adapter, { registers, prefer, observer });
    } catch (error) {
      throw asUsageError(error);
    }
    return new Session(machine, adapter, await VirtioScsiDriver.open(transport, { observer }));
  }

  /** Takes the driver off its adapter. */
  async close(): Promise<void> {
    try {
      await this.driver.close();
    } finally {
      this.#isOpen = false;
      await this.#pump;
    }
  }

  async #run(): Promise<void> {
    const { driver } = this;
    const mustPoll = driver.link.interruptMode === "none";
    while (this.#isOpen) {
      if (mustPoll) this.#pollRings();
      // With rings to be polled, every turn of the event loop counts.
      if (mustPoll && driver.inFlight > 0) {
        await this.#machine.idle(0);
        await new Promise<void>((resolve) => setImmediate(resolve));
      } else await this.#machine.idle(mustPoll ? 1 : nap);
    }
  }

  #pollRings(): void {
    const end = ScsiQueue.FirstRequest + this.driver.requestQueues;
    for (let queue = 0; queue < end; queue++) this.driver.interrupt(queue);
  }
}
