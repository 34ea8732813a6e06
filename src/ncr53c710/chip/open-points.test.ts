/** Points where the sources leave the silicon open, and selection by hand: both ways of each are reachable by name. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cdb } from "../../scsi/index.js";
import { describeStop, Phase, Reg } from "../index.js";
import { commandScript, ManualClock, makeRig, places, prepareCommand, type RigOptions, setUp } from "../rig.test.js";

const unitReady = cdb.testUnitReady();

test("ATN falls with the last byte of a message, or with CLEAR ATN only", () => {
  const source = (clear: string) => `
    SELECT ATN FROM 0, 0
    MOVE FROM 4, WHEN MSG_OUT
    ${clear}
    INT 2, WHEN MSG_OUT
    MOVE FROM 12, WHEN CMD
    MOVE FROM 20, WHEN STATUS
    MOVE FROM 28, WHEN MSG_IN
    CLEAR ACK
    WAIT DISCONNECT
    INT 1`;
  const run = (options: RigOptions, clear: string) => {
    const rig = makeRig(options);
    rig.load(source(clear));
    prepareCommand(rig, 6, unitReady, 0);
    rig.start();
    return rig;
  };
  const kept: RigOptions = { chip: { openPoints: { messageOutAttention: "kept" } } };
  assert.equal(run({}, "NOP").long(Reg.DSPS), 1);
  assert.equal(run({}, "CLEAR ATN").long(Reg.DSPS), 1);
  const asking = run(kept, "NOP");
  assert.equal(asking.long(Reg.DSPS), 2, "the target asks for more");
  assert.equal(asking.read(Reg.SBCL) & 0x08, 0x08);
  assert.equal(run(kept, "CLEAR ATN").long(Reg.DSPS), 1);
});

test("a chip that is reset while it is connected frees the bus, or leaves the target there until a bus reset", () => {
  const source = "SELECT ATN FROM 0, 0\nMOVE FROM 4, WHEN MSG_OUT\nINT 3\n";
  for (const resetWhileConnected of ["released", "held"] as const) {
    const rig = makeRig({ chip: { openPoints: { resetWhileConnected } } });
    rig.load(source);
    prepareCommand(rig, 6, unitReady, 0);
    rig.start();
    assert.equal(rig.long(Reg.DSPS), 3);
    rig.write(Reg.ISTAT, 0x40);
    rig.write(Reg.ISTAT, 0);
    setUp(rig.chip);
    assert.equal(rig.read(Reg.ISTAT), 0, "not connected, nothing pending");
    rig.load(commandScript);
    prepareCommand(rig, 0, unitReady, 0);
    rig.start();
    if (resetWhileConnected === "held") {
      assert.equal(rig.chip.engine.state, "waiting", "the bus is not free");
      rig.write(Reg.SCNTL1, 0x28);
      rig.write(Reg.SCNTL1, 0x20);
      assert.equal(rig.causes().sstat0, 0x02);
      rig.start();
    }
    assert.equal(rig.long(Reg.DSPS), 0x600d, describeStop(rig.chip));
  }
});

test("SCNTL0.START selects without SCRIPTS: function complete, connected, with ATN as WATN says", () => {
  for (const attention of [true, false]) {
    const rig = makeRig();
    rig.write(Reg.SDID, 0x40);
    rig.write(Reg.SIEN, 0x40);
    rig.write(Reg.SCNTL0, attention ? 0xfc : 0xec);
    assert.equal(rig.read(Reg.SCNTL0), attention ? 0xdc : 0xcc, "START reads 0");
    assert.equal(rig.read(Reg.SCNTL1) & 0x10, 0x10);
    assert.equal(rig.chip.interruptLevel, true);
    assert.deepEqual(rig.causes(), { istat: 0x0a, dstat: 0x80, sstat0: 0x40 });
    assert.equal(rig.read(Reg.SBCL) & 0x07, attention ? Phase.MessageOut : Phase.Command);
    // SCRIPTS can take it from there.
    rig.load(
      `JUMP REL(cmd), WHEN CMD\nMOVE FROM 4, WHEN MSG_OUT\ncmd:\nMOVE FROM 12, WHEN CMD\nMOVE FROM 20, WHEN STATUS\nMOVE FROM 28, WHEN MSG_IN\nCLEAR ACK\nWAIT DISCONNECT\nINT 4\n`,
    );
    prepareCommand(rig, 6, unitReady, 0);
    rig.start();
    assert.equal(rig.long(Reg.DSPS), 4, describeStop(rig.chip));
    assert.equal(rig.memory.read(places.status, 1)[0], 0);
  }
});

test("SCNTL0.START: nobody answers within the time, and with CTEST7.STD never", () => {
  for (const [std, expected] of [
    [0, 0x20],
    [0x10, 0],
  ]) {
    const clock = new ManualClock();
    const rig = makeRig({ chip: { clock, selectionTimeout: 250 } });
    rig.write(Reg.CTEST7, std);
    rig.write(Reg.SDID, 0x08);
    rig.write(Reg.SCNTL0, 0xfc);
    clock.advance(249);
    assert.equal(rig.read(Reg.SSTAT0), 0);
    clock.advance(1);
    assert.equal(rig.read(Reg.SSTAT0), expected);
    assert.equal(rig.read(Reg.SCNTL1) & 0x10, 0);
  }
});

test("check 15: function complete is no interrupt while it is not enabled", () => {
  const rig = makeRig();
  rig.write(Reg.SDID, 0x40);
  rig.write(Reg.SCNTL0, 0xfc);
  assert.equal(rig.read(Reg.ISTAT), 0x08);
  assert.equal(rig.chip.interruptLevel, false);
});
