/**
 * The environment vector of a device node (DosEnvec, dos/filehandler.h): what a file system learns of its disk. It starts
 * with the number of longwords that follow; what lies behind those has the values of the oldest systems.
 */

/** A DosEnvec with names. Numbers are unsigned longwords unless said otherwise. */
export interface DosEnvironment {
  /** Longwords behind the first one that the vector had. */
  readonly tableSize: number;
  /** Longwords of a block: 128 for 512 bytes. */
  readonly sizeBlock: number;
  readonly surfaces: number;
  readonly sectorsPerBlock: number;
  readonly blocksPerTrack: number;
  /** Blocks at the start that the file system leaves alone. */
  readonly reserved: number;
  /** Blocks at the end that it leaves alone. */
  readonly preAlloc: number;
  readonly interleave: number;
  readonly lowCylinder: number;
  readonly highCylinder: number;
  readonly buffers: number;
  readonly bufMemType: number;
  /** Bytes of one transfer at most. */
  readonly maxTransfer: number;
  /** Bits that addresses of buffers may have. */
  readonly mask: number;
  /** −128…127. */
  readonly bootPriority: number;
  readonly dosType: number;
  readonly bootBlocks: number;
}

/** Longword of each field, and what holds where a vector ends before it. */
const fields = {
  sizeBlock: [1, 128],
  surfaces: [3, 1],
  sectorsPerBlock: [4, 1],
  blocksPerTrack: [5, 32],
  reserved: [6, 2],
  preAlloc: [7, 0],
  interleave: [8, 0],
  lowCylinder: [9, 0],
  highCylinder: [10, 0],
  buffers: [11, 5],
  bufMemType: [12, 0],
  maxTransfer: [13, 0x7fffffff],
  mask: [14, 0xffffffff],
  bootPriority: [15, 0],
  dosType: [16, 0x444f5300],
  bootBlocks: [19, 0],
} as const satisfies Record<string, readonly [long: number, missing: number]>;

/** Reads a vector as a partition block has it. */
export function readEnvironment(longs: readonly number[]): DosEnvironment {
  const tableSize = longs[0] ?? 0;
  const at = ([long, missing]: readonly [number, number]) => (long <= tableSize ? (longs[long] ?? missing) : missing);
  return {
    tableSize,
    sizeBlock: at(fields.sizeBlock),
    surfaces: at(fields.surfaces),
    sectorsPerBlock: at(fields.sectorsPerBlock),
    blocksPerTrack: at(fields.blocksPerTrack),
    reserved: at(fields.reserved),
    preAlloc: at(fields.preAlloc),
    interleave: at(fields.interleave),
    lowCylinder: at(fields.lowCylinder),
    highCylinder: at(fields.highCylinder),
    buffers: at(fields.buffers),
    bufMemType: at(fields.bufMemType),
    maxTransfer: at(fields.maxTransfer),
    mask: at(fields.mask),
    bootPriority: (at(fields.bootPriority) << 24) >> 24,
    dosType: at(fields.dosType),
    bootBlocks: at(fields.bootBlocks),
  };
}

/** The vector of a volume that takes a whole disk without a table: 16 longwords, as hardfiles of Amiga emulators have it. */
export function wholeDiskEnvironment(disk: {
  /** Bytes. */
  readonly blockSize: number;
  readonly surfaces: number;
  readonly blocksPerTrack: number;
  readonly cylinders: number;
  readonly dosType: number;
}): number[] {
  const { blockSize, surfaces, blocksPerTrack, cylinders, dosType } = disk;
  const geometry = [16, blockSize / 4, 0, surfaces, 1, blocksPerTrack, 2, 0, 0, 0, cylinders - 1];
  return [...geometry, 30, 0, 0x7fffffff, 0xfffffffe, 0, dosType];
}
