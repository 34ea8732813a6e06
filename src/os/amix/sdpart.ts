/**
 * Slices of a disk: slice n is the n-th entry of the rigid disk block's partition list, whatever its type. Cylinders count
 * as the drive's CylBlocks says, not as the partition's own geometry, which is what AmigaOS goes by
 * (`partition/` reads those).
 */

/** Bytes of a disk block here. */
export const amixBlock = 512;
/** The rigid disk block is one of the first 16. */
const searched = 16;
const endOfList = 0xffff_ffff;

/** Byte offsets in both kinds of block, in the rigid disk block, and in a partition's. */
const both = { summedLongs: 4, next: 16 } as const;
const rigidDisk = { id: 0x5244_534b, partitionList: 28, cylinderBlocks: 144 } as const;
const partition = { id: 0x5041_5254, lowCylinder: 164, highCylinder: 168 } as const;

/** Where a slice is on its disk, in blocks. */
export interface SlicePlace {
  readonly start: number;
  readonly blocks: number;
}

/** Why a slice has no place: a block could not be read, or the label does not have it. */
export type SliceFailure = "unreadable" | "no-slice";

/** Reads a block of the disk; undefined when that fails. */
export type ReadBlock = (block: number) => Promise<Uint8Array | undefined>;

/** The place of slice 1…7. */
export async function findSlice(readBlock: ReadBlock, slice: number): Promise<SlicePlace | SliceFailure> {
  const label = await findLabel(readBlock);
  if (typeof label === "string") return label;
  const cylinderBlocks = label.getUint32(rigidDisk.cylinderBlocks);
  let at = label.getUint32(rigidDisk.partitionList);
  // A list that comes back to itself is followed seven times at most.
  for (let index = 1; at !== endOfList; index++) {
    const entry = await readSealed(readBlock, at, partition.id);
    if (typeof entry === "string") return entry;
    if (index === slice) {
      const low = entry.getUint32(partition.lowCylinder);
      const cylinders = entry.getUint32(partition.highCylinder) + 1 - low;
      const place = { start: low * cylinderBlocks, blocks: cylinders * cylinderBlocks };
      const isRange = cylinders > 0 && Number.isSafeInteger(place.start + place.blocks);
      return isRange ? place : "no-slice";
    }
    at = entry.getUint32(both.next);
  }
  return "no-slice";
}

async function findLabel(readBlock: ReadBlock): Promise<DataView | SliceFailure> {
  for (let block = 0; block < searched; block++) {
    const found = await readSealed(readBlock, block, rigidDisk.id);
    if (found !== "no-slice") return found;
  }
  return "no-slice";
}

/** A block with this id whose summed longwords add up to 0. */
async function readSealed(readBlock: ReadBlock, block: number, id: number): Promise<DataView | SliceFailure> {
  const bytes = await readBlock(block);
  if (bytes === undefined) return "unreadable";
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0) !== id) return "no-slice";
  const longs = view.getUint32(both.summedLongs);
  if (longs > amixBlock / 4) return "no-slice";
  let sum = 0;
  for (let index = 0; index < longs; index++) sum = (sum + view.getUint32(4 * index)) >>> 0;
  return sum === 0 ? view : "no-slice";
}
