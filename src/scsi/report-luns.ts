/** REPORT LUNS parameter data (SPC-4 §6.33), both ways. */
import { readU32, writeU32 } from "./big-endian.js";
import { decodeLun, lunLength } from "./lun-address.js";
import type { Nexus } from "./nexus.js";

/** Who knows which LUNs there are: a target, for its units; a bus, for its targets. */
export interface LunInventory {
  /**
   * The 8-byte LUNs, one after the other, for SELECT REPORT 0 (units), 1 (well-known units) or 2 (both).
   */
  lunList(select: 0 | 1 | 2): Uint8Array;
  /** An initiator has read the list: REPORTED LUNS DATA HAS CHANGED is no news to it any more. */
  listRead(nexus: Nexus): void;
}

/** Parameter data: length, four reserved bytes, the list. */
export function buildReportLuns(list: Uint8Array): Uint8Array {
  const data = new Uint8Array(8 + list.length);
  writeU32(data, 0, list.length);
  data.set(list, 8);
  return data;
}

/** A LUN list as a driver got it. */
export interface LunReport {
  /** LUNs in the order of the list; entries of forms that virtio-scsi does not have are left out. */
  readonly luns: readonly number[];
  /** Bytes that the device needs for its whole list. More than what was asked for means: ask again. */
  readonly totalLength: number;
}

/** Reads a LUN list; undefined below 8 bytes. */
export function parseReportLuns(data: Uint8Array): LunReport | undefined {
  if (data.length < 8) return undefined;
  const totalLength = 8 + readU32(data, 0);
  const end = Math.min(data.length, totalLength);
  const luns: number[] = [];
  for (let at = 8; at + lunLength <= end; at += lunLength) {
    const lun = decodeLun(data, at);
    if (lun !== undefined) luns.push(lun);
  }
  return { luns, totalLength };
}
