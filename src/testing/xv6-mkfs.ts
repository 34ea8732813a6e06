/** Makes xv6 file systems for tests, after the published layout. */
import {
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
  xv6NameLength,
  xv6RootInode,
  xv6Superblock,
  xv6SuperblockNumber,
} from "../filesystem/index.js";

/** A special file. */
export interface Xv6DeviceSpec {
  readonly major: number;
  readonly minor: number;
}

/** A directory by its names: bytes or text for files, a map for directories. */
export type Xv6Tree = ReadonlyMap<string, Uint8Array | string | Xv6Tree | Xv6DeviceSpec>;

/** The file system to make. */
export interface Xv6ImageSpec {
  readonly root: Xv6Tree;
  /** Blocks of 1024 bytes. Default 2000, as xv6 makes it. */
  readonly blocks?: number;
  /** Default 200. */
  readonly inodes?: number;
  /** Blocks of the log. Default 30. */
  readonly log?: number;
}

const bitsPerBlock = 8 * xv6BlockSize;

/** The bytes of a file system. @throws RangeError when something does not fit. */
export function makeXv6Image(spec: Xv6ImageSpec): Uint8Array {
  return new Xv6Maker(spec).image;
}

class Xv6Maker {
  readonly image: Uint8Array;
  readonly #view: DataView;
  readonly #inodes: number;
  readonly #inodeStart: number;
  #nextInode: number = xv6RootInode;
  #nextBlock: number;

  constructor({ root, blocks = 2000, inodes = 200, log = 30 }: Xv6ImageSpec) {
    const logStart = xv6SuperblockNumber + 1;
    const inodeBlocks = Math.floor(inodes / xv6InodesPerBlock) + 1;
    const bitmapBlocks = Math.floor(blocks / bitsPerBlock) + 1;
    const bitmapStart = logStart + log + inodeBlocks;
    this.image = new Uint8Array(blocks * xv6BlockSize);
    this.#view = new DataView(this.image.buffer);
    this.#inodes = inodes;
    this.#inodeStart = logStart + log;
    this.#nextBlock = bitmapStart + bitmapBlocks;
    xv6Superblock.write(this.#view, xv6SuperblockNumber * xv6BlockSize, "little", {
      magic: xv6Magic,
      size: blocks,
      dataBlocks: blocks - this.#nextBlock,
      inodes,
      logBlocks: log,
      logStart,
      inodeStart: this.#inodeStart,
      bitmapStart,
    });
    this.#directory(root, this.#takeInode(), undefined);
    for (let block = 0; block < this.#nextBlock; block++) {
      this.image[bitmapStart * xv6BlockSize + (block >> 3)] |= 1 << (block & 7);
    }
  }

  #takeInode(): number {
    if (this.#nextInode >= this.#inodes) throw new RangeError(`more than ${this.#inodes - 1} files`);
    return this.#nextInode++;
  }

  #directory(tree: Xv6Tree, own: number, parent: number | undefined): void {
    const entries: { name: string; inode: number }[] = [
      { name: ".", inode: own },
      { name: "..", inode: parent ?? own },
    ];
    for (const [name, what] of tree) {
      if (name === "" || new TextEncoder().encode(name).length > xv6NameLength || /[/\0]/.test(name))
        throw new RangeError(`no name: "${name}"`);
      const inode = this.#takeInode();
      entries.push({ name, inode });
      if (what instanceof Map) this.#directory(what as Xv6Tree, inode, own);
      else if (typeof what === "string") this.#write(inode, Xv6InodeType.File, new TextEncoder().encode(what));
      else if (what instanceof Uint8Array) this.#write(inode, Xv6InodeType.File, what);
      else this.#write(inode, Xv6InodeType.Device, new Uint8Array(0), what as Xv6DeviceSpec);
    }
    // The size of a directory is a whole number of blocks, as xv6's own tool leaves it.
    const length = Math.ceil((entries.length * xv6DirectoryEntry.size) / xv6BlockSize) * xv6BlockSize;
    const bytes = new Uint8Array(length);
    const view = new DataView(bytes.buffer);
    for (const [index, entry] of entries.entries()) {
      xv6DirectoryEntry.write(view, index * xv6DirectoryEntry.size, "little", {
        inode: entry.inode,
        name: encodeXv6Name(entry.name),
      });
    }
    this.#write(own, Xv6InodeType.Directory, bytes);
  }

  #write(inode: number, type: number, bytes: Uint8Array, device: Xv6DeviceSpec = { major: 0, minor: 0 }): void {
    const at = this.#inodeStart * xv6BlockSize + inode * xv6InodeSize;
    xv6InodeHeader.write(this.#view, at, "little", { type, ...device, links: 1, size: bytes.length });
    const count = Math.ceil(bytes.length / xv6BlockSize);
    if (count > xv6LargestFile) throw new RangeError(`a file has at most ${xv6LargestFile} blocks, not ${count}`);
    let numbers = at + xv6InodeHeader.size;
    for (let index = 0; index < count; index++) {
      if (index === xv6DirectBlocks) {
        const indirect = this.#takeBlock();
        this.#view.setUint32(numbers, indirect, true);
        numbers = indirect * xv6BlockSize;
      }
      const block = this.#takeBlock();
      this.#view.setUint32(numbers, block, true);
      numbers += 4;
      this.image.set(bytes.subarray(index * xv6BlockSize, (index + 1) * xv6BlockSize), block * xv6BlockSize);
    }
  }

  #takeBlock(): number {
    if ((this.#nextBlock + 1) * xv6BlockSize > this.image.length) throw new RangeError("the image is full");
    return this.#nextBlock++;
  }
}
