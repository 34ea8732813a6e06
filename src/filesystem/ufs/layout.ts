/**
 * UFS1, the Berkeley fast file system, as big-endian machines write it. A volume is cut into cylinder groups with inodes of
 * their own; disk addresses count fragments, of which one to eight make a block.
 */

/** Byte offset of the superblock, and its length as it is read. */
export const ufsSuperblockAt = 8192;
/** Bytes of the superblock that are looked at; at least one fragment's worth is there on every volume. */
export const ufsSuperblockBytes = 1536;
/** The superblock's magic number, and where it is. */
export const ufsMagic = 0x0001_1954;
/** UFS2's magic number, for its name only; its superblock is at 65 536. */
export const ufs2Magic = 0x1954_0119;
/** Byte offset of UFS2's superblock. */
export const ufs2SuperblockAt = 65_536;

/** Byte offsets in the superblock, all longwords. */
export const ufsSuperblock = {
  /** In fragments from a cylinder group's start: its inodes. */
  inodeBlocks: 16,
  /** Each group starts this much further in its cylinder than the one before, by `groupMask`. */
  groupOffset: 24,
  groupMask: 28,
  time: 32,
  /** Fragments of the volume. */
  size: 36,
  groups: 44,
  /** Bytes of a block, of a fragment; fragments of a block. */
  blockSize: 48,
  fragmentSize: 52,
  fragments: 56,
  inodesPerGroup: 184,
  fragmentsPerGroup: 188,
  /** Where it was mounted last: text. */
  mountedAt: 212,
  /** Longest link text that lies in the inode; 0 on systems that have none of it. */
  longestInlineLink: 1320,
  /** What directory entries look like: 2 for 4.4BSD's. */
  inodeFormat: 1324,
  magic: 1372,
} as const;

/** The value of `inodeFormat` for directory entries with a type. */
export const ufs44InodeFormat = 2;

/** Bytes of an inode. */
export const ufsInodeSize = 128;
/** Byte offsets in an inode. */
export const ufsInode = {
  mode: 0,
  links: 2,
  /** 64 bits. */
  size: 8,
  accessed: 16,
  modified: 24,
  /** Twelve addresses of data, then three of indirect blocks; or the text of a short link. */
  addresses: 40,
  /** Units of 512 bytes that it takes. */
  blocks: 104,
} as const;
/** Addresses of data in an inode; levels of indirect blocks. */
export const ufsDirectBlocks = 12;
/** See `ufsDirectBlocks`. */
export const ufsIndirectLevels = 3;
/** Bytes of addresses in an inode, which short links use. */
export const ufsInlineBytes = 4 * (ufsDirectBlocks + ufsIndirectLevels);

/** Inode number of the root directory. */
export const ufsRootInode = 2;

/** File types in the mode's upper four bits. */
export const UfsMode = {
  Mask: 0xf000,
  Pipe: 0x1000,
  CharacterDevice: 0x2000,
  Directory: 0x4000,
  BlockDevice: 0x6000,
  File: 0x8000,
  Link: 0xa000,
  Socket: 0xc000,
} as const;

/**
 * Byte offsets in a directory entry: inode, length of the entry, length of the name in 16 bits (SVR4, SunOS) or its type and
 * its length in 8 bits each (4.4BSD), name.
 */
export const ufsEntry = { inode: 0, length: 4, nameLength: 6, type: 6, shortNameLength: 7, name: 8 } as const;
/** Directories are made of pieces of this many bytes, which no entry crosses. */
export const ufsDirectoryPiece = 512;
/** Bytes of the longest name. */
export const ufsLongestName = 255;

/** Permissions as `ls -l` prints them. */
export function ufsPermissions(mode: number): string {
  let text = "";
  for (let shift = 6; shift >= 0; shift -= 3) {
    const bits = mode >>> shift;
    text += `${bits & 4 ? "r" : "-"}${bits & 2 ? "w" : "-"}${bits & 1 ? "x" : "-"}`;
  }
  const special: [number, number, string][] = [
    [0o4000, 2, "s"],
    [0o2000, 5, "s"],
    [0o1000, 8, "t"],
  ];
  for (const [bit, at, letter] of special) {
    if ((mode & bit) === 0) continue;
    const shown = text[at] === "x" ? letter : letter.toUpperCase();
    text = text.slice(0, at) + shown + text.slice(at + 1);
  }
  return text;
}
