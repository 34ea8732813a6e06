/** How a command ended, in as few words as possible: for tests and tables. */
import { parseSense } from "./sense.js";
import { statusName } from "./status-name.js";
import { ScsiStatus } from "./task.js";

/** `GOOD`, `RESERVATION CONFLICT`; for CHECK CONDITION key, ASC and ASCQ in hexadecimal: `5/24/0`. */
export function commandOutcome(result: { readonly status: number; readonly sense: Uint8Array }): string {
  if (result.status !== ScsiStatus.CheckCondition) return statusName(result.status);
  const sense = parseSense(result.sense);
  if (sense === undefined) return "CHECK CONDITION";
  return [sense.key, sense.asc, sense.ascq].map((code) => code.toString(16)).join("/");
}
