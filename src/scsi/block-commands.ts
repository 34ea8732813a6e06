/**
 * Commands of block devices (SBC-3 §5): reads, writes, capacity, cache. Reads and writes are the hot path: when the
 * store answers at once they allocate nothing.
 */
import { readNumber, readU16, readU24, readU32, readU64 } from "./big-endian.js";
import { buildCapacity10, buildCapacity16 } from "./capacity.js";
import { reply } from "./check-condition.js";
import type { CommandEntry } from "./command-set.js";
import { Commands, findCommand } from "./command-table.js";
import type { Disk } from "./disk.js";
import { Conditions } from "./sense-codes.js";
import type { ScsiTask } from "./task.js";

type Answer = undefined | Promise<void>;

const fuaBit = 0x08;

// Where the fields are, for each CDB length.

function place6(task: ScsiTask): void {
  const { cdb } = task;
  task.lba = readU24(cdb, 1) & 0x1f_ffff;
  // SBC-3 §5.10: 0 stands for 256 in these two commands only.
  task.blocks = cdb[4] || 256;
}

function place10(task: ScsiTask): void {
  const { cdb } = task;
  task.lba = readU32(cdb, 2);
  task.blocks = readU16(cdb, 7);
}

function place12(task: ScsiTask): void {
  const { cdb } = task;
  task.lba = readU32(cdb, 2);
  task.blocks = readU32(cdb, 6);
}

function place16(task: ScsiTask): void {
  const { cdb } = task;
  task.lba = readU64(cdb, 2);
  task.blocks = readU32(cdb, 10);
}

type Place = (task: ScsiTask) => void;

/** Whether the range is refused: past the end, or longer than page B0h allows. */
function isOutOfRange(disk: Disk, task: ScsiTask): boolean {
  const { lba, blocks } = task;
  if (lba <= disk.blocks && blocks <= disk.blocks - lba && blocks <= disk.maximumTransferBlocks) return false;
  if (lba > disk.blocks || blocks > disk.blocks - lba) disk.fail(task, Conditions.lbaOutOfRange);
  else disk.invalidField(task, findCommand(task.cdb)?.blocks?.[0] ?? 0);
  return true;
}

/** Bytes to move: all that the CDB asks for, or the whole blocks that the buffer has room for. */
function transferLength(disk: Disk, expected: number, room: number): number {
  return room >= expected ? expected : room - (room % disk.blockSize);
}

function read(disk: Disk, task: ScsiTask, forceUnitAccess: boolean): Answer {
  if (isOutOfRange(disk, task)) return undefined;
  const length = transferLength(disk, task.expectedIn, task.dataIn.byteLength);
  if (length === 0) return undefined;
  if (forceUnitAccess && !disk.isReadOnly) {
    // SBC-3 §5.11: what the cache has that is newer goes to the medium first.
    const flushed = disk.store.flush();
    if (flushed !== undefined)
      return later(
        disk,
        task,
        flushed.then(() => readNow(disk, task, length)),
      );
  }
  const answer = readNow(disk, task, length);
  return answer === undefined ? undefined : later(disk, task, answer);
}

function readNow(disk: Disk, task: ScsiTask, length: number): Answer {
  const answer = disk.store.read(task.lba * disk.blockSize, task.dataIn, length);
  if (answer === undefined) {
    task.transferredIn = length;
    return undefined;
  }
  return answer.then(() => {
    task.transferredIn = length;
  });
}

function write(disk: Disk, task: ScsiTask, forceUnitAccess: boolean): Answer {
  if (disk.isReadOnly) {
    disk.fail(task, Conditions.writeProtected);
    return undefined;
  }
  if (isOutOfRange(disk, task)) return undefined;
  const length = transferLength(disk, task.expectedOut, task.dataOut.byteLength);
  if (length === 0) return undefined;
  const answer = disk.store.write(task.lba * disk.blockSize, task.dataOut, length);
  const mustFlush = forceUnitAccess || !disk.hasWriteCache;
  if (answer !== undefined) {
    const durable = mustFlush ? answer.then(() => disk.store.flush()) : answer;
    return later(disk, task, wroteThen(task, durable, length));
  }
  if (mustFlush) {
    const flushed = disk.store.flush();
    if (flushed !== undefined) return later(disk, task, wroteThen(task, flushed, length));
  }
  task.transferredOut = length;
  return undefined;
}

function wroteThen(task: ScsiTask, done: Promise<void>, length: number): Promise<void> {
  return done.then(() => {
    task.transferredOut = length;
  });
}

/** Turns a rejection into sense. */
function later(disk: Disk, task: ScsiTask, answer: Promise<void>): Promise<void> {
  return answer.then(undefined, (error: unknown) => disk.storeFailed(task, error));
}

function flush(disk: Disk, task: ScsiTask): Answer {
  if (disk.isReadOnly) return undefined;
  const answer = disk.store.flush();
  return answer === undefined ? undefined : later(disk, task, answer);
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
      if (task.lba <= disk.blocks && task.blocks <= disk.blocks - task.lba) return flush(disk, task);
      disk.fail(task, Conditions.lbaOutOfRange);
      return undefined;
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

/** START STOP UNIT: stopping flushes; a fixed medium cannot be ejected. */
const startStopEntry: CommandEntry<Disk> = {
  definition: Commands.startStopUnit,
  execute(disk, task) {
    const byte = task.cdb[4];
    const powerCondition = byte >>> 4;
    if (powerCondition === 0 && (byte & 0x02) !== 0) {
      disk.invalidField(task, 4, 1);
      return undefined;
    }
    const stops = powerCondition === 0 && (byte & 0x01) === 0;
    return stops && (byte & 0x04) === 0 ? flush(disk, task) : undefined;
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
];
