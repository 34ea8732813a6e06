/** The virtio-scsi driver on the first such adapter of a machine, and the units behind it. */
import type { FoundAdapter, Machine } from "../machine/index.js";
import { discoverUnits } from "../scsi/index.js";
import { featureNames, ringFeatures } from "../transport/index.js";
import { ScsiQueue, scsiFeatures, VirtioScsiDriver } from "../virtio/index.js";
import type { DrivenSession, DriveOptions } from "./driven.js";
import { drivenUnits } from "./driven-units.js";
import { Pump } from "./pump.js";
import { adaptersOf, openTransport, type SessionOptions } from "./session.js";

/** A virtio-scsi adapter with its units, as `run` and `scsi` use it. */
export class ScsiSession {
  readonly adapter: FoundAdapter;
  readonly driver: VirtioScsiDriver;
  readonly #pump: Pump;

  private constructor(pump: Pump, adapter: FoundAdapter, driver: VirtioScsiDriver) {
    this.adapter = adapter;
    this.driver = driver;
    this.#pump = pump;
    pump.add({
      mustPoll: driver.link.interruptMode === "none",
      get inFlight() {
        return driver.inFlight;
      },
      poll: () => pollRings(driver),
      fail: (error) => void driver.close(error).catch(() => {}),
    });
  }

  /** Opens the first virtio-scsi adapter. @throws WorkFailed when there is none; UsageError when it cannot be had so. */
  static async open(machine: Machine, options: SessionOptions): Promise<ScsiSession> {
    const [adapter] = adaptersOf(machine, "scsi", 1);
    const transport = openTransport(machine, adapter, options);
    const pump = new Pump(machine);
    try {
      return new ScsiSession(pump, adapter, await VirtioScsiDriver.open(transport, { observer: options.observer }));
    } catch (error) {
      await pump.close();
      throw error;
    }
  }

  /** Takes the driver off its adapter. */
  async close(): Promise<void> {
    try {
      await this.driver.close();
    } finally {
      await this.#pump.close();
    }
  }
}

function pollRings(driver: VirtioScsiDriver): void {
  const end = ScsiQueue.FirstRequest + driver.requestQueues;
  for (let queue = 0; queue < end; queue++) driver.interrupt(queue);
}

/** Opens the driver and finds the units of all images. @throws WorkFailed, UsageError */
export async function driveScsi(machine: Machine, options: DriveOptions): Promise<DrivenSession> {
  const session = await ScsiSession.open(machine, options);
  try {
    const { driver, adapter } = session;
    const found = await discoverUnits(driver, { check: options.check, observer: options.commands });
    const units = drivenUnits(driver, found, options);
    const described = {
      kind: "virtio-scsi",
      transport: driver.link.transport.kind,
      place: adapter.place,
      interrupts: driver.link.interruptMode,
      features: featureNames(driver.link.features, scsiFeatures, ringFeatures),
    };
    return { adapters: [{ ...described, units }], close: () => session.close() };
  } catch (error) {
    await session.close();
    throw error;
  }
}
