/** The parts of the kernel put together: disk, buffer cache, file system; and what `--ls` and `--cat` do. */
import { FileSystemError, Xv6FileSystem, type Xv6Inode } from "../../filesystem/index.js";
import { BufferCache } from "./buffer-cache.js";
import { Xv6Disk } from "./disk.js";
import type { Xv6Hardware } from "./disk-link.js";
import { type Xv6Profile, xv6Profiles } from "./profile.js";

/** How the kernel is started. */
export interface Xv6Options {
  /** Default `extended`. */
  readonly profile?: Xv6Profile["name"];
  /** How long a disk request may take, milliseconds. Default 10 000. */
  readonly timeout?: number;
}

/** A running kernel with its disk. */
export class Xv6Kernel {
  readonly disk: Xv6Disk;
  readonly cache: BufferCache;
  #fileSystem: Promise<Xv6FileSystem> | undefined;

  private constructor(disk: Xv6Disk, cache: BufferCache) {
    this.disk = disk;
    this.cache = cache;
  }

  /** Brings the disk up. @throws Xv6Panic, ProtocolError, UnsupportedError */
  static async start(hardware: Xv6Hardware, options: Xv6Options = {}): Promise<Xv6Kernel> {
    const disk = await Xv6Disk.open(xv6Profiles[options.profile ?? "extended"], hardware, options.timeout);
    try {
      return new Xv6Kernel(disk, new BufferCache(disk, hardware.dma));
    } catch (error) {
      await disk.close();
      throw error;
    }
  }

  /** The file system on the disk, read through the cache. @throws FileSystemError and what the disk throws */
  fileSystem(): Promise<Xv6FileSystem> {
    const { cache, disk } = this;
    this.#fileSystem ??= Xv6FileSystem.open({
      blocks: disk.blocks,
      async readBlock(block) {
        const buffer = await cache.read(block);
        const copy = buffer.data.slice();
        cache.release(buffer);
        return copy;
      },
    });
    return this.#fileSystem;
  }

  /** Resets the disk and gives all memory back. */
  async close(): Promise<void> {
    await this.disk.close();
    this.cache.free();
  }
}

/** A line of a listing. */
export interface Xv6Listing {
  readonly name: string;
  readonly inode: number;
  readonly type: Xv6Inode["type"];
  /** Bytes. */
  readonly size: number;
}

/** What is at a path: the entries of a directory, or the file itself. @throws FileSystemError and what the disk throws */
export async function listXv6(kernel: Xv6Kernel, path: string): Promise<Xv6Listing[]> {
  const fileSystem = await kernel.fileSystem();
  const inode = await fileSystem.lookup(path);
  const names = inode.type === "directory" ? await fileSystem.list(inode, path) : undefined;
  if (names === undefined) return [listing(path, inode)];
  const lines: Xv6Listing[] = [];
  for (const { name, inode: number } of names) lines.push(listing(name, await fileSystem.inode(number)));
  return lines;
}

/** The content of a file, piece by piece. @throws FileSystemError and what the disk throws */
export async function* catXv6(kernel: Xv6Kernel, path: string): AsyncGenerator<Uint8Array, void, undefined> {
  const fileSystem = await kernel.fileSystem();
  const inode = await fileSystem.lookup(path);
  if (inode.type !== "file") throw new FileSystemError("not-a-file", `${path} is a ${inode.type}`);
  yield* fileSystem.content(inode);
}

function listing(name: string, { number, type, size }: Xv6Inode): Xv6Listing {
  return { name, inode: number, type, size };
}
