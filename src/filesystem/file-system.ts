/**
 * What every file system here answers. All are read only, and none trusts its image: whatever bytes there are, each call
 * ends after a bounded number of reads, with an answer or a `FileSystemError`; only errors of the medium come through as
 * they are.
 */

/** What an entry is. A hard link is what it leads to; `link` is a symbolic (soft) one. */
export type FileType = "directory" | "file" | "link" | "device" | "pipe" | "socket";

/** A file, directory or link. */
export interface FileFacts {
  /** The last part of its path, as it is written on the disk; the volume's name or `/` for the root. */
  readonly name: string;
  /** What identifies it on its volume: the inode, or the block of its header. Names of one file have the same. */
  readonly inode: number;
  readonly type: FileType;
  /** Bytes of its content. */
  readonly size: number;
  /** When the content changed. Amiga dates have no time zone and are taken as UTC. */
  readonly modified?: Date;
  /** Permissions as its system prints them: `rwxr-xr-x`, `----rwed`. */
  readonly mode?: string;
  /** Where a symbolic link leads to, as it is written there. */
  readonly target?: string;
  /** What its owner wrote about it (Amiga). */
  readonly comment?: string;
}

/** What a volume says of itself. */
export interface VolumeFacts {
  /** `xv6`, `UFS1`, `DOS\3` */
  readonly type: string;
  /** Its label, where it has one. */
  readonly name?: string;
  /** Bytes in a block, as the file system counts. */
  readonly blockSize: number;
  /** Blocks of that size. */
  readonly blocks: number;
}

/**
 * A file system that was opened. Paths have `/` between their parts, whatever the system of the disk writes; the root is
 * `/` or nothing. Whether upper and lower case differ is the file system's to say. Links in a path are followed.
 */
export interface FileSystem {
  readonly volume: VolumeFacts;
  /**
   * What is at a path; a link at the end is told of, not followed.
   * @throws FileSystemError
   */
  stat(path: string): Promise<FileFacts>;
  /**
   * The entries of a directory, without `.` and `..`, in the order of the disk.
   * @throws FileSystemError
   */
  entries(path: string): Promise<FileFacts[]>;
  /**
   * The content of a file, piece by piece, never more than 64 KiB at once; each piece is the caller's until it asks for the
   * next. A link at the end is followed.
   * @throws FileSystemError
   */
  pieces(path: string): AsyncGenerator<Uint8Array, void, undefined>;
}

/** The parts of a path. */
export function pathParts(path: string): string[] {
  return path.split("/").filter((part) => part !== "");
}

/** What `ls` shows of a path: the entries of a directory, or the file itself. @throws FileSystemError */
export async function listPath(fileSystem: FileSystem, path: string): Promise<FileFacts[]> {
  const facts = await fileSystem.stat(path);
  return facts.type === "directory" ? fileSystem.entries(path) : [facts];
}

/**
 * The whole content of a file.
 * @param limit largest size in bytes. Default 256 MiB
 * @throws FileSystemError; RangeError when the file is larger than `limit`
 */
export async function readWhole(fileSystem: FileSystem, path: string, limit = 1 << 28): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of fileSystem.pieces(path)) {
    length += piece.length;
    if (length > limit) throw new RangeError(`${path} has more than ${limit} bytes`);
    pieces.push(piece.slice());
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
