/** Ending a task: with CHECK CONDITION and sense, or with data for the initiator. */
import { PageViews } from "../memory/index.js";
import { buildSense, type SenseDetails, type SenseFormat } from "./sense.js";
import { Conditions, type SenseCondition } from "./sense-codes.js";
import { ScsiStatus, type ScsiTask } from "./task.js";

/** Ends `task` with CHECK CONDITION. Sense data is fixed format unless the unit says otherwise. */
export function checkCondition(
  task: ScsiTask,
  what: SenseCondition,
  details: SenseDetails = {},
  format: SenseFormat = "fixed",
): void {
  task.status = ScsiStatus.CheckCondition;
  task.senseLength = buildSense(task.sense, format, what, details);
}

/** Ends `task` with INVALID FIELD IN CDB and points at the field. */
export function invalidField(task: ScsiTask, format: SenseFormat, byte: number, bit?: number): void {
  checkCondition(task, Conditions.invalidFieldInCdb, { fieldPointer: { inCdb: true, byte, bit } }, format);
}

/** Ends `task` with GOOD and as much of `data` as the allocation length and the buffer take. */
export function reply(task: ScsiTask, data: Uint8Array): void {
  const length = Math.min(data.byteLength, task.expectedIn, task.dataIn.byteLength);
  task.status = ScsiStatus.Good;
  task.senseLength = 0;
  task.transferredIn = length > 0 ? task.dataIn.copyIn(new PageViews(data), 0, length) : 0;
}
