/** Cutting transfers to a device's limits (viostor's defects 17 and 18: off by one, seg_max and size_max ignored). */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { splitRanges, splitTransfer, type TransferLimits, type TransferSegment } from "./index.js";

const unlimited: TransferLimits = { segMax: 1000, sizeMax: Number.POSITIVE_INFINITY, maxBytes: 2 ** 30 };

test("what fits is one request, as it is", () => {
  const segments = [
    { address: 0x1000, length: 4096 },
    { address: 0x9000, length: 512 },
  ];
  assert.deepEqual(splitTransfer(7, segments, unlimited), [{ sector: 7, byteLength: 4608, segments }]);
  assert.deepEqual(splitTransfer(7, [], unlimited), []);
});

test("seg_max 1: a request for each piece", () => {
  const segments = [
    { address: 0x1000, length: 1024 },
    { address: 0x9000, length: 512 },
  ];
  assert.deepEqual(splitTransfer(0, segments, { ...unlimited, segMax: 1 }), [
    { sector: 0, byteLength: 1024, segments: [segments[0]] },
    { sector: 2, byteLength: 512, segments: [segments[1]] },
  ]);
});

test("size_max below a page cuts pieces, and pieces count as segments", () => {
  const parts = splitTransfer(0, [{ address: 0, length: 4096 }], { ...unlimited, segMax: 2, sizeMax: 1000 });
  assert.deepEqual(
    parts.map(({ sector, byteLength, segments }) => [sector, byteLength, segments.map(({ length }) => length)]),
    [
      [0, 1536, [1000, 536]],
      [3, 1536, [1000, 536]],
      [6, 1024, [1000, 24]],
    ],
  );
});

test("pieces that touch become one segment", () => {
  const segments = [
    { address: 0, length: 512 },
    { address: 512, length: 512 },
  ];
  assert.deepEqual(splitTransfer(0, segments, { ...unlimited, segMax: 1 })[0].segments, [{ address: 0, length: 1024 }]);
});

test("what a cut leaves over is joined again: it counts as one segment", () => {
  const segments = [
    { address: 0, length: 1000 },
    { address: 5000, length: 536 },
  ];
  const parts = splitTransfer(0, segments, { ...unlimited, segMax: 2, sizeMax: 513 });
  assert.deepEqual(
    parts.map(({ byteLength, segments: pieces }) => [byteLength, pieces.map(({ length }) => length)]),
    [
      [512, [512]],
      [512, [488, 24]],
      [512, [512]],
    ],
  );
});

test("a sector in more pieces than a request may have is refused with one clear line", () => {
  const segments = [
    { address: 0, length: 100 },
    { address: 200, length: 412 },
  ];
  assert.throws(() => splitTransfer(0, segments, { ...unlimited, segMax: 1 }), /512 bytes lie in more than 1 pieces/);
  assert.throws(() => splitTransfer(0, [{ address: 0, length: 511 }], unlimited), RangeError);
});

test("requests end at whole blocks where that is possible", () => {
  const limits = { ...unlimited, maxBytes: 10_000, granule: 4096 };
  const parts = splitTransfer(0, [{ address: 0, length: 5 * 4096 }], limits);
  assert.deepEqual(
    parts.map(({ byteLength }) => byteLength),
    [8192, 8192, 4096],
  );
});

test("for all buffers and limits: every byte once and in order, and no limit is exceeded", () => {
  const segment = fc.record({ gap: fc.integer({ min: 0, max: 3 }), length: fc.integer({ min: 1, max: 5000 }) });
  const limitsOf = fc.record({
    segMax: fc.integer({ min: 1, max: 12 }),
    sizeMax: fc.oneof(fc.integer({ min: 1, max: 6000 }), fc.constant(Number.POSITIVE_INFINITY)),
    maxBytes: fc.integer({ min: 512, max: 20_000 }),
    granule: fc.constantFrom(512, 4096),
  });
  let refused = 0;
  let cut = 0;
  fc.assert(
    fc.property(fc.array(segment, { maxLength: 30 }), limitsOf, fc.nat(1000), (shapes, limits, sector) => {
      let address = 0;
      const segments: TransferSegment[] = shapes.map(({ gap, length }) => {
        address += gap * 4096;
        const made = { address, length };
        address += length;
        return made;
      });
      const total = segments.reduce((sum, { length }) => sum + length, 0);
      if (total % 512 !== 0) {
        const rest = 512 - (total % 512);
        segments.push({ address: address + 8192, length: rest });
      }
      let parts: ReturnType<typeof splitTransfer>;
      try {
        parts = splitTransfer(sector, segments, limits);
      } catch (error) {
        assert.ok(error instanceof RangeError);
        refused++;
        return;
      }
      if (parts.length > 1) cut++;
      let at = sector;
      for (const part of parts) {
        assert.equal(part.sector, at);
        assert.ok(part.segments.length >= 1 && part.segments.length <= limits.segMax);
        assert.ok(part.segments.every(({ length }) => length >= 1 && length <= limits.sizeMax));
        const sum = part.segments.reduce((bytes, { length }) => bytes + length, 0);
        assert.equal(sum, part.byteLength);
        assert.ok(sum % 512 === 0 && sum <= limits.maxBytes);
        at += sum / 512;
      }
      assert.deepEqual(runs(parts.flatMap((part) => part.segments)), runs(segments));
    }),
    { seed: 3, numRuns: 2000 },
  );
  assert.ok(refused > 20 && cut > 200, `${refused} refused, ${cut} cut`);
});

/** Pieces that touch joined, so that two lists can be compared whatever their cuts. */
function runs(segments: readonly TransferSegment[]): TransferSegment[] {
  const joined: { address: number; length: number }[] = [];
  for (const { address, length } of segments) {
    const last = joined.at(-1);
    if (last !== undefined && last.address + last.length === address) last.length += length;
    else joined.push({ address, length });
  }
  return joined;
}

test("ranges are cut to the device's limits; empty ones are left out", () => {
  const ranges = [
    { sector: 10, sectors: 25 },
    { sector: 100, sectors: 0 },
    { sector: 200, sectors: 10 },
  ];
  assert.deepEqual(splitRanges(ranges, { maxSectors: 10, maxRanges: 3 }), [
    [
      { sector: 10, sectors: 10 },
      { sector: 20, sectors: 10 },
      { sector: 30, sectors: 5 },
    ],
    [{ sector: 200, sectors: 10 }],
  ]);
  assert.deepEqual(splitRanges([{ sector: 1, sectors: 0 }], { maxSectors: 10, maxRanges: 3 }), []);
});
