/**
 * Byte locks that belong to an open file (fcntl with F_OFD_…): they end when the file is closed, and they collide with
 * those of another open of the same file, in this process too. Advisory: only those who ask see them.
 */
import { hostEndianness } from "../bytes/index.js";
import { lastErrorName, libcFunction } from "./libc.js";

const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;

/** `shared`: many may hold it (needs a file open for reading); `exclusive`: one may (needs one open for writing). */
export type LockKind = "shared" | "exclusive";

const lockType = { shared: 0, exclusive: 1, none: 2 } as const;
const seekSet = 0;
const little = hostEndianness === "little";

/** `struct flock` of 64-bit Linux: type, whence, start, length, pid. */
const flockBytes = new Uint8Array(32);
const flock = new DataView(flockBytes.buffer);

const fcntl = libcFunction("int fcntl(int fd, int cmd, ...)");

/**
 * Locks `length` bytes at `start`. Answers false when another open file holds a lock that collides.
 * @throws Error when this system or file system has no such locks.
 */
export function tryLockBytes(fd: number, start: number, length: number, kind: LockKind): boolean {
  if (call(fd, F_OFD_SETLK, lockType[kind], start, length)) return true;
  const name = lastErrorName();
  if (name === "EAGAIN" || name === "EWOULDBLOCK" || name === "EACCES") return false;
  throw new Error(`byte locks do not work on this file (${name})`);
}

/**
 * Gives up this open file's locks in the range.
 * @throws Error when this system or file system has no such locks.
 */
export function unlockBytes(fd: number, start: number, length: number): void {
  if (!call(fd, F_OFD_SETLK, lockType.none, start, length)) {
    throw new Error(`byte locks do not work on this file (${lastErrorName()})`);
  }
}

/**
 * Whether another open file holds a lock that a lock of this kind would collide with. Locks nothing, and needs no
 * particular access of the file.
 * @throws Error when this system or file system has no such locks.
 */
export function isLockedByOther(fd: number, start: number, length: number, kind: LockKind): boolean {
  if (!call(fd, F_OFD_GETLK, lockType[kind], start, length)) {
    throw new Error(`byte locks do not work on this file (${lastErrorName()})`);
  }
  return flock.getInt16(0, little) !== lockType.none;
}

function call(fd: number, command: number, type: number, start: number, length: number): boolean {
  flockBytes.fill(0);
  flock.setInt16(0, type, little);
  flock.setInt16(2, seekSet, little);
  flock.setBigInt64(8, BigInt(start), little);
  flock.setBigInt64(16, BigInt(length), little);
  return fcntl()(fd, command, "void *", flockBytes) === 0;
}
