/** Files on slices: what `ls` and `cat` show after a mount, without mounting. A path is `c8d0s0:/etc/passwd`. */
import { type FileFacts, type FileSystem, listPath, UfsFileSystem } from "../../filesystem/index.js";
import { rootSlice } from "./boot-story.js";
import { Errno, errnoText } from "./errno.js";
import type { AmixKernel } from "./kernel.js";
import { type AmixSlice, sliceName, sliceOfName } from "./numbering.js";
import { SliceBlocks } from "./slice-blocks.js";

/** A slice cannot be opened. */
export class SliceError extends Error {
  override readonly name = "SliceError";
}

/** A path with its device. */
export interface AmixPath {
  readonly slice: AmixSlice;
  readonly path: string;
}

/** Takes a path apart; one without a device is on the root slice. Undefined when the device is no disk's name. */
export function parseAmixPath(text: string): AmixPath | undefined {
  const at = text.indexOf(":");
  if (at < 0) return { slice: rootSlice, path: text };
  const slice = sliceOfName(text.slice(0, at));
  return slice && { slice, path: text.slice(at + 1) };
}

/** The files of a kernel's slices. */
export class AmixFiles {
  readonly #kernel: AmixKernel;
  readonly #opened = new Map<string, Promise<FileSystem>>();

  constructor(kernel: AmixKernel) {
    this.#kernel = kernel;
  }

  /** The entries of a directory, or the file. @throws SliceError, FileSystemError, AmixIoError, RangeError */
  async list(text: string): Promise<FileFacts[]> {
    const { slice, path } = this.#parse(text);
    return listPath(await this.#open(slice), path);
  }

  /** The content of a file, piece by piece. @throws as {@link AmixFiles.list} */
  async *content(text: string): AsyncGenerator<Uint8Array, void, undefined> {
    const { slice, path } = this.#parse(text);
    yield* (await this.#open(slice)).pieces(path);
  }

  #parse(text: string): AmixPath {
    const parsed = parseAmixPath(text);
    if (parsed !== undefined) return parsed;
    throw new RangeError(`"${text}" names no disk: write a path such as c8d0s0:/etc`);
  }

  #open(slice: AmixSlice): Promise<FileSystem> {
    const name = sliceName(slice);
    let opened = this.#opened.get(name);
    if (opened === undefined) {
      opened = this.#openSlice(slice, name);
      this.#opened.set(name, opened);
    }
    return opened;
  }

  async #openSlice(slice: AmixSlice, name: string): Promise<FileSystem> {
    const { disks, dma } = this.#kernel;
    const errno = await disks.open(slice);
    if (errno !== Errno.None) throw new SliceError(`/dev/dsk/${name} does not open: error ${errnoText(errno)}`);
    return UfsFileSystem.open(new SliceBlocks(disks, dma, slice));
  }
}
