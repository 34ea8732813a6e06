/** Both halves of any device type in one process: a machine with the device in it, and a driver on it. */
import type { DeviceType, DriverTransport } from "../transport/index.js";
import { type LoopbackMachine, type LoopbackMachineOptions, plugIntoMachine } from "./loopback-machine.js";

/** What can be taken off and taken out. */
type Driver = { close(): Promise<void> };
type Device = DeviceType & { close(): void };

/** A machine whose device is driven. */
export interface DeviceLoopback<Half extends Driver> extends LoopbackMachine {
  readonly driver: Half;
  /** Ends when `condition` holds, which is looked at whenever the machine did something. @throws Error after 5 s */
  until(condition: () => boolean): Promise<void>;
  /**
   * Takes the driver off, closes everything and, with poison, asserts that all memory came back.
   * @throws InternalError when memory is still lent or allocated.
   */
  close(): Promise<void>;
}

/** Class code of a communication controller that is none of the known ones. */
const otherController = 0x078000;
const patience = 5000;

/** Puts a device into a machine and opens a driver on it. */
export async function loopDevice<Half extends Driver>(
  device: Device,
  open: (transport: DriverTransport) => Promise<Half>,
  options: LoopbackMachineOptions = {},
): Promise<DeviceLoopback<Half>> {
  const plugged = plugIntoMachine(device, otherController, options);
  const driver = await open(plugged.openTransport());
  return {
    ...plugged,
    driver,
    async until(condition) {
      const end = Date.now() + patience;
      while (!condition()) {
        if (Date.now() > end) throw new Error(`it did not happen in ${patience} ms: ${condition.toString()}`);
        await plugged.machine.idle(1);
      }
    },
    async close() {
      await driver.close();
      device.close();
      await plugged.machine.close();
      plugged.dma?.assertNothingAllocated();
    },
  };
}
