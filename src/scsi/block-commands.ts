/**
 * Commands of block devices (SBC-3 §5): reads, writes, capacity, cache. Reads and writes are the hot path: when the
 * store answers at once they allocate nothing.
 */
import { readNumber, readU32, readU64 } from "./big-endian.js";
import { isOutOfRange, type Place, place6, place10, place12, place16 } from "./block-range.js";
import { buildCapacity10, buildCapacity16 } from "./capacity.js";
import { reply } from "./check-condition.js";
import type { CommandEntry } from "./command-set.js";
import { Commands } from "./command-table.js";
import type { Disk } from "./disk.js";
import { Conditions } from "./sense-codes.js";
import { runSteps, type Steps } from "./steps.js";
import type { ScsiTask } from "./task.js";

type Answer = undefined | Promise<void>;

const fuaBit = 0x08;

/** Bytes to move: all that the CDB asks for, or the whole blocks that the buffer has room for. */
function transferLength(disk: Disk, expected: number, room: number): number {
  return room >= expected ? expected : room - (room % disk.blockSize);
}

function read(disk: Disk, task: ScsiTask, forceUnitAccess: boolean): Answer {
  if (isOutOfRange(disk, task, disk.maximumTransferBlocks)) return undefined;
  const length = transferLength(disk, task.expectedIn, task.dataIn.byteLength);
  if (length === 0) return undefined;
  // SBC-3 §5.11: what the cache has that is newer goes to the medium first.
  if (forceUnitAccess && !disk.isReadOnly) return runSteps(task, readFromMedium(disk, task, length));
  const answer = disk.store.read(task.lba * disk.blockSize, task.dataIn, length);
  if (answer === undefined) {
    task.transferredIn = length;
    return undefined;
  }
  return answer.then(() => {
    task.transferredIn = length;
  });
}

function* readFromMedium(disk: Disk, task: ScsiTask, length: number): Steps {
  yield disk.store.flush();
  yield disk.store.read(task.lba * disk.blockSize, task.dataIn, length);
  task.transferredIn = length;
}

function write(disk: Disk, task: ScsiTask, forceUnitAccess: boolean): Answer {
  if (disk.isWriteProtected) return disk.refuseWrite(task);
  if (isOutOfRange(disk, task, disk.maximumTransferBlocks)) return undefined;
  const length = transferLength(disk, task.expectedOut, task.dataOut.byteLength);
  if (length === 0) return undefined;
  const mustFlush = forceUnitAccess || !disk.hasWriteCache;
  if (disk.turns.isTaken(task.lba, task.blocks)) return runSteps(task, writeInTurn(disk, task, length, mustFlush));
  const answer = disk.store.write(task.lba * disk.blockSize, task.dataOut, length);
  if (answer !== undefined) return runSteps(task, writeLate(disk, task, length, mustFlush, answer));
  if (mustFlush) {
    const flushed = disk.store.flush();
    if (flushed !== undefined) {
      return flushed.then(() => {
        task.transferredOut = length;
      });
    }
  }
  task.transferredOut = length;
  return undefined;
}

function* writeInTurn(disk: Disk, task: ScsiTask, length: number, mustFlush: boolean): Steps {
  const { turn, before } = disk.turns.enter(task.lba, task.blocks, false);
  try {
    yield before;
    yield disk.store.write(task.lba * disk.blockSize, task.dataOut, length);
  } finally {
    disk.turns.leave(turn);
  }
  if (mustFlush) yield disk.store.flush();
  task.transferredOut = length;
}

/** A write that the store answers late keeps its turn, so that COMPARE AND WRITE waits for it. */
function* writeLate(disk: Disk, task: ScsiTask, length: number, mustFlush: boolean, answer: Promise<void>): Steps {
  const { turn } = disk.turns.enter(task.lba, task.blocks, false);
  try {
    yield answer;
  } finally {
    disk.turns.leave(turn);
  }
  if (mustFlush) yield disk.store.flush();
  task.transferredOut = length;
}

function readEntry(definition: CommandEntry<Disk>["definition"], place: Place): CommandEntry<Disk> {
  const hasFlags = place !== place6;
  return {
    definition,
    prepare(disk, task) {
      place(task);
      task.expectedIn = task.blocks * disk.blockSize;
    },
    execute: (disk, task) => read(disk, task, hasFlags && (task.cdb[1] & fuaBit) !== 0),
  };
}

function writeEntry(definition: CommandEntry<Disk>["definition"], place: Place): CommandEntry<Disk> {
  const hasFlags = place !== place6;
  return {
    definition,
    prepare(disk, task) {
      place(task);
      task.expectedOut = task.blocks * disk.blockSize;
    },
    execute: (disk, task) => write(disk, task, hasFlags && (task.cdb[1] & fuaBit) !== 0),
  };
}

/** SYNCHRONIZE CACHE: the range is checked, then everything is flushed; IMMED changes nothing. */
function synchronizeEntry(definition: CommandEntry<Disk>["definition"], place: Place): CommandEntry<Disk> {
  return {
    definition,
    prepare: (_disk, task) => place(task),
    execute(disk, task) {
      if (isOutOfRange(disk, task, Number.POSITIVE_INFINITY) || disk.isReadOnly) return undefined;
      return disk.store.flush();
    },
  };
}

/** The LBA of READ CAPACITY: zero, unless PMI asks for what lies behind it. True when the task was refused. */
function isCapacityRefused(disk: Disk, task: ScsiTask, pmiByte: number): boolean {
  const withPmi = (task.cdb[pmiByte] & 1) !== 0;
  if (!withPmi && task.lba !== 0) disk.invalidField(task, 2);
  else if (withPmi && task.lba >= disk.blocks) disk.fail(task, Conditions.lbaOutOfRange);
  else return false;
  return true;
}

const readCapacity10Entry: CommandEntry<Disk> = {
  definition: Commands.readCapacity10,
  prepare(_disk, task) {
    task.lba = readU32(task.cdb, 2);
    task.expectedIn = 8;
  },
  execute(disk, task) {
    if (!isCapacityRefused(disk, task, 8)) reply(task, buildCapacity10(disk));
    return undefined;
  },
};

const readCapacity16Entry: CommandEntry<Disk> = {
  definition: Commands.readCapacity16,
  prepare(_disk, task) {
    task.lba = readU64(task.cdb, 2);
    task.expectedIn = readNumber(task.cdb, 10, 4);
  },
  execute(disk, task) {
    if (!isCapacityRefused(disk, task, 14)) reply(task, buildCapacity16(disk.capacity()));
    return undefined;
  },
};

/**
 * START STOP UNIT of a disk whose medium stays in: nothing turns, so a stop writes the cache out and the unit remains
 * ready (a system that stops its disks when it goes down finds them again). There are no power conditions.
 */
const startStopEntry: CommandEntry<Disk> = {
  definition: Commands.startStopUnit,
  execute(disk, task) {
    const byte = task.cdb[4];
    if (byte >>> 4 !== 0) disk.invalidField(task, 4, 7);
    else if ((byte & 0x02) !== 0) disk.invalidField(task, 4, 1);
    else if ((byte & 0x05) === 0 && !disk.isReadOnly) return disk.store.flush();
    return undefined;
  },
};

/** PREVENT ALLOW MEDIUM REMOVAL: the medium of a disk cannot be removed, whatever is allowed. */
const preventAllowEntry: CommandEntry<Disk> = {
  definition: Commands.preventAllow,
  execute(disk, task) {
    if ((task.cdb[4] & 0x02) !== 0) disk.invalidField(task, 4, 1);
    return undefined;
  },
};

/** All of them. */
export const blockEntries: readonly CommandEntry<Disk>[] = [
  readEntry(Commands.read6, place6),
  readEntry(Commands.read10, place10),
  readEntry(Commands.read12, place12),
  readEntry(Commands.read16, place16),
  writeEntry(Commands.write6, place6),
  writeEntry(Commands.write10, place10),
  writeEntry(Commands.write12, place12),
  writeEntry(Commands.write16, place16),
  synchronizeEntry(Commands.synchronizeCache10, place10),
  synchronizeEntry(Commands.synchronizeCache16, place16),
  readCapacity10Entry,
  readCapacity16Entry,
  startStopEntry,
  preventAllowEntry,
];
