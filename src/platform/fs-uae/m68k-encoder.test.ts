/** Encodings against the M68000 Family Programmer's Reference Manual, worked out by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hexBytes } from "../../bytes/index.js";
import {
  a,
  absolute,
  at,
  buildMonitorRom,
  d,
  displaced,
  immediate,
  M68kEncoder,
  monitorLayout,
  postIncrement,
} from "./index.js";

const encodings: readonly [what: string, emit: (code: M68kEncoder) => void, hex: string][] = [
  ["MOVE.B #3,($BFE201).L", (code) => code.move("b", immediate(3, "b"), absolute(0xbfe201)), "13fc 0003 00bf e201"],
  ["MOVE.W #$7FFF,$9A(A5)", (code) => code.move("w", immediate(0x7fff, "w"), displaced(0x9a, 5)), "3b7c 7fff 009a"],
  ["MOVEA.L #$DFF000,A5", (code) => code.move("l", immediate(0xdff000, "l"), a(5)), "2a7c 00df f000"],
  ["MOVE.L D1,D4", (code) => code.move("l", d(1), d(4)), "2801"],
  ["MOVE.B (A1)+,D0", (code) => code.move("b", postIncrement(1), d(0)), "1019"],
  ["MOVE.W D1,(A0)", (code) => code.move("w", d(1), at(0)), "3081"],
  ["MOVEQ #-1,D3", (code) => code.moveQuick(-1, 3), "76ff"],
  ["ADD.L D2,D1", (code) => code.add("l", d(2), 1), "d282"],
  ["SUB.L D2,D1", (code) => code.subtract("l", d(2), 1), "9282"],
  ["AND.L #$FF,D0", (code) => code.and("l", immediate(0xff, "l"), 0), "c0bc 0000 00ff"],
  ["CMP.B D3,D2", (code) => code.compare("b", d(3), 2), "b403"],
  ["ADDQ.L #8,A0", (code) => code.addQuick("l", 8, a(0)), "5088"],
  ["SUBQ.L #1,D7", (code) => code.subtractQuick("l", 1, d(7)), "5387"],
  ["LSL.L #8,D2", (code) => code.shiftLeft(8, 2), "e18a"],
  ["ROL.L #1,D4", (code) => code.rotateLeft(1, 4), "e39c"],
  ["TST.L D7", (code) => code.test("l", d(7)), "4a87"],
  ["BTST #14,D0", (code) => code.testBit(14, 0), "0800 000e"],
  ["JSR (A0)", (code) => code.callAt(0), "4e90"],
  ["JMP (A1)", (code) => code.jumpAt(1), "4ed1"],
  ["RTS", (code) => code.returns(), "4e75"],
  ["MOVE #$2700,SR", (code) => code.setStatus(0x2700), "46fc 2700"],
  ["MOVEC D0,VBR", (code) => code.setControl(0, 0x801), "4e7b 0801"],
];

for (const [what, emit, expected] of encodings) {
  test(what, () => {
    const code = new M68kEncoder(0);
    emit(code);
    assert.equal(hexBytes(code.finish(), ""), expected.replaceAll(" ", ""));
  });
}

test("branches count from the word after the instruction, backwards and forwards, and LEA has the label's address", () => {
  const code = new M68kEncoder(0xf8_0000);
  code.label("back");
  code.branch("always", "ahead");
  code.branch("eq", "back");
  code.call("back");
  code.label("ahead");
  code.loadAddress("ahead", 1);
  assert.equal(hexBytes(code.finish(), ""), "6000000a6700fffa6100fff643f900f8000c");
});

test("labels that are nowhere, there twice or too far are named", () => {
  const lost = new M68kEncoder(0);
  lost.branch("ne", "nowhere");
  assert.throws(() => lost.finish(), /no label nowhere/);
  lost.label("x");
  assert.throws(() => lost.label("x"), /x is there twice/);
  const far = new M68kEncoder(0);
  far.branch("ne", "end");
  for (let index = 0; index < 0x4000; index++) far.data(0);
  far.label("end");
  assert.throws(() => far.finish(), /end is too far/);
});

test("the ROM is as large as its place and begins with the start that the processor and the system look for", () => {
  const rom = buildMonitorRom();
  assert.equal(rom.length, monitorLayout.romSize);
  assert.equal(hexBytes(rom.subarray(0, 4), ""), "11114ef9");
  const start = new DataView(rom.buffer).getUint32(4);
  assert.ok(start > monitorLayout.rom && start < monitorLayout.rom + 0x1000);
  assert.deepEqual(buildMonitorRom(), rom);
});
