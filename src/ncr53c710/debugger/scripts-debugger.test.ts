/** The debugger: breakpoints, steps, registers, trace. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Reg, ScriptsDebugger } from "../index.js";
import { makeRig, scriptAt } from "../rig.test.js";

const loop = `
  MOVE 3 TO SCRATCH0
again:
  MOVE SCRATCH0 - 1 TO SCRATCH0
  MOVE SCRATCH0 TO SFBR
  JUMP REL(again), IF NOT 0
  INT 0x77`;

test("SCRIPTS are held before a breakpoint, each time they come to it, with nothing that a host could see", () => {
  const rig = makeRig();
  const labels = rig.load(loop);
  const scripts = new ScriptsDebugger(rig.chip);
  scripts.breakpoints.add(labels["again"]);
  rig.start();
  for (const value of [3, 2, 1]) {
    assert.equal(scripts.isHeld, true);
    assert.equal(scripts.state, `held before 0x${labels["again"].toString(16)}`);
    assert.equal(rig.read(Reg.SCRATCH), value);
    assert.equal(rig.read(Reg.ISTAT), 0);
    scripts.continue();
  }
  assert.equal(scripts.isHeld, false);
  assert.equal(scripts.state, "INT 0x77");
});

test("steps carry out one instruction, or several, and hold again", () => {
  const rig = makeRig();
  rig.load(loop);
  const scripts = new ScriptsDebugger(rig.chip);
  scripts.pause();
  rig.start();
  assert.equal(rig.long(Reg.DSP), scriptAt);
  scripts.step();
  assert.equal(rig.long(Reg.DSP), scriptAt + 8);
  scripts.step(3);
  assert.equal(rig.long(Reg.DSP), scriptAt + 8, "once round the loop");
  assert.equal(rig.read(Reg.SCRATCH), 2);
  scripts.detach();
  assert.equal(rig.long(Reg.DSPS), 0x77, "runs on");
});

test("the trace names each instruction with its address and text", () => {
  const rig = makeRig();
  rig.load("JUMP REL(end)\nNOP\nend: INT 1\n");
  const lines: string[] = [];
  const scripts = new ScriptsDebugger(rig.chip, {
    nameOf: (address) => (address === scriptAt + 16 ? "end" : undefined),
    trace: ({ address, text }) => lines.push(`${address.toString(16)} ${text}`),
  });
  rig.start();
  assert.deepEqual(lines, ["1000 JUMP REL(end)", "1010 INT 0x1"]);
  assert.deepEqual(
    scripts.disassemble(scriptAt, 3).map(({ text }) => text),
    ["JUMP REL(end)", "NOP", "INT 0x1"],
  );
  assert.deepEqual(scripts.disassemble(0x7000_0000, 3), []);
});

test("registers are shown without a read's effects", () => {
  const rig = makeRig();
  rig.load("INT 5\n");
  const scripts = new ScriptsDebugger(rig.chip);
  rig.write(Reg.ISTAT, 0x20);
  rig.start();
  const registers = scripts.registers();
  assert.equal(registers["DSPS"], 5);
  assert.equal(registers["DSTAT"], 0x04);
  assert.equal(rig.read(Reg.ISTAT), 0x21, "DIP and SIGP are still there");
});
