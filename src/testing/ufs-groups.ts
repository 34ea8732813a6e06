/** Cylinder groups of a UFS volume that is being made: its superblock, where inodes lie, which blocks are free. */
import {
  type UfsDirectoryFormat,
  ufs44InodeFormat,
  ufsInodeSize,
  ufsMagic,
  ufsSuperblock,
  ufsSuperblockAt,
} from "../filesystem/index.js";
import type { SeededRandom } from "./seeded-random.js";

/** The shape of a volume. */
export interface UfsShape {
  /** Bytes. Default 8192. */
  readonly blockSize?: number;
  /** Bytes. Default 1024. */
  readonly fragmentSize?: number;
  /** Cylinder groups. Default 4. */
  readonly groups?: number;
  /** Blocks of a group. Default 256. */
  readonly blocksPerGroup?: number;
  /** Default 512. */
  readonly inodesPerGroup?: number;
  /** Blocks by which a group's own blocks lie further on than those of the group before, and the mask of group numbers. */
  readonly groupOffset?: number;
  /** See `groupOffset`. Default: every group but each 16th is moved. */
  readonly groupMask?: number;
  /** Default `svr4`. */
  readonly format?: UfsDirectoryFormat;
  /** Takes blocks in random order. */
  readonly scatter?: SeededRandom;
}

/** Seconds of 1 January 1993, the time of everything. */
export const ufsMadeAt = Date.UTC(1993, 0, 1) / 1000;

/** The groups of a volume in the making. */
export class UfsGroupMaker {
  readonly image: Uint8Array;
  readonly view: DataView;
  readonly blockSize: number;
  readonly fragmentSize: number;
  readonly #fragments: number;
  readonly #groups: number;
  readonly #inodesPerGroup: number;
  readonly #fragmentsPerGroup: number;
  readonly #inodeBlocks: number;
  readonly #groupOffset: number;
  readonly #groupMask: number;
  readonly #free: number[] = [];

  constructor(shape: UfsShape) {
    const { blockSize = 8192, fragmentSize = 1024, groups = 4, blocksPerGroup = 256, inodesPerGroup = 512 } = shape;
    const { groupOffset = 0, groupMask = 0xffff_fff0, format = "svr4", scatter } = shape;
    this.blockSize = blockSize;
    this.fragmentSize = fragmentSize;
    this.#fragments = blockSize / fragmentSize;
    this.#groups = groups;
    this.#inodesPerGroup = inodesPerGroup;
    this.#fragmentsPerGroup = blocksPerGroup * this.#fragments;
    this.#groupOffset = groupOffset * this.#fragments;
    this.#groupMask = groupMask;
    // Boot block, superblock and group descriptor: 8 KiB or a block each.
    const part = Math.max(1, 8192 / blockSize) * this.#fragments;
    this.#inodeBlocks = 3 * part;
    const dataBlocks = this.#inodeBlocks + (inodesPerGroup / (blockSize / ufsInodeSize)) * this.#fragments;
    this.image = new Uint8Array(groups * blocksPerGroup * blockSize);
    this.view = new DataView(this.image.buffer);
    for (let group = 0; group < groups; group++) {
      const end = (group + 1) * this.#fragmentsPerGroup;
      for (let at = this.#start(group) + dataBlocks; at < end; at += this.#fragments) this.#free.push(at);
    }
    if (scatter === undefined) this.#free.reverse();
    else scatter.shuffle(this.#free);
    this.#writeSuperblock(format, part, dataBlocks);
  }

  /** Inode numbers of the volume. */
  get inodes(): number {
    return this.#groups * this.#inodesPerGroup;
  }

  /** Number of the `index`th inode to be used: they are spread over the groups. The first is the root's. */
  inodeNumber(index: number): number {
    const number = (index % this.#groups) * this.#inodesPerGroup + Math.floor(index / this.#groups) + 2;
    if (Math.floor(index / this.#groups) + 2 >= this.#inodesPerGroup) throw new RangeError("no inode is free");
    return number;
  }

  /** Byte offset of an inode. */
  inodeAt(number: number): number {
    const group = Math.floor(number / this.#inodesPerGroup);
    const table = (this.#start(group) + this.#inodeBlocks) * this.fragmentSize;
    return table + (number % this.#inodesPerGroup) * ufsInodeSize;
  }

  /**
   * Address of a free place for `bytes` of a block: all of it, or fragments at its end, as a block's rest is used on volumes
   * that are in use for long.
   */
  take(bytes = this.blockSize): number {
    const block = this.#free.pop();
    if (block === undefined) throw new RangeError("the volume is full");
    return block + this.#fragments - Math.ceil(bytes / this.fragmentSize);
  }

  #start(group: number): number {
    return group * this.#fragmentsPerGroup + this.#groupOffset * ((group & ~this.#groupMask) >>> 0);
  }

  #writeSuperblock(format: UfsDirectoryFormat, part: number, dataBlocks: number): void {
    const { blockSize, fragmentSize } = this;
    const log = (value: number) => Math.round(Math.log2(value));
    const size = this.#groups * this.#fragmentsPerGroup;
    // Byte offsets that the reader has no use for, but Linux has.
    const fields: [number, number][] = [
      [8, part],
      [12, 2 * part],
      [ufsSuperblock.inodeBlocks, this.#inodeBlocks],
      [20, dataBlocks],
      [ufsSuperblock.groupOffset, this.#groupOffset],
      [ufsSuperblock.groupMask, this.#groupMask],
      [ufsSuperblock.time, ufsMadeAt],
      [ufsSuperblock.size, size],
      [40, this.#free.length * this.#fragments],
      [ufsSuperblock.groups, this.#groups],
      [ufsSuperblock.blockSize, blockSize],
      [ufsSuperblock.fragmentSize, fragmentSize],
      [ufsSuperblock.fragments, this.#fragments],
      [60, 10],
      [72, -blockSize >>> 0],
      [76, -fragmentSize >>> 0],
      [80, log(blockSize)],
      [84, log(fragmentSize)],
      [96, log(this.#fragments)],
      [100, log(fragmentSize / 512)],
      [104, Math.ceil(1376 / fragmentSize) * fragmentSize],
      [116, blockSize / 4],
      [120, blockSize / ufsInodeSize],
      [124, fragmentSize / 512],
      [152, dataBlocks],
      [156, fragmentSize],
      [160, blockSize],
      [ufsSuperblock.inodesPerGroup, this.#inodesPerGroup],
      [ufsSuperblock.fragmentsPerGroup, this.#fragmentsPerGroup],
      [ufsSuperblock.longestInlineLink, format === "4.4bsd" ? 60 : 0],
      [ufsSuperblock.inodeFormat, format === "4.4bsd" ? ufs44InodeFormat : 0],
      [ufsSuperblock.magic, ufsMagic],
    ];
    for (const [at, value] of fields) this.view.setUint32(ufsSuperblockAt + at, value);
  }
}
