import { ScsiStatus } from "./task.js";

const names: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(ScsiStatus).map(([name, status]) => [status, name.replace(/(?<=[a-z])(?=[A-Z])/g, " ").toUpperCase()]),
);

/** A status byte in the standard's words: `GOOD`, `CHECK CONDITION`, … (SAM-5 §5.3.1). */
export function statusName(status: number): string {
  return names[status] ?? `status ${status.toString(16).padStart(2, "0")}h`;
}
