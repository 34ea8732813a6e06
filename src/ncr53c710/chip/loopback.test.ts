/** Loopback: the lines alone as board tests walk them, and a host that plays the target for SCRIPTS. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cdb } from "../../scsi/index.js";
import { Ctest4, Dcntl, describeStop, Lines, Phase, Reg, Scntl0, Scntl1, Sstat0, Sstat1 } from "../index.js";
import { commandScript, hostId, ManualClock, makeRig, places, prepareCommand, type Rig, setUp } from "../rig.test.js";

const { Req, Ack, Bsy, Sel, Atn } = Lines;

function looped(timeout = 250): Rig {
  const rig = makeRig({ chip: { clock: new ManualClock(), selectionTimeout: timeout } });
  rig.write(Reg.CTEST4, Ctest4.Slbe);
  return rig;
}

test("SODL arrives on SBDL with its odd parity, and on no control line; SOCL on SBCL, and on no data line", () => {
  const rig = looped();
  rig.write(Reg.DCNTL, Dcntl.Llm);
  rig.write(Reg.SCNTL0, Scntl0.Epg);
  rig.write(Reg.SCNTL1, Scntl1.Adb);
  rig.write(Reg.SOCL, 0);
  for (let value = 0; value < 256; value++) {
    rig.write(Reg.SODL, value);
    assert.equal(rig.read(Reg.SBDL), value);
    assert.equal(rig.read(Reg.SBCL), 0);
    const ones = value.toString(2).split("1").length - 1;
    assert.equal(rig.read(Reg.SSTAT1) & Sstat1.Sdp, ones % 2 === 0 ? Sstat1.Sdp : 0, `parity of ${value}`);
  }
  rig.write(Reg.SODL, 0);
  for (let value = 0; value < 256; value++) {
    rig.write(Reg.SCNTL0, Scntl0.Epg | (value % 2));
    rig.write(Reg.SOCL, value);
    assert.equal(rig.read(Reg.SBCL), value);
    assert.equal(rig.read(Reg.SBDL), 0);
  }
  rig.write(Reg.SOCL, 0xff);
  rig.write(Reg.CTEST4, 0);
  rig.write(Reg.SOCL, 0);
  assert.equal(rig.read(Reg.SBCL), 0, "back on a free bus");
});

test("without ADB nothing is on the data lines", () => {
  const rig = looped();
  rig.write(Reg.SODL, 0x5a);
  assert.equal(rig.read(Reg.SBDL), 0);
  assert.equal(rig.read(Reg.SSTAT1) & Sstat1.Sdp, 0);
});

test("START selects the host that plays the target: SEL and the ids until BSY answers", () => {
  const rig = looped();
  rig.write(Reg.SDID, 0x02);
  rig.write(Reg.SCNTL0, 0xec);
  assert.equal(rig.read(Reg.SBCL), Sel);
  assert.equal(rig.read(Reg.SBDL), (1 << hostId) | 0x02);
  rig.write(Reg.SOCL, Bsy);
  assert.equal(rig.read(Reg.SBCL), Bsy);
  assert.equal(rig.read(Reg.SBDL), 0);
  assert.equal(rig.causes().sstat0, Sstat0.Fcmp);
  assert.equal(rig.read(Reg.SCNTL1) & Scntl1.Con, Scntl1.Con);
});

test("SCRIPTS select, send and receive while the host plays the target, line by line", () => {
  const rig = looped();
  rig.load(`
    SELECT ATN 0x02, 0
    MOVE 2, 0x3000, WHEN MSG_OUT
    MOVE 2, 0x3100, WHEN DATA_IN
    MOVE 1, 0x3200, WHEN MSG_IN
    CLEAR ACK
    WAIT DISCONNECT
    INT 0x600d`);
  rig.memory.write(0x3000, Uint8Array.of(0x80, 0x08));
  rig.start();
  assert.equal(rig.read(Reg.SBCL) & Sel, Sel);
  assert.equal(rig.read(Reg.SBDL), (1 << hostId) | 0x02);
  rig.write(Reg.SOCL, Bsy);
  assert.equal(rig.read(Reg.SBCL), Bsy | Atn);
  const seen: number[] = [];
  for (const attention of [Atn, 0]) {
    rig.write(Reg.SOCL, Bsy | Phase.MessageOut);
    rig.write(Reg.SOCL, Bsy | Phase.MessageOut | Req);
    assert.equal(rig.read(Reg.SBCL), Bsy | Phase.MessageOut | Req | Ack | attention, "ACK while REQ is there");
    seen.push(rig.read(Reg.SBDL));
    rig.write(Reg.SOCL, Bsy | Phase.MessageOut);
    assert.equal(rig.read(Reg.SBCL) & Ack, 0);
  }
  assert.deepEqual(seen, [0x80, 0x08]);
  rig.write(Reg.SCNTL1, Scntl1.Adb);
  for (const [phase, byte] of [
    [Phase.DataIn, 0x12],
    [Phase.DataIn, 0x34],
    [Phase.MessageIn, 0x00],
  ]) {
    rig.write(Reg.SODL, byte);
    rig.write(Reg.SOCL, Bsy | phase | Req);
    assert.equal(rig.read(Reg.SBCL) & Ack, Ack);
    rig.write(Reg.SOCL, Bsy | phase);
  }
  assert.deepEqual([...rig.memory.read(0x3100, 2)], [0x12, 0x34]);
  assert.equal(rig.chip.engine.state, "waiting");
  rig.write(Reg.SOCL, 0);
  assert.equal(rig.long(Reg.DSPS), 0x600d, describeStop(rig.chip));
  assert.equal(rig.read(Reg.SCNTL1) & Scntl1.Con, 0);
});

test("the wrong phase is a mismatch, BSY that falls an unexpected disconnect, no answer a timeout", () => {
  const start = (rig: Rig) => {
    rig.load("SELECT 0x02, 0\nMOVE 4, 0x3000, WHEN CMD\nINT 1\n");
    rig.start();
    rig.write(Reg.SOCL, Bsy);
    return rig;
  };
  const mismatch = start(looped());
  mismatch.write(Reg.SOCL, Bsy | Req | Phase.Status);
  assert.equal(mismatch.causes().sstat0, Sstat0.Ma);
  const gone = start(looped());
  gone.write(Reg.SOCL, 0);
  assert.equal(gone.causes().sstat0, Sstat0.Udc);
  const silent = looped(0);
  silent.load("SELECT 0x02, 0\nINT 1\n");
  silent.start();
  assert.equal(silent.causes().sstat0, Sstat0.Sto);
  assert.equal(silent.read(Reg.SBCL) & Sel, 0);
});

test("in loopback nobody on the bus notices: no target is selected or reset, and none reselects", () => {
  const rig = makeRig();
  const works = () => {
    setUp(rig.chip);
    rig.load(commandScript);
    prepareCommand(rig, 6, cdb.testUnitReady(), 0);
    rig.start();
    assert.equal(rig.long(Reg.DSPS), 0x600d, describeStop(rig.chip));
    assert.equal(rig.memory.read(places.status, 1)[0], 0, "no unit attention");
    rig.causes();
  };
  works();
  rig.write(Reg.CTEST4, Ctest4.Slbe);
  rig.load("SELECT 0x40, 0\nINT 1\n");
  rig.start();
  assert.equal(rig.causes().sstat0, Sstat0.Sto);
  assert.equal(rig.wire.owner, undefined);
  rig.write(Reg.SCNTL1, Scntl1.Rst);
  assert.equal(rig.read(Reg.SSTAT1) & Sstat1.Rst, Sstat1.Rst);
  rig.write(Reg.SCNTL1, 0);
  assert.equal(rig.causes().sstat0, Sstat0.Rst);
  rig.write(Reg.ISTAT, 0x40);
  rig.write(Reg.ISTAT, 0);
  assert.equal(rig.read(Reg.CTEST4), 0);
  works();
});
