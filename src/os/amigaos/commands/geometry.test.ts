/** Disk shapes (5.4 of the reference, check 19). */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  bufferMemory,
  driveGeometry64Size,
  driveGeometrySize,
  geometryOf,
  readGeometry,
  readGeometry64,
  writeGeometry,
  writeGeometry64,
} from "./geometry.js";

const plain = { deviceType: 0, removable: false, bufferMemory: bufferMemory.public, totalSectors: "clamped" } as const;

test("19: v1.5's shape has 4 heads, 16 sectors and 64 blocks a cylinder, and at least one cylinder", () => {
  assert.deepEqual(geometryOf({ blockSize: 512, blocks: 204_800 }, "fixed-64", plain), {
    ...{ sectorSize: 512, totalSectors: 204_800, cylinders: 3200, cylinderSectors: 64, heads: 4, trackSectors: 16 },
    ...{ bufferMemory: 1, deviceType: 0, flags: 0 },
  });
  assert.equal(geometryOf({ blockSize: 512, blocks: 10 }, "fixed-64", plain).cylinders, 1);
});

test("19, B29: the exact shape's product is the disk, and more than 32 bits of sectors are clamped", () => {
  const large = geometryOf({ blockSize: 512, blocks: 17_179_869_184 }, "exact-product", plain);
  assert.deepEqual(
    [large.cylinderSectors, large.cylinders, large.totalSectors, large.heads, large.trackSectors],
    [256, 67_108_864, 0xffff_ffff, 256, 1],
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 0xffff_ffff }), (blocks) => {
      const { cylinders, heads, trackSectors } = geometryOf({ blockSize: 512, blocks }, "exact-product", plain);
      assert.equal(cylinders * heads * trackSectors, blocks);
    }),
  );
});

test("B29: with the defect, a disk of 2 TiB has no sectors, and cylinders lose blocks", () => {
  const wrapped = { ...plain, totalSectors: "wrapped" } as const;
  assert.equal(geometryOf({ blockSize: 512, blocks: 2 ** 32 }, "fixed-64", wrapped).totalSectors, 0);
  const odd = geometryOf({ blockSize: 512, blocks: 1001 }, "fixed-64", plain);
  assert.equal(odd.cylinders * 64, 960);
});

test("19: the structures, byte for byte; the reserved word stays dirty only where that is wanted", () => {
  for (const clear of [true, false]) {
    const bytes = new Uint8Array(driveGeometrySize).fill(0xaa);
    const geometry = geometryOf({ blockSize: 2048, blocks: 1000 }, "exact-product", {
      ...{ deviceType: 5, removable: true, bufferMemory: bufferMemory.local, totalSectors: "clamped" },
    });
    writeGeometry(bytes, geometry, clear);
    const expected = `00000800000003e80000007d00000008000000080000000100000101${"0501"}${clear ? "0000" : "aaaa"}`;
    assert.equal(Buffer.from(bytes).toString("hex"), expected);
    assert.deepEqual(readGeometry(bytes), geometry);
  }
  const bytes = new Uint8Array(driveGeometry64Size).fill(0xaa);
  writeGeometry64(bytes, { blockSize: 4096, blocks: 2 ** 40 + 5 }, { deviceType: 0, removable: false });
  assert.equal(
    Buffer.from(bytes).toString("hex"),
    "00001000000000000000000000000000000001000000000500000000" + "00000000",
  );
  assert.deepEqual(readGeometry64(bytes), { sectorSize: 4096, totalSectors: 2 ** 40 + 5 });
});
