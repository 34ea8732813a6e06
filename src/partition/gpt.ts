/**
 * The GUID partition table (UEFI 2.10 §5.3): a header in block 1 and a copy in the last block, each with a CRC of its
 * own and of its array of entries. Numbers are little-endian, in blocks of the disk.
 */
import { type BlockReader, readInside } from "./block-reader.js";
import { crc32 } from "./crc32.js";
import { gptTypes } from "./gpt-types.js";
import { geometryNotes, type Partition, type PartitionTable } from "./partition-table.js";

const signature = "EFI PART";
/** Larger arrays than this are taken for damage; the usual one has 16 KiB. */
const largestArray = 1024 * 1024;
const emptyType = "00000000-0000-0000-0000-000000000000";

/** Byte offsets in the header. */
const header = {
  revision: 8,
  size: 12,
  crc: 16,
  self: 24,
  other: 32,
  firstUsable: 40,
  lastUsable: 48,
  diskGuid: 56,
  entries: 72,
  entryCount: 80,
  entrySize: 84,
  entriesCrc: 88,
} as const;
const smallestHeader = 92;

/** Byte offsets in an entry. */
const entry = { type: 0, first: 32, last: 40, attributes: 48, name: 56 } as const;
const nameUnits = 36;
const legacyBootable = 4;

/** One copy of the table that is whole. */
interface Copy {
  readonly self: number;
  readonly other: number;
  readonly firstUsable: number;
  readonly lastUsable: number;
  readonly diskGuid: string;
  readonly entrySize: number;
  readonly entriesCrc: number;
  readonly entries: DataView;
}

/** Why a copy is not used; `isThere` says whether there is a header at all. */
interface Damage {
  readonly isThere: boolean;
  readonly reason: string;
}

const isDamage = (copy: Copy | Damage): copy is Damage => "reason" in copy;

/** Reads the table, or answers undefined when neither copy has so much as a signature. Bad data becomes notes. */
export async function readGpt(reader: BlockReader): Promise<PartitionTable | undefined> {
  const notes: string[] = [];
  const primary = await readCopy(reader, 1);
  const named = isDamage(primary) ? -1 : primary.other;
  const last = reader.blocks - 1;
  let backup = await readCopy(reader, named > 1 ? named : last);
  if (isDamage(backup) && named !== last && named > 1) {
    notes.push(`the primary header says that the backup is in block ${named}, where it is not`);
    backup = await readCopy(reader, last);
  }
  if (isDamage(primary) && isDamage(backup) && !primary.isThere && !backup.isThere) return undefined;
  if (isDamage(primary)) notes.push(`the primary GPT is not used: ${primary.reason}`);
  if (isDamage(backup)) notes.push(`the backup GPT is not usable: ${backup.reason}`);
  else if (backup.self !== last) notes.push(`the backup GPT is in block ${backup.self}, not at the disk's end`);
  if (!isDamage(primary) && !isDamage(backup)) notes.push(...differences(primary, backup));
  const copy = isDamage(primary) ? backup : primary;
  if (isDamage(copy)) return { scheme: "gpt", partitions: [], notes };
  if (copy === backup) notes.push("the partitions are those of the backup GPT");
  const partitions = readEntries(copy, notes);
  notes.push(...geometryNotes(partitions, reader.blocks));
  return { scheme: "gpt", partitions, notes };
}

async function readCopy(reader: BlockReader, lba: number): Promise<Copy | Damage> {
  const block = await readInside(reader, lba, 1);
  if (block === undefined) return { isThere: false, reason: `block ${lba} lies past the disk's end` };
  if (!Array.from(signature).every((letter, index) => block.getUint8(index) === letter.charCodeAt(0))) {
    return { isThere: false, reason: `block ${lba} has no "${signature}"` };
  }
  const damaged = (reason: string): Damage => ({ isThere: true, reason });
  const size = block.getUint32(header.size, true);
  if (size < smallestHeader || size > block.byteLength) return damaged(`its header has a size of ${size}`);
  const copy = new Uint8Array(block.buffer, block.byteOffset, size).slice();
  copy.fill(0, header.crc, header.crc + 4);
  if (crc32(copy) !== block.getUint32(header.crc, true)) return damaged("the CRC of its header is wrong");
  const revision = block.getUint32(header.revision, true);
  if (revision >>> 16 !== 1) return damaged(`its revision is 0x${revision.toString(16)}`);
  const self = numberAt(block, header.self);
  if (self !== lba) return damaged(`its header says that it is in block ${self}, but is in ${lba}`);

  const entrySize = block.getUint32(header.entrySize, true);
  const entryCount = block.getUint32(header.entryCount, true);
  const bytes = entrySize * entryCount;
  if (entrySize < 128 || entrySize % 128 !== 0) return damaged(`its entries have a size of ${entrySize}`);
  if (bytes > largestArray) return damaged(`it has ${entryCount} entries of ${entrySize} bytes`);
  const at = numberAt(block, header.entries);
  const entriesCrc = block.getUint32(header.entriesCrc, true);
  let entries: DataView = new DataView(new ArrayBuffer(0));
  if (bytes > 0) {
    const array = await readInside(reader, at, Math.ceil(bytes / reader.blockSize));
    if (array === undefined) return damaged(`its entries at block ${at} lie past the disk's end`);
    entries = new DataView(array.buffer, array.byteOffset, bytes);
  }
  if (crc32(new Uint8Array(entries.buffer, entries.byteOffset, bytes)) !== entriesCrc) {
    return damaged("the CRC of its entries is wrong");
  }
  return {
    self,
    other: numberAt(block, header.other),
    firstUsable: numberAt(block, header.firstUsable),
    lastUsable: numberAt(block, header.lastUsable),
    diskGuid: guidAt(block, header.diskGuid),
    entrySize,
    entriesCrc,
    entries,
  };
}

/** What two whole copies disagree on. */
function differences(primary: Copy, backup: Copy): string[] {
  const names: string[] = [];
  if (primary.diskGuid !== backup.diskGuid) names.push("the disk's GUID");
  if (primary.firstUsable !== backup.firstUsable || primary.lastUsable !== backup.lastUsable) {
    names.push("the usable blocks");
  }
  if (primary.entriesCrc !== backup.entriesCrc) names.push("the entries");
  const notes = names.length === 0 ? [] : [`the two GPTs differ in ${names.join(", ")}; the primary one is used`];
  if (backup.other !== primary.self) notes.push(`the backup GPT looks for the primary one in block ${backup.other}`);
  return notes;
}

function readEntries(copy: Copy, notes: string[]): Partition[] {
  const { entries, entrySize } = copy;
  const partitions: Partition[] = [];
  for (let at = 0; at + entrySize <= entries.byteLength; at += entrySize) {
    const typeCode = guidAt(entries, at + entry.type);
    if (typeCode === emptyType) continue;
    const index = at / entrySize + 1;
    const firstBlock = numberAt(entries, at + entry.first);
    const last = numberAt(entries, at + entry.last);
    const name = nameAt(entries, at + entry.name) || `partition ${index}`;
    if (last < firstBlock || !Number.isSafeInteger(last)) {
      notes.push(`${name} is left out: its blocks ${firstBlock} to ${last} make no range`);
      continue;
    }
    if (firstBlock < copy.firstUsable || last > copy.lastUsable) {
      notes.push(`${name} leaves the usable blocks ${copy.firstUsable} to ${copy.lastUsable}`);
    }
    partitions.push({
      index,
      name,
      type: gptTypes[typeCode] ?? "unknown",
      typeCode,
      firstBlock,
      blocks: last - firstBlock + 1,
      bootable: (entries.getUint8(at + entry.attributes) & legacyBootable) !== 0,
    });
  }
  return partitions;
}

/** A 64-bit number; one past the safe integers is no block of any disk, and stays too large. */
function numberAt(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}

/** A GUID as it is printed: the first three groups are little-endian. */
function guidAt(view: DataView, at: number): string {
  const digits = (order: readonly number[]) =>
    order
      .map((index) =>
        view
          .getUint8(at + index)
          .toString(16)
          .padStart(2, "0"),
      )
      .join("");
  const groups = [
    [3, 2, 1, 0],
    [5, 4],
    [7, 6],
    [8, 9],
    [10, 11, 12, 13, 14, 15],
  ];
  return groups.map(digits).join("-").toUpperCase();
}

/** A name in UTF-16, up to its first zero; control characters and halves of pairs are shown as such. */
function nameAt(view: DataView, at: number): string {
  let name = "";
  for (let unit = 0; unit < nameUnits; unit++) {
    const code = view.getUint16(at + unit * 2, true);
    if (code === 0) break;
    name += code < 0x20 || (code >= 0x7f && code < 0xa0) ? "?" : String.fromCharCode(code);
  }
  return name.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
}
