/** The embedded platform: our device halves over the images, or over scratch overlays of them. */
import { DipSwitch } from "../ncr53c710/index.js";
import { EmbeddedMachine } from "../platform/embedded/index.js";
import { CdDrive, Disk, ScsiBus } from "../scsi/index.js";
import { OverlayStore, type Store } from "../storage/index.js";
import { type DeviceType, featureSet, ringFeatures } from "../transport/index.js";
import { VirtioBlkDevice, VirtioScsiDevice } from "../virtio/index.js";
import { functionDevices } from "./extra-functions.js";
import type { PlacedImage } from "./image-argument.js";
import { openPlacedImage } from "./open-placed-image.js";
import {
  adapterFlavour,
  adapterVectors,
  goesIntoWindows,
  hasA4091,
  type PlatformMachine,
  type PlatformOptions,
} from "./platform.js";

/** What QEMU's adapters of both kinds are. */
const scsiController = 0x01_0000;

/** Devices with their images, and how to let go of those. */
interface Devices {
  readonly devices: readonly DeviceType[];
  close(): Promise<void>;
}

/** @throws ImageError, UsageError */
export async function startEmbedded(options: PlatformOptions): Promise<PlatformMachine> {
  const { board, registers, observer, tolerant } = options;
  if (hasA4091(board)) return startAmiga(options);
  const inWindows = goesIntoWindows(options);
  const { devices, close: closeDevices } = await (options.device === "blk" ? openBlk(options) : openScsi(options));
  try {
    const ram = options.ram === undefined ? {} : { ramSize: options.ram };
    const machine = new EmbeddedMachine(board, { ...ram, observer });
    const { NOTIFY_ON_EMPTY, ANY_LAYOUT, INDIRECT_DESC, EVENT_IDX } = ringFeatures;
    const splitOnly = { ringFeatures: featureSet(NOTIFY_ON_EMPTY, ANY_LAYOUT, INDIRECT_DESC, EVENT_IDX) };
    const rings = options.packed === false ? splitOnly : {};
    for (const device of devices) {
      if (inWindows) machine.plugMmio(device, { version: registers === "legacy" ? 1 : 2, tolerant, ...rings });
      else {
        const flavour = adapterFlavour(board, registers);
        machine.plugVirtio(device, {
          ...{ classCode: scsiController, flavour, ...rings },
          vectors: adapterVectors(board, options.device),
        });
      }
    }
    for (const { kind, device, classCode } of functionDevices(options.functions ?? [], ramEnd(machine))) {
      if (inWindows) machine.plugMmio(device, { version: registers === "legacy" ? 1 : 2, ...rings });
      else {
        const flavour = kind === "rpmsg" ? "modern" : adapterFlavour(board, registers);
        machine.plugVirtio(device, { classCode, flavour, ...rings });
      }
    }
    const close = async () => {
      await machine.close();
      await closeDevices();
    };
    return { machine, close };
  } catch (error) {
    await closeDevices();
    throw error;
  }
}

/** The first address behind the memory. */
function ramEnd({ memory }: EmbeddedMachine): number {
  return Math.max(...memory.regions.map(({ base, size }) => base + size));
}

/** A machine whose disks are on an A4091's SCSI bus. */
async function startAmiga(options: PlatformOptions): Promise<PlatformMachine> {
  const { board, observer, images } = options;
  const bus = await openBus(options);
  try {
    const ram = options.ram === undefined ? {} : { ramSize: options.ram };
    const machine = new EmbeddedMachine(board, { ...ram, observer });
    // The switch for more than one LUN is as a user with such disks sets it.
    const hasLuns = images.some(({ lun }) => lun > 0);
    machine.plugA4091(bus, { observer, dip: hasLuns ? 0xff & ~DipSwitch.OneLun : 0xff });
    const close = async () => {
      await machine.close();
      await bus.close();
    };
    return { machine, close };
  } catch (error) {
    await bus.close();
    throw error;
  }
}

/** The image, or a scratch overlay of it. */
export function openStore(image: PlacedImage, options: PlatformOptions): Store {
  const file = openPlacedImage(image, options);
  return options.write || image.readOnly ? file : new OverlayStore(file);
}

async function openScsi(options: PlatformOptions): Promise<Devices> {
  const bus = await openBus(options);
  const device = new VirtioScsiDevice(bus, { observer: options.observer });
  return { devices: [device], close: () => bus.close() };
}

/** The units of all images. */
async function openBus(options: PlatformOptions): Promise<ScsiBus> {
  const bus = new ScsiBus();
  try {
    for (const image of options.images) {
      const { target, lun, blockSize, cd } = image;
      const store = openStore(image, options);
      bus.attach(target, lun, cd === true ? new CdDrive(store) : new Disk(store, { blockSize }));
    }
    return bus;
  } catch (error) {
    await bus.close();
    throw error;
  }
}

async function openBlk(options: PlatformOptions): Promise<Devices> {
  const stores: Store[] = [];
  const close = async () => {
    for (const store of stores) await store.close();
  };
  try {
    const devices = options.images.map((image, index) => {
      const store = openStore(image, options);
      stores.push(store);
      const serial = `ringside-${index}`;
      return new VirtioBlkDevice(store, { blockSize: image.blockSize, serial, observer: options.observer });
    });
    return { devices, close };
  } catch (error) {
    await close();
    throw error;
  }
}
