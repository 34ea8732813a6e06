/** Names in UFS directories. */
import { ufsDirectoryPiece, ufsEntry, ufsLongestName } from "./layout.js";
import { type UfsDirectoryFormat, ufsDamaged } from "./superblock.js";

/** A name in a directory. */
export interface UfsName {
  readonly name: string;
  readonly inode: number;
}

/** Bytes of the entry at `at` in a piece. @throws FileSystemError `damaged` */
function entryLength(view: DataView, at: number, path: string): number {
  const length = view.getUint16(at + ufsEntry.length);
  if (length < ufsEntry.name || length % 4 !== 0 || length > view.byteLength - at) {
    throw ufsDamaged(`an entry of ${path} has ${length} bytes`);
  }
  return length;
}

/** Bytes of the name of an entry of `length` bytes. @throws FileSystemError `damaged` */
function nameLength(view: DataView, at: number, length: number, format: UfsDirectoryFormat, path: string): number {
  const found =
    format === "svr4" ? view.getUint16(at + ufsEntry.nameLength) : view.getUint8(at + ufsEntry.shortNameLength);
  if (found === 0 || found > ufsLongestName || found > length - ufsEntry.name) {
    throw ufsDamaged(`an entry of ${path} has a name of ${found} bytes in ${length}`);
  }
  return found;
}

/**
 * The names in a piece of 512 bytes of a directory.
 * @param path of the directory, for messages
 * @throws FileSystemError `damaged`
 */
export function* ufsNames(
  view: DataView,
  format: UfsDirectoryFormat,
  path: string,
): Generator<UfsName, void, undefined> {
  for (let at = 0, length = 0; at < view.byteLength; at += length) {
    length = entryLength(view, at, path);
    const inode = view.getUint32(at + ufsEntry.inode);
    if (inode === 0) continue;
    const count = nameLength(view, at, length, format, path);
    const bytes = new Uint8Array(view.buffer, view.byteOffset + at + ufsEntry.name, count);
    if (bytes.includes(0) || bytes.includes(0x2f)) throw ufsDamaged(`an entry of ${path} has no possible name`);
    yield { name: ufsText(bytes), inode };
  }
}

/**
 * The inode of a name in a piece, or undefined: what {@link ufsNames} would find, without making every name a text.
 * @param wanted the name's possible bytes; see {@link ufsNameBytes}
 * @throws FileSystemError `damaged`
 */
export function findUfsName(
  view: DataView,
  format: UfsDirectoryFormat,
  path: string,
  wanted: readonly Uint8Array[],
): number | undefined {
  for (let at = 0, length = 0; at < view.byteLength; at += length) {
    length = entryLength(view, at, path);
    const inode = view.getUint32(at + ufsEntry.inode);
    if (inode === 0) continue;
    const count = nameLength(view, at, length, format, path);
    for (const name of wanted) {
      if (name.length !== count) continue;
      let index = 0;
      while (index < count && view.getUint8(at + ufsEntry.name + index) === name[index]) index++;
      if (index === count) return inode;
    }
  }
  return undefined;
}

/** What a name may be on disk: UTF-8, or Latin-1 where that is no UTF-8. See {@link ufsText}. */
export function ufsNameBytes(name: string): Uint8Array[] {
  const names = [new TextEncoder().encode(name)];
  const codes = Uint8Array.from(name, (character) => character.charCodeAt(0));
  if (/^[\0-\xff]*$/.test(name) && /[\x80-\xff]/.test(name) && ufsText(codes) === name) names.push(codes);
  return names;
}

/** The pieces of a directory's content. */
export function* ufsPieces(bytes: Uint8Array): Generator<DataView, void, undefined> {
  for (let at = 0; at < bytes.byteLength; at += ufsDirectoryPiece) {
    yield new DataView(bytes.buffer, bytes.byteOffset + at, Math.min(ufsDirectoryPiece, bytes.byteLength - at));
  }
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Names and link texts are bytes: UTF-8 where they can be that, otherwise Latin-1. */
export function ufsText(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch {
    return Array.from(bytes, (code) => String.fromCharCode(code)).join("");
  }
}
