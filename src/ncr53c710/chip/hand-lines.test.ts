/** A host that drives the bus by itself, without SCRIPTS. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cdb } from "../../scsi/index.js";
import { Lines, Message, Phase, Reg, Scntl0, Scntl1, Sstat0, Sstat1 } from "../index.js";
import { hostId, ManualClock, makeRig, type Rig, type RigOptions } from "../rig.test.js";

const { Req, Ack, Bsy, Sel, Atn } = Lines;
const target = 6;

/** Selects by SCNTL0.START with ATN. */
function select(rig: Rig, id = target): void {
  rig.write(Reg.SDID, 1 << id);
  rig.write(Reg.SCNTL0, 0xec | Scntl0.Watn);
}

function expectPhase(rig: Rig, phase: number): void {
  assert.equal(rig.read(Reg.SBCL) & ~Atn, Req | Bsy | phase);
}

/** One REQ/ACK handshake with a byte out. `lines` are driven besides ACK. */
function put(rig: Rig, byte: number, lines = 0): void {
  rig.write(Reg.SODL, byte);
  rig.write(Reg.SCNTL1, Scntl1.Esr | Scntl1.Adb);
  assert.equal(rig.read(Reg.SBDL), byte);
  rig.write(Reg.SOCL, lines | Ack);
  assert.equal(rig.read(Reg.SBCL) & (Req | Ack), Ack, "REQ falls while ACK is there");
  rig.write(Reg.SOCL, lines);
}

/** One REQ/ACK handshake with a byte in; it stands on the lines before, and in SIDL after. */
function get(rig: Rig): number {
  const live = rig.read(Reg.SBDL);
  rig.write(Reg.SOCL, Ack);
  assert.equal(rig.read(Reg.SBCL) & (Req | Ack), Ack);
  assert.equal(rig.read(Reg.SSTAT1) & Sstat1.Ilf, Sstat1.Ilf);
  assert.equal(rig.read(Reg.SIDL), live);
  assert.equal(rig.read(Reg.SSTAT1) & Sstat1.Ilf, 0, "SIDL was read");
  rig.write(Reg.SOCL, 0);
  return live;
}

/** Everything from the first message on; returns data and status. */
function command(rig: Rig, bytes: Uint8Array): { data: number[]; status: number } {
  expectPhase(rig, Phase.MessageOut);
  put(rig, 0x80, 0);
  for (const byte of bytes) {
    expectPhase(rig, Phase.Command);
    put(rig, byte);
  }
  const data: number[] = [];
  while ((rig.read(Reg.SBCL) & 7) === Phase.DataIn) data.push(get(rig));
  expectPhase(rig, Phase.Status);
  const status = get(rig);
  expectPhase(rig, Phase.MessageIn);
  assert.equal(get(rig), Message.CommandComplete);
  return { data, status };
}

test("a whole INQUIRY byte by byte; without SCRIPTS the disconnection at its end is an unexpected one", () => {
  const rig = makeRig();
  select(rig);
  assert.deepEqual(rig.causes(), { istat: 0x08, dstat: 0x80, sstat0: Sstat0.Fcmp });
  const { data, status } = command(rig, cdb.inquiry(36));
  assert.equal(status, 0);
  assert.equal(data.length, 36);
  assert.equal(String.fromCharCode(...data.slice(8, 16)), "RINGSIDE");
  assert.deepEqual(rig.causes(), { istat: 0x02, dstat: 0x80, sstat0: Sstat0.Udc });
  assert.equal(rig.read(Reg.SBCL), 0);
  rig.write(Reg.SCNTL1, Scntl1.Esr);
  assert.equal(rig.read(Reg.SSTAT1), 0);
  assert.equal(rig.wire.owner, undefined);
});

test("SCRIPTS take over what a host began by hand, and a host what they began", () => {
  const rig = makeRig();
  select(rig);
  put(rig, 0x80);
  rig.causes();
  rig.memory.write(0x3000, cdb.testUnitReady());
  rig.load("MOVE 6, 0x3000, WHEN CMD\nINT 3\n");
  rig.start();
  assert.equal(rig.long(Reg.DSPS), 3);
  rig.causes();
  assert.equal(get(rig), 0);
  assert.equal(get(rig), Message.CommandComplete);
  assert.equal(rig.causes().sstat0, Sstat0.Udc);
});

test("parity is live in SSTAT1 and latched in SSTAT2: odd over what is on the lines, even with AESP", () => {
  const rig = makeRig();
  assert.equal(rig.read(Reg.SSTAT1) & Sstat1.Sdp, 0, "a free bus drives nothing");
  rig.write(Reg.SODL, 0x03);
  rig.write(Reg.SCNTL1, Scntl1.Adb);
  assert.equal(rig.read(Reg.SSTAT1) & Sstat1.Sdp, Sstat1.Sdp);
  rig.write(Reg.SCNTL1, Scntl1.Adb | Scntl1.Aesp);
  assert.equal(rig.read(Reg.SSTAT1) & Sstat1.Sdp, 0);
  rig.write(Reg.SCNTL1, Scntl1.Esr);
  select(rig);
  put(rig, 0x80);
  for (const byte of cdb.inquiry(8)) put(rig, byte);
  for (let index = 0; index < 8; index++) {
    const live = rig.read(Reg.SSTAT1) & Sstat1.Sdp;
    const byte = get(rig);
    const ones = byte.toString(2).split("1").length - 1;
    assert.equal(live, ones % 2 === 0 ? 1 : 0, `byte ${byte}`);
    assert.equal((rig.read(Reg.SSTAT2) >> 3) & 1, live, "latched with the byte");
  }
});

test("arbitration: full shows WOA until the bus is free again, simple holds the bus with AIP", () => {
  const rig = makeRig();
  select(rig);
  assert.equal(rig.read(Reg.SSTAT1) & 0x1c, Sstat1.Woa);
  rig.write(Reg.SCNTL1, Scntl1.Rst);
  rig.write(Reg.SCNTL1, 0);
  assert.equal(rig.read(Reg.SSTAT1) & 0x1c, 0);
  rig.causes();
  rig.write(Reg.SCNTL0, Scntl0.Start);
  assert.equal(rig.read(Reg.SSTAT1) & 0x1c, Sstat1.Aip);
  assert.equal(rig.read(Reg.SBCL), Bsy);
  assert.equal(rig.read(Reg.SBDL), 1 << hostId);
  assert.equal(rig.read(Reg.SCNTL0), Scntl0.Start);
  assert.equal(rig.read(Reg.SCNTL1) & Scntl1.Con, Scntl1.Con);
  rig.write(Reg.SCNTL0, 0);
  assert.equal(rig.read(Reg.SBCL), 0);
  assert.equal(rig.read(Reg.SSTAT1), 0);
  assert.equal(rig.wire.owner, undefined);
});

test("simple arbitration, and a selection by SEL, BSY and id bits; no target goes on before SEL has fallen", () => {
  const rig = makeRig();
  rig.write(Reg.SCNTL0, Scntl0.Start);
  rig.write(Reg.SODL, (1 << hostId) | (1 << target));
  rig.write(Reg.SCNTL1, Scntl1.Adb);
  rig.write(Reg.SOCL, Sel | Atn);
  assert.equal(rig.read(Reg.SBCL), Bsy | Sel | Atn, "BSY of the arbitration");
  rig.write(Reg.SCNTL0, 0);
  assert.equal(rig.read(Reg.SBCL) & (Req | Bsy | Sel | Atn), Bsy | Sel | Atn, "BSY of the target");
  assert.equal(rig.targets[target].phase(), Phase.MessageOut);
  rig.write(Reg.SOCL, Atn);
  assert.equal(command(rig, cdb.testUnitReady()).status, 0);
});

test("SEL by hand on a free bus selects without arbitration; where nobody answers, SEL holds the bus until it falls", () => {
  const rig = makeRig();
  rig.write(Reg.SODL, (1 << hostId) | (1 << 3));
  rig.write(Reg.SCNTL1, Scntl1.Adb);
  rig.write(Reg.SOCL, Sel);
  assert.equal(rig.read(Reg.SBCL), Sel);
  assert.notEqual(rig.wire.owner, undefined);
  rig.write(Reg.SODL, (1 << hostId) | (1 << target));
  assert.equal(rig.read(Reg.SBCL) & Bsy, Bsy);
  rig.write(Reg.SOCL, 0);
  expectPhase(rig, Phase.Command);
  rig.write(Reg.ISTAT, 0x40);
  rig.write(Reg.ISTAT, 0);
  rig.write(Reg.SODL, 1 << 3);
  rig.write(Reg.SCNTL1, Scntl1.Adb);
  rig.write(Reg.SOCL, Sel);
  rig.write(Reg.SOCL, 0);
  assert.equal(rig.wire.owner, undefined);
});

test("a target that wants to come back wins against START: LOA, SEL and the ids in LCRC", () => {
  const rig = makeRig({ target: { disconnect: "always", staysAway: true } });
  select(rig);
  put(rig, 0xc0);
  for (const byte of cdb.read10(0, 1)) put(rig, byte);
  assert.equal(get(rig), Message.Disconnect);
  rig.causes();
  rig.write(Reg.SCNTL1, 0);
  rig.targets[target].returnToBus();
  rig.write(Reg.SCNTL1, Scntl1.Esr);
  rig.write(Reg.SIEN, Sstat0.Sel);
  select(rig, 0);
  assert.equal(rig.read(Reg.SSTAT1) & 0x1c, Sstat1.Loa);
  assert.equal(rig.causes().sstat0, Sstat0.Sel);
  assert.equal(rig.read(Reg.LCRC), (1 << hostId) | (1 << target));
  expectPhase(rig, Phase.MessageIn);
  assert.equal(get(rig), 0x80);
});

test("START waits for a bus that is busy, and is taken back by writing 0", () => {
  const busy: RigOptions = { chip: { openPoints: { resetWhileConnected: "held" } } };
  const rig = makeRig(busy);
  select(rig);
  rig.write(Reg.ISTAT, 0x40);
  rig.write(Reg.ISTAT, 0);
  rig.write(Reg.SCID, 1 << hostId);
  select(rig, 0);
  assert.equal(rig.read(Reg.SCNTL0) & Scntl0.Start, Scntl0.Start);
  assert.equal(rig.read(Reg.SBCL) & Bsy, Bsy, "of the target that was left");
  assert.equal(rig.read(Reg.SSTAT0), 0);
  rig.wire.reset();
  rig.wire.changed();
  assert.equal(rig.read(Reg.SSTAT0), Sstat0.Fcmp);
  assert.equal(rig.read(Reg.SCNTL0) & Scntl0.Start, 0);
});

test("a selection by hand that nobody answers holds the bus with SEL and the ids, and frees it with STO", () => {
  const clock = new ManualClock();
  const rig = makeRig({ chip: { clock, selectionTimeout: 250 } });
  select(rig, 3);
  assert.equal(rig.read(Reg.SBCL), Sel);
  assert.equal(rig.read(Reg.SBDL), (1 << hostId) | (1 << 3));
  clock.advance(250);
  assert.equal(rig.causes().sstat0, Sstat0.Sto);
  assert.equal(rig.read(Reg.SBCL), 0);
  assert.equal(rig.wire.owner, undefined);
  // SCRIPTS that begin in between take the bus for themselves.
  select(rig, 3);
  rig.load("SELECT ATN 0x40, 0\nINT 1\n");
  rig.start();
  assert.equal(rig.long(Reg.DSPS), 1);
  clock.advance(1000);
  assert.equal(rig.causes().sstat0, 0);
});

test("a byte that the chip does not drive has wrong parity, and so has one with EPG and AESP", () => {
  for (const [scntl1, scntl0] of [
    [Scntl1.Esr, 0xcc],
    [Scntl1.Esr | Scntl1.Adb | Scntl1.Aesp, 0xcc],
  ]) {
    const rig = makeRig();
    select(rig);
    put(rig, 0x80);
    rig.write(Reg.SCNTL0, scntl0);
    rig.write(Reg.SCNTL1, scntl1);
    rig.write(Reg.SODL, 0);
    for (let left = 6; left > 0; left--) {
      rig.write(Reg.SOCL, Ack);
      rig.write(Reg.SOCL, 0);
    }
    expectPhase(rig, Phase.Status);
    assert.equal(get(rig), 2, "CHECK CONDITION");
  }
});

test("ACK without REQ, ACK that stays, and lines of the other role move nothing", () => {
  const rig = makeRig();
  rig.write(Reg.SOCL, Ack);
  rig.write(Reg.SOCL, 0);
  select(rig);
  rig.write(Reg.SCNTL1, Scntl1.Adb);
  rig.write(Reg.SODL, 0x80);
  rig.write(Reg.SOCL, Ack | Lines.Req | Lines.Msg);
  rig.write(Reg.SOCL, Ack);
  rig.write(Reg.SOCL, Ack);
  rig.write(Reg.SOCL, 0);
  expectPhase(rig, Phase.Command);
});
