import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hexBytes, parseHexBytes } from "../bytes/index.js";
import {
  busReportLuns,
  decodeLun,
  decodeVirtioLun,
  encodeLun,
  encodeVirtioLun,
  lunOf,
  reportLunsWellKnown,
  targetOf,
  unitAddress,
} from "./lun-address.js";
import { buildReportLuns, parseReportLuns } from "./report-luns.js";

test("SAM-5 §4.7 single-level forms", () => {
  assert.equal(hexBytes(encodeLun(5)), "00 05 00 00 00 00 00 00");
  assert.equal(hexBytes(encodeLun(255)), "00 ff 00 00 00 00 00 00");
  assert.equal(hexBytes(encodeLun(256)), "41 00 00 00 00 00 00 00");
  assert.equal(hexBytes(encodeLun(16383)), "7f ff 00 00 00 00 00 00");
  assert.equal(hexBytes(encodeLun(reportLunsWellKnown)), "c1 01 00 00 00 00 00 00");
  assert.equal(decodeLun(parseHexBytes("40 05 00 00 00 00 00 00")), 5, "flat form of a small LUN");
});

test("virtio 1.2 §5.6.6.1 addresses", () => {
  assert.equal(hexBytes(encodeVirtioLun(unitAddress(1, 1))), "01 01 40 01 00 00 00 00");
  assert.equal(hexBytes(encodeVirtioLun(unitAddress(1, 1), "peripheral")), "01 01 00 01 00 00 00 00");
  assert.equal(hexBytes(encodeVirtioLun(unitAddress(255, 16383))), "01 ff 7f ff 00 00 00 00");
  assert.equal(hexBytes(encodeVirtioLun(unitAddress(3, reportLunsWellKnown))), "01 03 c1 01 00 00 00 00");
  assert.equal(hexBytes(encodeVirtioLun(busReportLuns)), "c1 01 00 00 00 00 00 00");
  assert.equal(decodeVirtioLun(parseHexBytes("c1 01 00 00 00 00 00 00")), busReportLuns);
  assert.equal(decodeVirtioLun(parseHexBytes("01 02 00 03 00 00 00 00")), unitAddress(2, 3));
});

test("all 256 targets and 16384 LUNs go round in both forms", () => {
  const bytes = new Uint8Array(8);
  for (let target = 0; target < 256; target += 17) {
    for (let lun = 0; lun < 16384; lun++) {
      const address = unitAddress(target, lun);
      bytes.set(encodeVirtioLun(address, lun & 1 ? "flat" : "peripheral"));
      assert.equal(decodeVirtioLun(bytes), address);
    }
  }
  for (let lun = 0; lun < 16384; lun++) assert.equal(decodeLun(encodeLun(lun)), lun);
  assert.equal(targetOf(unitAddress(200, 300)), 200);
  assert.equal(lunOf(unitAddress(200, 300)), 300);
});

for (const malformed of [
  "00 00 40 00 00 00 00 00",
  "02 00 40 00 00 00 00 00",
  "01 00 80 00 00 00 00 00",
  "01 00 c1 02 00 00 00 00",
  "01 00 40 00 00 00 00 01",
  "01 00 40 00 01 00 00 00",
  "c1 01 00 01 00 00 00 00",
  "01 00 40 00 00 00 00",
]) {
  test(`malformed virtio address ${malformed} is undefined`, () => {
    assert.equal(decodeVirtioLun(parseHexBytes(malformed)), undefined);
  });
}

test("addresses that do not exist are the caller's error", () => {
  assert.throws(() => unitAddress(256, 0), RangeError);
  assert.throws(() => unitAddress(0, 16384), RangeError);
  assert.throws(() => encodeLun(-1), RangeError);
});

test("any 8 bytes decode to an address or undefined; what decodes names a possible unit", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 9 }), (bytes) => {
      const address = decodeVirtioLun(bytes);
      if (address !== undefined && address !== busReportLuns) {
        assert.ok(targetOf(address) < 256 && (lunOf(address) < 16384 || lunOf(address) === reportLunsWellKnown));
      }
      decodeLun(bytes);
    }),
  );
});

test("SPC-4 §6.33 LUN list, both ways; a list cut short or with odd entries is still read", () => {
  const list = Uint8Array.from([0, 1, 300].flatMap((lun) => [...encodeLun(lun)]));
  const data = buildReportLuns(list);
  assert.equal(hexBytes(data.subarray(0, 8)), "00 00 00 18 00 00 00 00");
  assert.deepEqual(parseReportLuns(data), { luns: [0, 1, 300], totalLength: 32 });
  assert.deepEqual(parseReportLuns(data.subarray(0, 23)), { luns: [0], totalLength: 32 });
  data[8] = 0x99;
  assert.deepEqual(parseReportLuns(data)?.luns, [1, 300]);
  assert.equal(parseReportLuns(data.subarray(0, 7)), undefined);
});
