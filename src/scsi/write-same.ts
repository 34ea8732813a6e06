/** WRITE SAME(10) and (16) (SBC-3 §5.42, §5.43): one block, over and over; or zeros, with or without giving space back. */
import { Scatter } from "../memory/index.js";
import { isOutOfRange, type Place, place10, place16 } from "./block-range.js";
import type { CommandEntry } from "./command-set.js";
import { Commands } from "./command-table.js";
import type { Disk } from "./disk.js";
import { takeParameters } from "./parameter-list.js";
import { runSteps, type Steps } from "./steps.js";
import type { ScsiTask } from "./task.js";

const unmapBit = 0x08;
const noDataBit = 0x01;
/** Bytes written at a time when the block is not zero. */
const stretch = 256 * 1024;

function execute(disk: Disk, task: ScsiTask, mayUnmap: boolean, hasData: boolean): undefined | Promise<void> {
  if (disk.isWriteProtected) return disk.refuseWrite(task);
  if (mayUnmap && !disk.isThin) {
    disk.invalidField(task, 1, 3);
    return undefined;
  }
  // WSNZ of page B0h: a count of 0 is not "to the end".
  if (task.blocks === 0) {
    disk.invalidField(task, task.cdb[0] === 0x41 ? 7 : 10);
    return undefined;
  }
  if (isOutOfRange(disk, task, disk.limits.maximumWriteSame)) return undefined;
  const block = hasData ? takeParameters(disk, task) : undefined;
  if (hasData && block === undefined) return undefined;
  return runSteps(task, writeSame(disk, task, block, mayUnmap));
}

function* writeSame(disk: Disk, task: ScsiTask, block: Uint8Array | undefined, mayUnmap: boolean): Steps {
  const { turn, before } = disk.turns.enter(task.lba, task.blocks, false);
  try {
    yield before;
    const position = task.lba * disk.blockSize;
    const length = task.blocks * disk.blockSize;
    // LBPRZ: unmapped blocks read as zeros, so a block of another content is written, not unmapped.
    if (block === undefined || block.every((byte) => byte === 0)) {
      yield disk.store.writeZeroes(position, length, !mayUnmap);
    } else {
      const many = repeated(block, Math.min(length, stretch));
      const source = Scatter.of(many);
      for (let done = 0; done < length; done += many.length) {
        yield disk.store.write(position + done, source, Math.min(many.length, length - done));
      }
    }
  } finally {
    disk.turns.leave(turn);
  }
  if (!disk.hasWriteCache) yield disk.store.flush();
}

function repeated(block: Uint8Array, length: number): Uint8Array {
  const many = new Uint8Array(Math.max(length, block.length));
  for (let at = 0; at < many.length; at += block.length) many.set(block, at);
  return many;
}

function entry(definition: CommandEntry<Disk>["definition"], place: Place): CommandEntry<Disk> {
  const canOmitData = place === place16;
  const hasData = (task: ScsiTask) => !canOmitData || (task.cdb[1] & noDataBit) === 0;
  return {
    definition,
    prepare(disk, task) {
      place(task);
      task.expectedOut = hasData(task) ? disk.blockSize : 0;
    },
    execute: (disk, task) => execute(disk, task, (task.cdb[1] & unmapBit) !== 0, hasData(task)),
  };
}

/** Both. */
export const writeSameEntries: readonly CommandEntry<Disk>[] = [
  entry(Commands.writeSame10, place10),
  entry(Commands.writeSame16, place16),
];
