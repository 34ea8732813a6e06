/** Opens whatever file system a volume holds. */
import type { BlockReader } from "../partition/index.js";
import { AffsFileSystem, type AffsMount } from "./affs/index.js";
import type { FileSystem } from "./file-system.js";
import { FileSystemError } from "./file-system-error.js";
import { UfsFileSystem } from "./ufs/index.js";
import { type VolumePlace, VolumeReader } from "./volume-reader.js";
import { Xv6FileSystem, xv6BlockSize } from "./xv6/index.js";

/**
 * Tries UFS, xv6's and the Amiga's file systems, in the order of how sure their marks are.
 * @throws FileSystemError `not-this-format` when it is none of them; `not-supported` or `damaged` with what the one that
 * recognised the volume says
 */
export async function openFileSystem(reader: BlockReader, place: VolumePlace & AffsMount = {}): Promise<FileSystem> {
  const tries: (() => Promise<FileSystem>)[] = [
    () => UfsFileSystem.open(reader, place),
    () => openXv6(reader, place),
    () => AffsFileSystem.open(reader, place),
  ];
  for (const open of tries) {
    try {
      return await open();
    } catch (error) {
      if (!(error instanceof FileSystemError && error.code === "not-this-format")) throw error;
    }
  }
  throw new FileSystemError(
    "not-this-format",
    "there is no file system that can be read here: no UFS, OFS, FFS or xv6",
  );
}

/** Xv6's file system on a volume with blocks of any size. */
async function openXv6(reader: BlockReader, place: VolumePlace): Promise<Xv6FileSystem> {
  const volume = new VolumeReader(reader, place);
  return Xv6FileSystem.open({
    blocks: Math.floor(volume.byteLength / xv6BlockSize),
    readBlock: (block) => volume.bytes(block * xv6BlockSize, xv6BlockSize),
  });
}
