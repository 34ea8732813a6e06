/** Where the blocks of a command are, for each length of CDB, and whether a disk has them. */
import { readU16, readU24, readU32, readU64 } from "./big-endian.js";
import { findCommand } from "./command-table.js";
import { Conditions, type SenseCondition } from "./sense-codes.js";
import type { ScsiTask } from "./task.js";

/** Reads `lba` and `blocks` out of a CDB. */
export type Place = (task: ScsiTask) => void;

/** READ(6), WRITE(6). */
export function place6(task: ScsiTask): void {
  const { cdb } = task;
  task.lba = readU24(cdb, 1) & 0x1f_ffff;
  // SBC-3 §5.10: 0 stands for 256 in these two commands only.
  task.blocks = cdb[4] || 256;
}

/** CDBs of 10 bytes: 32 bits of address, 16 of count. */
export function place10(task: ScsiTask): void {
  const { cdb } = task;
  task.lba = readU32(cdb, 2);
  task.blocks = readU16(cdb, 7);
}

/** CDBs of 12 bytes: 32 bits of address and of count. */
export function place12(task: ScsiTask): void {
  const { cdb } = task;
  task.lba = readU32(cdb, 2);
  task.blocks = readU32(cdb, 6);
}

/** CDBs of 16 bytes: 64 bits of address, 32 of count. */
export function place16(task: ScsiTask): void {
  const { cdb } = task;
  task.lba = readU64(cdb, 2);
  task.blocks = readU32(cdb, 10);
}

/** What a range is checked against. */
interface RangeUnit {
  readonly blocks: number;
  fail(task: ScsiTask, what: SenseCondition): void;
  invalidField(task: ScsiTask, byte: number): void;
}

/** Whether the range is refused (the task then has its sense): past the end, or longer than `most` blocks. */
export function isOutOfRange(unit: RangeUnit, task: ScsiTask, most: number): boolean {
  const { lba, blocks } = task;
  if (lba <= unit.blocks && blocks <= unit.blocks - lba && blocks <= most) return false;
  if (lba > unit.blocks || blocks > unit.blocks - lba) unit.fail(task, Conditions.lbaOutOfRange);
  else unit.invalidField(task, findCommand(task.cdb)?.blocks?.[0] ?? 0);
  return true;
}
