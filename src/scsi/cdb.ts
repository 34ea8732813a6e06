/**
 * CDB builders for the driver side. Each makes a new array of the command's length; {@link encodeTransfer} writes in
 * place for the hot path. Block addresses and counts are safe integers.
 */
import { writeU16, writeU32, writeU64 } from "./big-endian.js";
import { type CommandDefinition, Commands } from "./command-table.js";

/** Bits of a read or write. */
export interface TransferFlags {
  /** DPO: the blocks are not worth keeping in a cache. */
  readonly disablePageOut?: boolean;
  /** FUA: go to the medium. */
  readonly forceUnitAccess?: boolean;
}

/** DPO as it stands in byte 1. */
export const transferDpo = 0x10;
/** FUA as it stands in byte 1. */
export const transferFua = 0x08;

function blank(definition: CommandDefinition): Uint8Array {
  const cdb = new Uint8Array(definition.cdbLength);
  cdb[0] = definition.opcode;
  if (definition.serviceAction !== undefined) cdb[1] = definition.serviceAction;
  return cdb;
}

function check(name: string, value: number, limit: number): void {
  if (!Number.isSafeInteger(value) || value < 0 || value > limit) {
    throw new RangeError(`${name} must be an integer within 0…${limit}, got ${value}`);
  }
}

function flagByte(flags: TransferFlags): number {
  return (flags.disablePageOut ? transferDpo : 0) | (flags.forceUnitAccess ? transferFua : 0);
}

/**
 * Writes the READ or WRITE that fits the range: 10 bytes up to LBA 2^32 − 1 and 65535 blocks, else 16. Allocates
 * nothing. `cdb` needs 16 bytes; `flags` are {@link transferDpo} and {@link transferFua}. Returns the CDB's length.
 * @throws RangeError when `lba` is no safe integer or `blocks` does not fit 32 bits.
 */
export function encodeTransfer(
  cdb: Uint8Array,
  direction: "read" | "write",
  lba: number,
  blocks: number,
  flags = 0,
): number {
  check("lba", lba, Number.MAX_SAFE_INTEGER);
  check("blocks", blocks, 0xffff_ffff);
  const isShort = lba <= 0xffff_ffff && blocks <= 0xffff;
  cdb[1] = flags;
  if (isShort) {
    cdb[0] = direction === "read" ? 0x28 : 0x2a;
    writeU32(cdb, 2, lba);
    cdb[6] = 0;
    writeU16(cdb, 7, blocks);
    cdb[9] = 0;
    return 10;
  }
  cdb[0] = direction === "read" ? 0x88 : 0x8a;
  writeU64(cdb, 2, lba);
  writeU32(cdb, 10, blocks);
  cdb[14] = 0;
  cdb[15] = 0;
  return 16;
}

function transferCdb(direction: "read" | "write", lba: number, blocks: number, flags: TransferFlags): Uint8Array {
  const cdb = new Uint8Array(16);
  return cdb.slice(0, encodeTransfer(cdb, direction, lba, blocks, flagByte(flags)));
}

/** READ(10) or READ(16), whichever the range needs. */
export function read(lba: number, blocks: number, flags: TransferFlags = {}): Uint8Array {
  return transferCdb("read", lba, blocks, flags);
}

/** WRITE(10) or WRITE(16), whichever the range needs. */
export function write(lba: number, blocks: number, flags: TransferFlags = {}): Uint8Array {
  return transferCdb("write", lba, blocks, flags);
}

function block10(definition: CommandDefinition, lba: number, blocks: number, flags: TransferFlags): Uint8Array {
  check("lba", lba, 0xffff_ffff);
  check("blocks", blocks, 0xffff);
  const cdb = blank(definition);
  cdb[1] = flagByte(flags);
  writeU32(cdb, 2, lba);
  writeU16(cdb, 7, blocks);
  return cdb;
}

function block16(definition: CommandDefinition, lba: number, blocks: number, flags: TransferFlags): Uint8Array {
  check("lba", lba, Number.MAX_SAFE_INTEGER);
  check("blocks", blocks, 0xffff_ffff);
  const cdb = blank(definition);
  cdb[1] = flagByte(flags);
  writeU64(cdb, 2, lba);
  writeU32(cdb, 10, blocks);
  return cdb;
}

/** READ(10). @throws RangeError beyond 32 bits of address or 16 of count. */
export function read10(lba: number, blocks: number, flags: TransferFlags = {}): Uint8Array {
  return block10(Commands.read10, lba, blocks, flags);
}
/** READ(16). */
export function read16(lba: number, blocks: number, flags: TransferFlags = {}): Uint8Array {
  return block16(Commands.read16, lba, blocks, flags);
}
/** WRITE(10). @throws RangeError beyond 32 bits of address or 16 of count. */
export function write10(lba: number, blocks: number, flags: TransferFlags = {}): Uint8Array {
  return block10(Commands.write10, lba, blocks, flags);
}
/** WRITE(16). */
export function write16(lba: number, blocks: number, flags: TransferFlags = {}): Uint8Array {
  return block16(Commands.write16, lba, blocks, flags);
}
/** SYNCHRONIZE CACHE(10); 0 blocks is "to the end". @throws RangeError beyond 32 bits of address or 16 of count. */
export function synchronizeCache10(lba = 0, blocks = 0): Uint8Array {
  return block10(Commands.synchronizeCache10, lba, blocks, {});
}
/** SYNCHRONIZE CACHE(16); 0 blocks is "to the end". */
export function synchronizeCache16(lba = 0, blocks = 0): Uint8Array {
  return block16(Commands.synchronizeCache16, lba, blocks, {});
}

/** TEST UNIT READY. */
export function testUnitReady(): Uint8Array {
  return blank(Commands.testUnitReady);
}

/** REQUEST SENSE, in descriptor format if `descriptor`. */
export function requestSense(length = 252, descriptor = false): Uint8Array {
  check("length", length, 0xff);
  const cdb = blank(Commands.requestSense);
  cdb[1] = descriptor ? 1 : 0;
  cdb[4] = length;
  return cdb;
}

/** INQUIRY: the standard data (36 bytes suit every device), or a vital product data page. */
export function inquiry(length = 36, page?: number): Uint8Array {
  check("length", length, 0xffff);
  const cdb = blank(Commands.inquiry);
  if (page !== undefined) {
    check("page", page, 0xff);
    cdb[1] = 1;
    cdb[2] = page;
  }
  writeU16(cdb, 3, length);
  return cdb;
}

/** READ CAPACITY(10). */
export function readCapacity10(): Uint8Array {
  return blank(Commands.readCapacity10);
}

/** READ CAPACITY(16). */
export function readCapacity16(length = 32): Uint8Array {
  check("length", length, 0xffff_ffff);
  const cdb = blank(Commands.readCapacity16);
  writeU32(cdb, 10, length);
  return cdb;
}

/** REPORT LUNS. `select`: 0 usual units, 1 well-known units, 2 all. */
export function reportLuns(length = 4096, select = 0): Uint8Array {
  check("length", length, 0xffff_ffff);
  check("select", select, 0xff);
  const cdb = blank(Commands.reportLuns);
  cdb[2] = select;
  writeU32(cdb, 6, length);
  return cdb;
}

/** What MODE SENSE shall return. */
export interface ModeSenseOptions {
  readonly subpage?: number;
  /** Which values: current (default), what can be changed, defaults, saved. */
  readonly control?: "current" | "changeable" | "default" | "saved";
  /** DBD: leave block descriptors out. Default false. */
  readonly noBlockDescriptors?: boolean;
  /** Allocation length. */
  readonly length?: number;
}

const pageControls = ["current", "changeable", "default", "saved"] as const;

function modeSense(cdb: Uint8Array, page: number, options: ModeSenseOptions): Uint8Array {
  check("page", page, 0x3f);
  check("subpage", options.subpage ?? 0, 0xff);
  cdb[1] = options.noBlockDescriptors ? 0x08 : 0;
  cdb[2] = (pageControls.indexOf(options.control ?? "current") << 6) | page;
  cdb[3] = options.subpage ?? 0;
  return cdb;
}

/** MODE SENSE(6); page 3Fh is all pages. */
export function modeSense6(page: number, options: ModeSenseOptions = {}): Uint8Array {
  check("length", options.length ?? 255, 0xff);
  const cdb = modeSense(blank(Commands.modeSense6), page, options);
  cdb[4] = options.length ?? 255;
  return cdb;
}

/** MODE SENSE(10); page 3Fh is all pages. */
export function modeSense10(page: number, options: ModeSenseOptions = {}): Uint8Array {
  check("length", options.length ?? 512, 0xffff);
  const cdb = modeSense(blank(Commands.modeSense10), page, options);
  writeU16(cdb, 7, options.length ?? 512);
  return cdb;
}

/** START STOP UNIT. */
export function startStopUnit(start: boolean): Uint8Array {
  const cdb = blank(Commands.startStopUnit);
  cdb[4] = start ? 1 : 0;
  return cdb;
}

/** REPORT SUPPORTED OPERATION CODES: all commands, or the usage map of one. */
export function reportSupportedOperationCodes(one?: { opcode: number; serviceAction?: number }): Uint8Array {
  const cdb = blank(Commands.reportSupportedOperationCodes);
  if (one !== undefined) {
    cdb[2] = one.serviceAction === undefined ? 1 : 2;
    cdb[3] = one.opcode;
    writeU16(cdb, 4, one.serviceAction ?? 0);
  }
  writeU32(cdb, 6, 8192);
  return cdb;
}
