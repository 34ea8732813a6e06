/**
 * Both halves in one process: a machine with a virtio-scsi adapter, units on its bus, and our driver on it. One builder
 * for every test of the whole stack, so that set-up is never copied.
 */
import { Disk, type LogicalUnit, ScsiBus } from "../scsi/index.js";
import { MemoryStore } from "../storage/index.js";
import {
  knownScsiFeatures,
  type ScsiDriverOptions,
  VirtioScsiDevice,
  VirtioScsiDriver,
  type VirtioScsiOptions,
} from "../virtio/index.js";
import { type DrivenDevice, driveDevice, type PluggedDevice } from "./driven-loopback.js";
import { type LoopbackMachineOptions, plugIntoMachine } from "./loopback-machine.js";

/** A unit and its place. */
export interface LoopbackUnit {
  readonly target: number;
  readonly lun: number;
  readonly unit: LogicalUnit;
}

/** What the loopback is made of. */
export interface LoopbackOptions extends LoopbackMachineOptions {
  /** Default: one disk of 1 MiB at 0/0 without a power-on attention. */
  units?: readonly LoopbackUnit[];
  device?: VirtioScsiOptions;
  driver?: ScsiDriverOptions;
}

/** A machine with an adapter that no driver has opened yet. */
export interface PluggedLoopback extends PluggedDevice<VirtioScsiDriver, ScsiDriverOptions> {
  readonly bus: ScsiBus;
  readonly device: VirtioScsiDevice;
}

/** A machine whose adapter is driven. */
export type Loopback = DrivenDevice<PluggedLoopback, VirtioScsiDriver>;

/** A disk of `byteLength` bytes of memory at a place. */
export function memoryDisk(target: number, lun: number, byteLength = 1 << 20): LoopbackUnit {
  return { target, lun, unit: new Disk(new MemoryStore(byteLength), { powerOnAttention: false }) };
}

/** Puts an adapter into a machine. */
export function plugLoopback(options: LoopbackOptions = {}): PluggedLoopback {
  const { observer, faults, startIndex = 0 } = options;
  const bus = new ScsiBus();
  for (const { target, lun, unit } of options.units ?? [memoryDisk(0, 0)]) bus.attach(target, lun, unit);
  const device = new VirtioScsiDevice(bus, { faults, observer, ...options.device });
  const plugged = plugIntoMachine(device, 0x010000, options);
  const openDriver = (how: ScsiDriverOptions = {}) =>
    VirtioScsiDriver.open(plugged.openTransport(), {
      features: knownScsiFeatures,
      startIndex,
      observer,
      ...options.driver,
      ...how,
    });
  const unplug = async () => {
    device.close();
    await bus.close();
    await plugged.machine.close();
  };
  return { ...plugged, bus, device, openDriver, unplug };
}

/** Puts an adapter into a machine and opens our driver on it. */
export async function createLoopback(options: LoopbackOptions = {}): Promise<Loopback> {
  return driveDevice(plugLoopback(options));
}
