/** Image arguments: a path, then what unit it becomes: `disk.img,target=1,lun=1,block-size=4096,ro`. */
import { cdBlockSize, lunLimit, targetLimit } from "../scsi/index.js";
import type { DeviceKind } from "./driven.js";
import { UsageError } from "./errors.js";

/** One image argument as written. */
export interface ImageArgument {
  readonly path: string;
  readonly target?: number;
  readonly lun?: number;
  /** Bytes. */
  readonly blockSize?: number;
  readonly readOnly: boolean;
  /** The medium of a CD-ROM drive. */
  readonly cd?: boolean;
}

/** An image with the place of its unit. */
export interface PlacedImage {
  readonly path: string;
  readonly target: number;
  readonly lun: number;
  /** Bytes. */
  readonly blockSize: number;
  readonly readOnly: boolean;
  readonly cd?: boolean;
}

const settings = "target=N, lun=N, block-size=N, ro, cd";

/**
 * Reads an image argument. A comma that belongs to the file name is written `\,`.
 * @throws UsageError
 */
export function parseImageArgument(text: string): ImageArgument {
  const [path, ...words] = text.split(/(?<!\\),/).map((part) => part.replaceAll("\\,", ","));
  if (path === "") throw new UsageError(`"${text}" names no image: write FILE[,SETTING…], with settings ${settings}`);
  const seen = new Set<string>();
  let image: ImageArgument = { path, readOnly: false };
  for (const word of words) {
    const [key, value] = splitOnce(word);
    if (seen.has(key)) throw new UsageError(`"${text}" says ${key} twice`);
    seen.add(key);
    image = { ...image, ...readSetting(text, word, key, value) };
  }
  if (image.cd !== true) return image;
  if ((image.blockSize ?? cdBlockSize) !== cdBlockSize) {
    throw new UsageError(`"${text}": a CD-ROM has blocks of ${cdBlockSize} bytes: leave out block-size`);
  }
  return { ...image, blockSize: cdBlockSize, readOnly: true };
}

function splitOnce(word: string): [key: string, value: string | undefined] {
  const at = word.indexOf("=");
  return at < 0 ? [word, undefined] : [word.slice(0, at), word.slice(at + 1)];
}

function readSetting(text: string, word: string, key: string, value: string | undefined): Partial<ImageArgument> {
  switch (key) {
    case "target":
      return { target: integer(text, key, value, targetLimit - 1) };
    case "lun":
      return { lun: integer(text, key, value, lunLimit - 1) };
    case "block-size":
      return { blockSize: blockSize(text, value) };
    case "ro":
      if (value === undefined) return { readOnly: true };
      break;
    case "cd":
      if (value === undefined) return { cd: true };
      break;
  }
  throw new UsageError(
    `"${word}" in "${text}" is no setting of an image: there are ${settings}; a comma of the file name is written \\,`,
  );
}

function integer(text: string, key: string, value: string | undefined, most: number): number {
  const number = value !== undefined && /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
  if (number <= most) return number;
  throw new UsageError(`${key} in "${text}" must be a number within 0…${most}`);
}

function blockSize(text: string, value: string | undefined): number {
  const size = integer(text, "block-size", value, 65536);
  if (size >= 512 && (size & (size - 1)) === 0) return size;
  throw new UsageError(`block-size in "${text}" must be a power of two within 512…65536`);
}

/**
 * Gives every image its place: as it says, else 0/0, 1/1, 2/2 … in the order of the command line. An image that says
 * only one of target and lun has the other at 0. A virtio-blk adapter is its disk, so there is nothing to choose there.
 * @throws UsageError when two are in one place or a place does not exist.
 */
export function placeImages(images: readonly ImageArgument[], device: DeviceKind = "scsi"): PlacedImage[] {
  if (device === "blk") return images.map(placeOnBlk);
  const taken = new Map<string, string>();
  return images.map(({ path, target, lun, blockSize = 512, readOnly, cd }, index) => {
    const isPlaced = target !== undefined || lun !== undefined;
    const placed = { path, target: target ?? (isPlaced ? 0 : index), lun: lun ?? (isPlaced ? 0 : index) };
    if (placed.target >= targetLimit) {
      throw new UsageError(
        `${path} is image ${index + 1}, and targets end at ${targetLimit - 1}: give it a target and lun`,
      );
    }
    const place = `target ${placed.target} lun ${placed.lun}`;
    const other = taken.get(place);
    if (other !== undefined) {
      throw new UsageError(`${other} and ${path} are both at ${place}: give one another place (,target=N,lun=N)`);
    }
    taken.set(place, path);
    return { ...placed, blockSize, readOnly, ...(cd === true ? { cd } : {}) };
  });
}

function placeOnBlk({ path, target, lun, blockSize = 512, readOnly, cd }: ImageArgument): PlacedImage {
  if (target !== undefined || lun !== undefined) {
    throw new UsageError(
      `${path}: each virtio-blk disk has an adapter of its own: leave out target and lun, or say --device scsi`,
    );
  }
  if (cd === true) throw new UsageError(`${path}: virtio-blk has no CD-ROM drives: leave out cd, or say --device scsi`);
  return { path, target: 0, lun: 0, blockSize, readOnly };
}
