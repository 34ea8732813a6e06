/**
 * Event descriptors (`eventfd`): a counter that one side adds to and the other side waits for. Kicks and calls of
 * virtqueues are these.
 */
import { readlinkSync } from "node:fs";
import { libcFunction } from "./libc.js";
import { systemCallError, wouldBlock } from "./system-error.js";

const eventCall = libcFunction("int eventfd(unsigned int, int)");
const writeCall = libcFunction("int64_t write(int, void *, size_t)");
const readCall = libcFunction("int64_t read(int, void *, size_t)");
const fcntlCall = libcFunction("int fcntl(int fd, int cmd, ...)");
const duplicateCall = libcFunction("int fcntl(int, int, int)");

const nonBlocking = 0o4000;
const closeOnExec = 0o2000000;
const getFlags = 3;
const setFlags = 4;
const duplicateCloseOnExec = 1030;

const one = new BigUint64Array([1n]);
const scratch = new BigUint64Array(1);

/** A new event descriptor that never blocks; the caller closes it. @throws SystemCallError */
export function createEventDescriptor(): number {
  const descriptor: number = eventCall()(0, nonBlocking | closeOnExec);
  if (descriptor < 0) throw systemCallError("eventfd");
  return descriptor;
}

/** Adds 1. A counter that is full has told its reader already; a descriptor that is none is ignored. */
export function signalEvent(descriptor: number): void {
  writeCall()(descriptor, one, 8);
}

/** Takes the count back to 0. True when it was not 0 before. The descriptor must not block. */
export function clearEvent(descriptor: number): boolean {
  return readCall()(descriptor, scratch, 8) === 8;
}

/**
 * Whether a descriptor that somebody gave us is an event descriptor. Others must not be waited for or written to: a
 * file cannot be waited for, a pipe fills up.
 */
export function isEventDescriptor(descriptor: number): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`) === "anon_inode:[eventfd]";
  } catch {
    return false;
  }
}

/**
 * Makes reads and writes return at once. This is a property of the open file: whoever else has it is affected too.
 * @throws SystemCallError
 */
export function setNonBlocking(descriptor: number): void {
  const flags: number = fcntlCall()(descriptor, getFlags);
  if (flags < 0) throw systemCallError("fcntl", "F_GETFL");
  if ((flags & nonBlocking) !== 0) return;
  if (fcntlCall()(descriptor, setFlags, "int", flags | nonBlocking) < 0) throw systemCallError("fcntl", "F_SETFL");
}

/** Another descriptor of the same open file; the caller closes it. @throws SystemCallError */
export function duplicateDescriptor(descriptor: number): number {
  const copy: number = duplicateCall()(descriptor, duplicateCloseOnExec, 0);
  if (copy < 0) throw systemCallError("fcntl", "F_DUPFD_CLOEXEC");
  return copy;
}

/** Adds 1, and says whether the descriptor took it (false: it is no event descriptor). */
export function trySignalEvent(descriptor: number): boolean {
  return writeCall()(descriptor, one, 8) === 8 || wouldBlock();
}
