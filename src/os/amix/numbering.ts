/**
 * How Amix numbers disks: a minor is the unit (SCSI id) in bits 2:0, the card in bit 3, the slice in bits 6:4; a name is
 * `c(card × 8 + unit)d0s(slice)` in /dev/dsk (block) and /dev/rdsk (character).
 */

/** How many there can be of each. */
export const amixLimits = { cards: 2, units: 8, slices: 8 } as const;

/** Major numbers of the stack's devices. */
export const amixMajor = {
  /** Block disk, and rdsk. */
  disk: 18,
  rawDisk: 40,
  /** The pass-through. */
  scsi: 11,
  tape: 16,
  floppy: 16,
} as const;

/** A slice of a disk. */
export interface AmixSlice {
  /** 0 or 1: the place among the cards that were found, by base address. */
  readonly card: number;
  /** SCSI id, 0…7. */
  readonly unit: number;
  /** 0 is the whole disk, 1…7 the partitions by their place in the label's list. */
  readonly slice: number;
}

/** @throws RangeError when there is no such card, unit or slice. */
export function minorOf({ card, unit, slice }: AmixSlice): number {
  const { cards, units, slices } = amixLimits;
  const isInside = (value: number, limit: number) => Number.isInteger(value) && value >= 0 && value < limit;
  if (!isInside(card, cards) || !isInside(unit, units) || !isInside(slice, slices)) {
    throw new RangeError(`there is no card ${card}, unit ${unit}, slice ${slice}: cards end at 1, the others at 7`);
  }
  return unit | (card << 3) | (slice << 4);
}

/** What a minor number means; bit 7 says nothing. */
export function sliceOfMinor(minor: number): AmixSlice {
  return { card: (minor >> 3) & 1, unit: minor & 7, slice: (minor >> 4) & 7 };
}

/** `c8d0s0`. */
export function sliceName({ card, unit, slice }: AmixSlice): string {
  return `c${card * amixLimits.units + unit}d0s${slice}`;
}

/** What a name means, with or without its directory (`/dev/dsk/`, `/dev/rdsk/`); undefined when it is none. */
export function sliceOfName(name: string): AmixSlice | undefined {
  const found = name.match(/^(?:\/dev\/r?dsk\/)?c(0|[1-9]|1[0-5])d0s([0-7])$/);
  if (found === null) return undefined;
  const controller = Number(found[1]);
  return { card: controller >> 3, unit: controller & 7, slice: Number(found[2]) };
}

/** `major << 18 | minor`. */
export function deviceNumber(major: number, minor: number): number {
  return ((major << 18) | minor) >>> 0;
}

/** The parts of a device number. */
export function deviceParts(device: number): { readonly major: number; readonly minor: number } {
  return { major: device >>> 18, minor: device & 0x3_ffff };
}

/** The block device's number of a slice: 0x480016 for c6d0s1. */
export function blockDevice(slice: AmixSlice): number {
  return deviceNumber(amixMajor.disk, minorOf(slice));
}

/** The character device's number of a slice: 0xA00016 for c6d0s1. */
export function rawDevice(slice: AmixSlice): number {
  return deviceNumber(amixMajor.rawDisk, minorOf(slice));
}
