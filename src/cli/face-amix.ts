/** `--os amix`: Amix's SCSI stack on an Amiga: `sd`, `dd` and the drivers of the A3000's SCSI and of the A4091. */
import type { Machine } from "../machine/index.js";
import {
  AmixFiles,
  AmixIoError,
  type AmixKernel,
  type BootStory,
  type Card,
  Errno,
  gsio,
  gsioCapacity,
  gsioInquiry,
  openAmix,
  SliceBlocks,
  sliceName,
  tellBoot,
} from "../os/index.js";
import { SenseKey } from "../scsi/index.js";
import type { DrivenAdapter, DrivenBlocks, DrivenSession, DrivenUnit } from "./driven.js";
import { UsageError, WorkFailed } from "./errors.js";
import type { FaceOptions } from "./faces.js";
import type { PlacedImage } from "./image-argument.js";
import { Pump } from "./pump.js";

const unitsOfController = 8;
const blockSize = 512;

/** Starts the kernel and finds the images' disks. @throws WorkFailed, UsageError, and what drivers throw */
export async function driveAmix(machine: Machine, options: FaceOptions): Promise<DrivenSession> {
  const { profile, observer, autocon, com1, debugLevel, interrupts } = options;
  if (machine.board.zorro === undefined) throw new UsageError(`${machine.board.name} has no Zorro III bus`);
  const pump = new Pump(machine);
  const encoder = new TextEncoder();
  const print = (line: string) => {
    if (debugLevel > 0) com1?.write(encoder.encode(`${line}\n`));
  };
  const completion = interrupts === "none" ? "poll" : "interrupt";
  const amix = await opened(pump, () =>
    openAmix(machine, { profile, gate: autocon, observer, print, adapter: { completion } }),
  );
  const { kernel } = amix;
  const close = async () => {
    try {
      await amix.close();
    } finally {
      await pump.close();
    }
  };
  try {
    const story = await tellBoot(kernel);
    for (const line of story.lines) print(line);
    // Controllers as they are in the machine, with numbers or without.
    const onboard = machine.board.amiga?.onboardScsi === true ? [0xdd_0000] : [];
    const bases = [...onboard, ...amix.records.map(({ base }) => base)];
    const adapters: DrivenAdapter[] = [];
    for (const [index, base] of bases.entries()) {
      options.check();
      const images = options.images.filter(({ target }) => Math.floor(target / unitsOfController) === index);
      const adapter = await driveCard(
        kernel,
        story,
        base,
        images,
        profile === "strict" || interrupts === "none" ? "none" : "int2",
      );
      if (adapter !== undefined) adapters.push({ ...adapter, features: amix.adapters.get(base)?.features ?? [] });
    }
    // What has units comes first.
    adapters.sort((one, other) => Number(one.units.length === 0) - Number(other.units.length === 0));
    const { lines, ...facts } = story;
    return { adapters, files: new AmixFiles(kernel), story: { lines, facts }, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function opened<T>(pump: Pump, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    await pump.close();
    throw error;
  }
}

/** A controller with its images' disks; undefined for one without a number that has none. */
async function driveCard(
  kernel: AmixKernel,
  story: BootStory,
  base: number,
  images: readonly PlacedImage[],
  a4091Interrupts: "none" | "int2",
): Promise<DrivenAdapter | undefined> {
  const { cards } = kernel.sd;
  const number = cards.findIndex((card) => card.base === base);
  if (number < 0) {
    if (images.length === 0) return undefined;
    const [{ path }] = images;
    const where = `the controller at 0x${base.toString(16)}, which has no card number here`;
    const end = story.panic === undefined ? "" : `; ${story.panic}`;
    throw new WorkFailed(`${path} is behind ${where} (chipset ${story.chipset}, autocon ${story.gate})${end}`);
  }
  const card: Card = cards[number];
  const units: DrivenUnit[] = [];
  for (const image of images) units.push(await drivenUnit(kernel, number, image));
  const isA4091 = card.type.functionName === "a4091queue";
  return {
    // `A3000 Internal SCSI` is a3000-scsi.
    kind: isA4091 ? card.type.name.split(" ")[0].toLowerCase() : "a3000-scsi",
    transport: isA4091 ? "zorro" : "on-board",
    place: `0x${base.toString(16).padStart(8, "0")} (card ${number})`,
    interrupts: isA4091 ? a4091Interrupts : "int2",
    features: [],
    units,
  };
}

/** @throws WorkFailed when the disk does not answer */
async function drivenUnit(kernel: AmixKernel, card: number, image: PlacedImage): Promise<DrivenUnit> {
  const { passThrough, disks, dma } = kernel;
  const place = { card, unit: image.target % unitsOfController };
  const slice = { ...place, slice: 0 };
  const name = sliceName(slice);
  const inquiry = await gsioInquiry(passThrough, place);
  const capacity = inquiry && (await gsioCapacity(passThrough, place));
  if (inquiry === undefined || capacity === undefined) {
    throw new WorkFailed(`${image.path} was put at ${name}, but no disk answers there`);
  }
  if (capacity.blockSize !== blockSize) throw new WorkFailed(`${name} has blocks of ${capacity.blockSize} bytes`);
  const errno = await disks.open(slice);
  if (errno !== Errno.None) throw new WorkFailed(`/dev/dsk/${name} does not open: error ${errno}`);
  const known = disks.placeOf(slice)?.blocks ?? 0;
  const { vendor, product, revision } = inquiry;
  return {
    ...{ image, target: place.unit, lun: 0, vendor, product, revision, serial: undefined },
    physicalBlockSize: blockSize,
    blocks: new WholeDisk(kernel, slice, new SliceBlocks(disks, dma, slice, Math.min(known, capacity.blocks))),
    isRefusal: (error) => error instanceof AmixIoError && error.senseKey === SenseKey.DataProtect,
  };
}

/** Slice 0, and SYNCHRONIZE CACHE through the pass-through: the block driver has nothing that makes data durable. */
class WholeDisk implements DrivenBlocks {
  readonly blockSize: number;
  readonly blocks: number;
  readonly #kernel: AmixKernel;
  readonly #place: { readonly card: number; readonly unit: number };
  readonly #disk: SliceBlocks;

  constructor(kernel: AmixKernel, place: { readonly card: number; readonly unit: number }, disk: SliceBlocks) {
    this.#kernel = kernel;
    this.#place = { card: place.card, unit: place.unit };
    this.#disk = disk;
    this.blockSize = disk.blockSize;
    this.blocks = disk.blocks;
  }

  readBlocks(lba: number, count: number): Promise<Uint8Array> {
    return this.#disk.readBlocks(lba, count);
  }

  read(lba: number, bytes: Uint8Array): Promise<void> {
    return this.#disk.read(lba, bytes);
  }

  write(lba: number, bytes: Uint8Array): Promise<void> {
    return this.#disk.write(lba, bytes);
  }

  async flush(): Promise<void> {
    const cdb = Uint8Array.of(0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    const { okay, status } = await gsio(this.#kernel.passThrough, this.#place, cdb, new Uint8Array(0));
    if (!okay || status !== 0) throw new WorkFailed("SYNCHRONIZE CACHE failed");
  }
}
