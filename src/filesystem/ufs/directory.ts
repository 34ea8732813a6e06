/** Names in UFS directories. */
import { ufsDirectoryPiece, ufsEntry, ufsLongestName } from "./layout.js";
import { type UfsDirectoryFormat, ufsDamaged } from "./superblock.js";

/** A name in a directory. */
export interface UfsName {
  readonly name: string;
  readonly inode: number;
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
  for (let at = 0; at < view.byteLength; ) {
    const length = view.getUint16(at + ufsEntry.length);
    if (length < ufsEntry.name || length % 4 !== 0 || length > view.byteLength - at) {
      throw ufsDamaged(`an entry of ${path} has ${length} bytes`);
    }
    const inode = view.getUint32(at + ufsEntry.inode);
    if (inode !== 0) {
      const nameLength =
        format === "svr4" ? view.getUint16(at + ufsEntry.nameLength) : view.getUint8(at + ufsEntry.shortNameLength);
      if (nameLength === 0 || nameLength > ufsLongestName || nameLength > length - ufsEntry.name) {
        throw ufsDamaged(`an entry of ${path} has a name of ${nameLength} bytes in ${length}`);
      }
      const bytes = new Uint8Array(view.buffer, view.byteOffset + at + ufsEntry.name, nameLength);
      if (bytes.includes(0) || bytes.includes(0x2f)) throw ufsDamaged(`an entry of ${path} has no possible name`);
      yield { name: ufsText(bytes), inode };
    }
    at += length;
  }
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
