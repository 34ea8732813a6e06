/** Mode parameters (SPC-4 §7.5): headers, block descriptors and pages, both ways. */
import { readNumber, readU16, readU32, writeU16, writeU32, writeU64 } from "./big-endian.js";

/** Page codes. */
export const ModePage = {
  ErrorRecovery: 0x01,
  Caching: 0x08,
  Control: 0x0a,
  InformationalExceptions: 0x1c,
  /** MMC-3: CD/DVD capabilities and mechanical status. */
  CdCapabilities: 0x2a,
  All: 0x3f,
} as const;

/** Bits of the device-specific parameter of a disk (SBC-3 §6.4.1). */
export const DeviceSpecific = { WriteProtect: 0x80, DpoFua: 0x10 } as const;

/** Mode parameters as a device returns them. */
export interface ModeParameters {
  readonly mediumType: number;
  readonly deviceSpecific: number;
  /** Undefined leaves the block descriptor out. */
  readonly blockDescriptor: { readonly blocks: number; readonly blockSize: number } | undefined;
  /** Pages with their headers, in the order in which they are returned. */
  readonly pages: readonly Uint8Array[];
}

/** A page of `length` bytes with its two-byte header; byte numbers of `bits` count from the header's start. */
export function buildModePage(code: number, length: number, bits: Readonly<Record<number, number>> = {}): Uint8Array {
  const page = new Uint8Array(length);
  for (const [byte, value] of Object.entries(bits)) page[Number(byte)] = value;
  page[0] = code;
  page[1] = length - 2;
  return page;
}

/** SBC-3 §6.4.2.2: short block descriptor; FFFFFFFFh blocks when they do not fit. */
function shortBlockDescriptor(blocks: number, blockSize: number): Uint8Array {
  const descriptor = new Uint8Array(8);
  writeU32(descriptor, 0, Math.min(blocks, 0xffff_ffff));
  writeU32(descriptor, 4, blockSize & 0xff_ffff);
  return descriptor;
}

/** SBC-3 §6.4.2.3: long block descriptor. */
function longBlockDescriptor(blocks: number, blockSize: number): Uint8Array {
  const descriptor = new Uint8Array(16);
  writeU64(descriptor, 0, blocks);
  writeU32(descriptor, 12, blockSize);
  return descriptor;
}

/** Data of MODE SENSE(6). */
export function buildModeSense6(parameters: ModeParameters): Uint8Array {
  const { blockDescriptor } = parameters;
  const descriptor = blockDescriptor && shortBlockDescriptor(blockDescriptor.blocks, blockDescriptor.blockSize);
  const data = joined(4, descriptor, parameters.pages);
  data[0] = Math.min(data.length - 1, 0xff);
  data[1] = parameters.mediumType;
  data[2] = parameters.deviceSpecific;
  data[3] = descriptor?.length ?? 0;
  return data;
}

/** Data of MODE SENSE(10); `longLba` takes the 16-byte descriptor (LLBAA). */
export function buildModeSense10(parameters: ModeParameters, longLba: boolean): Uint8Array {
  const { blockDescriptor } = parameters;
  const build = longLba ? longBlockDescriptor : shortBlockDescriptor;
  const descriptor = blockDescriptor && build(blockDescriptor.blocks, blockDescriptor.blockSize);
  const data = joined(8, descriptor, parameters.pages);
  writeU16(data, 0, data.length - 2);
  data[2] = parameters.mediumType;
  data[3] = parameters.deviceSpecific;
  data[4] = longLba && descriptor !== undefined ? 1 : 0;
  writeU16(data, 6, descriptor?.length ?? 0);
  return data;
}

function joined(headerLength: number, descriptor: Uint8Array | undefined, pages: readonly Uint8Array[]): Uint8Array {
  const parts = descriptor === undefined ? pages : [descriptor, ...pages];
  const data = new Uint8Array(parts.reduce((sum, part) => sum + part.length, headerLength));
  let at = headerLength;
  for (const part of parts) {
    data.set(part, at);
    at += part.length;
  }
  return data;
}

/** A mode page as a driver got it. */
export interface ModePageData {
  readonly code: number;
  readonly subpage: number;
  /** The page with its header, as much as came. */
  readonly bytes: Uint8Array;
}

/** Mode parameters as a driver got them. */
export interface ModeSenseData {
  readonly mediumType: number;
  readonly writeProtected: boolean;
  readonly dpoFua: boolean;
  /** From the first block descriptor, when there is one; `blocks` undefined when it does not fit. */
  readonly blockDescriptor: { readonly blocks: number | undefined; readonly blockSize: number } | undefined;
  readonly pages: readonly ModePageData[];
}

/** Reads data of MODE SENSE(6); undefined below its header's 4 bytes. */
export function parseModeSense6(data: Uint8Array): ModeSenseData | undefined {
  if (data.length < 4) return undefined;
  return parseParameters(data.subarray(0, data[0] + 1), 4, data[1], data[2], data[3], false);
}

/** Reads data of MODE SENSE(10); undefined below its header's 8 bytes. */
export function parseModeSense10(data: Uint8Array): ModeSenseData | undefined {
  if (data.length < 8) return undefined;
  const valid = data.subarray(0, readU16(data, 0) + 2);
  return parseParameters(valid, 8, data[2], data[3], readU16(data, 6), (data[4] & 1) !== 0);
}

function parseParameters(
  data: Uint8Array,
  headerLength: number,
  mediumType: number,
  deviceSpecific: number,
  descriptorLength: number,
  longLba: boolean,
): ModeSenseData {
  const descriptor = data.subarray(headerLength, headerLength + descriptorLength);
  const pages: ModePageData[] = [];
  let at = headerLength + descriptorLength;
  while (at + 2 <= data.length) {
    const hasSubpage = (data[at] & 0x40) !== 0;
    if (hasSubpage && at + 4 > data.length) break;
    const length = hasSubpage ? 4 + readU16(data, at + 2) : 2 + data[at + 1];
    pages.push({
      code: data[at] & 0x3f,
      subpage: hasSubpage ? data[at + 1] : 0,
      bytes: data.slice(at, at + length),
    });
    at += length;
  }
  return {
    mediumType,
    writeProtected: (deviceSpecific & DeviceSpecific.WriteProtect) !== 0,
    dpoFua: (deviceSpecific & DeviceSpecific.DpoFua) !== 0,
    blockDescriptor: parseBlockDescriptor(descriptor, longLba),
    pages,
  };
}

function parseBlockDescriptor(bytes: Uint8Array, longLba: boolean): ModeSenseData["blockDescriptor"] {
  if (longLba) {
    if (bytes.length < 16) return undefined;
    const blocks = readNumber(bytes, 0, 8);
    return { blocks: Number.isSafeInteger(blocks) ? blocks : undefined, blockSize: readU32(bytes, 12) };
  }
  if (bytes.length < 8) return undefined;
  const blocks = readU32(bytes, 0);
  return { blocks: blocks === 0xffff_ffff ? undefined : blocks, blockSize: readNumber(bytes, 5, 3) };
}

/** What a driver wants of the caching page (SBC-3 §6.4.5). */
export function parseCachingPage(data: ModeSenseData): { writeCache: boolean; readCacheDisabled: boolean } | undefined {
  const page = data.pages.find(({ code, subpage }) => code === ModePage.Caching && subpage === 0);
  if (page === undefined || page.bytes.length < 3) return undefined;
  return { writeCache: (page.bytes[2] & 0x04) !== 0, readCacheDisabled: (page.bytes[2] & 0x01) !== 0 };
}
