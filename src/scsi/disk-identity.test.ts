/** What a disk tells of itself, against bytes worked out by hand and through the driver's parsers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hexBytes, parseHexBytes } from "../bytes/index.js";
import { MemoryStore } from "../storage/index.js";
import { buildCapacity16, parseCapacity10, parseCapacity16 } from "./capacity.js";
import * as cdb from "./cdb.js";
import { Commands, cdbUsage } from "./command-table.js";
import { Disk } from "./disk.js";
import type { DiskOptions } from "./disk-options.js";
import { parseInquiry } from "./inquiry.js";
import { parseCachingPage, parseModeSense6, parseModeSense10 } from "./mode.js";
import { Nexus } from "./nexus.js";
import { parseReportLuns } from "./report-luns.js";
import { parseCommandUsage, parseSupportedCommands } from "./report-opcodes.js";
import { type CommandResult, type RunOptions, runCommand } from "./run-command.js";
import { parseSense } from "./sense.js";
import { ScsiStatus } from "./task.js";
import { parseDesignators, parseExtendedInquiry, parseSerialNumber, parseSupportedPages, parseVpdPage } from "./vpd.js";
import { parseBlockCharacteristics, parseBlockLimits, parseProvisioning } from "./vpd-block.js";

const nexus = new Nexus("test");

function diskOf(blocks: number, options: DiskOptions = {}): Disk {
  const store = new MemoryStore(blocks * (options.blockSize ?? 512));
  return new Disk(store, { powerOnAttention: false, serial: "S1", ...options });
}

function run(disk: Disk, bytes: Uint8Array, options: RunOptions = {}): Promise<CommandResult> {
  return runCommand(disk, bytes, { nexus, ...options });
}

async function refusal(disk: Disk, bytes: Uint8Array): Promise<string> {
  const result = await run(disk, bytes);
  assert.equal(result.status, ScsiStatus.CheckCondition);
  const sense = parseSense(result.sense);
  return `${sense?.key.toString(16)}/${sense?.asc.toString(16)}/${sense?.ascq.toString(16)} byte ${sense?.fieldPointer?.byte}`;
}

test("SPC-4 §6.6.2 standard INQUIRY", async () => {
  const disk = diskOf(8, { vendor: "ACME", product: "Sledge Hammer", revision: "1.0" });
  const { data } = await run(disk, cdb.inquiry(36));
  assert.equal(
    hexBytes(data),
    "00 00 06 12 45 00 00 02 41 43 4d 45 20 20 20 20 53 6c 65 64 67 65 20 48 61 6d 6d 65 72 20 20 20 31 2e 30 20",
  );
  const all = parseInquiry((await run(disk, cdb.inquiry(255))).data);
  assert.deepEqual(all, {
    qualifier: 0,
    deviceType: 0,
    removable: false,
    version: 6,
    commandQueuing: true,
    vendor: "ACME",
    product: "Sledge Hammer",
    revision: "1.0",
    standards: [0x00a0, 0x0460, 0x04c0],
    totalLength: 74,
  });
  assert.equal((await run(diskOf(8, { removable: true }), cdb.inquiry(36))).data[1], 0x80);
});

test("allocation length cuts data off and is never exceeded", async () => {
  const disk = diskOf(8);
  const whole = (await run(disk, cdb.inquiry(255))).data;
  for (const length of [0, 1, 5, 36, 74, 75, 65535]) {
    const { data, status } = await run(disk, cdb.inquiry(length));
    assert.equal(status, ScsiStatus.Good);
    assert.deepEqual(data, whole.subarray(0, length));
  }
  assert.deepEqual((await run(disk, cdb.inquiry(255), { room: 7 })).data, whole.subarray(0, 7));
});

test("SPC-4 §6.6.1 a page code without EVPD, CMDDT and unknown pages are refused", async () => {
  const disk = diskOf(8);
  assert.equal(await refusal(disk, parseHexBytes("12 00 80 00 ff 00")), "5/24/0 byte 2");
  assert.equal(await refusal(disk, parseHexBytes("12 02 00 00 ff 00")), "5/24/0 byte 1");
  assert.equal(await refusal(disk, cdb.inquiry(255, 0xb5)), "5/24/0 byte 2");
});

test("page codes are sorted, each page is there and says its own code", async () => {
  const disk = diskOf(8);
  const codes = parseSupportedPages((await run(disk, cdb.inquiry(255, 0))).data) ?? [];
  assert.deepEqual(codes, [0x00, 0x80, 0x83, 0x86, 0xb0, 0xb1, 0xb2]);
  for (const code of codes) {
    const { data } = await run(disk, cdb.inquiry(255, code));
    const page = parseVpdPage(data, code);
    assert.equal(page?.body.length, page?.bodyLength);
    assert.equal(data.length, 4 + (page?.bodyLength ?? 0));
  }
});

test("vital product data by hand", async () => {
  const disk = diskOf(8, { vendor: "ACME", product: "P", serial: "A-7", naa: 0x3123456789abcdefn });
  const page = async (code: number) => (await run(disk, cdb.inquiry(255, code))).data;
  assert.equal(hexBytes(await page(0x80)), "00 80 00 03 41 2d 37");
  assert.equal(parseSerialNumber(await page(0x80)), "A-7");
  assert.equal(
    hexBytes(await page(0x83)),
    `00 83 00 2b 02 01 00 1b 41 43 4d 45 20 20 20 20 50 ${"20 ".repeat(15)}41 2d 37 01 03 00 08 31 23 45 67 89 ab cd ef`,
  );
  assert.deepEqual(
    parseDesignators(await page(0x83))?.map(({ type, value }) => [type, value.length]),
    [
      [1, 27],
      [3, 8],
    ],
  );
  assert.deepEqual(parseExtendedInquiry(await page(0x86)), {
    simple: true,
    ordered: false,
    headOfQueue: false,
    volatileCache: true,
    maximumSenseLength: 252,
  });
  assert.deepEqual(parseBlockCharacteristics(await page(0xb1)), { rotationRate: 1 });
  assert.equal(hexBytes(await page(0xb2)), "00 b2 00 04 00 e4 02 00");
  assert.equal(parseProvisioning(await page(0xb2))?.unmap, true);
  const fixed = await run(diskOf(8, { thinProvisioning: false }), cdb.inquiry(255, 0xb2));
  assert.equal(hexBytes(fixed.data), "00 b2 00 04 00 00 00 00");
  assert.equal((await page(0xb0)).length, 64);
  assert.equal(parseBlockLimits(await page(0xb0))?.maximumTransfer, 65535);
});

test("two disks have different identities; the same names give the same one", () => {
  const one = new Disk(new MemoryStore(512));
  const two = new Disk(new MemoryStore(512));
  assert.notEqual(one.identity.serial, two.identity.serial);
  assert.notEqual(one.identity.naa, two.identity.naa);
  assert.equal(diskOf(1).identity.naa, diskOf(2).identity.naa);
  assert.equal(one.identity.naa >> 60n, 3n);
});

test("SBC-3 §5.15 READ CAPACITY(10): PMI rules", async () => {
  const disk = diskOf(100);
  assert.equal(hexBytes((await run(disk, cdb.readCapacity10())).data), "00 00 00 63 00 00 02 00");
  assert.equal(await refusal(disk, parseHexBytes("25 00 00 00 00 01 00 00 00 00")), "5/24/0 byte 2");
  assert.equal((await run(disk, parseHexBytes("25 00 00 00 00 01 00 00 01 00"))).data[3], 99);
  assert.equal(await refusal(disk, parseHexBytes("25 00 00 00 00 64 00 00 01 00")), "5/21/0 byte undefined");
});

test("SBC-3 §5.16 READ CAPACITY(16) of 512n, 512e, 4Kn and large disks", async () => {
  const data = async (blocks: number, options: DiskOptions) =>
    (await run(diskOf(blocks, options), cdb.readCapacity16())).data;
  const tail = "00 ".repeat(17).trim();
  assert.equal(hexBytes(await data(100, {})), `00 00 00 00 00 00 00 63 00 00 02 00 00 00 c0 ${tail}`);
  assert.equal(
    hexBytes(await data(100, { physicalBlockSize: 4096 })),
    `00 00 00 00 00 00 00 63 00 00 02 00 00 03 c0 ${tail}`,
  );
  assert.equal(hexBytes(await data(100, { blockSize: 4096 })), `00 00 00 00 00 00 00 63 00 00 10 00 00 00 c0 ${tail}`);
  assert.equal(parseCapacity16(await data(2 ** 33, {}))?.blocks, 2 ** 33);
  assert.equal((await run(diskOf(100), cdb.readCapacity16(12))).data.length, 12);
  assert.equal(parseCapacity10(parseHexBytes("ffffffff 00000200"))?.blocks, undefined);
  assert.equal(await refusal(diskOf(1), parseHexBytes("9e 11 0000000000000000 00000020 00 00")), "5/24/0 byte 1");
});

test("4Kn and 512e granularity stands in page B0h", async () => {
  const limits = async (options: DiskOptions) =>
    parseBlockLimits((await run(diskOf(8, options), cdb.inquiry(255, 0xb0))).data)?.optimalGranularity;
  assert.equal(await limits({ physicalBlockSize: 4096 }), 8);
  assert.equal(await limits({ blockSize: 4096 }), 0);
});

test("MODE SENSE(6) of all pages", async () => {
  const disk = diskOf(0x1234);
  const { data } = await run(disk, cdb.modeSense6(0x3f));
  assert.equal(
    hexBytes(data),
    [
      "43 00 10 08",
      "00 00 12 34 00 00 02 00",
      "01 0a c0 00 00 00 00 00 00 00 00 00",
      "08 12 04 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00",
      "0a 0a 02 10 00 00 00 00 00 00 00 00",
      "1c 0a 08 00 00 00 00 00 00 00 00 00",
    ].join(" "),
  );
  const parsed = parseModeSense6(data);
  assert.deepEqual(
    parsed?.pages.map(({ code }) => code),
    [1, 8, 0x0a, 0x1c],
  );
  assert.deepEqual(parsed?.blockDescriptor, { blocks: 0x1234, blockSize: 512 });
  assert.equal(parsed?.dpoFua, true);
  assert.deepEqual(parsed && parseCachingPage(parsed), { writeCache: true, readCacheDisabled: false });
  assert.deepEqual((await run(disk, cdb.modeSense6(0x3f, { subpage: 0xff }))).data, data);
});

test("MODE SENSE: one page, no descriptors, changeable values, refusals", async () => {
  const disk = diskOf(100);
  const one = await run(disk, cdb.modeSense6(8, { noBlockDescriptors: true }));
  assert.equal(hexBytes(one.data.subarray(0, 8)), "17 00 10 00 08 12 04 00");
  const changeable = parseModeSense6((await run(disk, cdb.modeSense6(0x3f, { control: "changeable" }))).data);
  assert.deepEqual(
    changeable?.pages.map(({ bytes }) => hexBytes(bytes.subarray(2, 6))),
    ["00 00 00 00", "04 00 00 00", "04 00 08 00", "00 00 00 00"],
    "WCE, D_SENSE and SWP",
  );
  assert.equal(await refusal(disk, cdb.modeSense6(0x3f, { control: "saved" })), "5/39/0 byte undefined");
  assert.equal(await refusal(disk, cdb.modeSense6(0x02)), "5/24/0 byte 2");
  assert.equal(await refusal(disk, cdb.modeSense6(0x0a, { subpage: 1 })), "5/24/0 byte 3");
  assert.equal(
    parseModeSense6((await run(diskOf(2 ** 33), cdb.modeSense6(8))).data)?.blockDescriptor?.blocks,
    undefined,
  );
});

test("MODE SENSE(10): short and long block descriptors", async () => {
  const disk = diskOf(2 ** 33);
  const short = await run(disk, cdb.modeSense10(8));
  assert.equal(hexBytes(short.data.subarray(0, 16)), "00 22 00 10 00 00 00 08 ff ff ff ff 00 00 02 00");
  const bytes = cdb.modeSense10(8);
  bytes[1] = 0x10;
  const long = await run(disk, bytes);
  assert.equal(
    hexBytes(long.data.subarray(0, 24)),
    "00 2a 00 10 01 00 00 10 00 00 00 02 00 00 00 00 00 00 00 00 00 00 02 00",
  );
  assert.equal(parseModeSense10(long.data)?.blockDescriptor?.blocks, 2 ** 33);
});

test("D_SENSE: a disk with descriptor sense says so and does so", async () => {
  const disk = diskOf(8, { descriptorSense: true });
  assert.equal((await run(disk, cdb.read10(8, 1))).sense[0], 0x72);
  assert.equal((await run(disk, cdb.modeSense6(0x0a, { noBlockDescriptors: true }))).data[6] & 0x04, 0x04);
});

test("SPC-4 §6.34 REPORT SUPPORTED OPERATION CODES agrees with what is carried out", async () => {
  const disk = diskOf(8);
  const list = parseSupportedCommands((await run(disk, cdb.reportSupportedOperationCodes())).data) ?? [];
  assert.ok(list.length > 15);
  const supported = new Set(list.map(({ opcode }) => opcode));
  for (let opcode = 0; opcode < 256; opcode++) {
    const bytes = new Uint8Array(16);
    bytes[0] = opcode;
    const sense = parseSense((await run(disk, bytes)).sense);
    assert.equal(sense?.asc !== 0x20, supported.has(opcode), `opcode ${opcode.toString(16)}`);
  }
  const usage = parseCommandUsage((await run(disk, cdb.reportSupportedOperationCodes({ opcode: 0x28 }))).data);
  assert.deepEqual(usage, cdbUsage(Commands.read10));
  const one = (opcode: number, serviceAction?: number) =>
    cdb.reportSupportedOperationCodes(serviceAction === undefined ? { opcode } : { opcode, serviceAction });
  assert.equal(parseCommandUsage((await run(disk, one(0x48))).data), undefined);
  assert.ok(parseCommandUsage((await run(disk, one(0x9e, 0x10))).data));
  assert.equal(await refusal(disk, one(0x9e)), "5/24/0 byte 3");
  assert.equal(await refusal(disk, one(0x28, 1)), "5/24/0 byte 4");
  const timeouts = cdb.reportSupportedOperationCodes();
  timeouts[2] |= 0x80;
  assert.deepEqual(parseSupportedCommands((await run(disk, timeouts)).data), list);
});

test("a unit without a target reports LUN 0; allocation below 16 and reserved lists are refused", async () => {
  const disk = diskOf(8);
  assert.deepEqual(parseReportLuns((await run(disk, cdb.reportLuns())).data), { luns: [0], totalLength: 16 });
  assert.equal(await refusal(disk, cdb.reportLuns(15)), "5/24/0 byte 6");
  assert.equal(await refusal(disk, cdb.reportLuns(16, 3)), "5/24/0 byte 2");
});

test("options out of range are the caller's error", () => {
  const store = new MemoryStore(4096);
  for (const options of [
    { blockSize: 500 },
    { blockSize: 256 },
    { physicalBlockSize: 256 },
    { blockSize: 8192 },
    { vendor: "NINECHARS" },
    { serial: "" },
    { serial: "a\nb" },
    { naa: 1n << 64n },
    { maximumTransferBlocks: 0 },
    { rotationRate: 65535 },
  ] satisfies DiskOptions[]) {
    assert.throws(() => new Disk(store, options), RangeError, JSON.stringify(Object.keys(options)));
  }
  assert.throws(() => new Disk(new MemoryStore(1000)), /whole number of blocks of 512 bytes/);
});

test("parsers take data of any bytes and length", () => {
  const parsers: readonly ((data: Uint8Array) => unknown)[] = [
    parseInquiry,
    parseSupportedPages,
    parseSerialNumber,
    parseDesignators,
    parseExtendedInquiry,
    parseBlockLimits,
    parseBlockCharacteristics,
    parseProvisioning,
    parseCapacity10,
    parseCapacity16,
    parseModeSense6,
    parseModeSense10,
    parseReportLuns,
    parseSupportedCommands,
    parseCommandUsage,
  ];
  const pageByte = fc.constantFrom(0, 0x80, 0x83, 0x86, 0xb0, 0xb1, 0xb2);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), pageByte, (data, code) => {
      if (data.length > 1) data[1] = code;
      for (const parse of parsers) parse(data);
    }),
    { numRuns: 1000 },
  );
});

test("text of a hostile device has no control characters", () => {
  const data = new Uint8Array(36).fill(0x1b);
  data[4] = 31;
  assert.equal(parseInquiry(data)?.vendor, "????????");
  assert.equal(parseSerialNumber(Uint8Array.of(0, 0x80, 0, 2, 7, 0x41)), "?A");
});

test("capacity goes round", () => {
  fc.assert(
    fc.property(
      fc.record({
        blocks: fc.integer({ min: 1, max: 2 ** 40 }),
        blockSize: fc.constantFrom(512, 4096),
        physicalExponent: fc.nat(15),
        lowestAlignedLba: fc.nat(0x3fff),
        thinProvisioned: fc.boolean(),
        unmappedReadZero: fc.boolean(),
      }),
      (capacity) => assert.deepEqual(parseCapacity16(buildCapacity16(capacity)), { ...capacity }),
    ),
  );
  const tooLarge = new Uint8Array(32).fill(0xff);
  assert.equal(parseCapacity16(tooLarge), undefined);
});
