/** The device that `ringside serve` serves, and the images behind it. */
import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { join, resolve } from "node:path";
import { CdDrive, Disk, type LogicalUnit, ScsiBus } from "../scsi/index.js";
import { DurableText, type FileStore, ImageError, reopenImage } from "../storage/file/index.js";
import type { Store } from "../storage/index.js";
import { TalliedStore, Tally } from "../storage/index.js";
import type { DeviceType } from "../transport/index.js";
import { VirtioBlkDevice, VirtioScsiDevice } from "../virtio/index.js";
import { UsageError } from "./errors.js";
import type { PlacedImage } from "./image-argument.js";
import { openPlacedImage } from "./open-placed-image.js";
import type { ServeOptions } from "./serve-options.js";

/** Front ends' rings have 128 entries or more: a request with its header and status fits into such a ring. */
const segMax = 126;

/** A unit that is served. */
export interface ServedUnit {
  readonly image: PlacedImage;
  readonly unit: LogicalUnit;
  /** Undefined while a CD-ROM drive is empty. */
  readonly store: Store | undefined;
}

/** The device and how to let go of it. */
export interface ServedDevice {
  readonly device: DeviceType;
  /** What threads need to serve queues of it; undefined for a device whose queues belong together. */
  readonly thread?: (tally: Tally, spin: number) => BlkThreadData;
  /** Writes out what is written, and closes the images. */
  close(): Promise<void>;
}

/** All that a thread needs to have the same virtio-blk device, as it is sent to it. */
export interface BlkThreadData {
  /** The open image, by its descriptor. */
  readonly descriptor: number;
  readonly image: PlacedImage;
  readonly queues: number;
  readonly direct: boolean;
  readonly mapped: boolean;
  readonly spin: number;
  /** Where the thread counts. */
  readonly tally: SharedArrayBuffer;
}

/** @throws ImageError, UsageError */
export function openBlkDevice([image]: readonly PlacedImage[], options: ServeOptions, tally: Tally): ServedDevice {
  const file = openServedFile(image, options);
  const store = new TalliedStore(file, tally);
  try {
    const device = blkDevice(store, image, options.queues);
    const close = async () => {
      device.close();
      await putAway(store);
    };
    const { queues, direct, mapped } = options;
    const thread = (all: Tally, spin: number) => ({
      ...{ descriptor: file.descriptor, image, queues, direct, mapped, spin },
      tally: all.forThread(),
    });
    return { device, close, thread };
  } catch (error) {
    void store.close();
    throw error;
  }
}

/** The same device once more, in a thread. Flushing at the end is the first one's. @throws ImageError */
export function openBlkThread({ descriptor, image, queues, direct, mapped, tally }: BlkThreadData): {
  device: DeviceType;
  close(): Promise<void>;
} {
  const { path, readOnly, blockSize } = image;
  const file = reopenImage(descriptor, path, { readOnly, blockSize, lanes: true, direct, mapped });
  const device = blkDevice(new TalliedStore(file, new Tally(tally)), image, queues);
  const close = async () => {
    device.close();
    await file.close();
  };
  return { device, close };
}

function blkDevice(store: Store, { path, blockSize }: PlacedImage, queues: number): VirtioBlkDevice {
  return new VirtioBlkDevice(store, { queues, blockSize, segMax, serial: serialOf(path) });
}

/** The same for an image each time, as systems find disks by it. */
function serialOf(path: string): string {
  return `ringside-${createHash("sha256").update(resolve(path)).digest("hex").slice(0, 11)}`;
}

function openServed(image: PlacedImage, options: ServeOptions, tally: Tally): Store {
  return new TalliedStore(openServedFile(image, options), tally);
}

function openServedFile(image: PlacedImage, options: ServeOptions): FileStore {
  const { direct, mapped } = options;
  const insistRaw = options.format === "raw";
  return openPlacedImage(image, { write: true, insistRaw, lanes: true, direct, mapped, remedy: "say --read-only" });
}

async function putAway(store: Store): Promise<void> {
  try {
    await store.flush();
  } finally {
    await store.close();
  }
}

/** Images as SCSI units, which come and go while front ends work. */
export class ServedUnits implements ServedDevice {
  readonly device: DeviceType;
  readonly #bus = new ScsiBus();
  readonly #units = new Map<string, ServedUnit>();
  readonly #options: ServeOptions;
  readonly #tally: Tally;

  constructor(options: ServeOptions, tally: Tally) {
    this.#options = options;
    this.#tally = tally;
    this.device = new VirtioScsiDevice(this.#bus, { requestQueues: options.queues, segMax });
  }

  /** Units by target and LUN. */
  list(): readonly ServedUnit[] {
    const placed = this.#bus.units().map(({ target, lun }) => this.#units.get(key(target, lun)));
    return placed.filter((unit) => unit !== undefined);
  }

  /** Adds an image at its place. @throws ImageError, UsageError */
  add(image: PlacedImage): ServedUnit {
    const { path, target, lun, blockSize, cd } = image;
    const other = this.#units.get(key(target, lun));
    if (other !== undefined) {
      throw new UsageError(`${other.image.path} is at target ${target} lun ${lun}: give ${image.path} another place`);
    }
    const store = this.#open(image);
    try {
      const unit =
        cd === true
          ? new CdDrive(store)
          : new Disk(store, { blockSize, serial: serialOf(path), ...this.#keeper(image) });
      this.#bus.attach(target, lun, unit);
      const served = { image, unit, store };
      this.#units.set(key(target, lun), served);
      return served;
    } catch (error) {
      void store.close();
      if (error instanceof RangeError) throw new UsageError(error.message, { cause: error });
      throw error;
    }
  }

  /** Takes a unit away. @throws UsageError when there is none */
  async remove(target: number, lun: number): Promise<ServedUnit> {
    const served = this.at(target, lun);
    this.#units.delete(key(target, lun));
    this.#bus.detach(target, lun);
    try {
      await served.store?.flush();
    } finally {
      await served.unit.close();
    }
    return served;
  }

  /** Takes the medium out of a CD-ROM drive. @throws UsageError when there is none or it is locked */
  async eject(target: number, lun: number, force: boolean): Promise<void> {
    const { drive, served } = this.#drive(target, lun);
    if (drive.inserted === undefined) throw new UsageError(`the drive at target ${target} lun ${lun} is empty`);
    const medium = drive.eject({ force });
    if (medium === undefined) {
      throw new UsageError("the guest has locked the tray, and was asked to let go of it: try again, or say force");
    }
    this.#units.set(key(target, lun), { ...served, store: undefined });
    await medium.close();
  }

  /** Puts a medium into an empty CD-ROM drive. @throws ImageError, UsageError */
  insert(target: number, lun: number, image: PlacedImage): void {
    const { drive } = this.#drive(target, lun);
    if (drive.inserted !== undefined) throw new UsageError(`there is a medium in the drive: eject it first`);
    const store = this.#open(image);
    drive.insert(store);
    this.#units.set(key(target, lun), { image, unit: drive, store });
  }

  /** The unit at a place. @throws UsageError when there is none */
  at(target: number, lun: number): ServedUnit {
    const served = this.#units.get(key(target, lun));
    if (served === undefined) throw new UsageError(`there is no unit at target ${target} lun ${lun}`);
    return served;
  }

  async close(): Promise<void> {
    for (const { image } of this.list()) await this.remove(image.target, image.lun);
  }

  /** @throws ImageError, UsageError when the image is served by this server already */
  #open(image: PlacedImage): Store {
    try {
      return openServed(image, this.#options, this.#tally);
    } catch (cause) {
      const { path } = image;
      const isUsed = cause instanceof ImageError && cause.code === "in-use";
      const other = this.list().find((unit) => isUsed && unit.store !== undefined && isSameFile(unit.image.path, path));
      if (other === undefined) throw cause;
      const { target, lun } = other.image;
      throw new UsageError(`${path} is served already, at target ${target} lun ${lun}`, { cause });
    }
  }

  #drive(target: number, lun: number): { drive: CdDrive; served: ServedUnit } {
    const served = this.at(target, lun);
    if (served.unit instanceof CdDrive) return { drive: served.unit, served };
    throw new UsageError(`the unit at target ${target} lun ${lun} is no CD-ROM drive`);
  }

  #keeper({ target, lun }: PlacedImage): { reservationKeeper?: DurableText } {
    const folder = this.#options.reservations;
    if (folder === undefined) return {};
    return { reservationKeeper: new DurableText(join(folder, `target-${target}-lun-${lun}.json`)) };
  }
}

function isSameFile(path: string, other: string): boolean {
  const [one, two] = [path, other].map((name) => statSync(name, { throwIfNoEntry: false }));
  return one !== undefined && one.dev === two?.dev && one.ino === two.ino;
}

function key(target: number, lun: number): string {
  return `${target}/${lun}`;
}
