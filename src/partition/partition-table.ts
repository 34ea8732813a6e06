/** What every partition reader answers. */
export interface Partition {
  /** Number as the scheme counts: from 1; logical partitions of an MBR from 5. */
  readonly index: number;
  /** The name in the table, or one made of the number (`partition 1`) where the scheme has no names. */
  readonly name: string;
  /** For people and programs: `DOS\3`, `Linux`, `EFI system`, `unknown`. */
  readonly type: string;
  /** The type as the table has it: `0x444f5303`, `0x83`, a GUID in upper case. */
  readonly typeCode: string;
  /** In blocks of the reader. */
  readonly firstBlock: number;
  readonly blocks: number;
  readonly bootable: boolean;
  /** Amiga only: −128…127. */
  readonly bootPriority?: number;
  /** Amiga only: what a DOS node is made from. */
  readonly mount?: RdbMount;
  /** What the partition's boot block says it holds, where the table does not say it: `DOS\3`. */
  readonly content?: string;
}

/** What a partition block of an RDB says about mounting. */
export interface RdbMount {
  /** The environment as it stands there, longwords: TableSize, then as many as it says, at most 20 in all. */
  readonly environment: readonly number[];
  /** Flags for OpenDevice. */
  readonly deviceFlags: number;
  /** Not to be mounted automatically. */
  readonly noMount: boolean;
}

/** Which kind of partition table a disk has. */
export type PartitionScheme = "rdb" | "gpt" | "mbr" | "none";

export interface PartitionTable {
  readonly scheme: PartitionScheme;
  readonly partitions: readonly Partition[];
  /** What is broken or odd, a sentence each. */
  readonly notes: readonly string[];
  /** Amiga only: the drive's vendor, product and revision as the RDB names them. */
  readonly drive?: string;
  /** Amiga only: the file systems that the disk brings along. */
  readonly fileSystems?: readonly RdbFileSystem[];
}

/** A file system handler in an RDB. */
export interface RdbFileSystem {
  /** The DosType that it is for, by name. */
  readonly type: string;
  readonly version: number;
  readonly revision: number;
  /** The same DosType as a number. */
  readonly dosType: number;
  /** Which fields of a device node the file system sets, {@link RdbPatch}. */
  readonly patchFlags: number;
  /** Bytes, for its process. */
  readonly stackSize: number;
  readonly priority: number;
  /** −1: none, as for all that is not BCPL. */
  readonly globalVector: number;
}

/** Bits of {@link RdbFileSystem.patchFlags}. */
export const RdbPatch = { StackSize: 0x10, Priority: 0x20, Startup: 0x40, SegList: 0x80, GlobalVector: 0x100 } as const;

/** A note for each partition that leaves the disk and for each two that overlap. */
export function geometryNotes(partitions: readonly Partition[], blocks: number): string[] {
  const notes: string[] = [];
  const sorted = [...partitions].sort((a, b) => a.firstBlock - b.firstBlock);
  let furthest: Partition | undefined;
  for (const partition of sorted) {
    const end = partition.firstBlock + partition.blocks;
    if (end > blocks) notes.push(`${partition.name} ends at block ${end}, past the disk's ${blocks} blocks`);
    if (furthest !== undefined && partition.firstBlock < furthest.firstBlock + furthest.blocks) {
      notes.push(`${furthest.name} and ${partition.name} overlap`);
    }
    if (furthest === undefined || end > furthest.firstBlock + furthest.blocks) furthest = partition;
  }
  return notes;
}
