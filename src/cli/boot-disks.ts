/** Images as disks of a PC in v86: an adapter each with virtio-blk, units of one adapter with virtio-scsi. */
import type { V86Pc, V86Registers } from "../platform/v86/index.js";
import { CdDrive, Disk, ScsiBus } from "../scsi/index.js";
import { OverlayStore, type Store } from "../storage/index.js";
import { VirtioBlkDevice, VirtioScsiDevice } from "../virtio/index.js";
import { type PlacedImage, parseImageArgument, placeImages } from "./image-argument.js";
import { openPlacedImage } from "./open-placed-image.js";

/** PCI class of a storage controller for SCSI, which QEMU's adapters of both kinds have. */
const scsiController = 0x01_0000;

/** How images are attached. */
export interface BootDiskOptions {
  readonly device: "blk" | "scsi";
  readonly registers: V86Registers;
  /** Let writes reach the images. */
  readonly write: boolean;
  readonly format?: "raw";
}

/** Images that are open. */
export interface BootDisks {
  /** Puts them into a PC. */
  plug(pc: V86Pc): void;
  /** Writes out what was begun, and lets go of the images. */
  close(): Promise<void>;
}

/** Opens images. @throws ImageError, UsageError */
export function openBootDisks(words: readonly string[], options: BootDiskOptions): BootDisks {
  const images = placeImages(words.map(parseImageArgument), options.device);
  const opened: { image: PlacedImage; store: Store }[] = [];
  const close = async () => {
    for (const { store } of opened.splice(0)) {
      try {
        if (!store.isReadOnly) await store.flush();
      } finally {
        await store.close();
      }
    }
  };
  try {
    for (const image of images) {
      const file = openPlacedImage(image, { write: options.write, insistRaw: options.format === "raw" });
      opened.push({ image, store: options.write || image.readOnly ? file : new OverlayStore(file) });
    }
  } catch (error) {
    void close();
    throw error;
  }
  const { registers } = options;
  const plug = (pc: V86Pc) => {
    if (options.device === "blk") {
      for (const [index, { image, store }] of opened.entries()) {
        const device = new VirtioBlkDevice(store, { blockSize: image.blockSize, serial: `ringside-${index}` });
        pc.plugVirtio(device, { classCode: scsiController, registers });
      }
      return;
    }
    const bus = new ScsiBus();
    for (const [index, { image, store }] of opened.entries()) {
      const { target, lun, blockSize, cd } = image;
      bus.attach(
        target,
        lun,
        cd === true ? new CdDrive(store) : new Disk(store, { blockSize, serial: `ringside-${index}` }),
      );
    }
    pc.plugVirtio(new VirtioScsiDevice(bus), { classCode: scsiController, registers });
  };
  return { plug, close };
}
