/** Inodes of a UFS volume. */
import type { FileType } from "../file-system.js";
import type { VolumeReader } from "../volume-reader.js";
import { UfsMode, ufsDirectBlocks, ufsIndirectLevels, ufsInlineBytes, ufsInode, ufsInodeSize } from "./layout.js";
import { type UfsGeometry, ufsDamaged } from "./superblock.js";

/** An inode as it was read. */
export interface UfsInode {
  readonly number: number;
  readonly type: FileType;
  /** Permissions and type, as on disk. */
  readonly mode: number;
  readonly links: number;
  /** Bytes. */
  readonly size: number;
  readonly modified: Date;
  /** Addresses of data and of indirect blocks, in fragments; 0 for none. */
  readonly addresses: readonly number[];
  /** The bytes in the addresses' place. */
  readonly inline: Uint8Array;
  /** Units of 512 bytes that it takes. */
  readonly blocks: number;
}

const types: Readonly<Record<number, FileType>> = {
  [UfsMode.Pipe]: "pipe",
  [UfsMode.CharacterDevice]: "device",
  [UfsMode.BlockDevice]: "device",
  [UfsMode.Directory]: "directory",
  [UfsMode.File]: "file",
  [UfsMode.Link]: "link",
  [UfsMode.Socket]: "socket",
};

/** Bytes of the largest file that inodes and indirect blocks can describe. */
export function ufsLargestFile({ blockSize }: UfsGeometry): number {
  const perBlock = blockSize / 4;
  return (ufsDirectBlocks + perBlock + perBlock ** 2 + perBlock ** 3) * blockSize;
}

/** @throws FileSystemError `damaged` when there is no such inode or it makes no sense */
export async function readUfsInode(volume: VolumeReader, geometry: UfsGeometry, number: number): Promise<UfsInode> {
  const { groups, inodesPerGroup } = geometry;
  if (!(number >= 2 && number < groups * inodesPerGroup)) {
    throw ufsDamaged(`inode ${number}, where there are ${groups * inodesPerGroup}`);
  }
  const { block, at } = ufsInodePlace(geometry, number);
  const view = await volume.view(block, geometry.blockSize);
  const mode = view.getUint16(at + ufsInode.mode);
  const type = types[mode & UfsMode.Mask];
  if (type === undefined) throw ufsDamaged(`inode ${number} has mode 0${mode.toString(8)}, which is no file's`);
  const size = view.getUint32(at + ufsInode.size) * 2 ** 32 + view.getUint32(at + ufsInode.size + 4);
  if (size > ufsLargestFile(geometry)) throw ufsDamaged(`inode ${number} says that it has ${size} bytes`);
  const addressesAt = at + ufsInode.addresses;
  const addresses = Array.from({ length: ufsDirectBlocks + ufsIndirectLevels }, (_, index) =>
    view.getUint32(addressesAt + 4 * index),
  );
  return {
    ...{ number, type, mode, size, addresses },
    links: view.getUint16(at + ufsInode.links),
    modified: new Date(view.getInt32(at + ufsInode.modified) * 1000),
    inline: new Uint8Array(view.buffer, view.byteOffset + addressesAt, ufsInlineBytes).slice(),
    blocks: view.getUint32(at + ufsInode.blocks),
  };
}

/** Where an inode lies: the byte offset of its block on the volume, and its own in there. */
export function ufsInodePlace(geometry: UfsGeometry, number: number): { block: number; at: number } {
  const { inodesPerGroup, fragmentsPerGroup, inodeBlocks, groupOffset, groupMask, blockSize, fragmentSize } = geometry;
  const inodesPerBlock = blockSize / ufsInodeSize;
  const group = Math.floor(number / inodesPerGroup);
  const inGroup = number % inodesPerGroup;
  const start = group * fragmentsPerGroup + groupOffset * ((group & ~groupMask) >>> 0);
  const fragment = start + inodeBlocks + Math.floor(inGroup / inodesPerBlock) * (blockSize / fragmentSize);
  return { block: fragment * fragmentSize, at: (inGroup % inodesPerBlock) * ufsInodeSize };
}
