/** The engine: registers, transfers, memory, selection. The reference's checks 14 to 19. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { describeStop, Reg } from "../index.js";
import { ManualClock, makeRig, type RigOptions, scriptAt, tableAt } from "../rig.test.js";

/** Runs a source to its end. */
function run(source: string, options: RigOptions = {}) {
  const rig = makeRig(options);
  rig.load(source);
  rig.start();
  return rig;
}

test("check 14: an absent target times out after 250 ms: STO, DSP behind the SELECT, not connected", () => {
  const clock = new ManualClock();
  const rig = makeRig({ chip: { selectionTimeout: 250, clock } });
  rig.load("SELECT ATN 0x20, elsewhere\nINT 1\nelsewhere: INT 2\n");
  rig.start();
  clock.advance(249);
  assert.equal(rig.read(Reg.ISTAT), 0);
  clock.advance(1);
  assert.equal(rig.long(Reg.DNAD), scriptAt + 16, "the alternate address");
  assert.deepEqual(rig.causes(), { istat: 0x02, dstat: 0x80, sstat0: 0x20 });
  assert.equal(rig.long(Reg.DSP), scriptAt + 8);
  assert.equal(rig.read(Reg.SCNTL1) & 0x10, 0);
  assert.match(describeStop(rig.chip), /stopped/);
});

test("check 14: with CTEST7.STD a selection never times out", () => {
  const clock = new ManualClock();
  const rig = makeRig({ chip: { selectionTimeout: 250, clock } });
  rig.load("SELECT ATN 0x20, 0\nINT 1\n");
  rig.write(Reg.CTEST7, 0x10);
  rig.start();
  clock.advance(1e9);
  assert.equal(rig.read(Reg.ISTAT), 0);
  assert.equal(rig.chip.engine.state, "waiting");
});

test("check 14: the host's own id and no id at all answer nobody", () => {
  for (const id of ["0x80", "0"]) {
    assert.equal(run(`SELECT ATN ${id}, 0\nINT 1\n`).causes().sstat0, 0x20);
  }
});

test("check 15: a fatal cause that is masked stops SCRIPTS and sets DIP or SIP, but not the pin", () => {
  const masked = run("INT 5\n");
  assert.equal(masked.chip.interruptLevel, false);
  assert.equal(masked.read(Reg.ISTAT), 1);
  masked.write(Reg.DIEN, 0x04);
  assert.equal(masked.chip.interruptLevel, true, "enabling shows what is pending");
  masked.read(Reg.DSTAT);
  assert.equal(masked.chip.interruptLevel, false);
  const timeout = run("SELECT ATN 0x20, 0\nINT 1\n");
  assert.equal(timeout.read(Reg.ISTAT), 2);
  assert.equal(timeout.chip.interruptLevel, false);
});

test("check 16: the operators, with carry through several bytes", () => {
  const rig = run(`
    CLEAR CARRY
    MOVE 0xf0 TO SCRATCH0
    MOVE SCRATCH0 | 0x0c TO SCRATCH0
    MOVE SCRATCH0 & 0x3f TO SCRATCH0
    MOVE SCRATCH0 ^ 0xff TO SCRATCH0   ; c3
    MOVE SCRATCH0 + 0x40 TO SCRATCH0   ; 03, carry
    MOVE 0x10 TO SCRATCH1
    MOVE SCRATCH1 + 0x01 TO SCRATCH1 WITH CARRY   ; 12
    MOVE 0x81 TO SCRATCH2
    MOVE SCRATCH2 SHL TO SCRATCH2      ; 02, carry
    MOVE SCRATCH2 SHL TO SCRATCH2      ; 05
    MOVE 0x01 TO SCRATCH3
    MOVE SCRATCH3 SHR TO SCRATCH3      ; 00, carry
    MOVE SCRATCH3 SHR TO SFBR          ; 80
    MOVE SFBR TO SCRATCH3
    INT 1`);
  assert.equal(rig.long(Reg.SCRATCH), 0x80051203);
  assert.equal(rig.causes().dstat, 0x84);
});

test("check 16: register numbers are the chip's own, whatever the host's offsets", () => {
  const rig = run("MOVE 0x11 TO SCRATCH0\nMOVE 0x44 TO SCRATCH3\nMOVE SCRATCH3 TO SFBR\nMOVE SFBR TO DWT\nINT 0\n");
  assert.equal(rig.chip.window.read8(0x37), 0x11);
  assert.equal(rig.chip.window.read8(0x34), 0x44);
  assert.equal(rig.read(Reg.DWT), 0x44);
});

test("check 16: SCRIPTS reading CTEST2 clear SIGP in both places", () => {
  const rig = makeRig();
  rig.load("MOVE CTEST2 & 0x40 TO SFBR\nMOVE SFBR TO SCRATCH0\nINT 1\n");
  rig.write(Reg.ISTAT, 0x20);
  rig.start();
  assert.equal(rig.read(Reg.SCRATCH), 0x40);
  assert.equal(rig.read(Reg.ISTAT) & 0x20, 0);
  rig.write(Reg.ISTAT, 0x20);
  assert.equal(rig.read(Reg.CTEST2) & 0x40, 0x40);
  assert.equal(rig.read(Reg.CTEST2) & 0x40, 0);
});

test("check 16: the open point on XOR and shifts raises IID", () => {
  for (const operation of ["^ 1", "SHL", "SHR"]) {
    const rig = run(`MOVE SCRATCH0 ${operation} TO SCRATCH0\nINT 1\n`, {
      chip: { openPoints: { xorAndShifts: "illegal" } },
    });
    assert.equal(rig.causes().dstat, 0x81, operation);
    assert.equal(rig.long(Reg.DSP), scriptAt + 8);
  }
});

test("check 17: each selected compare must have the value of bit 19", () => {
  // SFBR is 55h and the latched phase is DATA_OUT (0).
  for (const [condition, taken] of [
    ["", true],
    [", IF TRUE", true],
    [", IF FALSE", false],
    [", IF 0x55", true],
    [", IF 0x54", false],
    [", IF NOT 0x54", true],
    [", IF NOT 0x55", false],
    [", IF 0x5f, AND MASK 0x0f", true],
    [", IF 0x6f, AND MASK 0x0f", false],
    [", IF DATA_OUT", true],
    [", IF NOT DATA_OUT", false],
    [", IF DATA_OUT AND 0x55", true],
    [", IF DATA_OUT AND 0x54", false],
    [", IF DATA_IN AND 0x55", false],
    [", IF NOT DATA_IN OR 0x54", true],
    [", IF NOT DATA_OUT OR 0x54", false],
    [", IF NOT DATA_IN OR 0x55", false],
    [", IF CARRY", true],
    [", IF NOT CARRY", false],
    [", IF CARRY AND 0x55", true],
    [", IF NOT CARRY OR 0x54", false],
  ] as const) {
    const rig = run(`MOVE 0x55 TO SFBR\nSET CARRY\nJUMP yes${condition}\nINT 0\nyes: INT 1\n`);
    assert.equal(rig.long(Reg.DSPS), taken ? 1 : 0, `JUMP${condition}`);
    const relative = run(`MOVE 0x55 TO SFBR\nSET CARRY\nJUMP REL(yes)${condition}\nINT 0\nyes: INT 1\n`);
    assert.equal(relative.long(Reg.DSPS), taken ? 1 : 0, `JUMP REL${condition}`);
  }
});

test("check 17: NOP goes on, CALL and RETURN go by TEMP, a nested CALL loses the first return", () => {
  assert.equal(run("NOP\nINT 1\n").long(Reg.DSPS), 1);
  const call = run("CALL sub\nINT 1\nsub: RETURN\n");
  assert.equal(call.long(Reg.DSPS), 1);
  assert.equal(call.long(Reg.TEMP), scriptAt + 8);
  const nested = run("CALL REL(outer)\nINT 1\nouter: CALL inner\nINT 2\nMOVE 1 TO SCRATCH0\nRETURN\ninner: RETURN\n");
  assert.equal(nested.long(Reg.DSPS), 2);
  const conditional = run("MOVE 3 TO SFBR\nCALL sub, IF NOT 3\nINT 1\nsub: INT 2\n");
  assert.equal(conditional.long(Reg.DSPS), 1);
});

test("check 17: a relative jump takes both styles of a negative offset and wraps around", () => {
  for (const offset of ["0x00ffffe8", "0xffffffe8"]) {
    // From 0x1018 + 8 back to 0x1008.
    const rig = run(`JUMP REL(jump)\nINT 5\nNOP\njump: WORD 0x80880000, ${offset}\n`);
    assert.equal(rig.long(Reg.DSPS), 5, offset);
  }
});

test("check 17: the opcodes 4 to 7 of class 2 and INTFLY are illegal", () => {
  for (const word of ["0xa0080000", "0xb8080000", "0x98180000"]) {
    const rig = run(`WORD ${word}, 0\nINT 1\n`);
    assert.equal(rig.causes().dstat, 0x81, word);
  }
  const lenient = run("WORD 0x98180000, 0x77\n", { chip: { openPoints: { interruptOnTheFly: "interrupt" } } });
  assert.equal(lenient.long(Reg.DSPS), 0x77);
  assert.equal(lenient.causes().dstat, 0x84);
});

test("check 18: memory move destroys TEMP and DSA, unless told to preserve them", () => {
  const source = "MOVE MEMORY 0x1001, 0x4001, 0x8001\nINT 1\n";
  const rig = makeRig();
  rig.memory.write(
    0x4001,
    new Uint8Array(0x1001).map((_, index) => index * 7),
  );
  rig.load(source);
  rig.start();
  assert.deepEqual(rig.memory.read(0x8001, 0x1001), rig.memory.read(0x4001, 0x1001));
  assert.equal(rig.memory.read(0x8001 + 0x1001, 1)[0], 0);
  assert.notEqual(rig.long(Reg.DSA), tableAt);
  assert.equal(rig.long(Reg.DNAD), 0x8001 + 0x1001);
  const lenient = run(source, { chip: { openPoints: { memoryMove: "preserved" } } });
  assert.equal(lenient.long(Reg.DSA), tableAt);
  assert.equal(lenient.long(Reg.TEMP), 0);
});

test("check 18: an overlapping move reads a FIFO's worth ahead and no more", () => {
  const rig = makeRig();
  rig.memory.write(
    0x4000,
    new Uint8Array(256).map((_, index) => index),
  );
  rig.load("MOVE MEMORY 256, 0x4000, 0x4040\nINT 1\n");
  rig.start();
  assert.deepEqual(
    [...rig.memory.read(0x4040, 256)],
    Array.from({ length: 256 }, (_, index) => index % 64),
  );
});

test("check 18: addresses that differ in their low bits, load and store, and nothing to move are illegal", () => {
  for (const source of ["MOVE MEMORY 4, 0x4000, 0x5001", "WORD 0xe1340004, 0x4000", "MOVE MEMORY 0, 0x4000, 0x5000"]) {
    assert.equal(run(`${source}\nINT 1\n`).causes().dstat, 0x81, source);
  }
  const none = run("MOVE MEMORY 0, 0x4000, 0x5000\nINT 3\n", { chip: { openPoints: { zeroCount: "nothing" } } });
  assert.equal(none.long(Reg.DSPS), 3);
});

test("an address where nobody answers is a bus fault that names it", () => {
  for (const [source, address] of [
    ["JUMP 0x7000000\n", 0x7000000],
    ["MOVE MEMORY 4, 0x7000000, 0x4000\n", 0x7000000],
    ["MOVE MEMORY 8, 0xffffc, 0x5000\n", 0x100000],
    ["MOVE MEMORY 4, 0x4000, 0x7000000\n", 0x7000000],
    ["SELECT ATN FROM 0x7fffff, 0\n", tableAt + 0x7fffff],
    ["JUMP 0xffffc\n", 0xffffc],
  ] as const) {
    const rig = run(`${source}INT 1\n`);
    assert.equal(rig.long(Reg.DNAD), address, source);
    assert.match(describeStop(rig.chip), /bus fault/);
    assert.equal(rig.causes().dstat, 0xa0, source);
    assert.equal(rig.chip.engine.state, "stopped");
  }
});

test("where nothing ends a silent cycle, the watchdog does, or an abort", () => {
  const openPoints = { unansweredAddress: "silence" } as const;
  const watched = makeRig({ chip: { openPoints } });
  watched.load("MOVE MEMORY 4, 0x7000000, 0x4000\nINT 1\n");
  watched.write(Reg.DWT, 0x20);
  watched.start();
  assert.equal(watched.causes().dstat, 0x82);
  const hung = run("MOVE MEMORY 4, 0x7000000, 0x4000\nINT 1\n", { chip: { openPoints } });
  assert.equal(hung.read(Reg.ISTAT), 0);
  hung.write(Reg.ISTAT, 0x80);
  hung.write(Reg.ISTAT, 0);
  assert.equal(hung.causes().dstat, 0x90);
});

test("check 19: SIGP ends WAIT RESELECT by its alternate address, before or after", () => {
  for (const early of [true, false]) {
    const rig = makeRig();
    rig.load("WAIT RESELECT REL(woken)\nINT 1\nwoken: INT 2\n");
    if (early) rig.write(Reg.ISTAT, 0x20);
    rig.start();
    if (!early) {
      assert.equal(rig.read(Reg.ISTAT), 0);
      rig.write(Reg.ISTAT, 0x20);
    }
    assert.equal(rig.long(Reg.DSPS), 2);
    assert.equal(rig.read(Reg.ISTAT) & 0x20, 0x20, "SIGP stays until CTEST2 is read");
  }
});

test("an endless script takes turns and hangs nobody", () => {
  const turns: (() => void)[] = [];
  const rig = makeRig({ chip: { instructionsPerTurn: 50, schedule: (turn) => turns.push(turn) } });
  rig.load("x: JUMP x\n");
  rig.start();
  for (let turn = 1; turn <= 5; turn++) {
    assert.equal(rig.chip.engine.executed, 50 * turn);
    assert.equal(turns.length, 1);
    turns.shift()?.();
  }
  rig.chip.close();
  const before = rig.chip.engine.executed;
  for (const turn of turns) turn();
  assert.equal(rig.chip.engine.executed, before);
});
