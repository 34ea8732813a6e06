/** PRE-FETCH(10) and (16) (SBC-3 §5.8, §5.9), SEEK(10) (SBC-2). */
import { readU32 } from "./big-endian.js";
import { isOutOfRange, type Place, place10, place16 } from "./block-range.js";
import type { CommandEntry } from "./command-set.js";
import { Commands } from "./command-table.js";
import { readAndCompare } from "./compare-blocks.js";
import type { Disk } from "./disk.js";
import { Conditions } from "./sense-codes.js";
import { runSteps, type Steps } from "./steps.js";
import { ScsiStatus, type ScsiTask } from "./task.js";

/** Reads the blocks, so that what keeps them near (a page cache, an overlay) has them. */
function* preFetch(disk: Disk, task: ScsiTask, fits: boolean): Steps {
  yield* readAndCompare(disk, task);
  // CONDITION MET: all of them are there now.
  if (fits) task.status = ScsiStatus.ConditionMet;
}

function entry(definition: CommandEntry<Disk>["definition"], place: Place): CommandEntry<Disk> {
  return {
    definition,
    prepare: (_disk, task) => place(task),
    execute(disk, task) {
      const most = disk.limits.maximumPrefetch;
      if (isOutOfRange(disk, task, most)) return undefined;
      const isToEnd = task.blocks === 0;
      const left = disk.blocks - task.lba;
      if (isToEnd) task.blocks = Math.min(left, most);
      // IMMED changes nothing: work that goes on behind an answered command could pile up without bound.
      return runSteps(task, preFetch(disk, task, !isToEnd || left <= most));
    },
  };
}

/** SEEK(10): the address is checked, nothing moves. */
const seekEntry: CommandEntry<Disk> = {
  definition: Commands.seek10,
  prepare(_disk, task) {
    task.lba = readU32(task.cdb, 2);
  },
  execute(disk, task) {
    if (task.lba >= disk.blocks) disk.fail(task, Conditions.lbaOutOfRange);
    return undefined;
  },
};

/** All of them. */
export const preFetchEntries: readonly CommandEntry<Disk>[] = [
  entry(Commands.preFetch10, place10),
  entry(Commands.preFetch16, place16),
  seekEntry,
];
