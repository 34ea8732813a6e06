/** Reads and judges a UFS superblock. */
import { FileSystemError } from "../file-system-error.js";
import type { VolumeReader } from "../volume-reader.js";
import {
  ufs2Magic,
  ufs2SuperblockAt,
  ufs44InodeFormat,
  ufsInodeSize,
  ufsMagic,
  ufsSuperblock,
  ufsSuperblockAt,
  ufsSuperblockBytes,
} from "./layout.js";

/** What directory entries look like: with a length of 16 bits, or with a type and a length of 8 bits. */
export type UfsDirectoryFormat = "svr4" | "4.4bsd";

/** What there is to know of a volume. */
export interface UfsGeometry {
  /** Bytes. */
  readonly blockSize: number;
  readonly fragmentSize: number;
  /** Fragments of the volume. */
  readonly size: number;
  readonly groups: number;
  readonly inodesPerGroup: number;
  readonly fragmentsPerGroup: number;
  readonly inodeBlocks: number;
  readonly groupOffset: number;
  readonly groupMask: number;
  readonly directoryFormat: UfsDirectoryFormat;
  /** Bytes of the longest link text in an inode; 0 where inodes without blocks have theirs there. */
  readonly longestInlineLink: number;
  /** Where it was mounted last, as the volume says. */
  readonly mountedAt: string;
}

/** @throws FileSystemError `not-this-format`, `not-supported`, `damaged` */
export async function readUfsSuperblock(
  volume: VolumeReader,
  directoryFormat: UfsDirectoryFormat | undefined,
): Promise<UfsGeometry> {
  if (!volume.has(ufsSuperblockAt, ufsSuperblockBytes)) {
    throw new FileSystemError("not-this-format", `${volume.byteLength} bytes are too few for a UFS volume`);
  }
  const view = await volume.view(ufsSuperblockAt, ufsSuperblockBytes);
  await judgeMagic(volume, view);
  const long = (name: keyof typeof ufsSuperblock) => view.getUint32(ufsSuperblock[name]);
  const isNew = long("inodeFormat") === ufs44InodeFormat;
  const geometry: UfsGeometry = {
    blockSize: long("blockSize"),
    fragmentSize: long("fragmentSize"),
    size: long("size"),
    groups: long("groups"),
    inodesPerGroup: long("inodesPerGroup"),
    fragmentsPerGroup: long("fragmentsPerGroup"),
    inodeBlocks: long("inodeBlocks"),
    groupOffset: long("groupOffset"),
    groupMask: long("groupMask"),
    directoryFormat: directoryFormat ?? (isNew ? "4.4bsd" : "svr4"),
    longestInlineLink: isNew ? long("longestInlineLink") : 0,
    mountedAt: mountedAt(view),
  };
  const damage = geometryDamage(geometry, long("fragments"));
  if (damage !== undefined) throw ufsDamaged(damage);
  return geometry;
}

async function judgeMagic(volume: VolumeReader, view: DataView): Promise<void> {
  const at = ufsSuperblock.magic;
  if (view.getUint32(at) === ufsMagic) return;
  if (view.getUint32(at, true) === ufsMagic) {
    throw new FileSystemError("not-supported", "a little-endian UFS cannot be read here");
  }
  if (volume.has(ufs2SuperblockAt, ufsSuperblockBytes)) {
    const second = await volume.view(ufs2SuperblockAt, ufsSuperblockBytes);
    if (second.getUint32(at) === ufs2Magic || second.getUint32(at, true) === ufs2Magic) {
      throw new FileSystemError("not-supported", "UFS2 cannot be read here");
    }
  }
  const found = view.getUint32(at).toString(16).padStart(8, "0");
  throw new FileSystemError("not-this-format", `there is no UFS: magic 0x${found}, expected 0x00011954`);
}

function mountedAt(view: DataView): string {
  let text = "";
  for (let at: number = ufsSuperblock.mountedAt; text.length < 64; at++) {
    const code = view.getUint8(at);
    if (code < 0x20 || code >= 0x7f) break;
    text += String.fromCharCode(code);
  }
  return text;
}

function isPower(value: number, least: number, most: number): boolean {
  return value >= least && value <= most && (value & (value - 1)) === 0;
}

/** What contradicts itself in a superblock. Afterwards no product of its numbers leaves what is exact. */
function geometryDamage(geometry: UfsGeometry, fragments: number): string | undefined {
  const { blockSize, fragmentSize, size, groups, inodesPerGroup, fragmentsPerGroup, inodeBlocks } = geometry;
  if (!isPower(blockSize, 4096, 65_536)) return `blocks of ${blockSize} bytes`;
  if (!isPower(fragmentSize, 512, blockSize) || fragmentSize * 8 < blockSize) {
    return `fragments of ${fragmentSize} bytes in blocks of ${blockSize}`;
  }
  if (fragments !== blockSize / fragmentSize) return `${fragments} fragments of ${fragmentSize} bytes in a block`;
  const inodesPerBlock = blockSize / ufsInodeSize;
  if (inodesPerGroup === 0 || inodesPerGroup % inodesPerBlock !== 0) return `${inodesPerGroup} inodes in a group`;
  const inodeFragments = (inodesPerGroup / inodesPerBlock) * fragments;
  if (fragmentsPerGroup === 0 || inodeBlocks + inodeFragments > fragmentsPerGroup) {
    return `${inodesPerGroup} inodes do not fit into a group of ${fragmentsPerGroup} fragments`;
  }
  if (groups === 0 || (groups - 1) * fragmentsPerGroup >= size) {
    return `${groups} groups of ${fragmentsPerGroup} fragments in a volume of ${size}`;
  }
  return undefined;
}

/** A volume contradicts itself. */
export function ufsDamaged(what: string): FileSystemError {
  return new FileSystemError("damaged", `the UFS volume is damaged: ${what}`);
}
