/**
 * One table of SCSI commands: how each is named, how long its CDB is, which way its data goes and where its fields are.
 * Units take the meaning of fields from it, REPORT SUPPORTED OPERATION CODES its usage maps, traces their words.
 * That a command is listed here does not say that a unit carries it out: that is the unit's {@link CommandSet}.
 */

/** First byte and number of bytes of a number in a CDB. */
export type FieldPlace = readonly [byte: number, size: number];
/** Byte and mask of a bit field in a CDB. */
export type BitPlace = readonly [byte: number, mask: number];

/** Where the fields of a CDB are. */
export interface CommandFields {
  /** Logical block address. */
  readonly lba?: FieldPlace;
  /** Number of blocks. */
  readonly blocks?: FieldPlace;
  /** Allocation length (data to the initiator) or parameter list length (data from it). */
  readonly length?: FieldPlace;
  /** Other fields that units look at. */
  readonly bits?: Readonly<Record<string, BitPlace>>;
  /** Fields that the standard has and that units here only take as zero (24h/00h otherwise). */
  readonly zero?: Readonly<Record<string, BitPlace>>;
}

/** One command. */
export interface CommandDefinition extends CommandFields {
  /** As the standard prints it. */
  readonly name: string;
  readonly opcode: number;
  /** In bits 4…0 of byte 1 (bytes 8 and 9 for opcode 7Fh); undefined for commands without one. */
  readonly serviceAction: number | undefined;
  /** Bytes of the CDB. */
  readonly cdbLength: number;
  /** Which way data moves, seen from the initiator. */
  readonly data: "none" | "in" | "out";
}

function command(
  name: string,
  code: number | readonly [opcode: number, serviceAction: number],
  data: CommandDefinition["data"],
  fields: CommandFields = {},
): CommandDefinition {
  const [opcode, serviceAction] = typeof code === "number" ? [code, undefined] : code;
  return { name, opcode, serviceAction, cdbLength: cdbLengthOf(opcode) ?? 32, data, ...fields };
}

/** SAM-5 §5.2: the CDB length that the group code (bits 7…5) says; undefined for 7Fh and vendor groups. */
export function cdbLengthOf(opcode: number): number | undefined {
  if (opcode === 0x7f) return undefined;
  return [6, 10, 10, undefined, 16, 12, undefined, undefined][(opcode >>> 5) & 7];
}

const dpoFua = { dpo: [1, 0x10], fua: [1, 0x08] } as const;
const protect = { zero: { protect: [1, 0xe0] } } as const;
const transfer6 = { lba: [1, 3], blocks: [4, 1] } as const;
const place10 = { lba: [2, 4], blocks: [7, 2] } as const;
const place12 = { lba: [2, 4], blocks: [6, 4] } as const;
const place16 = { lba: [2, 8], blocks: [10, 4] } as const;
const verifyBits = { dpo: [1, 0x10], bytchk: [1, 0x06] } as const;
const modeBits = { dbd: [1, 0x08], pc: [2, 0xc0], page: [2, 0x3f], subpage: [3, 0xff] } as const;
const select = { bits: { pf: [1, 0x10] }, zero: { sp: [1, 0x01] } } as const;
/** ANCHOR is refused: blocks that are promised space and have none do not exist here. */
const sameZero = { protect: [1, 0xe0], anchor: [1, 0x10], obsolete: [1, 0x06] } as const;
/** Third parties and extents are SCSI-2's. */
const reserveWhole = { zero: { thirdParty: [1, 0x1f] } } as const;
const reserveOut = { length: [5, 4], bits: { type: [2, 0x0f] }, zero: { scope: [2, 0xf0] } } as const;

/** Every command that has a name here. */
export const Commands = {
  testUnitReady: command("TEST UNIT READY", 0x00, "none"),
  requestSense: command("REQUEST SENSE", 0x03, "in", { length: [4, 1], bits: { desc: [1, 0x01] } }),
  formatUnit: command("FORMAT UNIT", 0x04, "out"),
  read6: command("READ(6)", 0x08, "in", transfer6),
  write6: command("WRITE(6)", 0x0a, "out", transfer6),
  inquiry: command("INQUIRY", 0x12, "in", {
    length: [3, 2],
    bits: { evpd: [1, 0x01], page: [2, 0xff] },
    zero: { cmddt: [1, 0x02] },
  }),
  modeSelect6: command("MODE SELECT(6)", 0x15, "out", { length: [4, 1], ...select }),
  reserve6: command("RESERVE(6)", 0x16, "none", reserveWhole),
  release6: command("RELEASE(6)", 0x17, "none", reserveWhole),
  modeSense6: command("MODE SENSE(6)", 0x1a, "in", { length: [4, 1], bits: modeBits }),
  startStopUnit: command("START STOP UNIT", 0x1b, "none", {
    bits: { immed: [1, 0x01], power: [4, 0xf0], noFlush: [4, 0x04], loej: [4, 0x02], start: [4, 0x01] },
  }),
  preventAllow: command("PREVENT ALLOW MEDIUM REMOVAL", 0x1e, "none", { bits: { prevent: [4, 0x03] } }),
  readCapacity10: command("READ CAPACITY(10)", 0x25, "in", { lba: [2, 4], bits: { pmi: [8, 0x01] } }),
  read10: command("READ(10)", 0x28, "in", { ...place10, bits: dpoFua, ...protect }),
  write10: command("WRITE(10)", 0x2a, "out", { ...place10, bits: dpoFua, ...protect }),
  seek10: command("SEEK(10)", 0x2b, "none", { lba: [2, 4] }),
  writeAndVerify10: command("WRITE AND VERIFY(10)", 0x2e, "out", { ...place10, bits: verifyBits, ...protect }),
  verify10: command("VERIFY(10)", 0x2f, "out", { ...place10, bits: verifyBits, ...protect }),
  preFetch10: command("PRE-FETCH(10)", 0x34, "none", { ...place10, bits: { immed: [1, 0x02] } }),
  synchronizeCache10: command("SYNCHRONIZE CACHE(10)", 0x35, "none", { ...place10, bits: { immed: [1, 0x02] } }),
  readDefectData10: command("READ DEFECT DATA(10)", 0x37, "in", { length: [7, 2] }),
  writeSame10: command("WRITE SAME(10)", 0x41, "out", { ...place10, bits: { unmap: [1, 0x08] }, zero: sameZero }),
  readToc: command("READ TOC/PMA/ATIP", 0x43, "in", {
    length: [7, 2],
    bits: { msf: [1, 0x02], format: [2, 0x0f], track: [6, 0xff], oldFormat: [9, 0xc0] },
  }),
  getConfiguration: command("GET CONFIGURATION", 0x46, "in", {
    length: [7, 2],
    bits: { rt: [1, 0x03], feature: [2, 0xff], featureLow: [3, 0xff] },
  }),
  getEventStatus: command("GET EVENT STATUS NOTIFICATION", 0x4a, "in", {
    length: [7, 2],
    bits: { polled: [1, 0x01], classes: [4, 0xff] },
  }),
  readDiscInformation: command("READ DISC INFORMATION", 0x51, "in", { length: [7, 2], bits: { type: [1, 0x07] } }),
  unmap: command("UNMAP", 0x42, "out", { length: [7, 2], zero: { anchor: [1, 0x01] } }),
  sanitize: command("SANITIZE", 0x48, "out", { length: [7, 2] }),
  logSelect: command("LOG SELECT", 0x4c, "out", { length: [7, 2] }),
  logSense: command("LOG SENSE", 0x4d, "in", {
    length: [7, 2],
    bits: { pc: [2, 0xc0], page: [2, 0x3f], subpage: [3, 0xff], pointer: [5, 0xff], pointerLow: [6, 0xff] },
    zero: { sp: [1, 0x01] },
  }),
  modeSelect10: command("MODE SELECT(10)", 0x55, "out", { length: [7, 2], ...select }),
  reserve10: command("RESERVE(10)", 0x56, "none", reserveWhole),
  release10: command("RELEASE(10)", 0x57, "none", reserveWhole),
  modeSense10: command("MODE SENSE(10)", 0x5a, "in", { length: [7, 2], bits: { llbaa: [1, 0x10], ...modeBits } }),
  reserveReadKeys: command("PERSISTENT RESERVE IN (READ KEYS)", [0x5e, 0x00], "in", { length: [7, 2] }),
  reserveReadReservation: command("PERSISTENT RESERVE IN (READ RESERVATION)", [0x5e, 0x01], "in", { length: [7, 2] }),
  reserveReportCapabilities: command("PERSISTENT RESERVE IN (REPORT CAPABILITIES)", [0x5e, 0x02], "in", {
    length: [7, 2],
  }),
  reserveReadFullStatus: command("PERSISTENT RESERVE IN (READ FULL STATUS)", [0x5e, 0x03], "in", { length: [7, 2] }),
  reserveRegister: command("PERSISTENT RESERVE OUT (REGISTER)", [0x5f, 0x00], "out", { length: [5, 4] }),
  reserveReserve: command("PERSISTENT RESERVE OUT (RESERVE)", [0x5f, 0x01], "out", reserveOut),
  reserveRelease: command("PERSISTENT RESERVE OUT (RELEASE)", [0x5f, 0x02], "out", reserveOut),
  reserveClear: command("PERSISTENT RESERVE OUT (CLEAR)", [0x5f, 0x03], "out", { length: [5, 4] }),
  reservePreempt: command("PERSISTENT RESERVE OUT (PREEMPT)", [0x5f, 0x04], "out", reserveOut),
  reservePreemptAndAbort: command("PERSISTENT RESERVE OUT (PREEMPT AND ABORT)", [0x5f, 0x05], "out", reserveOut),
  reserveRegisterAndIgnore: command("PERSISTENT RESERVE OUT (REGISTER AND IGNORE EXISTING KEY)", [0x5f, 0x06], "out", {
    length: [5, 4],
  }),
  writeSame32: command("WRITE SAME(32)", [0x7f, 0x000d], "out", { lba: [12, 8], blocks: [28, 4] }),
  extendedCopy: command("EXTENDED COPY", 0x83, "out", { length: [10, 4] }),
  receiveCopyResults: command("RECEIVE COPY RESULTS", 0x84, "in", { length: [10, 4] }),
  ataPassThrough16: command("ATA PASS-THROUGH(16)", 0x85, "none"),
  read16: command("READ(16)", 0x88, "in", { ...place16, bits: dpoFua, ...protect }),
  compareAndWrite: command("COMPARE AND WRITE", 0x89, "out", {
    lba: [2, 8],
    blocks: [13, 1],
    bits: dpoFua,
    ...protect,
  }),
  write16: command("WRITE(16)", 0x8a, "out", { ...place16, bits: dpoFua, ...protect }),
  orWrite16: command("ORWRITE(16)", 0x8b, "out", { ...place16, bits: dpoFua, ...protect }),
  writeAndVerify16: command("WRITE AND VERIFY(16)", 0x8e, "out", { ...place16, bits: verifyBits, ...protect }),
  verify16: command("VERIFY(16)", 0x8f, "out", { ...place16, bits: verifyBits, ...protect }),
  preFetch16: command("PRE-FETCH(16)", 0x90, "none", { ...place16, bits: { immed: [1, 0x02] } }),
  synchronizeCache16: command("SYNCHRONIZE CACHE(16)", 0x91, "none", { ...place16, bits: { immed: [1, 0x02] } }),
  writeSame16: command("WRITE SAME(16)", 0x93, "out", {
    ...place16,
    bits: { unmap: [1, 0x08], ndob: [1, 0x01] },
    zero: sameZero,
  }),
  writeAtomic16: command("WRITE ATOMIC(16)", 0x9c, "out", { lba: [2, 8], blocks: [12, 2], bits: dpoFua, ...protect }),
  readCapacity16: command("READ CAPACITY(16)", [0x9e, 0x10], "in", {
    lba: [2, 8],
    length: [10, 4],
    bits: { pmi: [14, 0x01] },
  }),
  getLbaStatus: command("GET LBA STATUS", [0x9e, 0x12], "in", { lba: [2, 8], length: [10, 4] }),
  reportReferrals: command("REPORT REFERRALS", [0x9e, 0x13], "in", { lba: [2, 8], length: [10, 4] }),
  reportLuns: command("REPORT LUNS", 0xa0, "in", { length: [6, 4], bits: { select: [2, 0xff] } }),
  ataPassThrough12: command("ATA PASS-THROUGH(12)", 0xa1, "none"),
  reportTargetPortGroups: command("REPORT TARGET PORT GROUPS", [0xa3, 0x0a], "in", { length: [6, 4] }),
  reportSupportedOperationCodes: command("REPORT SUPPORTED OPERATION CODES", [0xa3, 0x0c], "in", {
    length: [6, 4],
    bits: { rctd: [2, 0x80], options: [2, 0x07], opcode: [3, 0xff], action: [4, 0xff], actionLow: [5, 0xff] },
  }),
  setTargetPortGroups: command("SET TARGET PORT GROUPS", [0xa4, 0x0a], "out", { length: [6, 4] }),
  read12: command("READ(12)", 0xa8, "in", { ...place12, bits: dpoFua, ...protect }),
  write12: command("WRITE(12)", 0xaa, "out", { ...place12, bits: dpoFua, ...protect }),
  writeAndVerify12: command("WRITE AND VERIFY(12)", 0xae, "out", { ...place12, bits: verifyBits, ...protect }),
  verify12: command("VERIFY(12)", 0xaf, "out", { ...place12, bits: verifyBits, ...protect }),
  mechanismStatus: command("MECHANISM STATUS", 0xbd, "in", { length: [8, 2] }),
  readDefectData12: command("READ DEFECT DATA(12)", 0xb7, "in", { length: [6, 4] }),
} as const satisfies Record<string, CommandDefinition>;

const byOpcode: CommandDefinition[][] = Array.from({ length: 256 }, () => []);
for (const definition of Object.values(Commands)) byOpcode[definition.opcode].push(definition);

/** The service action that a CDB names, or would name if its opcode has one. */
export function serviceActionOf(cdb: Uint8Array): number {
  return cdb[0] === 0x7f ? ((cdb[8] << 8) | cdb[9]) >>> 0 : cdb[1] & 0x1f;
}

/** The command of a CDB, or undefined when it is not in the table. */
export function findCommand(cdb: Uint8Array): CommandDefinition | undefined {
  const candidates = byOpcode[cdb[0]] ?? [];
  const action = serviceActionOf(cdb);
  return candidates.find((found) => found.serviceAction === undefined || found.serviceAction === action);
}

/** SPC-4 §6.34.3, CDB usage data: opcode and service action as they are, ones where a unit looks. */
export function cdbUsage(definition: CommandDefinition): Uint8Array {
  const usage = new Uint8Array(definition.cdbLength);
  for (const place of [definition.lba, definition.blocks, definition.length]) {
    if (place !== undefined) usage.fill(0xff, place[0], place[0] + place[1]);
  }
  if (definition.opcode === 0x08 || definition.opcode === 0x0a) usage[1] = 0x1f;
  for (const [byte, mask] of Object.values(definition.bits ?? {})) usage[byte] |= mask;
  usage[0] = definition.opcode;
  if (definition.serviceAction !== undefined) {
    if (definition.opcode === 0x7f) {
      usage[8] = definition.serviceAction >>> 8;
      usage[9] = definition.serviceAction;
    } else usage[1] |= definition.serviceAction;
  }
  return usage;
}
