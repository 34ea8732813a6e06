import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hexBytes, parseHexBytes } from "../bytes/index.js";
import { buildSense, describeSense, parseSense } from "./sense.js";
import { additionalSenseText, Conditions, senseKeyName } from "./sense-codes.js";
import { statusName } from "./status-name.js";

function built(...args: Parameters<typeof buildSense> extends [unknown, ...infer R] ? R : never): string {
  const target = new Uint8Array(252).fill(0xaa);
  return hexBytes(target.subarray(0, buildSense(target, ...args)));
}

test("SPC-4 §4.5.3 fixed format", () => {
  assert.equal(built("fixed", Conditions.lbaOutOfRange), "70 00 05 00 00 00 00 0a 00 00 00 00 21 00 00 00 00 00");
  assert.equal(
    built("fixed", Conditions.unrecoveredRead, { information: 0x01020304 }),
    "f0 00 03 01 02 03 04 0a 00 00 00 00 11 00 00 00 00 00",
  );
});

test("SPC-4 §4.5.3 INFORMATION over 32 bits is not valid in fixed format", () => {
  assert.equal(
    built("fixed", Conditions.unrecoveredRead, { information: 2 ** 32 }),
    "70 00 03 00 00 00 00 0a 00 00 00 00 11 00 00 00 00 00",
  );
});

test("SPC-4 §4.5.2.4.2 field pointer in both formats", () => {
  const details = { fieldPointer: { inCdb: true, byte: 1, bit: 7 } };
  assert.equal(
    built("fixed", Conditions.invalidFieldInCdb, details),
    "70 00 05 00 00 00 00 0a 00 00 00 00 24 00 00 cf 00 01",
  );
  assert.equal(
    built("descriptor", Conditions.invalidFieldInCdb, details),
    "72 05 24 00 00 00 00 08 02 06 00 00 cf 00 01 00",
  );
});

test("SPC-4 §4.5.2 descriptor format with a 64-bit INFORMATION, deferred", () => {
  assert.equal(
    built("descriptor", Conditions.writeError, { information: 2 ** 40 + 1, deferred: true }),
    "73 03 0c 00 00 00 00 0c 00 0a 80 00 00 00 01 00 00 00 00 01",
  );
});

test("what was built is parsed again", () => {
  fc.assert(
    fc.property(
      fc.record({ key: fc.nat(15), asc: fc.nat(255), ascq: fc.nat(255) }),
      fc.constantFrom("fixed" as const, "descriptor" as const),
      fc.record({ information: fc.nat(2 ** 31 - 1), deferred: fc.boolean() }),
      (what, format, details) => {
        const target = new Uint8Array(252);
        const sense = parseSense(target.subarray(0, buildSense(target, format, what, details)));
        assert.deepEqual(sense, {
          ...what,
          format,
          deferred: details.deferred,
          information: BigInt(details.information),
          fieldPointer: undefined,
          incorrectLength: false,
        });
      },
    ),
  );
});

test("parsing sense data of any bytes never throws; short data has zeros", () => {
  fc.assert(
    fc.property(fc.constantFrom(0x70, 0x71, 0x72, 0x73, 0xf0, 0x00), fc.uint8Array({ maxLength: 60 }), (code, rest) => {
      const bytes = Uint8Array.of(code, ...rest);
      assert.equal(typeof describeSense(bytes), "string");
      assert.equal(parseSense(bytes) === undefined, code === 0);
    }),
    { numRuns: 2000 },
  );
  assert.equal(parseSense(Uint8Array.of(0x70))?.key, 0);
  assert.equal(
    parseSense(parseHexBytes("70 00 05 00 00 00 00 00 00 00 00 00 24 00"))?.asc,
    0,
    "past the additional length",
  );
});

test("a descriptor whose length runs out of the data is not used", () => {
  assert.equal(parseSense(parseHexBytes("72 03 11 00 00 00 00 0c 00 0a 80 00 00 00"))?.information, undefined);
});

test("words for status and sense", () => {
  assert.equal(statusName(0), "GOOD");
  assert.equal(statusName(2), "CHECK CONDITION");
  assert.equal(statusName(0x18), "RESERVATION CONFLICT");
  assert.equal(statusName(0x77), "status 77h");
  assert.equal(senseKeyName(5), "ILLEGAL REQUEST");
  assert.equal(additionalSenseText(0x29, 0), "power on, reset, or bus device reset occurred");
  assert.equal(additionalSenseText(0x99, 0x01), "vendor-specific additional sense 99h/01h");
  assert.equal(
    describeSense(parseHexBytes("70 00 05 00 00 00 00 0a 00 00 00 00 24 00 00 cf 00 01")),
    "ILLEGAL REQUEST 24h/00h: invalid field in CDB (byte 1 bit 7)",
  );
  assert.equal(
    describeSense(parseHexBytes("f0 00 03 00 00 00 2a 0a 00 00 00 00 11 00 00 00 00 00")),
    "MEDIUM ERROR 11h/00h: unrecovered read error (information 42)",
  );
  assert.equal(describeSense(new Uint8Array(0)), "no sense data");
});
