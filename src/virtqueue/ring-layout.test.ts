import assert from "node:assert/strict";
import { test } from "node:test";
import { availableRingSize, compactLayout, isQueueSize, layoutAt, legacyLayout, usedRingSize } from "./index.js";

const sizes = Array.from({ length: 16 }, (_, power) => 2 ** power);
const alignments = Array.from({ length: 15 }, (_, power) => 4 * 2 ** power);

function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}

test("R-508: sizes are powers of two within 1…32768", () => {
  for (const size of sizes) assert.ok(isQueueSize(size));
  for (const size of [0, -1, -2, 3, 6, 1.5, 32769, 65536, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.equal(isQueueSize(size), false, `${size}`);
  }
});

test("R-503: both rings hold their event field", () => {
  assert.equal(availableRingSize(256), 2 + 2 + 512 + 2);
  assert.equal(usedRingSize(256), 2 + 2 + 2048 + 2);
});

test("R-504, A-05: the legacy layout, hand-made vectors for an alignment of 4096", () => {
  assert.deepEqual(legacyLayout(256), {
    ...{ descriptors: 0, available: 4096, used: 8192 },
    ...{ byteLength: 12288, alignment: 4096 },
  });
  assert.deepEqual(legacyLayout(1), { descriptors: 0, available: 16, used: 4096, byteLength: 8192, alignment: 4096 });
  // From 512 entries on the text's formula is a page short: 8n is a whole number of pages, and 6 bytes more are needed.
  assert.equal(legacyLayout(512).byteLength, 12288 + 8192);
  assert.equal(legacyLayout(1024).byteLength, 16384 + 4096 + 8192 + 4096);
  assert.equal(legacyLayout(32768).byteLength, 524288 + 65536 + 4096 + 262144 + 4096);
});

test("R-504, R-505, A-05: for every size and alignment the block is what the corrected formula says", () => {
  for (const size of sizes) {
    for (const alignment of alignments) {
      const { byteLength } = legacyLayout(size, alignment);
      assert.equal(
        byteLength,
        alignUp(16 * size + 2 * (3 + size), alignment) + alignUp(6 + 8 * size, alignment),
        `${size} entries, ${alignment}`,
      );
    }
  }
});

test("R-505, A-06: the used ring never lies on used_event, also with alignment 4 (for 2 entries also 8)", () => {
  const usedEventEnd = (size: number) => 16 * size + 4 + 2 * size + 2;
  for (const size of sizes) {
    for (const alignment of alignments) {
      const { used } = legacyLayout(size, alignment);
      assert.ok(used >= usedEventEnd(size));
      assert.ok(used - usedEventEnd(size) < alignment);
      assert.equal(used % alignment, 0);
    }
  }
  assert.equal(legacyLayout(2, 4).used, 44);
  assert.equal(legacyLayout(2, 8).used, 48);
  assert.equal(legacyLayout(1, 4).used, 24);
});

test("over PCI the result is the same with and without the correction of A-06", () => {
  for (const size of sizes) assert.equal(legacyLayout(size).used, alignUp(16 * size + 4 + 2 * size, 4096));
});

test("virtio 1.2 §2.7: the parts of a compact layout are aligned and do not overlap", () => {
  for (const size of sizes) {
    const { descriptors, available, used, byteLength, alignment } = compactLayout(size);
    assert.deepEqual([descriptors, available, alignment], [0, 16 * size, 16]);
    assert.equal(available % 2, 0);
    assert.equal(used % 4, 0);
    assert.ok(used >= available + availableRingSize(size));
    assert.equal(byteLength, used + usedRingSize(size));
  }
});

test("layoutAt adds a base, above 2^32 too", () => {
  const base = 0x1_2345_6000;
  assert.deepEqual(layoutAt(legacyLayout(256), base), {
    descriptors: base,
    available: base + 4096,
    used: base + 8192,
  });
});
