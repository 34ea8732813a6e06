import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { windowOf } from "../bytes/index.js";
import { AddressDecoder } from "./index.js";

test("the first piece that covers an address answers; nobody is all ones", () => {
  const range = fc.tuple(fc.nat(60), fc.integer({ min: 1, max: 30 }));
  fc.assert(
    fc.property(fc.array(range, { maxLength: 8 }), (ranges) => {
      const pieces = ranges.map(([base, size], index) => ({
        ...{ base, size },
        window: windowOf(
          (offset) => index * 64 + offset,
          () => {},
        ),
      }));
      const decoder = new AddressDecoder(pieces);
      for (let address = 0; address < 95; address++) {
        const index = ranges.findIndex(([base, size]) => address >= base && address < base + size);
        assert.equal(decoder.claims(address), index >= 0);
        assert.equal(decoder.read32(address) === 0xffff_ffff, !decoder.claims(address, 4));
        assert.equal(decoder.read8(address), index < 0 ? 0xff : index * 64 + (address - ranges[index][0]));
      }
    }),
  );
});

test("an access that leaves its piece is nobody's", () => {
  const writes: number[] = [];
  const window = windowOf(
    () => 0,
    (offset) => writes.push(offset),
  );
  const decoder = new AddressDecoder([
    { base: 0x100, size: 6, window },
    { base: 0x106, size: 2, window },
  ]);
  decoder.write32(0x104, 1);
  decoder.write16(0x105, 1);
  decoder.write16(0x104, 1);
  decoder.write8(0x106, 1);
  assert.deepEqual(writes, [4, 0]);
  assert.equal(decoder.read32(0x104), 0xffff_ffff);
});
