/** What a descriptor that somebody gave us stands for, before it is mapped. */
import { fstatSync } from "node:fs";
import { libcFunction } from "./libc.js";

const fcntlCall = libcFunction("int fcntl(int, int, int)");
const addSeals = 1033;
const getSeals = 1034;
const sealShrink = 0x2;

/** A file as far as mapping it is concerned. */
export interface FileFacts {
  /** A regular file (a memory file is one): its size is known, and can be checked. */
  readonly isFile: boolean;
  /** Bytes. */
  readonly size: number;
  /** Mappings start and end at multiples of this: the page size, that of huge pages where the file has those. */
  readonly pageSize: number;
  /** The same for two descriptors of one file. */
  readonly identity: string;
}

const smallPage = 4096;
/** Where huge page files say their page size; other file systems say a transfer size there, which is no page size. */
const smallestHugePage = 1 << 16;

/** @throws Error (Node's own, with `code`) for a descriptor that is not open. */
export function fileFacts(descriptor: number): FileFacts {
  const { dev, ino, size, blksize, mode } = fstatSync(descriptor);
  const hugePages = blksize >= smallestHugePage && (blksize & (blksize - 1)) === 0 && size % blksize === 0;
  return {
    isFile: (mode & 0o170000) === 0o100000,
    size,
    pageSize: hugePages ? blksize : smallPage,
    identity: `${dev}:${ino}`,
  };
}

/**
 * Keeps a memory file from being made smaller by anybody, if it allows that. True when it cannot shrink: touching a
 * mapping of it beyond the end, which would end this process, is then impossible.
 */
export function preventShrinking(descriptor: number): boolean {
  const seals: number = fcntlCall()(descriptor, getSeals, 0);
  if (seals < 0) return false;
  return (seals & sealShrink) !== 0 || fcntlCall()(descriptor, addSeals, sealShrink) === 0;
}
