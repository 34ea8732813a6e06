/**
 * What Linux can do with holes in a file, as far as system and file system play along. Where they do not, the answer
 * says so and the caller does it the long way.
 */
import { type CFunction, lastErrorName, libcFunction } from "../../linux/index.js";

const FALLOC_FL_KEEP_SIZE = 0x01;
const FALLOC_FL_PUNCH_HOLE = 0x02;
const FALLOC_FL_ZERO_RANGE = 0x10;
const SEEK_END = 2;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;

const fallocate = whereThereIsALibc(libcFunction("int fallocate(int fd, int mode, int64_t offset, int64_t length)"));
const lseek = whereThereIsALibc(libcFunction("int64_t lseek(int fd, int64_t offset, int whence)"));

/** The function, or undefined on a system that has no such C library. */
function whereThereIsALibc(bind: () => CFunction): () => CFunction | undefined {
  let isMissing = false;
  return () => {
    if (isMissing) return undefined;
    try {
      return bind();
    } catch {
      isMissing = true;
      return undefined;
    }
  };
}

/** `done`, `refused` (not possible here: do it another way), or the name of the error that the medium gave. */
export type SpaceAnswer = "done" | "refused" | "EIO" | "ENOSPC" | "EFBIG";

/** Gives the space of a range back; it reads as zeros. Keeps the file's size. */
export function punchHole(fd: number, position: number, length: number): SpaceAnswer {
  return allocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, position, length);
}

/** Makes a range read as zeros and keeps its space. Keeps the file's size. */
export function zeroRange(fd: number, position: number, length: number): SpaceAnswer {
  return allocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, position, length);
}

function allocate(fd: number, mode: number, position: number, length: number): SpaceAnswer {
  const call = fallocate();
  if (call === undefined) return "refused";
  for (;;) {
    if (call(fd, mode, position, length) === 0) return "done";
    const name = lastErrorName();
    if (name === "EINTR") continue;
    return name === "EIO" || name === "ENOSPC" || name === "EFBIG" ? name : "refused";
  }
}

/** Where data begins at or after `position`: `end` when there is none before it; `position` when nothing is known. */
export function nextData(fd: number, position: number, end: number): number {
  const call = lseek();
  if (call === undefined) return position;
  const found = Number(call(fd, position, SEEK_DATA));
  if (found >= position) return Math.min(found, end);
  return lastErrorName() === "ENXIO" ? end : position;
}

/** Where a hole begins at or after `position`, `end` at the latest. */
export function nextHole(fd: number, position: number, end: number): number {
  const found = Number(lseek()?.(fd, position, SEEK_HOLE) ?? -1);
  return found >= position ? Math.min(found, end) : end;
}

/** The size of a block device in bytes, or undefined where it cannot be found out. */
export function deviceSize(fd: number): number | undefined {
  const size = Number(lseek()?.(fd, 0, SEEK_END) ?? -1);
  return size >= 0 ? size : undefined;
}
