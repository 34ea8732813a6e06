/** Device nodes: what `mounter.library` hands to dos.library for each partition of a unit. */
import { bootBlockType, dosTypeName, type Partition, type PartitionTable, RdbPatch } from "../../../partition/index.js";
import { type DosEnvironment, readEnvironment, wholeDiskEnvironment } from "./dos-environment.js";

/** A device node with its start-up message. */
export interface DosNode {
  /** Without the colon: `DH0`. */
  readonly name: string;
  /** Exec device and unit that it is on. */
  readonly device: string;
  readonly unit: number;
  /** Flags for OpenDevice. */
  readonly flags: number;
  readonly dosType: number;
  /** `DOS\3`. */
  readonly type: string;
  /** −128…127; −129 for a volume that is not to be booted from. */
  readonly bootPriority: number;
  readonly environment: DosEnvironment;
  /** The same as it stands in memory: longwords, the first is the number of those that follow. */
  readonly vector: readonly number[];
  /** Blocks of the unit. */
  readonly firstBlock: number;
  readonly blocks: number;
  /** Bytes, and priority, of the file system's process. */
  readonly stackSize: number;
  readonly priority: number;
  readonly globalVector: number;
  /** Which file system the disk brings along for it, as `version.revision`. */
  readonly fileSystem: string | undefined;
  /** Undefined: on an RDB. Otherwise the volume takes a disk without a table. */
  readonly bare: boolean;
}

/** Priority of a node that is added but never booted from. */
export const neverBoot = -129;
const usualStack = 16384;
const usualPriority = 10;
const bcplNone = -1;

/** Where nodes come from. */
export interface NodeSource {
  readonly device: string;
  readonly unit: number;
  /** Bytes. */
  readonly blockSize: number;
  readonly blocks: number;
}

/** The nodes that a table asks for, in its order, by the names that it has. What shall not be mounted is left out. */
export function nodesOfTable(source: NodeSource, table: PartitionTable): DosNode[] {
  const nodes: DosNode[] = [];
  for (const partition of table.partitions) {
    const node = nodeOf(source, partition, table);
    if (node !== undefined) nodes.push(node);
  }
  return nodes;
}

function nodeOf(
  { device, unit, blocks }: NodeSource,
  partition: Partition,
  table: PartitionTable,
): DosNode | undefined {
  const { mount, firstBlock } = partition;
  if (mount === undefined || mount.noMount || firstBlock + partition.blocks > blocks) return undefined;
  const environment = readEnvironment(mount.environment);
  const handler = table.fileSystems?.find(({ dosType }) => dosType === environment.dosType);
  const patched = (bit: number) => handler !== undefined && (handler.patchFlags & bit) !== 0;
  return {
    ...{ name: partition.name, device, unit, flags: mount.deviceFlags },
    dosType: environment.dosType,
    type: dosTypeName(environment.dosType),
    bootPriority: partition.bootable ? environment.bootPriority : neverBoot,
    ...{ environment, vector: mount.environment, firstBlock, blocks: partition.blocks },
    stackSize: patched(RdbPatch.StackSize) ? (handler?.stackSize ?? usualStack) : usualStack,
    priority: patched(RdbPatch.Priority) ? (handler?.priority ?? usualPriority) : usualPriority,
    globalVector: patched(RdbPatch.GlobalVector) ? (handler?.globalVector ?? bcplNone) : bcplNone,
    fileSystem: handler === undefined ? undefined : `${handler.version}.${handler.revision}`,
    bare: false,
  };
}

/** Blocks of a track of a hardfile. */
const hardfileTrack = 32;

/**
 * The node of a disk that holds one volume and no table, as hardfiles of emulators do; undefined when its first block
 * does not begin with a DosType. Hardfiles have one surface and tracks of 32 blocks, and leave a rest unused.
 */
export function nodeOfBareDisk(source: NodeSource, firstBlock: Uint8Array, name: string): DosNode | undefined {
  if (firstBlock.length < 4) return undefined;
  const dosType = new DataView(firstBlock.buffer, firstBlock.byteOffset, 4).getUint32(0);
  const type = bootBlockType(dosType);
  if (type === undefined) return undefined;
  const { device, unit, blockSize } = source;
  const isFloppy = source.blocks === 1760 || source.blocks === 3520;
  const shape = isFloppy
    ? { surfaces: 2, blocksPerTrack: source.blocks / 160, cylinders: 80 }
    : { surfaces: 1, blocksPerTrack: hardfileTrack, cylinders: Math.floor(source.blocks / hardfileTrack) };
  const { surfaces, blocksPerTrack, cylinders } = shape;
  if (cylinders < 1) return undefined;
  const vector = wholeDiskEnvironment({ blockSize, dosType, ...shape });
  return {
    ...{ name, device, unit, flags: 0, dosType, type, bootPriority: 0 },
    ...{ environment: readEnvironment(vector), vector },
    ...{ firstBlock: 0, blocks: surfaces * blocksPerTrack * cylinders },
    ...{ stackSize: usualStack, priority: usualPriority, globalVector: bcplNone, fileSystem: undefined, bare: true },
  };
}
