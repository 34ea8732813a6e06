/** That the defect tables have all that the reference numbers: 10.1's bugs, and 3.8's weaknesses of the queues. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { commandDefects } from "./commands/defects.js";
import { deviceDefects } from "./device/defects.js";

/** Without an entry, and why. */
const elsewhere: Readonly<Record<string, string>> = {
  B20: "the same mistake as B19, made in another place",
  B25: "version 1.5 has no indirect tables, ours are the ring driver's: tests/peers/amigaos-diagnoses.test.ts spoils one before QEMU",
  Q7: "B33's counters",
};

test("each of B1 to B35 and Q1 to Q10 is in a table of defects, or it is said where it is", () => {
  const ids = [...commandDefects, ...deviceDefects].map(({ id }) => id.replace(/[a-z]$/, ""));
  const wanted = [
    ...Array.from({ length: 35 }, (_, index) => `B${index + 1}`),
    ...Array.from({ length: 10 }, (_, index) => `Q${index + 1}`),
  ];
  const without = wanted.filter((id) => !ids.includes(id));
  assert.deepEqual(without, Object.keys(elsewhere));
});

test("the weaknesses that the original never found are in a table", () => {
  // Slot reuse at the 17th request, no timeout, no polling, overflow of the scatter list, 4096 before the geometry.
  const ids = [...commandDefects, ...deviceDefects].map(({ id }) => id);
  for (const id of ["Q1", "Q3", "Q4", "Q5", "C1"]) assert.ok(ids.includes(id), id);
});
