/**
 * The Amiga's file systems OFS and FFS as they lie on a disk: big-endian longwords, blocks of 512 bytes or a larger power
 * of two. A block of the directory tree begins with its type and its own number, has a table in the middle and the rest
 * counted from its end, and all its longwords sum up to 0.
 */
import type { Field } from "../../bytes/index.js";
import { u32 } from "../../bytes/index.js";

/** What a DosType `DOS\0` … `DOS\7` says of a volume. */
export interface AffsFlavour {
  /** Data blocks are all data (FFS); otherwise they have headers (OFS). */
  readonly fast: boolean;
  /** Upper and lower case are one for letters with accents too. */
  readonly international: boolean;
  /** Directories have caches, which a reader need not look at: the hash tables hold the same. */
  readonly cached: boolean;
  /** Names of up to 107 characters. */
  readonly longNames: boolean;
}

/** `DOS\0`: the first of the eight DosTypes, which differ in their last byte. */
export const affsFirstDosType = 0x444f_5300;

/** What a DosType means, or undefined when it is none of the eight. */
export function affsFlavour(dosType: number): AffsFlavour | undefined {
  const kind = dosType - affsFirstDosType;
  if (!(kind >= 0 && kind <= 7)) return undefined;
  return {
    fast: (kind & 1) !== 0,
    international: kind >= 2,
    cached: kind === 4 || kind === 5,
    longNames: kind >= 6,
  };
}

/** Sizes of a block that there can be, in bytes. */
export const affsBlockSizes = [512, 1024, 2048, 4096, 8192, 16384, 32768] as const;
/** Blocks at the start that belong to the boot block, unless the mount list says otherwise. */
export const affsReservedBlocks = 2;

/** First longword of a block. */
export const AffsBlockType = { Header: 2, Data: 8, List: 16, Cache: 33, Comment: 64 } as const;

/** Last longword of a block of type header or list, as unsigned number. */
export const AffsEntryType = {
  Root: 1,
  Directory: 2,
  SoftLink: 3,
  DirectoryLink: 4,
  File: 0xffff_fffd,
  FileLink: 0xffff_fffc,
} as const;

/** Byte offsets from a block's start, for all types of block. */
export const affsHead = {
  type: 0,
  ownKey: 4,
  highSequence: 8,
  tableSize: 12,
  firstData: 16,
  checksum: 20,
  table: 24,
} as const;
/** Bytes from the start of a block to its table, and of an OFS data block to its data. */
export const affsHeadBytes = 24;
/** Byte offsets in an OFS data block; data follow at 24. */
export const affsData = { type: 0, headerKey: 4, sequence: 8, dataSize: 12, nextData: 16, checksum: 20 } as const;

/** Bytes from a block's end back to a field. */
export const affsTail = {
  owner: 196,
  protection: 192,
  byteSize: 188,
  comment: 184,
  date: 92,
  name: 80,
  realEntry: 44,
  nextLink: 40,
  hashChain: 16,
  parent: 12,
  extension: 8,
  entryType: 4,
} as const;

/** What differs on volumes with long names: name and comment share 112 bytes, or the comment has a block of its own. */
export const affsLongTail = { nameAndComment: 184, commentBlock: 72, date: 60 } as const;
/** Byte offsets in a block that holds a comment. */
export const affsComment = { ownKey: 4, headerKey: 8, text: 24 } as const;

/** Bytes from the root block's end back to a field. */
export const affsRootTail = {
  bitmapFlag: 200,
  bitmapPages: 196,
  bitmapExtension: 96,
  directoryChanged: 92,
  name: 80,
  volumeChanged: 40,
  created: 28,
} as const;
/** Pointers to bitmap blocks in the root block. */
export const affsRootBitmaps = 25;

/** Longest names and comments, in characters of one byte. */
export const affsLongest = { name: 30, longName: 107, comment: 79, nameAndComment: 110 } as const;

/** Longwords in the table of a block: a directory's hash table, a file's data blocks from the table's end on. */
export function affsTableSize(blockSize: number): number {
  return blockSize / 4 - 56;
}

/** What a block's longwords sum up to: 0 when it is as it was written. */
export function affsSum(view: DataView): number {
  let sum = 0;
  for (let at = 0; at < view.byteLength; at += 4) sum = (sum + view.getUint32(at)) | 0;
  return sum >>> 0;
}

/** Reads a longword so many bytes before the block's end. */
export function affsFromEnd(view: DataView, back: number, field: Field<number> = u32): number {
  return field.read(view, view.byteLength - back, false);
}

/** Text with its length in front, of at most `longest` characters: each byte is a character of Latin-1. */
export function affsText(view: DataView, at: number, longest: number): string {
  const length = Math.min(view.getUint8(at), longest);
  let text = "";
  for (let index = 1; index <= length; index++) text += String.fromCharCode(view.getUint8(at + index));
  return text;
}

/** A character as it counts in comparisons. */
export function affsUpper(code: number, international: boolean): number {
  const isLetter = code >= 0x61 && code <= 0x7a;
  const isAccented = international && code >= 0xe0 && code <= 0xfe && code !== 0xf7;
  return isLetter || isAccented ? code - 0x20 : code;
}

/** Whether two names are one. */
export function affsSameName(one: string, other: string, international: boolean): boolean {
  if (one.length !== other.length) return false;
  for (let index = 0; index < one.length; index++) {
    const left = affsUpper(one.charCodeAt(index), international);
    if (left !== affsUpper(other.charCodeAt(index), international)) return false;
  }
  return true;
}

/** The place of a name in a directory's hash table. */
export function affsHash(name: string, tableSize: number, international: boolean): number {
  let hash = name.length;
  for (let index = 0; index < name.length; index++) {
    hash = (hash * 13 + affsUpper(name.charCodeAt(index) & 0xff, international)) & 0x7ff;
  }
  return hash % tableSize;
}

/** Milliseconds of 1 January 1978, day 0. */
export const affsEpoch = Date.UTC(1978, 0, 1);

/** A date of three longwords: days, minutes, fiftieths of a second. Undefined when it is none. */
export function affsDate(view: DataView, at: number): Date | undefined {
  const days = view.getUint32(at);
  const minutes = view.getUint32(at + 4);
  const ticks = view.getUint32(at + 8);
  if (days > 1_000_000 || minutes >= 24 * 60 || ticks >= 60 * 50) return undefined;
  return new Date(affsEpoch + days * 86_400_000 + minutes * 60_000 + ticks * 20);
}

/** Protection bits as AmigaDOS prints them: `hsparwed`, the last four of which are set to forbid. */
export function affsProtection(bits: number): string {
  const effective = bits ^ 0x0f;
  return [..."hsparwed"].map((letter, index) => ((effective >>> (7 - index)) & 1 ? letter : "-")).join("");
}
