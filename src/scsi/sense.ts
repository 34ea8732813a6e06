/**
 * Sense data in both formats (SPC-4 §4.5): fixed (70h, deferred 71h) and descriptor (72h, deferred 73h). Building is
 * the device's side, parsing the driver's; parsing takes anything of any length.
 */
import { readNumber, readU16, writeU16, writeU32, writeU64 } from "./big-endian.js";
import { additionalSenseText, type SenseCondition, SenseKey, senseKeyName } from "./sense-codes.js";

/** SPC-4 §4.5.2.4.2: the byte of the CDB or parameter list that is wrong. */
export interface FieldPointer {
  /** True for the CDB, false for the parameter list. */
  readonly inCdb: boolean;
  readonly byte: number;
  /** The most significant bit of the wrong field; undefined when the whole byte is meant. */
  readonly bit: number | undefined;
}

/** What accompanies a condition when sense data is built. */
export interface SenseDetails {
  /** INFORMATION: for medium errors the LBA. A safe integer; in fixed format only values of 32 bits are valid. */
  readonly information?: number;
  readonly fieldPointer?: FieldPointer;
  /** The error belongs to an earlier command. */
  readonly deferred?: boolean;
}

/** The two formats of sense data. */
export type SenseFormat = "fixed" | "descriptor";

/** Sense data, read. */
export interface Sense extends SenseCondition {
  readonly format: SenseFormat;
  readonly deferred: boolean;
  /** INFORMATION if it is there and valid. */
  readonly information: bigint | undefined;
  readonly fieldPointer: FieldPointer | undefined;
  /** ILI: the length was not the block's. */
  readonly incorrectLength: boolean;
}

/** Bytes of fixed format sense data as built here. */
export const fixedSenseLength = 18;

/** Writes sense data at the start of `target` (at least 32 bytes) and returns its length. */
export function buildSense(
  target: Uint8Array,
  format: SenseFormat,
  what: SenseCondition,
  details: SenseDetails = {},
): number {
  return format === "fixed" ? buildFixed(target, what, details) : buildDescriptor(target, what, details);
}

function buildFixed(target: Uint8Array, what: SenseCondition, details: SenseDetails): number {
  target.fill(0, 0, fixedSenseLength);
  target[0] = details.deferred ? 0x71 : 0x70;
  target[2] = what.key;
  target[7] = fixedSenseLength - 8;
  target[12] = what.asc;
  target[13] = what.ascq;
  if (details.information !== undefined && details.information <= 0xffff_ffff) {
    target[0] |= 0x80;
    writeU32(target, 3, details.information);
  }
  if (details.fieldPointer !== undefined) writeFieldPointer(target, 15, details.fieldPointer);
  return fixedSenseLength;
}

function buildDescriptor(target: Uint8Array, what: SenseCondition, details: SenseDetails): number {
  target.fill(0, 0, 32);
  target[0] = details.deferred ? 0x73 : 0x72;
  target[1] = what.key;
  target[2] = what.asc;
  target[3] = what.ascq;
  let length = 8;
  if (details.information !== undefined) {
    target[length] = 0x00;
    target[length + 1] = 0x0a;
    target[length + 2] = 0x80;
    writeU64(target, length + 4, details.information);
    length += 12;
  }
  if (details.fieldPointer !== undefined) {
    target[length] = 0x02;
    target[length + 1] = 0x06;
    writeFieldPointer(target, length + 4, details.fieldPointer);
    length += 8;
  }
  target[7] = length - 8;
  return length;
}

function writeFieldPointer(target: Uint8Array, at: number, pointer: FieldPointer): void {
  target[at] = 0x80 | (pointer.inCdb ? 0x40 : 0) | (pointer.bit === undefined ? 0 : 0x08 | pointer.bit);
  writeU16(target, at + 1, pointer.byte);
}

/** Reads sense data. Undefined when it is empty or its response code is none of 70h…73h. */
export function parseSense(bytes: Uint8Array): Sense | undefined {
  const code = (bytes[0] ?? 0) & 0x7f;
  if (code === 0x70 || code === 0x71) return parseFixed(bytes, code === 0x71);
  if (code === 0x72 || code === 0x73) return parseDescriptor(bytes, code === 0x73);
  return undefined;
}

function parseFixed(bytes: Uint8Array, deferred: boolean): Sense {
  // What lies past ADDITIONAL SENSE LENGTH is not sense data, whatever the buffer holds there.
  const end = Math.min(bytes.length, 8 + (bytes[7] ?? 0));
  const at = (index: number) => (index < end ? bytes[index] : 0);
  const key = (bytes[2] ?? 0) & 0x0f;
  const hasInformation = (bytes[0] & 0x80) !== 0 && bytes.length >= 7;
  return {
    format: "fixed",
    deferred,
    key,
    asc: at(12),
    ascq: at(13),
    information: hasInformation ? BigInt(readNumber(bytes, 3, 4)) : undefined,
    fieldPointer: end >= 18 ? readFieldPointer(bytes, 15, key) : undefined,
    incorrectLength: ((bytes[2] ?? 0) & 0x20) !== 0,
  };
}

function parseDescriptor(bytes: Uint8Array, deferred: boolean): Sense {
  const key = (bytes[1] ?? 0) & 0x0f;
  let information: bigint | undefined;
  let fieldPointer: FieldPointer | undefined;
  let incorrectLength = false;
  const end = Math.min(bytes.length, 8 + (bytes[7] ?? 0));
  for (let at = 8; at + 2 <= end; at += 2 + bytes[at + 1]) {
    const type = bytes[at];
    const next = at + 2 + bytes[at + 1];
    if (next > end) break;
    if (type === 0x00 && next - at >= 12 && (bytes[at + 2] & 0x80) !== 0) {
      information = (BigInt(readNumber(bytes, at + 4, 4)) << 32n) | BigInt(readNumber(bytes, at + 8, 4));
    } else if (type === 0x02 && next - at >= 7) {
      fieldPointer = readFieldPointer(bytes, at + 4, key);
    } else if (type === 0x05 && next - at >= 4) {
      incorrectLength = (bytes[at + 3] & 0x20) !== 0;
    }
  }
  return {
    format: "descriptor",
    deferred,
    key,
    asc: bytes[2] ?? 0,
    ascq: bytes[3] ?? 0,
    information,
    fieldPointer,
    incorrectLength,
  };
}

function readFieldPointer(bytes: Uint8Array, at: number, key: number): FieldPointer | undefined {
  // Only ILLEGAL REQUEST gives these three bytes this meaning.
  if (key !== SenseKey.IllegalRequest || (bytes[at] & 0x80) === 0) return undefined;
  return {
    inCdb: (bytes[at] & 0x40) !== 0,
    byte: readU16(bytes, at + 1),
    bit: (bytes[at] & 0x08) !== 0 ? bytes[at] & 0x07 : undefined,
  };
}

/** Sense data in one line: `ILLEGAL REQUEST 24h/00h: invalid field in CDB (byte 1 bit 7)`. */
export function describeSense(bytes: Uint8Array): string {
  const sense = parseSense(bytes);
  if (sense === undefined) return bytes.length === 0 ? "no sense data" : "sense data of an unknown format";
  const pair = (value: number) => `${value.toString(16).toUpperCase().padStart(2, "0")}h`;
  const words = [
    `${sense.deferred ? "deferred " : ""}${senseKeyName(sense.key)} ${pair(sense.asc)}/${pair(sense.ascq)}:`,
    additionalSenseText(sense.asc, sense.ascq),
  ];
  const pointer = sense.fieldPointer;
  if (pointer !== undefined) {
    const place = `byte ${pointer.byte}${pointer.bit === undefined ? "" : ` bit ${pointer.bit}`}`;
    words.push(`(${pointer.inCdb ? "" : "parameter list "}${place})`);
  }
  if (sense.information !== undefined) words.push(`(information ${sense.information})`);
  return words.join(" ");
}
