/** Port configuration arithmetic against the tables of the reference (1.5, 2.3, 2.5). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { currentLimits, currentVectors, type LimitFacts, seedLimits, seedVectors } from "./port-arithmetic.js";

test("2.3: limits of today's driver", () => {
  const table: readonly [facts: LimitFacts, breaks: number, length: number, depth: number][] = [
    [{ queueSize: 256, segMax: 254, indirect: true }, 254, 1_036_288, 256],
    [{ queueSize: 128, segMax: 126, indirect: true }, 126, 512_000, 128],
    [{ queueSize: 256, indirect: true }, 513, 2_097_152, 256],
    [{ queueSize: 256 }, 65, 262_144, 3],
    [{ queueSize: 256, segMax: 254 }, 254, 1_036_288, 3],
    [{ queueSize: 256, dump: true, indirect: true }, 65, 262_144, 3],
    [{ queueSize: 64, indirect: true, segMax: 32, sizeMax: 65_536 }, 32, 126_976, 64],
    [{ queueSize: 16 }, 17, 65_536, 1],
    // A single segment: whole sectors of a page, and not 0.
    [{ queueSize: 128, segMax: 1, indirect: true }, 1, 4096, 128],
    [{ queueSize: 128, segMax: 1, sizeMax: 1500, indirect: true }, 1, 1024, 128],
    // 513 elements of 512 bytes are 64 pages, one of which is to spare.
    [{ queueSize: 128, sizeMax: 512, indirect: true }, 64, 258_048, 128],
  ];
  for (const [facts, physicalBreaks, maximumTransferLength, depth] of table) {
    const limits = currentLimits(facts);
    assert.deepEqual(
      [limits.physicalBreaks, limits.maximumTransferLength, limits.depth],
      [physicalBreaks, maximumTransferLength, depth],
      JSON.stringify(facts),
    );
  }
  assert.throws(() => currentLimits({ queueSize: 128, segMax: 1, sizeMax: 511 }), /seg_max 1 with size_max 511/);
});

test("1.5: limits of the driver of 2010", () => {
  assert.deepEqual(seedLimits({ queueSize: 256 }), {
    ...{ breaks: 16, maximumTransferLength: 65_536, physicalBreaks: 16, depth: 15 },
  });
  assert.deepEqual(seedLimits({ queueSize: 256, dump: true }), {
    ...{ breaks: 8, maximumTransferLength: 32_768, physicalBreaks: 8, depth: 31 },
  });
  assert.equal(seedLimits({ queueSize: 16 }).depth, 1);
  assert.equal(seedLimits({ queueSize: 256, segMax: 5 }).maximumTransferLength, 4 * 4096);
  assert.equal(seedLimits({ queueSize: 256, segMax: 1 }).maximumTransferLength, 4096);
  // 17 elements of 1536 bytes.
  assert.equal(seedLimits({ queueSize: 256, sizeMax: 1536 }).maximumTransferLength, 5 * 4096);
});

test("2.5: vectors, a message for each queue, fewer queues, or one for all", () => {
  const line = { queues: 1, config: undefined, firstQueue: undefined, shared: false };
  assert.deepEqual(currentVectors(0, 4), line);
  assert.deepEqual(currentVectors(5, 4), { queues: 4, config: 0, firstQueue: 1, shared: false });
  assert.deepEqual(currentVectors(2, 1), { queues: 1, config: 0, firstQueue: 1, shared: false });
  assert.deepEqual(currentVectors(1, 1), { queues: 1, config: 0, firstQueue: 0, shared: true });
  // n becomes v and still wants v + 1: one shared message.
  assert.deepEqual(currentVectors(3, 4), { queues: 1, config: 0, firstQueue: 0, shared: true });
  assert.deepEqual(seedVectors(0), line);
  assert.deepEqual(seedVectors(1), line);
  assert.deepEqual(seedVectors(2), { queues: 1, config: 0, firstQueue: 1, shared: false });
  assert.deepEqual(seedVectors(5), { queues: 1, config: 0, firstQueue: 4, shared: false });
});
