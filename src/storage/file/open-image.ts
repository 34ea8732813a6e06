/** Opens an image for use as a disk, or says in one line why that cannot be. Never creates or changes anything. */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync } from "node:fs";
import { forgoAccessTime, setBlocking } from "../../linux/index.js";
import { imageProbeSize, recogniseImage } from "../image-format.js";
import { turnDirect } from "./direct-io.js";
import { FileLanes } from "./file-lanes.js";
import { errorName, FileStore } from "./file-store.js";
import { ImageError } from "./image-error.js";
import { lockImage } from "./image-lock.js";
import { MappedPages } from "./mapped-pages.js";
import type { SlowLane } from "./slow-lane.js";
import { deviceSize } from "./sparse-file.js";

/** How an image is opened. */
export interface OpenImageOptions {
  /** Default false: the image is opened for reading and writing. */
  readOnly?: boolean;
  /** Bytes of a block that the size must be a multiple of. Default 512. */
  blockSize?: number;
  /** `raw` takes the bytes as they are, even when they look like another format. Default: other formats are refused. */
  format?: "raw";
  /** Default true. Without locks another program can change the image meanwhile. */
  lock?: boolean;
  /** What messages call it. Default: its path. */
  name?: string;
  /**
   * Work that would wait for the medium is answered with a promise and holds no other up; what the page cache can do is
   * done straight from and to memory whose address is known. Linux only: elsewhere it changes nothing. A name chooses
   * how waiting is done; by default io_uring, and threads where that is refused. Default false.
   */
  lanes?: boolean | SlowLane["name"];
  /**
   * Copy what the page cache has from a mapping of the file: faster than system calls for small reads. Only
   * on x86-64 Linux, where a mapping can be guarded against a file that becomes shorter; elsewhere, and with `direct`, it
   * changes nothing. Default false.
   */
  mapped?: boolean;
  /** Go past the page cache (O_DIRECT). Linux only. Default false. */
  direct?: boolean;
}

/**
 * Opens and locks a raw image or a block device.
 * @throws ImageError one line that says what is wrong and what to do.
 */
export function openImage(path: string, options: OpenImageOptions = {}): FileStore {
  const readOnly = options.readOnly ?? false;
  checkKind(
    path,
    statOrThrow(path, () => statSync(path)),
  );
  const fd = openOrThrow(path, readOnly);
  try {
    // The name can have changed hands since the first look.
    const stats = statOrThrow(path, () => fstatSync(fd));
    checkKind(path, stats);
    if (options.lock ?? true) lockOrThrow(path, fd, readOnly);
    const byteLength = stats.isBlockDevice() ? deviceSize(fd) : stats.size;
    if (byteLength === undefined) {
      throw new ImageError("not-a-disk", `${path} is a device, and its size cannot be found out on this system`);
    }
    if (byteLength === 0) throw new ImageError("empty", `${path} is empty; give an image of at least one block`);
    if (options.format !== "raw") checkFormat(path, fd, byteLength);
    checkSize(path, byteLength, options.blockSize ?? 512);
    const lanes = openLanes(path, fd, options);
    const isMapped = options.mapped === true && options.direct !== true && process.platform === "linux";
    const mapped = isMapped ? MappedPages.open(fd, byteLength, !readOnly) : undefined;
    return new FileStore(fd, { path: options.name ?? path, byteLength, isReadOnly: readOnly, lanes, mapped });
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/**
 * Opens the file of an open image once more, for another thread: with lanes and an error state of its
 * own (a write-back that failed is told to every opener). Locks stay the first one's, which has to be open as long.
 * @throws ImageError
 */
export function reopenImage(
  descriptor: number,
  name: string,
  options: Pick<OpenImageOptions, "readOnly" | "blockSize" | "lanes" | "mapped" | "direct">,
): FileStore {
  return openImage(`/proc/self/fd/${descriptor}`, { ...options, name, lock: false, format: "raw" });
}

function openLanes(path: string, fd: number, options: OpenImageOptions): FileLanes | undefined {
  const { lanes = false, direct = false, blockSize = 512 } = options;
  if (process.platform !== "linux") {
    if (direct) throw new ImageError("no-direct", "there is direct I/O on Linux only; leave it out");
    return undefined;
  }
  if (lanes === false && !direct) return undefined;
  setBlocking(fd);
  forgoAccessTime(fd);
  const directAlignment = direct ? turnDirect(fd, path, blockSize) : 0;
  return new FileLanes(fd, {
    path: options.name ?? path,
    directAlignment,
    ...(typeof lanes === "string" ? { slowLane: lanes } : {}),
  });
}

function statOrThrow(path: string, stat: () => Stats): Stats {
  try {
    return stat();
  } catch (error) {
    throw accessError(path, error, true);
  }
}

function openOrThrow(path: string, readOnly: boolean): number {
  // Without O_NONBLOCK, a pipe that took the image's place would keep us waiting for its other end.
  const flags = (readOnly ? constants.O_RDONLY : constants.O_RDWR) | (constants.O_NONBLOCK ?? 0);
  try {
    return openSync(path, flags);
  } catch (error) {
    throw accessError(path, error, readOnly);
  }
}

function accessError(path: string, error: unknown, readOnly: boolean): ImageError {
  const name = errorName(error);
  const options = { cause: error };
  switch (name) {
    case "ENOENT":
    case "ENOTDIR":
      return new ImageError("missing", `${path} does not exist; check the path`, options);
    case "EISDIR":
      return directoryError(path);
    case "EBUSY":
    case "ETXTBSY":
      return new ImageError("in-use", `${path} is in use by another process (${name}); close that first`, options);
    case "EROFS":
    case "EACCES":
    case "EPERM":
      if (!readOnly && isReadable(path)) {
        return new ImageError("not-writable", `${path} may not be written (${name}); open it read-only`, options);
      }
      return new ImageError("unreadable", `${path} may not be read (${name}); check its permissions`, options);
    default:
      return new ImageError("unreadable", `${path} cannot be opened (${name})`, options);
  }
}

function isReadable(path: string): boolean {
  try {
    closeSync(openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)));
    return true;
  } catch {
    return false;
  }
}

function directoryError(path: string): ImageError {
  return new ImageError("directory", `${path} is a directory; give a disk image file`);
}

function checkKind(path: string, stats: Stats): void {
  if (stats.isFile() || stats.isBlockDevice()) return;
  if (stats.isDirectory()) throw directoryError(path);
  const kind = stats.isCharacterDevice()
    ? "a character device"
    : stats.isFIFO()
      ? "a pipe"
      : stats.isSocket()
        ? "a socket"
        : "no file";
  throw new ImageError("not-a-disk", `${path} is ${kind}; give a disk image file or a block device`);
}

function lockOrThrow(path: string, fd: number, readOnly: boolean): void {
  let conflict: ReturnType<typeof lockImage>;
  try {
    conflict = lockImage(fd, !readOnly);
  } catch (cause) {
    const reason = (cause instanceof Error ? cause.message : String(cause)).split("\n")[0];
    throw new ImageError(
      "no-locks",
      `${path} is not opened, since it cannot be locked against other programs: ${reason}`,
      { cause },
    );
  }
  if (conflict === undefined) return;
  const what = conflict === "other-writes" ? "which writes it" : "which allows no writing beside it";
  throw new ImageError("in-use", `${path} is in use by another process, ${what}; close that first`);
}

function checkSize(path: string, byteLength: number, blockSize: number): void {
  if (byteLength % blockSize !== 0) {
    throw new ImageError(
      "bad-size",
      `${path} has ${byteLength} bytes, which is no multiple of its block size of ${blockSize} bytes`,
    );
  }
}

function checkFormat(path: string, fd: number, byteLength: number): void {
  const head = new Uint8Array(Math.min(byteLength, imageProbeSize.head));
  const tail = new Uint8Array(Math.min(byteLength, imageProbeSize.tail));
  try {
    readSync(fd, head, 0, head.length, 0);
    readSync(fd, tail, 0, tail.length, byteLength - tail.length);
  } catch (error) {
    throw new ImageError("unreadable", `${path} cannot be read (${errorName(error)})`, { cause: error });
  }
  const found = recogniseImage(head, tail);
  if (found === undefined) return;
  const remedy =
    found.kind === "compressed" ? "unpack it first" : `convert it first (qemu-img convert -O raw ${path} NEW.img)`;
  throw new ImageError(
    "foreign-format",
    `${path} is a ${found.name} file, not a raw disk; ${remedy}, or insist with format raw`,
  );
}
