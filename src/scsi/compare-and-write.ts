/** COMPARE AND WRITE (SBC-3 §5.2): one step to everybody else, also when the store answers late. */
import { Scatter } from "../memory/index.js";
import { readU64 } from "./big-endian.js";
import { isOutOfRange } from "./block-range.js";
import type { CommandEntry } from "./command-set.js";
import { Commands } from "./command-table.js";
import { readAndCompare } from "./compare-blocks.js";
import type { Disk } from "./disk.js";
import { takeParameters } from "./parameter-list.js";
import { runSteps, type Steps } from "./steps.js";
import { ScsiStatus, type ScsiTask } from "./task.js";

const fuaBit = 0x08;

/** @param sent the blocks to compare with, then the blocks to write, as a copy: the initiator may change its own. */
function* compareAndWrite(disk: Disk, task: ScsiTask, sent: Uint8Array): Steps {
  const length = task.blocks * disk.blockSize;
  const { turn, before } = disk.turns.enter(task.lba, task.blocks, true);
  try {
    yield before;
    yield* readAndCompare(disk, task, Scatter.of(sent.subarray(0, length)));
    if (task.status !== ScsiStatus.Good) return;
    yield disk.store.write(task.lba * disk.blockSize, Scatter.of(sent.subarray(length)), length);
  } finally {
    disk.turns.leave(turn);
  }
  if ((task.cdb[1] & fuaBit) !== 0 || !disk.hasWriteCache) yield disk.store.flush();
}

/** COMPARE AND WRITE. */
export const compareAndWriteEntry: CommandEntry<Disk> = {
  definition: Commands.compareAndWrite,
  prepare(disk, task) {
    task.lba = readU64(task.cdb, 2);
    task.blocks = task.cdb[13];
    task.expectedOut = 2 * task.blocks * disk.blockSize;
  },
  execute(disk, task) {
    if (disk.isWriteProtected) return disk.refuseWrite(task);
    if (isOutOfRange(disk, task, disk.limits.maximumCompareAndWrite) || task.blocks === 0) return undefined;
    const sent = takeParameters(disk, task);
    return sent === undefined ? undefined : runSteps(task, compareAndWrite(disk, task, sent));
  },
};
