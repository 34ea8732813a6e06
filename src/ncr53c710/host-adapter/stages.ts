/** The stages of the original's bring-up: which commands each of them sends. */
import { UnsupportedError } from "../../errors/index.js";
import { describeCdb } from "../../scsi/index.js";
import type { AdapterStage } from "./options.js";

/** Asks a unit who it is and how it is: TEST UNIT READY, REQUEST SENSE, INQUIRY, REPORT LUNS. */
const asking: ReadonlySet<number> = new Set([0x00, 0x03, 0x12, 0xa0]);

/** Changes nothing: mode and log pages, capacities, reads, verification, tables of contents. */
const reading: ReadonlySet<number> = new Set([
  ...[0x08, 0x1a, 0x25, 0x28, 0x2f, 0x35, 0x3c, 0x42, 0x43, 0x44, 0x46, 0x4a, 0x4d, 0x51, 0x5a, 0x5e],
  ...[0x88, 0x8f, 0x91, 0x9e, 0xa3, 0xa8, 0xaf, 0xbe],
]);

/** @throws UnsupportedError when the driver does not go as far as this command. */
export function checkStage(stage: AdapterStage, cdb: Uint8Array, hasDataOut: boolean): void {
  if (stage === "read-write") return;
  const [opcode] = cdb;
  const isAsked = asking.has(opcode) && stage !== "detect";
  const isRead = stage === "read-only" && reading.has(opcode) && !hasDataOut;
  if (!isAsked && !isRead)
    throw new UnsupportedError(`the driver's stage is ${stage}: ${describeCdb(cdb)} is not sent`);
}
