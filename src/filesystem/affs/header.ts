/** Blocks of an Amiga volume's directory tree: read, checked and turned into facts. */
import type { FileType } from "../file-system.js";
import { FileSystemError } from "../file-system-error.js";
import type { VolumeReader } from "../volume-reader.js";
import {
  AffsBlockType,
  AffsEntryType,
  type AffsFlavour,
  affsComment,
  affsDate,
  affsFromEnd,
  affsHead,
  affsHeadBytes,
  affsLongest,
  affsLongTail,
  affsSum,
  affsTableSize,
  affsTail,
  affsText,
} from "./layout.js";

/** The block of a file, a directory, a link or the root. */
export interface AffsHeader {
  /** Block number. */
  readonly key: number;
  readonly kind: "root" | "directory" | "file" | "soft-link" | "file-link" | "directory-link";
  readonly name: string;
  /** Block number of the directory; 0 for the root. */
  readonly parent: number;
  /** Next in the same place of the directory's hash table; 0 for none. */
  readonly hashChain: number;
  /** Links: block number of what they lead to. */
  readonly realEntry: number;
  /** Files: bytes of content. */
  readonly byteSize: number;
  /** Files: how many numbers of the table are used, and the block that continues it (0 for none). */
  readonly highSequence: number;
  readonly extension: number;
  /** Protection bits; see `affsProtection`. */
  readonly protection: number;
  readonly modified: Date | undefined;
  readonly comment: string;
  /** Volumes with long names: block of a comment that did not fit; 0 for none. */
  readonly commentBlock: number;
  /** Soft links: where they lead to. */
  readonly target: string;
  /** Numbers of the table. */
  readonly table: readonly number[];
}

const kinds: Readonly<Record<number, AffsHeader["kind"]>> = {
  [AffsEntryType.Root]: "root",
  [AffsEntryType.Directory]: "directory",
  [AffsEntryType.File]: "file",
  [AffsEntryType.SoftLink]: "soft-link",
  [AffsEntryType.FileLink]: "file-link",
  [AffsEntryType.DirectoryLink]: "directory-link",
};

/** What a kind is called where hard links were followed. */
export const affsFileTypes: Readonly<Record<AffsHeader["kind"], FileType>> = {
  root: "directory",
  directory: "directory",
  file: "file",
  "soft-link": "link",
  "file-link": "file",
  "directory-link": "directory",
};

/** The blocks of a volume whose place and kind are known. */
export class AffsBlocks {
  readonly blockSize: number;
  /** Blocks of the volume, those reserved at its start too. */
  readonly count: number;
  readonly flavour: AffsFlavour;
  readonly volume: VolumeReader;
  readonly #reserved: number;

  constructor(volume: VolumeReader, blockSize: number, reserved: number, flavour: AffsFlavour) {
    this.volume = volume;
    this.blockSize = blockSize;
    this.count = Math.floor(volume.byteLength / blockSize);
    this.flavour = flavour;
    this.#reserved = reserved;
  }

  /** @throws FileSystemError `damaged` when no block of the volume's data area has this number. */
  check(key: number, what: string): void {
    if (!(key >= this.#reserved && key < this.count)) {
      throw damaged(`${what} is said to be in block ${key}; there are blocks ${this.#reserved} to ${this.count - 1}`);
    }
  }

  /** A block whose sum is right. @throws FileSystemError `damaged` */
  async checked(key: number, what: string): Promise<DataView> {
    this.check(key, what);
    const view = await this.volume.view(key * this.blockSize, this.blockSize);
    const sum = affsSum(view);
    if (sum !== 0) throw damaged(`${what}, block ${key}: its checksum is wrong`);
    return view;
  }

  /** @throws FileSystemError `damaged` when the block is no header. */
  async header(key: number, what: string): Promise<AffsHeader> {
    const view = await this.checked(key, what);
    const type = view.getUint32(affsHead.type);
    const entryType = affsFromEnd(view, affsTail.entryType);
    const kind = kinds[entryType];
    if (type !== AffsBlockType.Header || kind === undefined) {
      throw damaged(`${what}, block ${key}, has types ${type} and ${entryType | 0}, which are no header's`);
    }
    const ownKey = view.getUint32(affsHead.ownKey);
    // Root blocks have 0 here.
    if (kind !== "root" && ownKey !== key) throw damaged(`${what}, block ${key}, says that it is block ${ownKey}`);
    return this.#read(view, key, kind);
  }

  #read(view: DataView, key: number, kind: AffsHeader["kind"]): AffsHeader {
    const { byteLength } = view;
    const isLong = this.flavour.longNames && kind !== "root";
    const nameAt = byteLength - (isLong ? affsLongTail.nameAndComment : affsTail.name);
    const name = affsText(view, nameAt, isLong ? affsLongest.longName : affsLongest.name);
    const commentAt = isLong ? nameAt + 1 + name.length : byteLength - affsTail.comment;
    // Behind a long name there may be no room for one.
    const commentRoom = isLong ? affsLongest.nameAndComment - name.length : affsLongest.comment;
    const hasComment = kind !== "root" && kind !== "soft-link";
    const isFile = kind === "file";
    return {
      ...{ key, kind, name },
      parent: affsFromEnd(view, affsTail.parent),
      hashChain: affsFromEnd(view, affsTail.hashChain),
      realEntry: affsFromEnd(view, affsTail.realEntry),
      byteSize: isFile ? affsFromEnd(view, affsTail.byteSize) : 0,
      highSequence: view.getUint32(affsHead.highSequence),
      extension: affsFromEnd(view, affsTail.extension),
      protection: kind === "root" ? 0 : affsFromEnd(view, affsTail.protection),
      modified: affsDate(view, byteLength - (isLong ? affsLongTail.date : affsTail.date)),
      comment: hasComment ? affsText(view, commentAt, Math.min(commentRoom, affsLongest.comment)) : "",
      commentBlock: isLong ? affsFromEnd(view, affsLongTail.commentBlock) : 0,
      target: kind === "soft-link" ? targetOf(view) : "",
      table: tableOf(view),
    };
  }

  /** The comment of an entry, from the block that it may have for that. @throws FileSystemError `damaged` */
  async comment({ key, comment, commentBlock }: AffsHeader): Promise<string> {
    if (commentBlock === 0) return comment;
    const view = await this.checked(commentBlock, "a comment");
    const type = view.getUint32(affsHead.type);
    const [own, header] = [view.getUint32(affsComment.ownKey), view.getUint32(affsComment.headerKey)];
    if (type !== AffsBlockType.Comment || own !== commentBlock || header !== key) {
      throw damaged(`block ${commentBlock} is not the comment of the entry in block ${key}`);
    }
    return affsText(view, affsComment.text, affsLongest.comment);
  }
}

/** The table of a header or list block. */
export function tableOf(view: DataView): number[] {
  return Array.from({ length: affsTableSize(view.byteLength) }, (_, index) =>
    view.getUint32(affsHead.table + 4 * index),
  );
}

/** The text of a soft link takes the table's place and ends with a zero. */
function targetOf(view: DataView): string {
  let target = "";
  for (let at: number = affsHeadBytes; at < view.byteLength - affsRootRoom; at++) {
    const code = view.getUint8(at);
    if (code === 0) break;
    target += String.fromCharCode(code);
  }
  return target;
}

/** Bytes behind the table. */
const affsRootRoom = 200;

/** A volume contradicts itself. */
export function damaged(what: string): FileSystemError {
  return new FileSystemError("damaged", `the Amiga volume is damaged: ${what}`);
}
