/** Parameter lists: small data that comes with a command. */
import { Conditions, type SenseCondition } from "./sense-codes.js";
import type { ScsiTask } from "./task.js";

/** What a parameter list is refused with. */
interface ListUnit {
  fail(task: ScsiTask, what: SenseCondition): void;
}

/**
 * All `task.expectedOut` bytes that the CDB announces. When fewer came the task is refused with 0Eh/03h, and the answer
 * is undefined.
 */
export function takeParameters(unit: ListUnit, task: ScsiTask): Uint8Array | undefined {
  if (task.dataOut.byteLength < task.expectedOut) {
    unit.fail(task, Conditions.invalidFieldInCommandUnit);
    return undefined;
  }
  const bytes = new Uint8Array(task.expectedOut);
  task.transferredOut = task.dataOut.copyOut(bytes, 0, bytes.length);
  return bytes;
}
