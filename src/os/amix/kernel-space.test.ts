import assert from "node:assert/strict";
import { test } from "node:test";
import { windowOf } from "../../bytes/index.js";
import { BoardMapper, KernelFault, KernelSpace, pageFrame } from "./index.js";

/** A physical space in which every address reads as itself. */
const physical = windowOf(
  (address) => address,
  () => {},
);

test("5.5: the low gigabyte is as it is physically", () => {
  const space = new KernelSpace(physical);
  for (const address of [0, 0xdd_0041, 0x07ff_fffc, 0x3fff_ffff]) assert.equal(space.read32(address), address);
});

test("5.5: a plain dereference of a Zorro III address fails: only what sptalloc mapped is there", () => {
  const space = new KernelSpace(physical);
  for (const address of [0x4000_0000, 0x4080_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, -4]) {
    assert.throws(() => space.read8(address), KernelFault);
    assert.throws(() => space.write32(address, 0), /panic: bus error at virtual address 0x|-0x/);
  }
});

test("5.5: two pages a board, the registers of the first at 0x401CA000 as was observed", () => {
  const space = new KernelSpace(physical);
  const mapper = new BoardMapper(space);
  const board = mapper.map(0, () => 0x4000_0000);
  assert.ok(board !== undefined);
  assert.equal(board.chip, 0x401c_a000);
  assert.equal(space.read32(board.config), 0x4000_0000);
  assert.equal(board.registers.read32(0x2c), 0x4080_002c);
  assert.equal(board.registers.read32(0x7fc), 0x4080_07fc);
  assert.throws(() => space.read8(board.chip + 2048), KernelFault, "the page ends after 2 KB");
  const again = mapper.map(0, () => assert.fail("a board is mapped once"));
  assert.equal(again, board);
});

test("5.5: sptalloc gives 0 when its pages are used up, and the board is not mapped", () => {
  const space = new KernelSpace(physical, 3);
  const mapper = new BoardMapper(space);
  assert.ok(mapper.map(0, () => 0x4000_0000) !== undefined);
  assert.equal(
    mapper.map(1, () => 0x4100_0000),
    undefined,
  );
  assert.equal(space.sptalloc(1, pageFrame(0x4000_0000)), 0);
  assert.equal(space.sptalloc(0, 0), 0);
});
