/** What loopbacks of all device types share: how a plugged-in device gets its driver, and how both are taken down. */
import type { LoopbackMachine } from "./loopback-machine.js";

/** A machine with a device that no driver has opened yet. */
export interface PluggedDevice<Driver, DriverOptions> extends LoopbackMachine {
  /** Opens a transport and the driver on it. */
  openDriver(options?: DriverOptions): Promise<Driver>;
  /** Closes the device, what is behind it, and the machine. */
  unplug(): Promise<void>;
}

/** A machine whose device is driven. */
export type DrivenDevice<Plugged, Driver> = Plugged & {
  readonly driver: Driver;
  /**
   * Takes the driver off, closes everything and, with poison, asserts that all memory came back.
   * @throws InternalError when memory is still lent or allocated.
   */
  close(): Promise<void>;
};

/** Opens the driver of what was plugged in. */
export async function driveDevice<
  Driver extends { close(): Promise<void> },
  Plugged extends PluggedDevice<Driver, never>,
>(plugged: Plugged & PluggedDevice<Driver, never>): Promise<DrivenDevice<Plugged, Driver>> {
  const driver = await plugged.openDriver();
  return {
    ...plugged,
    driver,
    async close() {
      await driver.close();
      await plugged.unplug();
      plugged.dma?.assertNothingAllocated();
    },
  };
}
