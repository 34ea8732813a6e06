import assert from "node:assert/strict";
import { test } from "node:test";
import { boardNamed, boards } from "./index.js";

for (const board of Object.values(boards)) {
  test(`${board.name}: windows do not overlap each other or the memory, and hold what is assigned from them`, () => {
    assert.equal(boardNamed(board.name), board);
    const windows = board.bridges.flatMap((bridge) => [...bridge.memory, ...bridge.io]);
    for (const [index, window] of windows.entries()) {
      const { assign } = window;
      if (assign !== undefined && assign.size > 0) {
        assert.ok(assign.base >= window.pciBase && assign.base + assign.size <= window.pciBase + window.size);
      }
      if (window.space === "memory") assert.ok(window.cpuBase >= board.ramBase + board.defaultRamSize);
      for (const other of windows.slice(index + 1)) {
        if (other.space !== window.space) continue;
        assert.ok(
          window.cpuBase + window.size <= other.cpuBase || other.cpuBase + other.size <= window.cpuBase,
          `${window.cpuBase.toString(16)} and ${other.cpuBase.toString(16)}`,
        );
      }
    }
  });

  test(`${board.name}: adapters go into slots that the board leaves free`, () => {
    const place = board.adapters;
    assert.ok(place !== undefined && place.slots.length > 0);
    const taken = new Set(board.bridges[place.bridge].onboard.map((fn) => fn.slot));
    for (const slot of place.slots) assert.equal(taken.has(slot), false, `slot ${slot}`);
  });
}

test("an unknown machine is refused with the names that exist", () => {
  assert.throws(() => boardNamed("a4001"), /unknown machine "a4001": one of amigaone, pegasos2, pc/);
  assert.throws(() => boardNamed("toString"), RangeError);
});
