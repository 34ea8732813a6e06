/** VERIFY(10), (12), (16) (SBC-3 §5.29…31) and WRITE AND VERIFY(10), (12), (16) (§5.37…39). */
import { isOutOfRange, type Place, place10, place12, place16 } from "./block-range.js";
import type { CommandEntry } from "./command-set.js";
import { Commands } from "./command-table.js";
import { readAndCompare } from "./compare-blocks.js";
import type { Disk } from "./disk.js";
import { Conditions } from "./sense-codes.js";
import { runSteps, type Steps } from "./steps.js";
import type { ScsiTask } from "./task.js";

type Definition = CommandEntry<Disk>["definition"];

/** BYTCHK: 0 the blocks can be read, 1 they are what is sent, 3 each is the one block that is sent. */
const ByteCheck = { None: 0, All: 1, Same: 3 } as const;

function byteCheckOf(task: ScsiTask): number {
  return (task.cdb[1] >>> 1) & 3;
}

/** Whether data that has to be compared or written is missing; the task is refused then. */
function isShort(disk: Disk, task: ScsiTask): boolean {
  if (task.dataOut.byteLength >= task.expectedOut) return false;
  disk.fail(task, Conditions.invalidFieldInCommandUnit);
  return true;
}

function verifyEntry(definition: Definition, place: Place): CommandEntry<Disk> {
  return {
    definition,
    prepare(disk, task) {
      place(task);
      const check = byteCheckOf(task);
      if (check === ByteCheck.All) task.expectedOut = task.blocks * disk.blockSize;
      else if (check === ByteCheck.Same && task.blocks > 0) task.expectedOut = disk.blockSize;
    },
    execute(disk, task) {
      const check = byteCheckOf(task);
      if (check === 2) {
        disk.invalidField(task, 1, 2);
        return undefined;
      }
      if (isOutOfRange(disk, task, disk.maximumTransferBlocks) || isShort(disk, task) || task.blocks === 0) {
        return undefined;
      }
      const sent = check === ByteCheck.None ? undefined : task.dataOut;
      return runSteps(task, readAndCompare(disk, task, sent, check === ByteCheck.Same));
    },
  };
}

function* writeAndVerify(disk: Disk, task: ScsiTask, compares: boolean): Steps {
  const { turn, before } = disk.turns.enter(task.lba, task.blocks, false);
  try {
    yield before;
    yield disk.store.write(task.lba * disk.blockSize, task.dataOut, task.expectedOut);
    yield disk.store.flush();
    yield* readAndCompare(disk, task, compares ? task.dataOut : undefined);
  } finally {
    disk.turns.leave(turn);
  }
}

function writeAndVerifyEntry(definition: Definition, place: Place): CommandEntry<Disk> {
  return {
    definition,
    prepare(disk, task) {
      place(task);
      task.expectedOut = task.blocks * disk.blockSize;
    },
    execute(disk, task) {
      const check = byteCheckOf(task);
      if (check > ByteCheck.All) {
        disk.invalidField(task, 1, 2);
        return undefined;
      }
      if (disk.isWriteProtected) return disk.refuseWrite(task);
      if (isOutOfRange(disk, task, disk.maximumTransferBlocks) || isShort(disk, task) || task.blocks === 0) {
        return undefined;
      }
      return runSteps(task, writeAndVerify(disk, task, check === ByteCheck.All));
    },
  };
}

/** All six. */
export const verifyEntries: readonly CommandEntry<Disk>[] = [
  verifyEntry(Commands.verify10, place10),
  verifyEntry(Commands.verify12, place12),
  verifyEntry(Commands.verify16, place16),
  writeAndVerifyEntry(Commands.writeAndVerify10, place10),
  writeAndVerifyEntry(Commands.writeAndVerify12, place12),
  writeAndVerifyEntry(Commands.writeAndVerify16, place16),
];
