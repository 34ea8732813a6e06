/** UNMAP (SBC-3 §5.28): gives ranges back. Everything is checked before anything is done. */
import { readU16, readU32, readU64, writeU16, writeU32, writeU64 } from "./big-endian.js";
import type { CommandEntry } from "./command-set.js";
import { Commands } from "./command-table.js";
import type { Disk } from "./disk.js";
import { takeParameters } from "./parameter-list.js";
import { Conditions } from "./sense-codes.js";
import { runSteps, type Steps } from "./steps.js";
import type { ScsiTask } from "./task.js";

const headerLength = 8;
const descriptorLength = 16;

/** A range to give back. */
export interface UnmapRange {
  readonly lba: number;
  readonly blocks: number;
}

/** An UNMAP parameter list. */
export function buildUnmap(ranges: readonly UnmapRange[]): Uint8Array {
  const list = new Uint8Array(headerLength + ranges.length * descriptorLength);
  writeU16(list, 0, list.length - 2);
  writeU16(list, 2, list.length - headerLength);
  for (const [index, { lba, blocks }] of ranges.entries()) {
    const at = headerLength + index * descriptorLength;
    writeU64(list, at, lba);
    writeU32(list, at + 8, blocks);
  }
  return list;
}

/** The ranges of a parameter list, or undefined after the task was refused. */
function readRanges(disk: Disk, task: ScsiTask): readonly UnmapRange[] | undefined {
  const list = takeParameters(disk, task);
  if (list === undefined) return undefined;
  const length = readU16(list, 2);
  if (list.length < headerLength || list.length < readU16(list, 0) + 2 || list.length < headerLength + length) {
    disk.fail(task, Conditions.parameterListLength);
    return undefined;
  }
  const ranges: UnmapRange[] = [];
  let total = 0;
  // §5.28.2: a descriptor that is not whole is ignored.
  for (let at = headerLength; at + descriptorLength <= headerLength + length; at += descriptorLength) {
    const range = { lba: readU64(list, at), blocks: readU32(list, at + 8) };
    total += range.blocks;
    if (ranges.length >= disk.limits.maximumUnmapDescriptors || total > disk.limits.maximumUnmapBlocks) {
      const byte = total > disk.limits.maximumUnmapBlocks ? at + 8 : 2;
      disk.fail(task, Conditions.invalidFieldInParameterList, { fieldPointer: { inCdb: false, byte, bit: undefined } });
      return undefined;
    }
    if (range.lba > disk.blocks || range.blocks > disk.blocks - range.lba) {
      disk.fail(task, Conditions.lbaOutOfRange);
      return undefined;
    }
    ranges.push(range);
  }
  return ranges;
}

function* unmap(disk: Disk, ranges: readonly UnmapRange[]): Steps {
  for (const { lba, blocks } of ranges) {
    if (blocks === 0) continue;
    const { turn, before } = disk.turns.enter(lba, blocks, false);
    try {
      yield before;
      yield disk.store.discard(lba * disk.blockSize, blocks * disk.blockSize);
    } finally {
      disk.turns.leave(turn);
    }
  }
  if (!disk.hasWriteCache) yield disk.store.flush();
}

/** UNMAP. */
export const unmapEntry: CommandEntry<Disk> = {
  definition: Commands.unmap,
  execute(disk, task) {
    if (disk.isWriteProtected) return disk.refuseWrite(task);
    if (task.expectedOut === 0) return undefined;
    const ranges = readRanges(disk, task);
    return ranges === undefined ? undefined : runSteps(task, unmap(disk, ranges));
  },
};
