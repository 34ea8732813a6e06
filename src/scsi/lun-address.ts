/**
 * The 8 bytes that name a logical unit (SAM-5 §4.7): single-level forms with four zero bytes behind, and virtio-scsi's,
 * where byte 0 is 1 and byte 1 the target. A unit inside a target is a number: 0…16383, or
 * {@link reportLunsWellKnown}. What is malformed is answered with undefined, never with an exception. Nothing here
 * allocates except {@link encodeLun} and {@link encodeVirtioLun}.
 */

/** LUNs that the flat form can name. */
export const lunLimit = 0x4000;
/** Targets that virtio-scsi can name. */
export const targetLimit = 256;
/** The REPORT LUNS well-known unit, C1h 01h. */
export const reportLunsWellKnown = 0xc101;

/** Byte length of an address. */
export const lunLength = 8;

/** The unit that bytes `at` and `at + 1` name: peripheral (00h), flat (40h…7Fh) or REPORT LUNS (C1h 01h). */
function singleLevel(bytes: Uint8Array, at: number): number | undefined {
  const first = bytes[at];
  const second = bytes[at + 1];
  if (first === 0) return second;
  if (first >= 0x40 && first < 0x80) return ((first & 0x3f) << 8) | second;
  return first === 0xc1 && second === 0x01 ? reportLunsWellKnown : undefined;
}

/** Decodes a single-level LUN of 8 bytes, as REPORT LUNS lists them. */
export function decodeLun(bytes: Uint8Array, at = 0): number | undefined {
  if (bytes.length < at + lunLength) return undefined;
  for (let index = 2; index < lunLength; index++) if (bytes[at + index] !== 0) return undefined;
  return singleLevel(bytes, at);
}

/** Writes a LUN: peripheral form below 256, flat form from there on. @throws RangeError when there is no such LUN. */
export function writeLun(bytes: Uint8Array, at: number, lun: number): void {
  checkLun(lun);
  bytes.fill(0, at, at + lunLength);
  writeSingleLevel(bytes, at, lun);
}

/** {@link writeLun} to 8 new bytes. */
export function encodeLun(lun: number): Uint8Array {
  const bytes = new Uint8Array(lunLength);
  writeLun(bytes, 0, lun);
  return bytes;
}

/** A target and its unit as one number, so that decoding allocates nothing. */
export type UnitAddress = number;

/** Target and LUN as one number. @throws RangeError when there is no such target or LUN. */
export function unitAddress(target: number, lun: number): UnitAddress {
  if (!Number.isInteger(target) || target < 0 || target >= targetLimit) {
    throw new RangeError(`target must be an integer within 0…${targetLimit - 1}, got ${target}`);
  }
  checkLun(lun);
  return target * 0x1_0000 + lun;
}
/** The target of an address. */
export function targetOf(address: UnitAddress): number {
  return address >>> 16;
}
/** The LUN of an address. */
export function lunOf(address: UnitAddress): number {
  return address & 0xffff;
}
/** The REPORT LUNS unit of the whole virtio-scsi device, C1h 01h and zeros: a number that no target has. */
export const busReportLuns: UnitAddress = targetLimit * 0x1_0000 + reportLunsWellKnown;

/** virtio 1.2 §5.6.6.1: decodes `lun[8]` of a request. Undefined when it is malformed. */
export function decodeVirtioLun(bytes: Uint8Array, at = 0): UnitAddress | undefined {
  if (bytes.length < at + lunLength) return undefined;
  for (let index = 4; index < lunLength; index++) if (bytes[at + index] !== 0) return undefined;
  const first = bytes[at];
  if (first !== 1) {
    return first === 0xc1 && bytes[at + 1] === 0x01 && bytes[at + 2] === 0 && bytes[at + 3] === 0
      ? busReportLuns
      : undefined;
  }
  const lun = singleLevel(bytes, at + 2);
  return lun === undefined ? undefined : bytes[at + 1] * 0x1_0000 + lun;
}

/**
 * virtio 1.2 §5.6.6.1: writes `lun[8]`. LUNs are in the flat form (40h), which every device of today takes and drivers
 * send; `form: "peripheral"` writes LUNs below 256 with 00h instead.
 */
export function writeVirtioLun(
  bytes: Uint8Array,
  at: number,
  address: UnitAddress,
  form: "flat" | "peripheral" = "flat",
): void {
  bytes.fill(0, at, at + lunLength);
  if (address === busReportLuns) {
    bytes[at] = 0xc1;
    bytes[at + 1] = 0x01;
    return;
  }
  bytes[at] = 1;
  bytes[at + 1] = targetOf(address);
  writeSingleLevel(bytes, at + 2, lunOf(address));
  if (form === "flat" && bytes[at + 2] === 0) bytes[at + 2] = 0x40;
}

/** {@link writeVirtioLun} to 8 new bytes. */
export function encodeVirtioLun(address: UnitAddress, form?: "flat" | "peripheral"): Uint8Array {
  const bytes = new Uint8Array(lunLength);
  writeVirtioLun(bytes, 0, address, form);
  return bytes;
}

function writeSingleLevel(bytes: Uint8Array, at: number, lun: number): void {
  bytes[at] = lun === reportLunsWellKnown ? 0xc1 : lun < 256 ? 0 : 0x40 | (lun >>> 8);
  bytes[at + 1] = lun;
}

function checkLun(lun: number): void {
  if (Number.isInteger(lun) && ((lun >= 0 && lun < lunLimit) || lun === reportLunsWellKnown)) return;
  throw new RangeError(`LUN must be an integer within 0…${lunLimit - 1}, got ${lun}`);
}
