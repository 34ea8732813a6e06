import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { indexAdd, indexDistance, needsEvent } from "./index.js";

/** The definition, by counting: the index steps from `old` to `now`; was one of the entries passed number `event`? */
function byCounting(event: number, now: number, old: number): boolean {
  for (let index = old; index !== now; index = (index + 1) % 65536) if (index === event) return true;
  return false;
}

test("R-605, R-611: needsEvent is what counting says, around the wrap, for every distance up to 40 and every event near it", () => {
  for (const start of [0, 1, 100, 32767, 32768, 65500, 65520, 65534, 65535]) {
    for (let count = 0; count <= 40; count++) {
      const now = indexAdd(start, count);
      for (let offset = -50; offset <= 90; offset++) {
        const event = indexAdd(start, offset);
        assert.equal(needsEvent(event, now, start), byCounting(event, now, start), `${event}, ${now}, ${start}`);
      }
    }
  }
});

test("R-605: for one step of the index every one of the 65536 events gives the defined answer", () => {
  for (const start of [0, 65535, 41000]) {
    const now = indexAdd(start, 1);
    for (let event = 0; event < 65536; event++) {
      assert.equal(needsEvent(event, now, start), event === start);
    }
  }
});

test("R-605: any three indices", () => {
  const index = fc.nat(0xffff);
  fc.assert(
    fc.property(index, index, index, (event, now, old) => {
      assert.equal(needsEvent(event, now, old), byCounting(event, now, old));
    }),
    { numRuns: 300 },
  );
});

test("R-603: indices wrap at 65536", () => {
  assert.equal(indexAdd(65535, 1), 0);
  assert.equal(indexAdd(65535, 32768), 32767);
  assert.equal(indexAdd(0, -1), 65535);
  assert.equal(indexDistance(3, 65533), 6);
  assert.equal(indexDistance(65533, 3), 65530);
});
