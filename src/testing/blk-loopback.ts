/** Both halves of virtio-blk in one process: a machine with a disk, and our driver on it. */
import { MemoryStore, type Store } from "../storage/index.js";
import {
  type BlkDriverOptions,
  knownBlkFeatures,
  VirtioBlkDevice,
  VirtioBlkDriver,
  type VirtioBlkOptions,
} from "../virtio/index.js";
import { type LoopbackMachine, type LoopbackMachineOptions, plugIntoMachine } from "./loopback-machine.js";

/** What the loopback is made of. */
export interface BlkLoopbackOptions extends LoopbackMachineOptions {
  /** Default: 1 MiB of memory. */
  store?: Store;
  device?: VirtioBlkOptions;
  driver?: BlkDriverOptions;
}

/** A machine with a disk that no driver has opened yet. */
export interface PluggedBlkLoopback extends LoopbackMachine {
  readonly device: VirtioBlkDevice;
  /** Opens a transport and the driver on it. */
  openDriver(options?: BlkDriverOptions): Promise<VirtioBlkDriver>;
  /** Closes device, store and machine. */
  unplug(): Promise<void>;
}

/** A machine whose disk is driven. */
export interface BlkLoopback extends PluggedBlkLoopback {
  readonly driver: VirtioBlkDriver;
  /**
   * Takes the driver off, closes everything and, with poison, asserts that all memory came back.
   * @throws InternalError when memory is still lent or allocated.
   */
  close(): Promise<void>;
}

/** Puts a disk into a machine. */
export function plugBlkLoopback(options: BlkLoopbackOptions = {}): PluggedBlkLoopback {
  const { observer, faults, startIndex = 0 } = options;
  const store = options.store ?? new MemoryStore(1 << 20);
  const device = new VirtioBlkDevice(store, { faults, observer, ...options.device });
  const plugged = plugIntoMachine(device, 0x018000, options);
  const openDriver = (how: BlkDriverOptions = {}) =>
    VirtioBlkDriver.open(plugged.openTransport(), {
      features: knownBlkFeatures,
      startIndex,
      observer,
      ...options.driver,
      ...how,
    });
  const unplug = async () => {
    device.close();
    await store.close();
    await plugged.machine.close();
  };
  return { ...plugged, device, openDriver, unplug };
}

/** Puts a disk into a machine and opens our driver on it. */
export async function createBlkLoopback(options: BlkLoopbackOptions = {}): Promise<BlkLoopback> {
  const plugged = plugBlkLoopback(options);
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
