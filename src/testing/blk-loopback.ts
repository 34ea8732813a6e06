/** Both halves of virtio-blk in one process: a machine with a disk, and our driver on it. */
import { MemoryStore, type Store } from "../storage/index.js";
import {
  type BlkDriverOptions,
  knownBlkFeatures,
  VirtioBlkDevice,
  VirtioBlkDriver,
  type VirtioBlkOptions,
} from "../virtio/index.js";
import { type DrivenDevice, driveDevice, type PluggedDevice } from "./driven-loopback.js";
import { type LoopbackMachineOptions, plugIntoMachine } from "./loopback-machine.js";

/** What the loopback is made of. */
export interface BlkLoopbackOptions extends LoopbackMachineOptions {
  /** Default: 1 MiB of memory. */
  store?: Store;
  device?: VirtioBlkOptions;
  driver?: BlkDriverOptions;
}

/** A machine with a disk that no driver has opened yet. */
export interface PluggedBlkLoopback extends PluggedDevice<VirtioBlkDriver, BlkDriverOptions> {
  readonly device: VirtioBlkDevice;
}

/** A machine whose disk is driven. */
export type BlkLoopback = DrivenDevice<PluggedBlkLoopback, VirtioBlkDriver>;

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
  return driveDevice(plugBlkLoopback(options));
}
