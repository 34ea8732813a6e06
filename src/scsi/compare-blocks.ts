/** Comparing what an initiator sent with what the medium has. */
import { Scatter } from "../memory/index.js";
import type { Disk } from "./disk.js";
import { Conditions } from "./sense-codes.js";
import type { Steps } from "./steps.js";
import type { ScsiTask } from "./task.js";

/** Bytes read from the medium at a time: whole blocks of any size. */
const stretch = 256 * 1024;

/** The first byte that differs, or −1. */
function firstDifference(one: Uint8Array, other: Uint8Array, length: number): number {
  for (let index = 0; index < length; index++) if (one[index] !== other[index]) return index;
  return -1;
}

/** SBC-3 §5.2: a miscompare tells, in INFORMATION, the place of the first byte that differs in what was sent. */
export function failMiscompare(disk: Disk, task: ScsiTask, offset: number): void {
  task.transferredOut = 0;
  disk.fail(task, Conditions.miscompare, { information: offset });
}

/**
 * Reads the task's blocks. With `sent` they are compared with it, or, when `sent` is one block and `isSame`, each with
 * that. A difference becomes the task's sense; without one `task.transferredOut` is all that the CDB announces.
 */
export function* readAndCompare(disk: Disk, task: ScsiTask, sent?: Scatter, isSame = false): Steps {
  const position = task.lba * disk.blockSize;
  const length = task.blocks * disk.blockSize;
  const found = new Uint8Array(Math.min(length, stretch));
  const target = Scatter.of(found);
  const expected = new Uint8Array(sent === undefined ? 0 : found.length);
  if (sent !== undefined && isSame) {
    for (let at = 0; at < expected.length; at += disk.blockSize) sent.copyOut(expected, at, disk.blockSize);
  }
  for (let done = 0; done < length; done += found.length) {
    const step = Math.min(found.length, length - done);
    yield disk.store.read(position + done, target, step);
    if (sent === undefined) continue;
    if (!isSame) sent.copyOut(expected, 0, step, done);
    const difference = firstDifference(found, expected, step);
    if (difference < 0) continue;
    failMiscompare(disk, task, isSame ? difference % disk.blockSize : done + difference);
    return;
  }
  task.transferredOut = task.expectedOut;
}
