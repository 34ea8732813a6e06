/**
 * The PC's master boot record: four entries in block 0, and a chain of blocks with one entry each for what does not
 * fit. Numbers are little-endian, in blocks of the disk.
 */
import { type BlockReader, readInside, textAt } from "./block-reader.js";
import { mbrTypes } from "./mbr-types.js";
import { geometryNotes, type Partition, type PartitionTable } from "./partition-table.js";

const firstEntry = 446;
const entrySize = 16;
/** More logical partitions than this are taken for damage. */
const longestChain = 128;
const extendedTypes = new Set([0x05, 0x0f, 0x85]);
/** The type of the entry that keeps old tools away from a GPT. */
export const protectiveType = 0xee;

/** One entry as it lies in the block. */
interface Entry {
  readonly status: number;
  readonly type: number;
  readonly start: number;
  readonly size: number;
}

function entryAt(block: DataView, index: number): Entry {
  const at = firstEntry + index * entrySize;
  return {
    status: block.getUint8(at),
    type: block.getUint8(at + 4),
    start: block.getUint32(at + 8, true),
    size: block.getUint32(at + 12, true),
  };
}

const hasSignature = (block: DataView): boolean => block.byteLength >= 512 && block.getUint16(510, true) === 0xaa55;
const isUsed = (entry: Entry): boolean => entry.type !== 0 && entry.size !== 0;

/** What block 0 is. */
export type BootBlockKind =
  | { readonly kind: "mbr"; readonly entries: readonly Entry[]; readonly isProtective: boolean }
  /** A file system without a partition table, by name. */
  | { readonly kind: "file-system"; readonly name: string }
  /** It ends as an MBR does, but its entries make no sense. */
  | { readonly kind: "damaged" }
  | { readonly kind: "other" };

/** Judges block 0. The signature alone says nothing: boot sectors of file systems have it too. */
export function judgeBootBlock(block: DataView, blocks: number): BootBlockKind {
  if (!hasSignature(block)) return { kind: "other" };
  const entries = [0, 1, 2, 3].map((index) => entryAt(block, index));
  const hasGoodFlags = entries.every(({ status }) => status === 0 || status === 0x80);
  const used = entries.filter(isUsed);
  const isGood = (entry: Entry) => entry.start >= 1 && entry.start < blocks;
  const fileSystem = fileSystemName(block);
  // Boot code where the entries would be makes at best one entry by chance; a file system's block needs all to be good.
  const isTable =
    hasGoodFlags && (fileSystem === undefined ? used.some(isGood) : used.every(isGood)) && used.length > 0;
  if (isTable) return { kind: "mbr", entries, isProtective: used.some(({ type }) => type === protectiveType) };
  if (fileSystem !== undefined) return { kind: "file-system", name: fileSystem };
  const isEmpty = entries.every(({ status, type, start, size }) => status + type + start + size === 0);
  return isEmpty ? { kind: "mbr", entries, isProtective: false } : { kind: "damaged" };
}

/** The file system whose boot sector this is, by the parameter block at its start. */
function fileSystemName(block: DataView): string | undefined {
  const oem = textAt(block, 3, 8);
  if (oem === "NTFS    ") return "NTFS";
  if (oem === "EXFAT   ") return "exFAT";
  const jump = block.getUint8(0);
  const hasJump = (jump === 0xeb && block.getUint8(2) === 0x90) || jump === 0xe9;
  const bytesPerSector = block.getUint16(11, true);
  const sectorsPerCluster = block.getUint8(13);
  const fats = block.getUint8(16);
  const media = block.getUint8(21);
  const isFat =
    hasJump &&
    [512, 1024, 2048, 4096].includes(bytesPerSector) &&
    sectorsPerCluster !== 0 &&
    (sectorsPerCluster & (sectorsPerCluster - 1)) === 0 &&
    block.getUint16(14, true) !== 0 &&
    (fats === 1 || fats === 2) &&
    (media === 0xf0 || media >= 0xf8);
  return isFat ? "FAT" : undefined;
}

/** Reads the partitions of a block 0 that is an MBR, and of its extended ones. Bad data becomes notes. */
export async function readMbr(reader: BlockReader, entries: readonly Entry[]): Promise<PartitionTable> {
  const notes: string[] = [];
  const primary: Partition[] = [];
  const extended: Entry[] = [];
  for (const [index, entry] of entries.entries()) {
    if (!isUsed(entry)) continue;
    if (entry.start === 0) {
      notes.push(`entry ${index + 1} begins at block 0, where the table itself is; it is left out`);
      continue;
    }
    primary.push(partitionOf(entry, index + 1, entry.start));
    if (extendedTypes.has(entry.type)) extended.push(entry);
  }
  if (extended.length > 1) notes.push("there is more than one extended partition; the first is followed");
  const logical = extended.length > 0 ? await readChain(reader, extended[0], notes) : [];
  const apart = primary.filter(({ typeCode }) => !extendedTypes.has(Number(typeCode)));
  notes.push(...geometryNotes([...apart, ...logical], reader.blocks));
  for (const box of primary) if (!apart.includes(box)) notes.push(...geometryNotes([box], reader.blocks));
  return { scheme: "mbr", partitions: [...primary, ...logical], notes };
}

async function readChain(reader: BlockReader, box: Entry, notes: string[]): Promise<Partition[]> {
  const partitions: Partition[] = [];
  const seen = new Set<number>();
  let at = box.start;
  while (seen.size < longestChain) {
    if (seen.has(at)) {
      notes.push(`the chain of logical partitions comes back to block ${at}`);
      return partitions;
    }
    seen.add(at);
    const block = await readInside(reader, at, 1);
    if (block === undefined || !hasSignature(block)) {
      const what = block === undefined ? "lies past the disk's end" : "has no signature";
      notes.push(`the chain of logical partitions ends early: block ${at} ${what}`);
      return partitions;
    }
    const data = entryAt(block, 0);
    const link = entryAt(block, 1);
    if (isUsed(data) && !extendedTypes.has(data.type)) {
      const start = at + data.start;
      partitions.push(partitionOf(data, 5 + partitions.length, start));
      if (data.start === 0 || start + data.size > box.start + box.size) {
        notes.push(`logical partition ${4 + partitions.length} leaves its extended partition`);
      }
    }
    if (!isUsed(link)) return partitions;
    if (!extendedTypes.has(link.type)) {
      notes.push(`the chain of logical partitions ends early: block ${at} links to type ${hexByte(link.type)}`);
      return partitions;
    }
    at = box.start + link.start;
  }
  notes.push(`the chain of logical partitions has more than ${longestChain} links; the rest is left out`);
  return partitions;
}

function partitionOf(entry: Entry, index: number, firstBlock: number): Partition {
  return {
    index,
    name: `partition ${index}`,
    type: mbrTypes[entry.type] ?? "unknown",
    typeCode: hexByte(entry.type),
    firstBlock,
    blocks: entry.size,
    bootable: entry.status === 0x80,
  };
}

function hexByte(value: number): string {
  return `0x${value.toString(16).padStart(2, "0")}`;
}
