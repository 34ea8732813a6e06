/**
 * Keeps two programs from changing one image, in QEMU's way, so that QEMU and Ringside see each other's locks. There is
 * one byte for each permission, twice: a lock on `usedBase + i` says "I use permission i", one on `unsharedBase + i`
 * says "nobody else may use it". All locks are shared ones; a collision is found by asking, after locking.
 */
import { isLockedByOther, tryLockBytes } from "../../linux/index.js";

const usedBase = 100;
const unsharedBase = 200;

/** QEMU's block permissions, by bit number. */
const permissions = { consistentRead: 0, write: 1, writeUnchanged: 2, resize: 3 } as const;
type Permission = keyof typeof permissions;

/** What another program's locks forbid us. */
export type LockConflict =
  /** It uses the image in a way that we do not allow beside us (it writes, or changes the size). */
  | "other-writes"
  /** It does not allow what we want to do (write). */
  | "other-forbids";

const reader: readonly Permission[] = ["consistentRead"];
const writer: readonly Permission[] = ["consistentRead", "write"];
/** Whoever reads or writes wants nobody else to write or to change the size meanwhile. */
const unshared: readonly Permission[] = ["write", "resize"];

/**
 * Locks an open image for reading, or for reading and writing. The locks end when `fd` is closed, also after a conflict.
 * @returns undefined when the image is ours, else what stands against it.
 * @throws Error when the system has no such locks.
 */
export function lockImage(fd: number, writes: boolean): LockConflict | undefined {
  const used = writes ? writer : reader;
  // All locks first, then all questions: of two who come at the same moment, one at least sees the other.
  for (const permission of used) {
    if (!tryLockBytes(fd, usedBase + permissions[permission], 1, "shared")) return "other-forbids";
  }
  for (const permission of unshared) {
    if (!tryLockBytes(fd, unsharedBase + permissions[permission], 1, "shared")) return "other-writes";
  }
  for (const permission of used) {
    if (isLockedByOther(fd, unsharedBase + permissions[permission], 1, "exclusive")) return "other-forbids";
  }
  for (const permission of unshared) {
    if (isLockedByOther(fd, usedBase + permissions[permission], 1, "exclusive")) return "other-writes";
  }
  return undefined;
}
