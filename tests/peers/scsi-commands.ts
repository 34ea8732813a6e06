/** The commands that the differential test sends to our units and to QEMU's, and what of the answers is compared. */
import { hexBytes, parseHexBytes } from "../../src/bytes/index.js";
import {
  buildUnmap,
  cdb,
  parseBlockCharacteristics,
  parseBlockLimits,
  parseCapacity10,
  parseCapacity16,
  parseDesignators,
  parseInquiry,
  parseModeSense6,
  parseModeSense10,
  parseProvisioning,
  parseSerialNumber,
  parseSupportedPages,
} from "../../src/scsi/index.js";

/** One command. */
export interface PeerCommand {
  readonly name: string;
  readonly cdb: Uint8Array;
  readonly dataOut?: Uint8Array;
  /** Bytes of room for data. Default 0. */
  readonly room?: number;
  /** The fields of the answer's data that are compared. Default: its bytes. */
  readonly fields?: Fields;
}

/** Takes an answer apart. */
type Fields = (data: Uint8Array) => Readonly<Record<string, unknown>> | undefined;

const hex = parseHexBytes;

function modeFields(parse: typeof parseModeSense6): Fields {
  return (data) => {
    const parsed = parse(data);
    if (parsed === undefined) return undefined;
    const { pages, ...header } = parsed;
    return {
      ...header,
      pages: pages.map(({ code }) => code),
      ...Object.fromEntries(pages.map((page) => [`page ${page.code.toString(16)}`, hexBytes(page.bytes)])),
    };
  };
}

const inquiry: readonly PeerCommand[] = [
  { name: "INQUIRY", cdb: cdb.inquiry(255), room: 255, fields: parseInquiry as Fields },
  { name: "INQUIRY of 5 bytes", cdb: cdb.inquiry(5), room: 5, fields: (data) => ({ length: data.length }) },
  { name: "INQUIRY, page without EVPD", cdb: hex("12 00 80 00 ff 00"), room: 255 },
  {
    name: "VPD 00",
    cdb: cdb.inquiry(255, 0),
    room: 255,
    fields: (data) => ({ pages: parseSupportedPages(data)?.map((page) => page.toString(16)) }),
  },
  { name: "VPD 80", cdb: cdb.inquiry(255, 0x80), room: 255, fields: (data) => ({ serial: parseSerialNumber(data) }) },
  {
    name: "VPD 83",
    cdb: cdb.inquiry(255, 0x83),
    room: 255,
    fields: (data) => ({ types: parseDesignators(data)?.map(({ type, association }) => `${type}/${association}`) }),
  },
  { name: "VPD FF", cdb: cdb.inquiry(255, 0xff), room: 255 },
];

const mode: readonly PeerCommand[] = [
  { name: "MODE SENSE(6) all", cdb: cdb.modeSense6(0x3f), room: 255, fields: modeFields(parseModeSense6) },
  { name: "MODE SENSE(10) all", cdb: cdb.modeSense10(0x3f), room: 512, fields: modeFields(parseModeSense10) },
  {
    name: "MODE SENSE(6) caching, changeable",
    cdb: cdb.modeSense6(8, { control: "changeable" }),
    room: 255,
    fields: modeFields(parseModeSense6),
  },
  {
    name: "MODE SENSE(6) caching, no descriptor",
    cdb: cdb.modeSense6(8, { noBlockDescriptors: true }),
    room: 255,
    fields: modeFields(parseModeSense6),
  },
  { name: "MODE SENSE(6) saved", cdb: cdb.modeSense6(8, { control: "saved" }), room: 255 },
  { name: "MODE SENSE(6) unknown page", cdb: cdb.modeSense6(0x3e), room: 255 },
];

/** What every kind of unit is asked. */
export const unitCommands: readonly PeerCommand[] = [
  { name: "TEST UNIT READY", cdb: cdb.testUnitReady() },
  { name: "REQUEST SENSE", cdb: cdb.requestSense(252), room: 252 },
  { name: "REQUEST SENSE, descriptor", cdb: cdb.requestSense(252, true), room: 252 },
  ...inquiry,
  { name: "READ CAPACITY(10)", cdb: cdb.readCapacity10(), room: 8, fields: parseCapacity10 },
  { name: "REPORT LUNS", cdb: cdb.reportLuns(256), room: 256 },
  { name: "REPORT LUNS of 15 bytes", cdb: cdb.reportLuns(15), room: 16 },
  { name: "REPORT LUNS, select 1", cdb: cdb.reportLuns(256, 1), room: 256 },
  { name: "REPORT LUNS, select 9", cdb: cdb.reportLuns(256, 9), room: 256 },
  { name: "unknown opcode C0", cdb: hex("c0 00 00 00 00 00 00 00 00 00 00 00") },
  { name: "NACA", cdb: hex("00 00 00 00 00 04") },
];

const block = (fill: number) => new Uint8Array(512).fill(fill);

function caching(byte: number, sp = 0, pf = 0x10): PeerCommand {
  const page = `08 12 ${byte.toString(16).padStart(2, "0")} ${"00 ".repeat(17)}`;
  return {
    name: `MODE SELECT(6) caching ${byte.toString(16)}${sp ? ", SP" : ""}${pf ? "" : ", PF 0"}`,
    cdb: Uint8Array.of(0x15, pf | sp, 0, 0, 24, 0),
    dataOut: hex(`00 00 00 00 ${page}`),
  };
}

function unmap(name: string, list: Uint8Array, anchor = 0): PeerCommand {
  return {
    name: `UNMAP ${name}`,
    cdb: Uint8Array.of(0x42, anchor, 0, 0, 0, 0, 0, list.length >>> 8, list.length, 0),
    dataOut: list,
  };
}

/** What a disk of `blocks` blocks of 512 bytes is asked beside {@link unitCommands}. */
export function diskCommands(blocks: number): readonly PeerCommand[] {
  const last = blocks.toString(16).padStart(8, "0");
  return [
    { name: "VPD B0", cdb: cdb.inquiry(255, 0xb0), room: 255, fields: parseBlockLimits as Fields },
    { name: "VPD B1", cdb: cdb.inquiry(255, 0xb1), room: 255, fields: parseBlockCharacteristics as Fields },
    { name: "VPD B2", cdb: cdb.inquiry(255, 0xb2), room: 255, fields: parseProvisioning as Fields },
    { name: "READ CAPACITY(16)", cdb: cdb.readCapacity16(), room: 32, fields: parseCapacity16 as Fields },
    { name: "READ CAPACITY(10), LBA without PMI", cdb: hex("25 00 00000001 00 00 00 00"), room: 8 },
    { name: "service action 9E/1F", cdb: hex("9e 1f 0000000000000000 00000020 00 00"), room: 32 },
    { name: "service action A3/1F", cdb: hex("a3 1f 00 00 00 00 00000020 00 00"), room: 32 },
    ...mode,
    { name: "WRITE(10)", cdb: cdb.write10(8, 1), dataOut: block(0x11) },
    { name: "WRITE(16) FUA", cdb: cdb.write16(9, 1, { forceUnitAccess: true }), dataOut: block(0x22) },
    { name: "READ(10)", cdb: cdb.read10(8, 2), room: 1024 },
    { name: "READ(6)", cdb: hex("08 00 00 08 01 00"), room: 512 },
    { name: "READ(10) at the end", cdb: hex(`28 00 ${last} 00 0001 00`), room: 512 },
    { name: "READ(10) of nothing at the end", cdb: hex(`28 00 ${last} 00 0000 00`) },
    { name: "READ(10) of nothing past the end", cdb: cdb.read10(blocks + 1, 0) },
    { name: "READ(16) at -1", cdb: hex("88 00 ffffffffffffffff 00000001 00 00"), room: 512 },
    { name: "READ(10) RDPROTECT", cdb: hex("28 20 00000000 00 0001 00"), room: 512 },
    { name: "WRITE(10) WRPROTECT", cdb: hex("2a 20 00000000 00 0001 00"), dataOut: block(0) },
    { name: "VERIFY(10)", cdb: hex("2f 00 00000008 00 0002 00") },
    { name: "VERIFY(10) past the end", cdb: hex(`2f 00 ${last} 00 0001 00`) },
    { name: "VERIFY(10) BYTCHK 1", cdb: hex("2f 02 00000008 00 0001 00"), dataOut: block(0x11) },
    { name: "WRITE AND VERIFY(10)", cdb: hex("2e 00 0000000a 00 0001 00"), dataOut: block(0x33) },
    { name: "SYNCHRONIZE CACHE(10)", cdb: cdb.synchronizeCache10() },
    { name: "SYNCHRONIZE CACHE(16)", cdb: cdb.synchronizeCache16() },
    { name: "SEEK(10)", cdb: hex("2b 00 00000008 00 00 00 00") },
    { name: "SEEK(10) past the end", cdb: hex("2b 00 7fffffff 00 00 00 00") },
    { name: "PRE-FETCH(10)", cdb: hex("34 00 00000000 00 0008 00") },
    { name: "WRITE SAME(10)", cdb: hex("41 00 00000010 00 0004 00"), dataOut: block(0x44) },
    { name: "WRITE SAME(10) count 0", cdb: hex("41 00 00000010 00 0000 00"), dataOut: block(0x44) },
    { name: "WRITE SAME(16) UNMAP", cdb: hex("93 08 0000000000000011 00000001 00 00"), dataOut: block(0) },
    { name: "WRITE SAME(16) NDOB", cdb: hex("93 09 0000000000000012 00000001 00 00") },
    { name: "WRITE SAME(16) ANCHOR", cdb: hex("93 18 0000000000000012 00000001 00 00"), dataOut: block(0) },
    { name: "WRITE SAME(10) past the end", cdb: hex(`41 00 ${last} 00 0001 00`), dataOut: block(0) },
    { name: "READ(10) after WRITE SAME", cdb: cdb.read10(0x10, 4), room: 2048 },
    unmap(
      "of two ranges",
      buildUnmap([
        { lba: 8, blocks: 1 },
        { lba: 0x10, blocks: 1 },
      ]),
    ),
    unmap("past the end", buildUnmap([{ lba: blocks, blocks: 1 }])),
    unmap("ANCHOR", buildUnmap([{ lba: 8, blocks: 1 }]), 1),
    unmap("of a short list", new Uint8Array(4)),
    unmap("with a length past the list", hex("00 26 00 20 00000000 0000000000000000 00000001 00000000")),
    unmap("of nothing", buildUnmap([])),
    { name: "READ(10) after UNMAP", cdb: cdb.read10(8, 2), room: 1024 },
    { name: "COMPARE AND WRITE", cdb: hex("89 00 000000000000000c 00 00 00 01 00 00"), dataOut: new Uint8Array(1024) },
    { name: "GET LBA STATUS", cdb: hex("9e 12 0000000000000000 00000018 00 00"), room: 24, fields: () => ({}) },
    caching(4),
    caching(0),
    { ...caching(4), name: "MODE SELECT(6) caching back" },
    caching(4, 1),
    caching(4, 0, 0),
    caching(0x10),
    { name: "MODE SELECT(6) of nothing", cdb: hex("15 10 00 00 00 00") },
    { name: "MODE SELECT(6) cut short", cdb: hex("15 10 00 00 0a 00"), dataOut: hex("00 00 00 00 08 12 04 00 00 00") },
    { name: "START STOP UNIT stop", cdb: hex("1b 00 00 00 00 00") },
    { name: "START STOP UNIT start", cdb: hex("1b 00 00 00 01 00") },
    { name: "START STOP UNIT eject", cdb: hex("1b 00 00 00 02 00") },
    { name: "PREVENT ALLOW", cdb: hex("1e 00 00 00 01 00") },
    { name: "RESERVE(6)", cdb: hex("16 00 00 00 00 00") },
    { name: "RELEASE(6)", cdb: hex("17 00 00 00 00 00") },
    { name: "PERSISTENT RESERVE IN", cdb: hex("5e 00 00 00 00 00 00 00 08 00"), room: 8 },
    { name: "LOG SENSE", cdb: hex("4d 00 40 00 00 00 00 00 ff 00"), room: 255 },
    { name: "REPORT SUPPORTED OPERATION CODES", cdb: hex("a3 0c 00 00 00 00 00000010 00 00"), room: 16 },
    { name: "FORMAT UNIT", cdb: hex("04 00 00 00 00 00") },
  ];
}

/** What a drive with a medium of 2048-byte blocks is asked beside {@link unitCommands}. */
export const cdCommands: readonly PeerCommand[] = [
  { name: "READ(10)", cdb: cdb.read10(2, 1), room: 2048 },
  { name: "READ(12)", cdb: hex("a8 00 00000002 00000001 00 00"), room: 2048 },
  { name: "READ(10) past the end", cdb: cdb.read10(100_000, 1), room: 2048 },
  { name: "READ TOC, blocks", cdb: hex("43 00 00 00 00 00 00 03 24 00"), room: 804 },
  { name: "READ TOC, time", cdb: hex("43 02 00 00 00 00 00 03 24 00"), room: 804 },
  { name: "READ TOC from the lead-out", cdb: hex("43 00 00 00 00 00 aa 03 24 00"), room: 804 },
  { name: "READ TOC from track 2", cdb: hex("43 00 00 00 00 00 02 03 24 00"), room: 804 },
  { name: "READ TOC, sessions", cdb: hex("43 00 01 00 00 00 00 03 24 00"), room: 804 },
  { name: "READ TOC, sessions in the control byte", cdb: hex("43 00 00 00 00 00 00 03 24 40"), room: 804 },
  { name: "READ TOC, full", cdb: hex("43 02 02 00 00 00 00 03 24 00"), room: 804 },
  { name: "READ TOC, PMA", cdb: hex("43 02 03 00 00 00 00 03 24 00"), room: 804 },
  {
    name: "GET CONFIGURATION",
    cdb: hex("46 00 00 00 00 00 00 04 00 00"),
    room: 1024,
    fields: configurationFields,
  },
  { name: "GET EVENT STATUS NOTIFICATION", cdb: hex("4a 01 00 00 10 00 00 00 08 00"), room: 8 },
  { name: "GET EVENT STATUS NOTIFICATION, other classes", cdb: hex("4a 01 00 00 02 00 00 00 08 00"), room: 8 },
  { name: "GET EVENT STATUS NOTIFICATION, not polled", cdb: hex("4a 00 00 00 10 00 00 00 08 00"), room: 8 },
  { name: "READ DISC INFORMATION", cdb: hex("51 00 00 00 00 00 00 00 22 00"), room: 34 },
  { name: "MECHANISM STATUS", cdb: hex("bd 00 00 00 00 00 00 00 00 08 00 00"), room: 8 },
  {
    name: "MODE SENSE(10) capabilities",
    cdb: cdb.modeSense10(0x2a),
    room: 512,
    fields: modeFields(parseModeSense10),
  },
  { name: "PREVENT", cdb: hex("1e 00 00 00 01 00") },
  { name: "eject while prevented", cdb: hex("1b 00 00 00 02 00") },
  { name: "ALLOW", cdb: hex("1e 00 00 00 00 00") },
  { name: "eject", cdb: hex("1b 00 00 00 02 00") },
  { name: "TEST UNIT READY, open", cdb: cdb.testUnitReady() },
  { name: "READ(10), open", cdb: cdb.read10(2, 1), room: 2048 },
  { name: "GET EVENT STATUS NOTIFICATION, open", cdb: hex("4a 01 00 00 10 00 00 00 08 00"), room: 8 },
  { name: "load", cdb: hex("1b 00 00 00 03 00") },
  { name: "TEST UNIT READY, loaded", cdb: cdb.testUnitReady() },
  { name: "TEST UNIT READY, loaded, again", cdb: cdb.testUnitReady() },
  { name: "GET EVENT STATUS NOTIFICATION, loaded", cdb: hex("4a 01 00 00 10 00 00 00 08 00"), room: 8 },
  { name: "WRITE(10)", cdb: cdb.write10(2, 1), dataOut: new Uint8Array(2048) },
];

/** The current profile, and every feature's header and data. */
function configurationFields(data: Uint8Array): Readonly<Record<string, unknown>> {
  const fields: Record<string, unknown> = { profile: hexBytes(data.subarray(6, 8)) };
  const end = Math.min(data.length, 4 + ((data[2] << 8) | data[3]));
  for (let at = 8; at + 4 <= end; at += 4 + data[at + 3]) {
    fields[`feature ${hexBytes(data.subarray(at, at + 2), "")}`] = hexBytes(
      data.subarray(at + 2, at + 4 + data[at + 3]),
    );
  }
  return fields;
}
