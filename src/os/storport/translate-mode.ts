/** MODE SENSE and MODE SELECT, 6 and 10 bytes. */

import type { DiskFacts } from "./disk-facts.js";
import { cachingPage, deviceSpecific, ModePage } from "./emulated-data.js";
import { refuse, type ScsiTranslation, senseOf } from "./scsi-answer.js";
import { SrbStatus } from "./srb.js";

const invalidRequest: ScsiTranslation = { kind: "status", status: SrbStatus.InvalidRequest };

/** MODE SENSE: the caching page, alone or as all pages, or an empty block descriptor. */
export function translateModeSense(cdb: Uint8Array, facts: DiskFacts): ScsiTranslation {
  const isLong = cdb[0] === 0x5a;
  const page = cdb[2] & 0x3f;
  const control = cdb[2] >>> 6;
  if (control === 3) return refuse(senseOf.invalidField);
  const { Blocks, Caching, All } = ModePage;
  if (page !== Blocks && page !== Caching && page !== All) return invalidRequest;
  const header = new Uint8Array(isLong ? 8 : 4);
  const body = page === Blocks ? new Uint8Array(8) : cachingPage(facts, control === 1);
  if (isLong) {
    header[1] = header.length + body.length - 2;
    header[3] = deviceSpecific(facts);
    if (page === Blocks) header[7] = 8;
  } else {
    header[0] = header.length + body.length - 1;
    header[2] = deviceSpecific(facts);
    if (page === Blocks) header[3] = 8;
  }
  const data = Uint8Array.from([...header, ...body]);
  const allocation = isLong ? (cdb[7] << 8) | cdb[8] : cdb[4];
  return { kind: "answer", data: data.subarray(0, allocation) };
}

/** MODE SELECT: the write cache of the caching page, where the device can switch it. */
export function translateModeSelect(cdb: Uint8Array, list: Uint8Array, facts: DiskFacts): ScsiTranslation {
  if (!facts.info.canSwitchCache) return invalidRequest;
  const isLong = cdb[0] === 0x55;
  const length = isLong ? (cdb[7] << 8) | cdb[8] : cdb[4];
  // SP: nothing is saved.
  if ((cdb[1] & 1) !== 0) return refuse(senseOf.invalidField);
  const header = isLong ? 8 : 4;
  if (length < header || list.length < length) return refuse(senseOf.listLength);
  const descriptors = isLong ? (list[6] << 8) | list[7] : list[3];
  const at = header + descriptors;
  if (length < at + 12) return refuse(senseOf.listLength);
  if ((list[at] & 0x3f) !== ModePage.Caching || list[at + 1] < 10) return refuse(senseOf.invalidParameter);
  return { kind: "cache", on: (list[at + 2] & 0x04) !== 0 };
}
