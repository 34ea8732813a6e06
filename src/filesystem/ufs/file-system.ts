/**
 * Reads big-endian UFS1: what SVR4 and SunOS wrote on 680x0 and SPARC, and what `makefs -t ffs -B be` makes. The image is not
 * trusted: every number is checked against the superblock, the superblock against itself.
 */
import type { BlockReader } from "../../partition/index.js";
import { type FileFacts, type FileSystem, pathParts, type VolumeFacts } from "../file-system.js";
import { FileSystemError } from "../file-system-error.js";
import { type VolumePlace, VolumeReader } from "../volume-reader.js";
import { ufsContent } from "./content.js";
import { findUfsName, ufsNameBytes, ufsNames, ufsPieces, ufsText } from "./directory.js";
import { readUfsInode, type UfsInode } from "./inode.js";
import { ufsDirectoryPiece, ufsInlineBytes, ufsPermissions, ufsRootInode } from "./layout.js";
import { readUfsSuperblock, type UfsDirectoryFormat, type UfsGeometry, ufsDamaged } from "./superblock.js";

/** Links that are followed in one path. */
const mostLinks = 20;
/** Bytes of the longest link text, as in systems that write them. */
const longestLink = 1023;
/** Bytes and names of the largest directory; more is taken for damage. */
const largestDirectory = 1 << 24;
const mostEntries = 1 << 18;

/** How a volume is opened. */
export interface UfsOptions extends VolumePlace {
  /** Default: as the superblock says. */
  readonly directoryFormat?: UfsDirectoryFormat;
}

/** A UFS volume that was opened. */
export class UfsFileSystem implements FileSystem {
  readonly volume: VolumeFacts;
  readonly geometry: UfsGeometry;
  readonly #volume: VolumeReader;

  private constructor(volume: VolumeReader, geometry: UfsGeometry) {
    this.#volume = volume;
    this.geometry = geometry;
    const { blockSize, fragmentSize, size, mountedAt } = geometry;
    this.volume = {
      ...{ type: "UFS1", blockSize, blocks: Math.floor((size * fragmentSize) / blockSize) },
      ...(mountedAt === "" ? {} : { name: mountedAt }),
    };
  }

  /** Reads and checks the superblock. @throws FileSystemError `not-this-format`, `not-supported`, `damaged` */
  static async open(reader: BlockReader, options: UfsOptions = {}): Promise<UfsFileSystem> {
    const volume = new VolumeReader(reader, options);
    return new UfsFileSystem(volume, await readUfsSuperblock(volume, options.directoryFormat));
  }

  /** What is at a path. @throws FileSystemError */
  async stat(path: string): Promise<FileFacts> {
    return this.#facts(pathParts(path).at(-1) ?? "/", await this.#walk(path, false));
  }

  /** The entries of a directory, without `.` and `..`. @throws FileSystemError */
  async entries(path: string): Promise<FileFacts[]> {
    const directory = await this.#walk(path, true);
    const entries: FileFacts[] = [];
    for await (const piece of this.#directoryPieces(directory, path)) {
      for (const { name, inode } of ufsNames(piece, this.geometry.directoryFormat, path || "/")) {
        if (entries.length === mostEntries)
          throw ufsDamaged(`the directory ${path || "/"} has more than ${mostEntries} names`);
        if (name !== "." && name !== "..") entries.push(await this.#facts(name, await this.#inode(inode)));
      }
    }
    return entries;
  }

  /** The content of a file. @throws FileSystemError */
  async *pieces(path: string): AsyncGenerator<Uint8Array, void, undefined> {
    const inode = await this.#walk(path, true);
    if (inode.type !== "file") throw new FileSystemError("not-a-file", `${path} is a ${inode.type}`);
    yield* ufsContent(this.#volume, this.geometry, inode, path);
  }

  #inode(number: number): Promise<UfsInode> {
    return readUfsInode(this.#volume, this.geometry, number);
  }

  async #facts(name: string, inode: UfsInode): Promise<FileFacts> {
    const { number, type, size, modified, mode } = inode;
    const facts = { name, inode: number, type, size, modified, mode: ufsPermissions(mode) };
    return type === "link" ? { ...facts, target: await this.#target(inode, name) } : facts;
  }

  /** The text of a link. */
  async #target(link: UfsInode, path: string): Promise<string> {
    const { size, blocks, inline } = link;
    if (size === 0 || size > longestLink) throw ufsDamaged(`the link ${path} has ${size} bytes`);
    const { longestInlineLink } = this.geometry;
    const isInline = longestInlineLink > 0 ? size < Math.min(longestInlineLink, ufsInlineBytes + 1) : blocks === 0;
    let text = inline.subarray(0, size);
    if (!isInline || size > ufsInlineBytes) {
      // A text that long lies in one block.
      for await (const piece of ufsContent(this.#volume, this.geometry, link, path)) text = piece.slice();
    }
    if (text.includes(0)) throw ufsDamaged(`the link ${path} leads to no possible name`);
    return ufsText(text);
  }

  /** The content of a directory in pieces of 512 bytes, in whose entries no other begins. */
  async *#directoryPieces(directory: UfsInode, path: string): AsyncGenerator<DataView, void, undefined> {
    const name = path || "/";
    if (directory.type !== "directory") throw new FileSystemError("not-a-directory", `${name} is no directory`);
    const { size } = directory;
    if (size % ufsDirectoryPiece !== 0 || size > largestDirectory) {
      throw ufsDamaged(`the directory ${name} has ${size} bytes`);
    }
    for await (const bytes of ufsContent(this.#volume, this.geometry, directory, name)) yield* ufsPieces(bytes);
  }

  /** Follows a path from the root directory. */
  async #walk(path: string, followLast: boolean): Promise<UfsInode> {
    const parts = pathParts(path);
    /** Names of the directories that were gone into, for messages. */
    let walked = "";
    let links = 0;
    let directory = await this.#inode(ufsRootInode);
    while (parts.length > 0) {
      const part = parts.shift() as string;
      const name = `${walked}/${part}`;
      const number = await this.#find(directory, part, walked);
      if (number === undefined) throw new FileSystemError("not-found", `${name}: there is no such file`);
      const inode = await this.#inode(number);
      if (inode.type === "link" && (followLast || parts.length > 0)) {
        if (++links > mostLinks) throw new FileSystemError("too-many-links", `${path}: more than ${mostLinks} links`);
        const target = await this.#target(inode, name);
        if (target.startsWith("/")) {
          directory = await this.#inode(ufsRootInode);
          walked = "";
        }
        parts.unshift(...pathParts(target));
        continue;
      }
      if (parts.length === 0) return inode;
      directory = inode;
      walked = name;
    }
    return directory;
  }

  async #find(directory: UfsInode, name: string, path: string): Promise<number | undefined> {
    const wanted = ufsNameBytes(name);
    for await (const piece of this.#directoryPieces(directory, path)) {
      const inode = findUfsName(piece, this.geometry.directoryFormat, path || "/", wanted);
      if (inode !== undefined) return inode;
    }
    return undefined;
  }
}
