import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  amixLimits,
  amixMajor,
  blockDevice,
  deviceNumber,
  deviceParts,
  minorOf,
  rawDevice,
  sliceName,
  sliceOfMinor,
  sliceOfName,
} from "./index.js";

/** Name, card/unit/slice, minor, block and character device numbers. */
const table = [
  ["c6d0s1", [0, 6, 1], 22, 0x480016, 0xa00016],
  ["c6d0s2", [0, 6, 2], 38, 0x480026, 0xa00026],
  ["c8d0s0", [1, 0, 0], 8, 0x480008, 0xa00008],
  ["c8d0s3", [1, 0, 3], 56, 0x480038, 0xa00038],
  ["c15d0s7", [1, 7, 7], 127, 0x48007f, 0xa0007f],
] as const;

for (const [name, [card, unit, slice], minor, block, raw] of table) {
  test(`check 28, 5.1: ${name} is minor ${minor}, 0x${block.toString(16)}, 0x${raw.toString(16)}, and back`, () => {
    const place = { card, unit, slice };
    assert.deepEqual(sliceOfName(name), place);
    assert.equal(sliceName(place), name);
    assert.equal(minorOf(place), minor);
    assert.deepEqual(sliceOfMinor(minor), place);
    assert.equal(blockDevice(place), block);
    assert.equal(rawDevice(place), raw);
    assert.deepEqual(deviceParts(block), { major: amixMajor.disk, minor });
    assert.deepEqual(deviceParts(raw), { major: amixMajor.rawDisk, minor });
  });
}

test("check 28, 5.1: every slice has its own name and minor, both ways", () => {
  const { cards, units, slices } = amixLimits;
  const slice = fc
    .tuple(fc.nat(cards - 1), fc.nat(units - 1), fc.nat(slices - 1))
    .map(([card, unit, slice]) => ({ card, unit, slice }));
  fc.assert(
    fc.property(slice, slice, (one, other) => {
      assert.deepEqual(sliceOfName(sliceName(one)), one);
      assert.deepEqual(sliceOfName(`/dev/rdsk/${sliceName(one)}`), one);
      assert.deepEqual(sliceOfMinor(minorOf(one)), one);
      const isSame = one.card === other.card && one.unit === other.unit && one.slice === other.slice;
      assert.equal(minorOf(one) === minorOf(other), isSame);
      assert.equal(sliceName(one) === sliceName(other), isSame);
    }),
  );
});

test("5.1: what is no name or no slice is refused", () => {
  for (const name of ["c16d0s0", "c8d1s0", "c8d0s8", "c08d0s0", "c8d0", "/dev/c8d0s0", "C8d0s0", ""]) {
    assert.equal(sliceOfName(name), undefined, name);
  }
  assert.throws(() => minorOf({ card: 2, unit: 0, slice: 0 }), /no card 2/);
  assert.throws(() => minorOf({ card: 0, unit: 8, slice: 0 }), RangeError);
  assert.throws(() => minorOf({ card: 0, unit: 0, slice: -1 }), RangeError);
  assert.equal(deviceNumber(amixMajor.scsi, 0), 11 << 18);
});
