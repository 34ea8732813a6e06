/**
 * The machine as fs-uae's configuration file says it, and the disks as files in the machine's private folder: their
 * names there need no quoting, whatever the images are called.
 */
import { constants, copyFileSync, statSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";
import { FsUaeError } from "./fs-uae-error.js";

/** One disk on the A4091's SCSI bus. */
export interface FsUaeDisk {
  /** Path of a raw image. */
  readonly image: string;
  /** SCSI id, 0 to 6. Default: its place in the list. */
  readonly target?: number;
  /** The machine's writes go to the image itself. Default false: they go to a copy and are lost at the end. */
  readonly write?: boolean;
  /** The machine sees a write-protected disk. Default false. */
  readonly readOnly?: boolean;
}

/** Boards that fs-uae can be, with the processor that they need to reach Zorro III. */
export const fsUaeModels = { a3000: "A3000", a4000: "A4000/040" } as const;
/** A board of {@link fsUaeModels}. */
export type FsUaeModel = keyof typeof fsUaeModels;

/** What goes into the configuration. */
export interface ConfigurationParts {
  readonly model: FsUaeModel;
  readonly folder: string;
  readonly kickstart: string;
  readonly boardRom: string;
  readonly serialPort: string;
  readonly disks: readonly FsUaeDisk[];
  /** The machine's time runs as fast as the host can: bytes on the serial line too. */
  readonly fast: boolean;
}

/** Most drives that a configuration can have. */
const mostDisks = 7;

/**
 * The text of the configuration file; makes the disks' files.
 * @throws FsUaeError when an image cannot be used, RangeError when two disks have one place.
 */
export function configurationOf(parts: ConfigurationParts): string {
  const lines = [
    "[config]",
    `amiga_model = ${fsUaeModels[parts.model]}`,
    `kickstart_file = ${parts.kickstart}`,
    `base_dir = ${parts.folder}`,
    `serial_port = ${parts.serialPort}`,
    `uae_a4091_rom_file = ${parts.boardRom}`,
    "fullscreen = 0",
    "video_sync = off",
    "floppy_drive_volume = 0",
    "volume = 0",
    `warp_mode = ${parts.fast ? 1 : 0}`,
  ];
  const targets = new Set<number>();
  if (parts.disks.length > mostDisks) throw new RangeError(`the bus has places for ${mostDisks} disks`);
  parts.disks.forEach((disk, index) => {
    const target = disk.target ?? index;
    if (!Number.isInteger(target) || target < 0 || target > 6)
      throw new RangeError(`no disk can have SCSI id ${target}`);
    if (targets.has(target)) throw new RangeError(`two disks have SCSI id ${target}`);
    targets.add(target);
    lines.push(
      `hard_drive_${index} = ${placeImage(disk, index, parts.folder)}`,
      `hard_drive_${index}_controller = scsi${target}_a4091`,
      // No geometry of its own: the machine sees every block of the image.
      `hard_drive_${index}_type = rdb`,
      `hard_drive_${index}_read_only = ${disk.readOnly === true ? 1 : 0}`,
    );
  });
  return `${lines.join("\n")}\n`;
}

function placeImage(disk: FsUaeDisk, index: number, folder: string): string {
  const image = resolve(disk.image);
  const status = statSync(image, { throwIfNoEntry: false });
  if (status === undefined) throw new FsUaeError(`no image at ${image}`);
  if (!status.isFile()) throw new FsUaeError(`${image} is not a regular file`);
  if (status.size < 512) throw new FsUaeError(`${image} is smaller than a block`);
  const path = join(folder, `disk${index}.hdf`);
  if (disk.write === true) symlinkSync(image, path);
  else copyFileSync(image, path, constants.COPYFILE_FICLONE);
  return path;
}
