/** The same result at any instruction budget per turn: random scripts, commands and register writes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../testing/index.js";
import { compareTurns } from "./random-scripts.test.js";

const rounds = 300;

test(`${rounds} random scripts give the same registers and memory in turns of any length`, () => {
  const ends = new Map<string, number>();
  for (let round = 0; round < rounds; round++) {
    for (const end of compareTurns(seededRandom(round + 1))) ends.set(end, (ends.get(end) ?? 0) + 1);
  }
  const kinds = [...ends].map(([end, count]) => `${end}: ${count}`).join("; ");
  // Every way to stop that such scripts can come to: INT, illegal, mismatch, timeout, unexpected disconnect, waiting.
  for (const end of ["stopped 84 0", "stopped 81 0", "stopped 80 80", "stopped 80 20", "waiting 80 0"]) {
    assert.ok((ends.get(end) ?? 0) > 0, `none ended with ${end}: ${kinds}`);
  }
});
