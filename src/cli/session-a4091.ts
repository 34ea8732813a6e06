/** The A4091's driver on the first such board of a machine, and the units behind it. */
import type { Machine } from "../machine/index.js";
import { NcrHostAdapter } from "../ncr53c710/index.js";
import type { Observer } from "../observe/index.js";
import { discoverUnits } from "../scsi/index.js";
import type { InterruptPreference } from "../transport/index.js";
import type { DrivenSession, DriveOptions } from "./driven.js";
import { drivenUnits } from "./driven-units.js";
import { Pump } from "./pump.js";

/** A driver that is kept going until it is closed. */
export interface A4091Session {
  readonly driver: NcrHostAdapter;
  close(): Promise<void>;
}

/** Opens the driver of the machine's A4091. @throws DeviceError when there is none, AdapterFault when it does not work */
export async function openA4091(
  machine: Machine,
  options: { readonly interrupts: InterruptPreference; readonly observer?: Observer | undefined },
): Promise<A4091Session> {
  const pump = new Pump(machine);
  try {
    const driver = await NcrHostAdapter.openFirst(machine, {
      completion: options.interrupts === "none" ? "poll" : "interrupt",
      observer: options.observer,
    });
    pump.add({
      // It polls by itself.
      mustPoll: false,
      get inFlight() {
        return driver.inFlight;
      },
      poll: () => driver.poll(),
      fail: (error) => void driver.close(error).catch(() => {}),
    });
    const close = async () => {
      try {
        await driver.close();
      } finally {
        await pump.close();
      }
    };
    return { driver, close };
  } catch (error) {
    await pump.close();
    throw error;
  }
}

/** Opens the driver and finds the units of all images. @throws WorkFailed, DeviceError */
export async function driveA4091(machine: Machine, options: DriveOptions): Promise<DrivenSession> {
  const { driver, close } = await openA4091(machine, options);
  try {
    const found = await discoverUnits(driver, { check: options.check, observer: options.commands });
    const units = drivenUnits(driver, found, options);
    const described = {
      kind: "a4091",
      transport: "zorro",
      place: `0x${driver.board.base.toString(16)}`,
      interrupts: driver.isPolled ? ("none" as const) : ("int2" as const),
      features: driver.features,
    };
    return { adapters: [{ ...described, units }], close };
  } catch (error) {
    await close();
    throw error;
  }
}
