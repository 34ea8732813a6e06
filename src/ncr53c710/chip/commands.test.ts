/** Commands through SCRIPTS of our own: phases, mismatches, messages. Checks 13, 23 and 24. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { CommandFault } from "../../observe/index.js";
import { cdb, Disk } from "../../scsi/index.js";
import { MemoryStore } from "../../storage/index.js";
import { describeStop, Phase, Reg } from "../index.js";
import {
  blockSize,
  commandScript,
  makeRig,
  places,
  prepareCommand,
  type Rig,
  type RigOptions,
  scriptAt,
  tableAt,
} from "../rig.test.js";

const done = { istat: 1, dstat: 0x84, sstat0: 0 };

/** One command by {@link commandScript}. */
function command(rig: Rig, target: number, bytes: Uint8Array, length: number, identify = 0x80) {
  rig.load(commandScript);
  prepareCommand(rig, target, bytes, length, identify);
  rig.start();
  return { dsps: rig.long(Reg.DSPS), dsp: rig.long(Reg.DSP), ...rig.causes() };
}

function status(rig: Rig): number {
  return rig.memory.read(places.status, 1)[0];
}

test("check 23: TEST UNIT READY, INQUIRY, WRITE(10) and READ(10) end with GOOD and the data", () => {
  const rig = makeRig();
  assert.deepEqual(command(rig, 6, cdb.testUnitReady(), 0), { dsps: 0x600d, dsp: scriptAt + 0x88, ...done });
  assert.equal(status(rig), 0);
  command(rig, 6, cdb.inquiry(36), 36);
  assert.match(Buffer.from(rig.memory.read(places.data, 36)).toString("latin1"), /RINGSIDE/);
  const data = new Uint8Array(2 * blockSize).map((_, index) => index * 5);
  rig.memory.write(places.data, data);
  assert.equal(command(rig, 6, cdb.write10(7, 2), data.length).dsps, 0x600d);
  rig.memory.write(places.data, new Uint8Array(data.length));
  assert.equal(command(rig, 6, cdb.read10(7, 2), data.length).dsps, 0x600d);
  assert.deepEqual(rig.memory.read(places.data, data.length), data);
  assert.equal(rig.long(Reg.DNAD), places.message + 1);
});

test("check 23: an unknown operation code ends with CHECK CONDITION, and REQUEST SENSE tells why, once", () => {
  const rig = makeRig();
  command(rig, 6, Uint8Array.of(0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0);
  assert.equal(status(rig), 2);
  const sense = () => {
    command(rig, 6, Uint8Array.of(0x03, 0, 0, 0, 18, 0), 18);
    const bytes = rig.memory.read(places.data, 18);
    return [bytes[2] & 15, bytes[12]];
  };
  assert.deepEqual(sense(), [5, 0x20]);
  assert.deepEqual(sense(), [0, 0]);
});

test("check 13: a target that ends data early: residue in DBC, address in DNAD, DFIFO so that drivers compute 0 in flight", () => {
  const rig = makeRig();
  // 5 of 36 bytes, as in the reference's table: allocation length 5.
  rig.load(commandScript);
  prepareCommand(rig, 6, cdb.inquiry(5), 36);
  rig.start();
  assert.equal(rig.long(0x24) & 0xff_ffff, 0x1f);
  assert.equal(rig.long(Reg.DNAD), places.data + 5);
  assert.equal(rig.long(Reg.DSPS), 36, "the table's offset");
  assert.equal(rig.long(Reg.DSP), scriptAt + 0x60);
  assert.equal(rig.read(Reg.SBCL), 0xa3, "REQ, BSY and the phase STATUS");
  assert.equal(rig.read(Reg.DFIFO), 0x1f & 0x7f);
  assert.match(describeStop(rig.chip), /phase mismatch .*STATUS instead of DATA_IN, 31 bytes left/);
  assert.deepEqual(rig.causes(), { istat: 0x0a, dstat: 0x80, sstat0: 0x80 });
});

test("check 13: a buffer smaller than the target's data leaves the phase where it is", () => {
  const rig = makeRig();
  const end = command(rig, 6, cdb.inquiry(36), 20);
  // The move of the status finds DATA IN.
  assert.equal(end.sstat0, 0x80);
  assert.equal(rig.chip.port.latchedPhase, Phase.DataIn);
});

test("check 13: a move to memory that ends midway is a bus fault at the first missing byte", () => {
  const rig = makeRig();
  rig.load(commandScript);
  prepareCommand(rig, 6, cdb.read10(0, 1), blockSize);
  rig.entry(36, blockSize, (1 << 20) - 100);
  rig.start();
  assert.equal(rig.long(Reg.DNAD), 1 << 20);
  assert.equal(rig.long(0x24) & 0xff_ffff, blockSize - 100);
  assert.equal(rig.causes().dstat, 0xa0);
});

test("block moves: direct, indirect and table-indirect, each instruction form of a READ scattered over three places", () => {
  const rig = makeRig();
  const data = new Uint8Array(blockSize).map((_, index) => index * 3);
  rig.memory.write(places.data, data);
  command(rig, 6, cdb.write10(1, 1), blockSize);
  rig.load(`
    SELECT ATN 0x40, 0
    MOVE 1, ${places.identify}, WHEN MSG_OUT
    MOVE 10, ${places.cdb}, WHEN CMD
    MOVE 100, 0x5000, WHEN DATA_IN
    MOVE 200, PTR 0x2100, WHEN DATA_IN
    MOVE FROM 0x40, WHEN DATA_IN
    MOVE 1, ${places.status}, WHEN STATUS
    MOVE 1, ${places.message}, WHEN MSG_IN
    CLEAR ACK
    WAIT DISCONNECT
    INT 0x600d`);
  rig.memory.write(places.cdb, cdb.read10(1, 1));
  rig.view.setUint32(0x2100, 0x6000);
  rig.entry(0x40, 212, 0x7001);
  rig.start();
  assert.equal(rig.long(Reg.DSPS), 0x600d);
  assert.deepEqual(
    Uint8Array.from([
      ...rig.memory.read(0x5000, 100),
      ...rig.memory.read(0x6000, 200),
      ...rig.memory.read(0x7001, 212),
    ]),
    data,
  );
});

test("SFBR has the first byte of an asynchronous input move, and not that of a synchronous data move", () => {
  for (const [sxfer, expected] of [
    [0, 0x5a],
    [0x18, 0x77],
  ]) {
    const rig = makeRig();
    rig.memory.write(places.data, new Uint8Array(blockSize).fill(0x5a, 0, 1));
    command(rig, 6, cdb.write10(0, 1), blockSize);
    rig.load(`
      SELECT ATN FROM 0, 0
      MOVE FROM 4, WHEN MSG_OUT
      MOVE FROM 12, WHEN CMD
      MOVE 0x77 TO SFBR
      MOVE FROM 36, WHEN DATA_IN
      MOVE SFBR TO SCRATCH0
      INT 1`);
    prepareCommand(rig, 6, cdb.read10(0, 1), blockSize);
    rig.view.setUint32(tableAt, 0x40_0000 | (sxfer << 8));
    rig.start();
    assert.equal(rig.read(Reg.SXFER), sxfer, "loaded from the table");
    assert.equal(rig.read(Reg.SCRATCH), expected);
  }
});

test("MSG IN leaves ACK asserted until CLEAR ACK, and a WHEN waits meanwhile", () => {
  const rig = makeRig();
  rig.load(`
    SELECT ATN 0x40, 0
    MOVE 1, ${places.identify}, WHEN MSG_OUT
    MOVE 6, ${places.cdb}, WHEN CMD
    MOVE 1, ${places.status}, WHEN STATUS
    MOVE 1, ${places.message}, WHEN MSG_IN
    INT 1
    JUMP 0, WHEN MSG_IN`);
  prepareCommand(rig, 6, cdb.testUnitReady(), 0);
  rig.start();
  rig.causes();
  assert.equal(rig.read(Reg.SBCL) & 0xc0, 0x40, "ACK, no REQ");
  rig.write(Reg.DCNTL, 0x04);
  assert.equal(rig.chip.engine.state, "waiting");
});

test("an unexpected disconnect: after ABORT the target is gone while the script looks for a phase", () => {
  const rig = makeRig();
  rig.load(`
    SELECT ATN 0x40, 0
    MOVE 2, ${places.identify}, WHEN MSG_OUT
    JUMP 0, WHEN MSG_IN`);
  rig.memory.write(places.identify, Uint8Array.of(0x80, 0x06));
  rig.start();
  assert.deepEqual(rig.causes(), { istat: 0x02, dstat: 0x80, sstat0: 0x04 });
  assert.equal(rig.read(Reg.SCNTL1) & 0x10, 0);
  assert.equal(command(rig, 6, cdb.testUnitReady(), 0).dsps, 0x600d, "the next command works");
});

test("BUS DEVICE RESET leaves a unit attention and a free bus", () => {
  const rig = makeRig();
  command(rig, 6, cdb.testUnitReady(), 0);
  rig.load(`SELECT ATN 0x40, 0\nMOVE 1, ${places.identify}, WHEN MSG_OUT\nWAIT DISCONNECT\nINT 1\n`);
  rig.memory.write(places.identify, Uint8Array.of(0x0c));
  rig.start();
  assert.equal(rig.long(Reg.DSPS), 1);
  rig.causes();
  command(rig, 6, cdb.testUnitReady(), 0);
  assert.equal(status(rig), 2);
  command(rig, 6, cdb.testUnitReady(), 0);
  assert.equal(status(rig), 0);
});

test("check 24: SDTR is answered with what the target can do, WDTR with 8 bits, a refusing target with MESSAGE REJECT", () => {
  const talk = (message: readonly number[], options: RigOptions = {}) => {
    const rig = makeRig(options);
    rig.load(`
      SELECT ATN 0x40, 0
      MOVE ${message.length + 1}, ${places.identify}, WHEN MSG_OUT
      MOVE 1, 0x5000, WHEN MSG_IN
      JUMP rejected, IF 7
      CLEAR ACK
      MOVE ${message.length - 1}, 0x5001, WHEN MSG_IN
  rejected:
      CLEAR ACK
      MOVE 6, ${places.cdb}, WHEN CMD
      MOVE 1, ${places.status}, WHEN STATUS
      INT 1`);
    rig.memory.write(places.identify, Uint8Array.of(0x80, ...message));
    rig.memory.write(places.cdb, cdb.testUnitReady());
    rig.start();
    assert.equal(rig.long(Reg.DSPS), 1, describeStop(rig.chip));
    return { answer: [...rig.memory.read(0x5000, message.length)], agreed: rig.targets[6].agreements[7] };
  };
  assert.deepEqual(talk([1, 3, 1, 12, 15]), { answer: [1, 3, 1, 25, 8], agreed: { period: 25, offset: 8 } });
  assert.deepEqual(talk([1, 3, 1, 50, 4]), { answer: [1, 3, 1, 50, 4], agreed: { period: 50, offset: 4 } });
  assert.deepEqual(talk([1, 2, 3, 1]), { answer: [1, 2, 3, 0], agreed: undefined });
  assert.equal(talk([1, 3, 1, 25, 8], { target: { rejectsNegotiation: true } }).answer[0], 7);
  assert.equal(talk([1, 3, 1, 25, 8], { target: { synchronousPeriod: 0 } }).answer[4], 0);
});

test("an unknown message, and one that ATN cuts short, are rejected", () => {
  for (const message of [[0x80, 0x1f], [0x80, 0x20], [0x80, 0x01, 0x03], [0xa0]]) {
    const rig = makeRig();
    rig.load(
      `SELECT ATN 0x40, 0\nMOVE ${message.length}, ${places.identify}, WHEN MSG_OUT\nMOVE 1, 0x5000, WHEN MSG_IN\nCLEAR ACK\nINT 1, WHEN CMD\nINT 2\n`,
    );
    rig.memory.write(places.identify, Uint8Array.from(message));
    rig.start();
    assert.equal(rig.long(Reg.DSPS), 1, `${message}: ${describeStop(rig.chip)}`);
    assert.equal(rig.memory.read(0x5000, 1)[0], 7);
  }
});

test("without ATN there is no message phase and the LUN is in the CDB", () => {
  const rig = makeRig();
  rig.bus.attach(6, 3, new Disk(new MemoryStore(64 * blockSize), { powerOnAttention: false }));
  rig.load(
    `SELECT 0x40, 0\nMOVE 10, ${places.cdb}, WHEN CMD\nMOVE 8, 0x5000, WHEN DATA_IN\nMOVE 1, ${places.status}, WHEN STATUS\nINT 1\n`,
  );
  rig.memory.write(places.cdb, Uint8Array.of(0x25, 3 << 5, 0, 0, 0, 0, 0, 0, 0, 0));
  rig.start();
  assert.equal(rig.long(Reg.DSPS), 1);
  assert.equal(rig.view.getUint32(0x5000), 63);
});

test("LUN 3 by IDENTIFY, and an absent LUN answers INQUIRY with 7Fh", () => {
  const rig = makeRig();
  rig.bus.attach(6, 3, new Disk(new MemoryStore(64 * blockSize), { powerOnAttention: false }));
  command(rig, 6, cdb.readCapacity10(), 8, 0x83);
  assert.equal(rig.view.getUint32(places.data), 63);
  command(rig, 6, cdb.inquiry(36), 36, 0x82);
  assert.equal(rig.memory.read(places.data, 1)[0], 0x7f);
});

test("an initiator that only talks is left alone: the target goes, and keeps nothing", () => {
  const rig = makeRig();
  rig.load("SELECT ATN 0x40, 0\nMOVE 0x8000, 0x10000, WHEN MSG_OUT\nINT 1\n");
  rig.memory.write(0x1_0000, new Uint8Array(0x8000).fill(0x1f));
  rig.start();
  assert.equal(rig.causes().sstat0, 0x04, "unexpected disconnect");
  command(rig, 6, cdb.testUnitReady(), 0);
  assert.equal(status(rig), 0);
});

test("faults on demand: an error with its sense, a target that goes, one that never answers until the bus is reset", () => {
  const withFault = (fault: CommandFault) => {
    let isDue = true;
    const take = () => {
      const now = isDue ? fault : undefined;
      isDue = false;
      return now;
    };
    return makeRig({ target: { faults: { command: take } } });
  };
  const failing = withFault({ kind: "error", key: 3, asc: 0x11, ascq: 0 });
  assert.equal(command(failing, 6, cdb.read10(0, 1), blockSize).dsps, 0x600d);
  assert.equal(status(failing), 2);
  command(failing, 6, Uint8Array.of(3, 0, 0, 0, 18, 0), 18);
  assert.deepEqual([failing.memory.read(places.data, 3)[2], failing.memory.read(places.data, 13)[12]], [3, 0x11]);
  const going = withFault({ kind: "response", response: 3 });
  assert.equal(command(going, 6, cdb.testUnitReady(), 0).sstat0, 0x04);
  const silent = withFault({ kind: "never" });
  command(silent, 6, cdb.testUnitReady(), 0);
  assert.equal(silent.chip.engine.state, "waiting");
  silent.write(Reg.SCNTL1, 0x28);
  silent.write(Reg.SCNTL1, 0x20);
  silent.causes();
  assert.equal(command(silent, 6, cdb.testUnitReady(), 0).dsps, 0x600d);
});

test("a delayed command waits and ends", async () => {
  let isDue = true;
  const faults = {
    command: () => {
      const fault = isDue ? ({ kind: "delay", milliseconds: 5 } as const) : undefined;
      isDue = false;
      return fault;
    },
  };
  for (const bytes of [cdb.read10(0, 1), cdb.write10(0, 1)]) {
    isDue = true;
    const rig = makeRig({ target: { faults } });
    command(rig, 6, bytes, blockSize);
    assert.equal(rig.chip.engine.state, "waiting");
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.equal(rig.long(Reg.DSPS), 0x600d);
    assert.equal(status(rig), 0);
  }
});
