/**
 * Reads the file system of xv6. The image is not trusted: every number is checked against the superblock, the
 * superblock against the disk, and nothing is followed further than the format allows.
 */
import type { StructValue } from "../../bytes/index.js";
import { type FileFacts, type FileSystem, pathParts, readWhole, type VolumeFacts } from "../file-system.js";
import { FileSystemError } from "../file-system-error.js";
import {
  decodeXv6Name,
  encodeXv6Name,
  Xv6InodeType,
  xv6BlockSize,
  xv6DirectBlocks,
  xv6DirectoryEntry,
  xv6InodeHeader,
  xv6InodeSize,
  xv6InodesPerBlock,
  xv6LargestFile,
  xv6Magic,
  xv6RootInode,
  xv6Superblock,
  xv6SuperblockNumber,
} from "./layout.js";

/** A disk in blocks of 1024 bytes. */
export interface Xv6BlockReader {
  /** Blocks of the disk, where that is known. */
  readonly blocks?: number | undefined;
  /** The bytes of one block, valid until the next call. Rejects when the medium fails. */
  readBlock(block: number): Promise<Uint8Array>;
}

/** An inode as it was read. */
export interface Xv6Inode {
  readonly number: number;
  readonly type: "directory" | "file" | "device";
  readonly major: number;
  readonly minor: number;
  readonly links: number;
  /** Bytes. */
  readonly size: number;
  /** Twelve data blocks and the indirect block; 0 for none. */
  readonly blocks: readonly number[];
}

/** A name in a directory. */
export interface Xv6Name {
  readonly name: string;
  readonly inode: number;
}

const typeNames: Readonly<Record<number, Xv6Inode["type"]>> = {
  [Xv6InodeType.Directory]: "directory",
  [Xv6InodeType.File]: "file",
  [Xv6InodeType.Device]: "device",
};

/** A file system that was opened. */
export class Xv6FileSystem implements FileSystem {
  readonly volume: VolumeFacts;
  readonly superblock: StructValue<typeof xv6Superblock>;
  readonly #reader: Xv6BlockReader;
  /** First block behind the bitmap. */
  readonly #dataStart: number;

  private constructor(reader: Xv6BlockReader, superblock: StructValue<typeof xv6Superblock>) {
    this.#reader = reader;
    this.superblock = superblock;
    this.volume = { type: "xv6", blockSize: xv6BlockSize, blocks: superblock.size };
    this.#dataStart = superblock.bitmapStart + Math.ceil(superblock.size / (8 * xv6BlockSize));
  }

  /** Reads and checks the superblock. @throws FileSystemError `not-this-format`, `damaged` */
  static async open(reader: Xv6BlockReader): Promise<Xv6FileSystem> {
    const { blocks } = reader;
    if (blocks !== undefined && blocks <= xv6SuperblockNumber) {
      throw new FileSystemError("not-this-format", `a disk of ${blocks} blocks has no xv6 file system`);
    }
    const superblock = xv6Superblock.read(viewOf(await reader.readBlock(xv6SuperblockNumber)), 0, "little");
    const { magic, size, inodes, inodeStart, bitmapStart } = superblock;
    if (magic !== xv6Magic) {
      const found = `magic 0x${magic.toString(16)}, expected 0x${xv6Magic.toString(16)}`;
      throw new FileSystemError("not-this-format", `there is no xv6 file system: ${found}`);
    }
    if (blocks !== undefined && size > blocks) {
      throw damaged(`the file system has ${size} blocks, the disk ${blocks}`);
    }
    const fileSystem = new Xv6FileSystem(reader, superblock);
    const inodeEnd = inodeStart + Math.ceil(inodes / xv6InodesPerBlock);
    if (inodeStart <= xv6SuperblockNumber || inodeEnd > bitmapStart || fileSystem.#dataStart > size) {
      throw damaged(`the areas of its superblock do not follow each other within ${size} blocks`);
    }
    if (inodes <= xv6RootInode) throw damaged(`it has ${inodes} inodes and so no root directory`);
    return fileSystem;
  }

  /** @throws FileSystemError `damaged` when there is no such inode. */
  async inode(number: number): Promise<Xv6Inode> {
    const { inodes, inodeStart } = this.superblock;
    if (!(Number.isInteger(number) && number >= xv6RootInode && number < inodes)) {
      throw damaged(`inode ${number} of ${inodes}`);
    }
    const block = await this.#reader.readBlock(inodeStart + Math.floor(number / xv6InodesPerBlock));
    const view = viewOf(block);
    const at = (number % xv6InodesPerBlock) * xv6InodeSize;
    const { type, size, ...rest } = xv6InodeHeader.read(view, at, "little");
    const name = typeNames[type];
    if (name === undefined) throw damaged(`inode ${number} has type ${type}`);
    if (size > xv6LargestFile * xv6BlockSize) throw damaged(`inode ${number} says that it has ${size} bytes`);
    const blocks = Array.from({ length: xv6DirectBlocks + 1 }, (_, index) =>
      view.getUint32(at + xv6InodeHeader.size + 4 * index, true),
    );
    return { number, type: name, size, ...rest, blocks };
  }

  /**
   * Follows a path from the root directory. As in xv6, names are compared in their first 14 bytes.
   * @throws FileSystemError `not-found`, `not-a-directory`, `damaged`
   */
  async lookup(path: string): Promise<Xv6Inode> {
    let inode = await this.inode(xv6RootInode);
    let walked = "";
    for (const part of pathParts(path)) {
      const names = await this.list(inode, walked || "/");
      const wanted = decodeXv6Name(encodeXv6Name(part));
      walked += `/${part}`;
      const found = names.find(({ name }) => name === wanted);
      if (found === undefined) throw new FileSystemError("not-found", `${walked}: there is no such file`);
      inode = await this.inode(found.inode);
    }
    return inode;
  }

  /** The names in a directory, `.` and `..` too. @throws FileSystemError `not-a-directory`, `damaged` */
  async list(directory: Xv6Inode, path = `inode ${directory.number}`): Promise<Xv6Name[]> {
    if (directory.type !== "directory") throw new FileSystemError("not-a-directory", `${path} is no directory`);
    if (directory.size % xv6DirectoryEntry.size !== 0) {
      throw damaged(`the directory ${path} has ${directory.size} bytes, no whole number of entries`);
    }
    const names: Xv6Name[] = [];
    for await (const bytes of this.content(directory)) {
      const view = viewOf(bytes);
      for (let at = 0; at < bytes.byteLength; at += xv6DirectoryEntry.size) {
        const { inode, name } = xv6DirectoryEntry.read(view, at, "little");
        if (inode !== 0) names.push({ name: decodeXv6Name(name), inode });
      }
    }
    return names;
  }

  /** The bytes of a file or directory, a block at a time; each is valid until the next. @throws FileSystemError `damaged` */
  async *content(inode: Xv6Inode): AsyncGenerator<Uint8Array, void, undefined> {
    const count = Math.ceil(inode.size / xv6BlockSize);
    const numbers = inode.blocks.slice(0, Math.min(count, xv6DirectBlocks));
    if (count > xv6DirectBlocks) {
      const indirect = viewOf(await this.#dataBlock(inode, inode.blocks[xv6DirectBlocks]));
      for (let index = 0; index < count - xv6DirectBlocks; index++) numbers.push(indirect.getUint32(4 * index, true));
    }
    for (const [index, number] of numbers.entries()) {
      const bytes = await this.#dataBlock(inode, number);
      yield bytes.subarray(0, Math.min(xv6BlockSize, inode.size - index * xv6BlockSize));
    }
  }

  /** What is at a path. @throws FileSystemError */
  async stat(path: string): Promise<FileFacts> {
    return factsOf(pathParts(path).at(-1) ?? "/", await this.lookup(path));
  }

  /** The entries of a directory, without `.` and `..`. @throws FileSystemError */
  async entries(path: string): Promise<FileFacts[]> {
    const entries: FileFacts[] = [];
    for (const { name, inode } of await this.list(await this.lookup(path), path)) {
      if (name !== "." && name !== "..") entries.push(factsOf(name, await this.inode(inode)));
    }
    return entries;
  }

  /** The content of a file, a block at a time. @throws FileSystemError */
  async *pieces(path: string): AsyncGenerator<Uint8Array, void, undefined> {
    const inode = await this.lookup(path);
    if (inode.type !== "file") throw new FileSystemError("not-a-file", `${path} is a ${inode.type}`);
    yield* this.content(inode);
  }

  /** The whole content of a file. @throws FileSystemError `damaged`, `not-a-file` */
  async readFile(path: string): Promise<Uint8Array> {
    return readWhole(this, path);
  }

  async #dataBlock(inode: Xv6Inode, number: number): Promise<Uint8Array> {
    if (number < this.#dataStart || number >= this.superblock.size) {
      const range = `${this.#dataStart}…${this.superblock.size - 1}`;
      throw damaged(`inode ${inode.number} names block ${number}, data are in ${range}`);
    }
    return this.#reader.readBlock(number);
  }
}

function factsOf(name: string, { number, type, size }: Xv6Inode): FileFacts {
  return { name, inode: number, type, size };
}

function damaged(what: string): FileSystemError {
  return new FileSystemError("damaged", `the xv6 file system is damaged: ${what}`);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
