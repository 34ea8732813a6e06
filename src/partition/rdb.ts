/**
 * The Amiga's rigid disk block: one block among the first 16 that begins lists of partitions and file systems. Numbers
 * are big-endian; every block of it sums up to 0.
 */
import { type BlockReader, readInside, textAt } from "./block-reader.js";
import { bootBlockType, dosTypeName } from "./dos-type.js";
import { geometryNotes, type Partition, type PartitionTable, type RdbFileSystem } from "./partition-table.js";

/** Where a rigid disk block may be: one of the first 16 blocks. */
const searchedBlocks = 16;
/** More blocks than this in one list are taken for damage. */
const longestList = 128;
const endOfList = 0xffffffff;

/** Byte offsets in a rigid disk block. */
const rdsk = {
  blockBytes: 16,
  partitionList: 28,
  fileSystemList: 32,
  cylinderBlocks: 144,
  vendor: 160,
  product: 168,
  revision: 184,
} as const;

/** Byte offsets in a partition block. */
const part = { flags: 20, deviceFlags: 32, driveName: 36, environment: 128 } as const;
const partFlags = { bootable: 1, noMount: 2 } as const;

/** Longwords that an environment has at most: DosEnvec up to de_BootBlocks. */
const longestEnvironment = 20;
/** Longwords in the environment. */
const env = {
  tableSize: 0,
  sizeBlock: 1,
  surfaces: 3,
  blocksPerTrack: 5,
  lowCylinder: 9,
  highCylinder: 10,
  bootPriority: 15,
  dosType: 16,
} as const;

/** Byte offsets in a file system header block. */
const fshd = {
  ...{ dosType: 32, version: 36, patchFlags: 40, stackSize: 60, priority: 64, globalVector: 76 },
} as const;

const next = 16;
const idOf = (view: DataView): string => textAt(view, 0, 4);

/** Reads the table, or answers undefined when the disk has none. Bad data becomes notes; I/O errors reject. */
export async function readRdb(reader: BlockReader): Promise<PartitionTable | undefined> {
  const notes: string[] = [];
  for (let lba = 0; lba < Math.min(searchedBlocks, reader.blocks); lba++) {
    const block = await readInside(reader, lba, 1);
    if (block === undefined || block.byteLength < 256 || idOf(block) !== "RDSK") continue;
    const damage = checksumDamage(block);
    if (damage === undefined) return readLists(reader, block, notes);
    notes.push(`the rigid disk block in block ${lba} is not used: ${damage}`);
  }
  return notes.length === 0 ? undefined : { scheme: "none", partitions: [], notes };
}

/** What is wrong with a block's sum, or undefined when it is right. */
function checksumDamage(block: DataView): string | undefined {
  const longs = block.getUint32(4);
  if (longs < 1 || longs > block.byteLength / 4) return `its SummedLongs is ${longs}`;
  let sum = 0;
  for (let index = 0; index < longs; index++) sum = (sum + block.getUint32(index * 4)) >>> 0;
  return sum === 0 ? undefined : "its checksum is wrong";
}

async function readLists(reader: BlockReader, disk: DataView, notes: string[]): Promise<PartitionTable> {
  const blockBytes = disk.getUint32(rdsk.blockBytes);
  const unit = blockBytes / reader.blockSize;
  if (blockBytes !== reader.blockSize) {
    notes.push(`the RDB was made for blocks of ${blockBytes} bytes, the disk has blocks of ${reader.blockSize}`);
  }
  const drive = [textAt(disk, rdsk.vendor, 8), textAt(disk, rdsk.product, 16), textAt(disk, rdsk.revision, 4)]
    .map((text) => text.trim())
    .filter(Boolean)
    .join(" ");
  const table = { scheme: "rdb", notes, ...(drive === "" ? {} : { drive }) } as const;
  // A table for smaller blocks has pointers that lie within the disk's blocks.
  if (!(Number.isInteger(unit) && unit >= 1 && unit <= 128)) return { ...table, partitions: [] };

  const partitions: Partition[] = [];
  for (const block of await readList(reader, disk.getUint32(rdsk.partitionList), "PART", unit, notes)) {
    const partition = readPartition(block, disk, partitions.length + 1, unit, notes);
    if (partition !== undefined) partitions.push(await probeContent(reader, partition));
  }
  const fileSystems: RdbFileSystem[] = [];
  for (const block of await readList(reader, disk.getUint32(rdsk.fileSystemList), "FSHD", unit, notes)) {
    const version = block.getUint32(fshd.version);
    const dosType = block.getUint32(fshd.dosType);
    fileSystems.push({
      type: dosTypeName(dosType),
      version: version >>> 16,
      revision: version & 0xffff,
      dosType,
      patchFlags: block.getUint32(fshd.patchFlags),
      stackSize: block.getUint32(fshd.stackSize),
      priority: block.getInt32(fshd.priority),
      globalVector: block.getInt32(fshd.globalVector),
    });
  }
  notes.push(...geometryNotes(partitions, reader.blocks));
  return { ...table, partitions, ...(fileSystems.length === 0 ? {} : { fileSystems }) };
}

/** The blocks of a list, in its order; ends at the first damage, since the way on is not to be trusted there. */
async function readList(
  reader: BlockReader,
  first: number,
  id: "PART" | "FSHD",
  unit: number,
  notes: string[],
): Promise<DataView[]> {
  const blocks: DataView[] = [];
  const seen = new Set<number>();
  for (let lba = first; lba !== endOfList; ) {
    if (seen.has(lba)) {
      notes.push(`the ${id} list comes back to block ${lba}`);
      break;
    }
    if (blocks.length === longestList) {
      notes.push(`the ${id} list has more than ${longestList} blocks; the rest is left out`);
      break;
    }
    seen.add(lba);
    const block = await readInside(reader, lba * unit, unit);
    const damage =
      block === undefined
        ? "lies past the disk's end"
        : idOf(block) !== id
          ? `is no ${id} block`
          : checksumDamage(block)?.replace(/^its/, "is damaged: its");
    if (block === undefined || damage !== undefined) {
      notes.push(`the ${id} list ends early: block ${lba} ${damage}`);
      break;
    }
    blocks.push(block);
    lba = block.getUint32(next);
  }
  return blocks;
}

function readPartition(
  block: DataView,
  disk: DataView,
  index: number,
  unit: number,
  notes: string[],
): Partition | undefined {
  const nameLength = Math.min(block.getUint8(part.driveName), 31);
  const name = textAt(block, part.driveName + 1, nameLength) || `partition ${index}`;
  const long = (number: number) => block.getUint32(part.environment + number * 4);
  const tableSize = long(env.tableSize);
  if (tableSize < env.highCylinder) {
    notes.push(`${name} is left out: its environment has ${tableSize} entries, which is too few`);
    return undefined;
  }
  const surfaces = long(env.surfaces);
  const blocksPerTrack = long(env.blocksPerTrack);
  const low = long(env.lowCylinder);
  const high = long(env.highCylinder);
  // The partition's own geometry counts, as file systems take it. Its blocks are of SizeBlock longwords.
  const sizeBlock = long(env.sizeBlock) * 4;
  const blockBytes = disk.getUint32(rdsk.blockBytes);
  if (sizeBlock !== blockBytes) {
    notes.push(`${name} counts in blocks of ${sizeBlock} bytes; taken for the RDB's ${blockBytes}`);
  }
  const cylinder = surfaces * blocksPerTrack;
  const driveCylinder = disk.getUint32(rdsk.cylinderBlocks);
  if (cylinder !== driveCylinder) {
    notes.push(`${name} has ${cylinder} blocks in a cylinder where the drive has CylBlocks ${driveCylinder}`);
  }
  const firstBlock = low * cylinder * unit;
  const blocks = (high - low + 1) * cylinder * unit;
  if (blocks <= 0 || !Number.isSafeInteger(firstBlock + blocks)) {
    notes.push(
      `${name} is left out: cylinders ${low} to ${high} of ${surfaces} surfaces with ${blocksPerTrack} blocks make no range`,
    );
    return undefined;
  }
  const dosType = tableSize >= env.dosType ? long(env.dosType) : 0;
  const flags = block.getUint32(part.flags);
  const noMount = (flags & partFlags.noMount) !== 0;
  if (noMount) notes.push(`${name} is not to be mounted automatically`);
  return {
    index,
    name,
    type: dosType === 0 ? "unknown" : dosTypeName(dosType),
    typeCode: `0x${dosType.toString(16).padStart(8, "0")}`,
    firstBlock,
    blocks,
    bootable: (flags & partFlags.bootable) !== 0,
    bootPriority: tableSize >= env.bootPriority ? (long(env.bootPriority) << 24) >> 24 : 0,
    mount: {
      environment: Array.from({ length: Math.min(tableSize + 1, longestEnvironment) }, (_, index) => long(index)),
      deviceFlags: block.getUint32(part.deviceFlags),
      noMount,
    },
  };
}

/** Where the table does not name a file system (parted leaves the DosType 0), the boot block may. */
async function probeContent(reader: BlockReader, partition: Partition): Promise<Partition> {
  if (partition.type !== "unknown") return partition;
  const boot = await readInside(reader, partition.firstBlock, 1);
  const content = boot && bootBlockType(boot.getUint32(0));
  return content === undefined ? partition : { ...partition, content };
}
