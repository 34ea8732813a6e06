/** Flags of an open file that can be changed after it was opened. */
import { constants } from "node:fs";
import { libcFunction } from "./libc.js";
import { SystemCallError, systemCallError } from "./system-error.js";

const fcntlCall = libcFunction("int fcntl(int fd, int cmd, ...)");
const getFlags = 3;
const setFlags = 4;

/**
 * Waiting is allowed from here on: io_uring answers EAGAIN instead of waiting for files that must not wait.
 * @throws SystemCallError
 */
export function setBlocking(descriptor: number): void {
  change(descriptor, (flags) => flags & ~constants.O_NONBLOCK);
}

/**
 * Reads and writes go past the page cache from here on (O_DIRECT): positions, lengths and addresses must be aligned.
 * @throws SystemCallError `EINVAL` where the file system has no such thing
 */
export function setDirect(descriptor: number): void {
  change(descriptor, (flags) => flags | constants.O_DIRECT);
}

/**
 * Reads leave no access time behind from here on (O_NOATIME), which the kernel would think about at each of them.
 * @returns whether the caller may ask for that: it is for the file's owner and root
 */
export function forgoAccessTime(descriptor: number): boolean {
  try {
    change(descriptor, (flags) => flags | constants.O_NOATIME);
    return true;
  } catch (error) {
    if (error instanceof SystemCallError && error.code === "EPERM") return false;
    throw error;
  }
}

function change(descriptor: number, changed: (flags: number) => number): void {
  const flags: number = fcntlCall()(descriptor, getFlags);
  if (flags < 0) throw systemCallError("fcntl", "F_GETFL");
  if (fcntlCall()(descriptor, setFlags, "int", changed(flags)) < 0) throw systemCallError("fcntl", "F_SETFL");
}
