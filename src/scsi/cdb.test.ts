import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hexBytes, parseHexBytes } from "../bytes/index.js";
import * as cdb from "./cdb.js";
import { Commands, cdbLengthOf, cdbUsage, findCommand } from "./command-table.js";
import { describeCdb } from "./describe-cdb.js";

const vectors: readonly (readonly [bytes: Uint8Array, hex: string, words: string])[] = [
  [cdb.testUnitReady(), "00 00 00 00 00 00", "TEST UNIT READY"],
  [cdb.requestSense(18), "03 00 00 00 12 00", "REQUEST SENSE length=18"],
  [cdb.requestSense(252, true), "03 01 00 00 fc 00", "REQUEST SENSE length=252 DESC"],
  [cdb.inquiry(), "12 00 00 00 24 00", "INQUIRY length=36"],
  [cdb.inquiry(255, 0x83), "12 01 83 00 ff 00", "INQUIRY length=255 EVPD page=0x83"],
  [cdb.readCapacity10(), "25 00 00 00 00 00 00 00 00 00", "READ CAPACITY(10) lba=0"],
  [cdb.readCapacity16(), "9e 10 00 00 00 00 00 00 00 00 00 00 00 20 00 00", "READ CAPACITY(16) lba=0 length=32"],
  [cdb.read10(2048, 8), "28 00 00 00 08 00 00 00 08 00", "READ(10) lba=2048 blocks=8"],
  [
    cdb.write10(0xfedcba98, 0x1234, { forceUnitAccess: true, disablePageOut: true }),
    "2a 18 fe dc ba 98 00 12 34 00",
    "WRITE(10) lba=4275878552 blocks=4660 DPO FUA",
  ],
  [
    cdb.read16(2 ** 32 + 5, 65536),
    "88 00 00 00 00 01 00 00 00 05 00 01 00 00 00 00",
    "READ(16) lba=4294967301 blocks=65536",
  ],
  [
    cdb.write16(2 ** 53 - 1, 1),
    "8a 00 00 1f ff ff ff ff ff ff 00 00 00 01 00 00",
    "WRITE(16) lba=9007199254740991 blocks=1",
  ],
  [cdb.synchronizeCache10(), "35 00 00 00 00 00 00 00 00 00", "SYNCHRONIZE CACHE(10) lba=0 blocks=0"],
  [
    cdb.synchronizeCache16(1, 2),
    "91 00 00 00 00 00 00 00 00 01 00 00 00 02 00 00",
    "SYNCHRONIZE CACHE(16) lba=1 blocks=2",
  ],
  [cdb.reportLuns(256, 2), "a0 00 02 00 00 00 00 00 01 00 00 00", "REPORT LUNS length=256 select=0x02"],
  [
    cdb.modeSense6(0x3f, { control: "changeable", noBlockDescriptors: true }),
    "1a 08 7f 00 ff 00",
    "MODE SENSE(6) length=255 DBD pc=0x01 page=0x3f",
  ],
  [cdb.modeSense10(8), "5a 00 08 00 00 00 00 02 00 00", "MODE SENSE(10) length=512 page=0x08"],
];

for (const [bytes, hex, words] of vectors) {
  test(`CDB of ${words}`, () => {
    assert.equal(hexBytes(bytes), hex);
    assert.equal(describeCdb(bytes), words);
  });
}

test("a transfer takes 10 bytes as far as they reach, then 16", () => {
  assert.equal(cdb.read(0xffff_ffff, 0xffff)[0], 0x28);
  assert.equal(cdb.read(0x1_0000_0000, 1)[0], 0x88);
  assert.equal(cdb.write(0, 0x1_0000)[0], 0x8a);
  assert.throws(() => cdb.read(2 ** 53, 1), RangeError);
  assert.throws(() => cdb.read(-1, 1), RangeError);
  assert.throws(() => cdb.read10(0x1_0000_0000, 1), RangeError);
});

test("a transfer written over an older, longer CDB leaves nothing of it", () => {
  const bytes = new Uint8Array(16).fill(0xff);
  const length = cdb.encodeTransfer(bytes, "read", 1, 2, cdb.transferFua);
  assert.equal(hexBytes(bytes.subarray(0, length)), "28 08 00 00 00 01 00 00 02 00");
  assert.equal(cdb.encodeTransfer(bytes.fill(0xff), "write", 2 ** 40, 2), 16);
  assert.equal(hexBytes(bytes), "8a 00 00 00 01 00 00 00 00 00 00 00 00 02 00 00");
});

test("READ(6) is described with 21 bits of address and 256 blocks for 0", () => {
  assert.equal(describeCdb(parseHexBytes("08 ff ff ff 00 00")), "READ(6) lba=2097151 blocks=256");
});

test("a 64-bit address is described exactly", () => {
  assert.equal(
    describeCdb(parseHexBytes("88 00 ffffffffffffffff 00000001 00 00")),
    "READ(16) lba=18446744073709551615 blocks=1",
  );
});

test("an unknown command is described by its bytes", () => {
  assert.equal(describeCdb(parseHexBytes("c1 02 03 00 00 00")), "command c1 02 03 00 00 00");
  assert.equal(describeCdb(new Uint8Array(0)), "empty CDB");
});

test("the table: names differ, lengths are those of the group, every field lies inside the CDB", () => {
  const names = new Set<string>();
  for (const definition of Object.values(Commands)) {
    assert.ok(!names.has(definition.name), definition.name);
    names.add(definition.name);
    assert.equal(definition.cdbLength, cdbLengthOf(definition.opcode) ?? 32);
    const usage = cdbUsage(definition);
    assert.equal(usage.length, definition.cdbLength, definition.name);
    assert.equal(findCommand(usage)?.name, definition.name);
  }
});

test("SPC-4 §6.34.3 usage maps show opcode, service action and the bits that are looked at", () => {
  assert.equal(hexBytes(cdbUsage(Commands.read10)), "28 18 ff ff ff ff 00 ff ff 00");
  assert.equal(hexBytes(cdbUsage(Commands.read6)), "08 1f ff ff ff 00");
  assert.equal(hexBytes(cdbUsage(Commands.readCapacity16)), `9e 10 ${"ff ".repeat(12)}01 00`);
});

test("describing never throws, whatever the bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => describeCdb(bytes).length > 0),
    { numRuns: 2000 },
  );
});
