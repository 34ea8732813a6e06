/** Turning an open image to direct I/O, which goes past the page cache. */
import { libcFunction, NativeBuffer, SystemCallError, setDirect, systemCallError } from "../../linux/index.js";
import { ImageError } from "./image-error.js";

const readCall = libcFunction("int64_t pread(int, uintptr_t, size_t, int64_t)");
const smallest = 512;
const largest = 4096;

let probe: NativeBuffer | undefined;

/**
 * Sets O_DIRECT. @returns what positions, lengths and addresses must be multiples of.
 * @throws ImageError `no-direct` where the file system has none, or not for such blocks
 */
export function turnDirect(fd: number, path: string, blockSize: number): number {
  try {
    setDirect(fd);
  } catch (cause) {
    const reason = cause instanceof SystemCallError ? cause.code : String(cause);
    throw new ImageError("no-direct", `the file system of ${path} has no direct I/O (${reason}); leave it out`, {
      cause,
    });
  }
  const alignment = isTaken(fd, path, smallest) ? smallest : isTaken(fd, path, largest) ? largest : undefined;
  if (alignment === undefined) {
    throw new ImageError("no-direct", `${path} takes no direct reads of ${largest} bytes; leave direct I/O out`);
  }
  if (blockSize % alignment === 0) return alignment;
  throw new ImageError(
    "no-direct",
    `direct I/O of ${path} needs blocks of ${alignment} bytes, not ${blockSize}; say so, or leave direct I/O out`,
  );
}

/** Whether a direct read of one block at a multiple of it succeeds. */
function isTaken(fd: number, path: string, size: number): boolean {
  probe ??= new NativeBuffer(2 * largest);
  if (readCall()(fd, Number(probe.address) + size, size, size) >= 0) return true;
  const error = systemCallError("pread", path);
  if (error.code === "EINVAL") return false;
  throw new ImageError("unreadable", `${path} cannot be read (${error.code})`, { cause: error });
}
