/** `--os storport`: the viostor miniport under its port driver, on each virtio-blk adapter. */
import { type FoundPciAdapter, findVirtioAdapters, type Machine } from "../machine/index.js";
import { openStorport, SrbError, type StorportDisk } from "../os/index.js";
import type { InterruptMode, InterruptPreference } from "../transport/index.js";
import { virtioBlkId } from "../virtio/index.js";
import { allEnded } from "./all-ended.js";
import type { DrivenAdapter, DrivenSession } from "./driven.js";
import { WorkFailed } from "./errors.js";
import type { FaceOptions } from "./faces.js";
import type { PlacedImage } from "./image-argument.js";
import { Pump } from "./pump.js";

const interrupts = { msix: "messages", intx: "line", none: "none" } as const;

/** Loads the driver on every adapter. @throws WorkFailed, UnsupportedError, and what the devices did wrong */
export async function driveStorport(machine: Machine, options: FaceOptions): Promise<DrivenSession> {
  const { images, profile, observer, debugLevel, com1 } = options;
  const found = findVirtioAdapters(machine).filter(
    (adapter): adapter is FoundPciAdapter => adapter.on === "pci" && adapter.deviceId === virtioBlkId,
  );
  if (found.length < images.length) {
    throw new WorkFailed(`${found.length} of ${images.length} virtio-blk adapters were found on ${machine.board.name}`);
  }
  const pump = new Pump(machine);
  const disks: StorportDisk[] = [];
  const close = async () => {
    try {
      await allEnded(disks.map((disk) => disk.close()));
    } finally {
      await pump.close();
    }
  };
  try {
    const adapters: DrivenAdapter[] = [];
    for (const [index, image] of images.entries()) {
      options.check();
      const disk = await openStorport(machine, found[index], {
        profile: profile === "strict" ? "seed" : "current",
        ...{ observer, debugLevel, com1, interrupts: interrupts[options.interrupts] },
      });
      disks.push(disk);
      const mustPoll = options.interrupts === "none";
      pump.add({ mustPoll, inFlight: 1, poll: () => disk.port.poll(), fail: () => void disk.close().catch(() => {}) });
      adapters.push(await drivenAdapter(machine, image, found[index], disk, options.interrupts));
    }
    return { adapters, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function drivenAdapter(
  machine: Machine,
  image: PlacedImage,
  adapter: FoundPciAdapter,
  disk: StorportDisk,
  preference: InterruptPreference,
): Promise<DrivenAdapter> {
  const { inquiry, serial, blockSize } = await disk.discover();
  if (blockSize !== image.blockSize) {
    throw new WorkFailed(`${image.path} was given blocks of ${image.blockSize} bytes, its disk has ${blockSize}`);
  }
  const { vendor, product, revision } = inquiry;
  const isRefusal = (error: unknown) => error instanceof SrbError;
  return {
    kind: "virtio-blk",
    transport: disk.transport,
    place: adapter.place,
    interrupts: interruptsOf(machine, preference),
    features: disk.features,
    units: [
      {
        ...{ image, target: 0, lun: 0, vendor, product, revision },
        ...{ serial: serial || undefined, physicalBlockSize: blockSize, blocks: disk, isRefusal },
      },
    ],
  };
}

function interruptsOf(machine: Machine, preference: InterruptPreference): InterruptMode {
  if (preference !== "msix") return preference;
  return machine.interrupts.attachMessage === undefined ? "intx" : "msix";
}
