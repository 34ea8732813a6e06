import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { choosePlaces, placeBytes, randomBytes } from "./places.js";
import { fillPattern, numbersFrom } from "./random.js";

test("places hold the first and the last block, do not overlap, stay inside and are 16 MiB or the whole disk", () => {
  const blockSizes = fc.constantFrom(512, 4096, 65536);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 40 }), blockSizes, fc.nat(2 ** 31), (blocks, blockSize, seed) => {
      const places = choosePlaces(blocks, blockSize, numbersFrom(seed)).sort((one, other) => one.lba - other.lba);
      assert.equal(places[0].lba, 0);
      let end = 0;
      let total = 0;
      for (const { lba, blocks: count } of places) {
        assert.ok(lba >= end && count > 0 && count * blockSize <= placeBytes);
        end = lba + count;
        total += count * blockSize;
      }
      assert.equal(end, blocks);
      if (blocks * blockSize <= randomBytes) assert.equal(total, blocks * blockSize);
      else assert.ok(total >= Math.min(blocks * blockSize, randomBytes));
    }),
    { numRuns: 200 },
  );
});

test("one seed chooses the same places again, another one others", () => {
  const choose = (seed: number) => choosePlaces(2 ** 24, 512, numbersFrom(seed));
  assert.deepEqual(choose(1), choose(1));
  assert.notDeepEqual(choose(1), choose(2));
});

test("no two places of a disk have the same pattern, nor has one place with two seeds", () => {
  const seen = new Set<string>();
  const pattern = new Uint8Array(64);
  for (const seed of [0, 1, 2 ** 32 - 1]) {
    for (const position of [0, 512, 65536, 2 ** 31, 2 ** 32, 2 ** 32 + 512, 2 ** 41]) {
      fillPattern(pattern, seed, position);
      seen.add(pattern.join());
    }
  }
  assert.equal(seen.size, 21);
});
