import assert from "node:assert/strict";
import { test } from "node:test";
import { boardNamed, boards, pc, pciBoards, riscvVirt, withMmioWindows, zorroBoards } from "./index.js";

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

  test(`${board.name}: virtio-mmio windows overlap neither each other nor the memory, and have lines of their own`, () => {
    const { windows = [] } = board.mmio ?? {};
    assert.ok(windows.length > 0 || board.adapters !== undefined, "a board has slots or windows");
    assert.equal(new Set(windows.map(({ irq }) => irq)).size, windows.length);
    withMmioWindows({ ...board, mmio: { windows: [], vendorId: 0 } }, windows);
  });
}

for (const board of pciBoards) {
  test(`${board.name}: adapters go into slots that the board leaves free`, () => {
    const place = board.adapters;
    assert.ok(place !== undefined && place.slots.length > 0);
    const taken = new Set(board.bridges[place.bridge].onboard.map((fn) => fn.slot));
    for (const slot of place.slots) assert.equal(taken.has(slot), false, `slot ${slot}`);
  });
}

for (const board of Object.values(zorroBoards)) {
  test(`${board.name}: configuration areas and Zorro III space overlap neither each other nor the memory`, () => {
    assert.equal(boardNamed(board.name), board);
    const { zorro } = board;
    assert.ok(zorro !== undefined && zorro.slots > 0);
    const { configAreaSize, space } = zorro;
    const ranges = [
      ...zorro.configAreas.map(({ base }) => ({ start: base, end: base + configAreaSize })),
      space,
      { start: board.ramBase, end: board.ramBase + board.defaultRamSize },
    ].sort((a, b) => a.start - b.start);
    for (const [index, { start }] of ranges.entries()) if (index > 0) assert.ok(ranges[index - 1].end <= start);
    assert.ok(zorro.firstBase >= space.start && zorro.firstBase < space.end);
  });
}

test("an unknown machine is refused with the names that exist", () => {
  assert.throws(
    () => boardNamed("a4001"),
    /unknown machine "a4001": one of amigaone, pegasos2, pc, q35, riscv-virt, arm-virt, a4000/,
  );
  assert.throws(() => boardNamed("toString"), RangeError);
});

test("windows that are added come first; a misplaced one is refused with its address", () => {
  const window = { base: 0x100b_0000, size: 0x400, irq: 48, id: 7 };
  const board = withMmioWindows(riscvVirt, [window]);
  assert.deepEqual(board.mmio?.windows[0], window);
  assert.equal(board.mmio?.windows.length, 9);
  assert.deepEqual(withMmioWindows(pc, [{ ...window, base: 0xd000_0000 }]).mmio?.windows.length, 1);
  const refused: [object, RegExp][] = [
    [{ base: 0x8000_1000 }, /0x80001000 overlaps the memory of riscv-virt/],
    [{ base: 0x1000_1f00 }, /0x10001f00 overlaps a window of the board/],
    [{ size: 0x80 }, /has 128 bytes: the registers alone take 256/],
    [{ base: 0x100b_0002 }, /multiple of 4/],
  ];
  for (const [change, message] of refused) {
    assert.throws(() => withMmioWindows(riscvVirt, [{ ...window, ...change }]), message);
  }
  assert.throws(() => withMmioWindows(riscvVirt, [window, window]), /overlaps another one/);
});
