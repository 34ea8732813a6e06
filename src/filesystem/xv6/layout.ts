/**
 * The file system of xv6 for RISC-V as it lies on a disk of 1024-byte blocks, little-endian: boot block, superblock,
 * log, inodes, bitmap of free blocks, data.
 */
import { bytes, struct, u16, u32 } from "../../bytes/index.js";

/** Bytes of a block. */
export const xv6BlockSize = 1024;
/** Where the superblock is. */
export const xv6SuperblockNumber = 1;
/** The superblock's magic number. */
export const xv6Magic = 0x1020_3040;
/** Inode number of the root directory. */
export const xv6RootInode = 1;
/** Blocks that an inode names itself; one more holds the numbers of further ones. */
export const xv6DirectBlocks = 12;
/** Block numbers in the indirect block. */
export const xv6IndirectBlocks = xv6BlockSize / 4;
/** Blocks of the largest file. */
export const xv6LargestFile = xv6DirectBlocks + xv6IndirectBlocks;
/** Characters of a name; shorter ones end with a zero. */
export const xv6NameLength = 14;

/** Numbers are counts of blocks and block numbers, but for `inodes`. */
export const xv6Superblock = struct({
  magic: u32,
  size: u32,
  dataBlocks: u32,
  inodes: u32,
  logBlocks: u32,
  logStart: u32,
  inodeStart: u32,
  bitmapStart: u32,
});

/** Start of an inode; the block numbers follow it. Major and minor belong to devices. */
export const xv6InodeHeader = struct({ type: u16, major: u16, minor: u16, links: u16, size: u32 });
/** Bytes of an inode with its 13 block numbers. */
export const xv6InodeSize = xv6InodeHeader.size + 4 * (xv6DirectBlocks + 1);
/** Inodes in a block. */
export const xv6InodesPerBlock = xv6BlockSize / xv6InodeSize;

/** A directory is a file of these; inode 0 is a free entry. */
export const xv6DirectoryEntry = struct({ inode: u16, name: bytes(xv6NameLength) });

/** A name's bytes: at most 14, of which all may be used. */
export function encodeXv6Name(name: string): Uint8Array {
  return new TextEncoder().encode(name).slice(0, xv6NameLength);
}

/** A name in an entry: up to its end or the first zero. */
export function decodeXv6Name(name: Uint8Array): string {
  const end = name.indexOf(0);
  return new TextDecoder().decode(end < 0 ? name : name.subarray(0, end));
}

/** Types of inode; 0 is a free one. */
export const Xv6InodeType = { Directory: 1, File: 2, Device: 3 } as const;
