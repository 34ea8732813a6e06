/** Disconnection and reselection, several targets, bus resets: checks 19 and 24. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cdb } from "../../scsi/index.js";
import { MemoryStore, type Store } from "../../storage/index.js";
import { describeStop, Reg } from "../index.js";
import { blockSize, commandScript, makeRig, places, prepareCommand, type Rig, scriptAt, settled } from "../rig.test.js";

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

/** A store that answers later. */
function slowStore(): Store {
  const store = new MemoryStore(2048 * blockSize);
  const later = () => new Promise<void>((resolve) => setImmediate(resolve));
  return Object.assign(Object.create(store) as Store, {
    description: store.description,
    byteLength: store.byteLength,
    isReadOnly: false,
    read: async (position: number, target: Parameters<Store["read"]>[1], length: number) => {
      await later();
      await store.read(position, target, length);
    },
    write: async (position: number, source: Parameters<Store["write"]>[1], length: number) => {
      await later();
      await store.write(position, source, length);
    },
    flush: () => store.flush(),
    extentAt: (position: number) => store.extentAt(position),
    close: () => undefined,
  });
}

/** A script that survives disconnection: the host looks at vectors 1 (disconnected) and 2 (reselected). */
const patientScript = `
  ABSOLUTE message = ${places.message}
begin:
  SELECT ATN FROM 0, REL(reselected)
  MOVE FROM 4, WHEN MSG_OUT
  MOVE FROM 12, WHEN CMD
switch:
  JUMP REL(talk), WHEN MSG_IN
  JUMP REL(out), IF DATA_OUT
  JUMP REL(in), IF DATA_IN
  JUMP REL(ending), IF STATUS
  INT 0xbad0
talk:
  MOVE 1, message, WHEN MSG_IN
  JUMP REL(gone), IF 0x04
  JUMP REL(saved), IF 0x02
  INT 0xbad1
saved:
  CLEAR ACK
  JUMP REL(switch)
gone:
  CLEAR ACK
  WAIT DISCONNECT
  INT 1
again:
  WAIT RESELECT REL(woken)
reselected:
  MOVE LCRC TO SFBR
  MOVE SFBR TO SCRATCH0
  MOVE 1, message, WHEN MSG_IN
  CLEAR ACK
  INT 2
resume:
  JUMP REL(switch)
woken:
  INT 3
out:
  MOVE FROM 36, WHEN DATA_OUT
  JUMP REL(switch)
in:
  MOVE FROM 36, WHEN DATA_IN
  JUMP REL(switch)
ending:
  MOVE FROM 20, WHEN STATUS
  MOVE FROM 28, WHEN MSG_IN
  CLEAR ACK
  WAIT DISCONNECT
  INT 0x600d
`;

test("check 24: a slow store makes the target leave the bus and come back; the chip learns who by LCRC and SFBR", async () => {
  for (const com of [0, 1]) {
    const rig = makeRig({ store: slowStore });
    const labels = rig.load(patientScript);
    rig.write(Reg.DCNTL, com);
    prepareCommand(rig, 6, cdb.read10(0, 2), 2 * blockSize, 0xc0);
    rig.start();
    assert.equal(rig.long(Reg.DSPS), 1);
    assert.equal(rig.read(Reg.SCNTL1) & 0x10, 0, "the bus is free");
    rig.causes();
    rig.start(labels["again"]);
    assert.equal(rig.chip.engine.state, "waiting");
    for (let turn = 0; turn < 5; turn++) await settled();
    assert.equal(rig.long(Reg.DSPS), 2);
    assert.equal(rig.read(Reg.SCRATCH), 0xc0, "both ids");
    assert.equal(rig.memory.read(places.message, 1)[0], 0x80, "IDENTIFY");
    rig.causes();
    rig.start(labels["resume"]);
    assert.equal(rig.long(Reg.DSPS), 0x600d);
    assert.equal(status(rig), 0);
  }
});

test("check 19: with DCNTL.COM the id is in LCRC only, without it in SFBR too", async () => {
  for (const [com, expected] of [
    [0, 0xc0],
    [1, 0x33],
  ]) {
    const rig = makeRig({ target: { disconnect: "always", staysAway: true } });
    const labels = rig.load(patientScript);
    prepareCommand(rig, 6, cdb.read10(0, 1), blockSize, 0xc0);
    rig.start();
    assert.equal(rig.long(Reg.DSPS), 1);
    rig.causes();
    rig.load("MOVE 0x33 TO SFBR\nWAIT RESELECT 0\nMOVE SFBR TO SCRATCH0\nINT 9\n");
    assert.ok(labels);
    rig.write(Reg.DCNTL, com);
    rig.start();
    rig.targets[6].returnToBus();
    assert.equal(rig.long(Reg.DSPS), 9);
    assert.equal(rig.read(Reg.LCRC), 0xc0);
    assert.equal(rig.read(Reg.SCRATCH), expected);
  }
});

test("check 24: a target that wants to come back wins against SELECT, whose alternate address is taken", () => {
  const rig = makeRig({ target: { disconnect: "always" } });
  rig.load(patientScript);
  prepareCommand(rig, 6, cdb.read10(0, 1), blockSize, 0xc0);
  rig.start();
  rig.causes();
  // The target is ready at once; the next command's SELECT finds it.
  prepareCommand(rig, 0, cdb.testUnitReady(), 0);
  rig.start();
  assert.equal(rig.long(Reg.DSPS), 2);
  assert.equal(rig.read(Reg.SCRATCH), 0xc0);
});

test("check 24: disconnection in the middle of data, with pointers saved, keeps every byte", () => {
  const rig = makeRig({ target: { disconnectEvery: 200 } });
  const data = new Uint8Array(3 * blockSize).map((_, index) => index * 11);
  for (const isWrite of [true, false]) {
    const labels = rig.load(patientScript);
    rig.memory.write(places.data, isWrite ? data : new Uint8Array(data.length));
    prepareCommand(rig, 6, isWrite ? cdb.write10(5, 3) : cdb.read10(5, 3), data.length, 0xc0);
    rig.start();
    let disconnections = 0;
    for (let guard = 0; guard < 100 && rig.long(Reg.DSPS) !== 0x600d; guard++) {
      const { sstat0 } = rig.causes();
      if (sstat0 === 0x80) {
        // What a driver does: the rest of the move as a new table entry.
        rig.entry(36, rig.long(0x24) & 0xff_ffff, rig.long(Reg.DNAD));
        rig.start(labels["switch"]);
        continue;
      }
      if (rig.long(Reg.DSPS) === 1) {
        disconnections++;
        rig.start(labels["again"]);
      } else if (rig.long(Reg.DSPS) === 2) rig.start(labels["resume"]);
      else assert.fail(describeStop(rig.chip));
    }
    assert.equal(disconnections, 7);
    assert.equal(status(rig), 0);
    assert.deepEqual(rig.memory.read(places.data, data.length), data);
  }
});

test("check 24: two targets and tagged commands come back in their own order", () => {
  const rig = makeRig({ target: { disconnect: "always", staysAway: true } });
  const labels = rig.load(patientScript);
  for (const [target, tag] of [
    [0, 5],
    [6, 9],
    [6, 4],
  ]) {
    prepareCommand(rig, target, cdb.read10(target, 1), blockSize);
    rig.memory.write(places.identify, Uint8Array.of(0xc0, 0x20, tag));
    rig.entry(4, 3, places.identify);
    rig.start();
    assert.equal(rig.long(Reg.DSPS), 1);
    rig.causes();
  }
  rig.load(
    `WAIT RESELECT 0\nMOVE 3, 0x5000, WHEN MSG_IN\nCLEAR ACK\nINT 2\nend: MOVE FROM 36, WHEN DATA_IN\nMOVE FROM 20, WHEN STATUS\nMOVE FROM 28, WHEN MSG_IN\nCLEAR ACK\nWAIT DISCONNECT\nINT 3\n`,
  );
  assert.ok(labels);
  const order: number[][] = [];
  rig.targets[6].returnToBus();
  rig.targets[0].returnToBus();
  for (let count = 0; count < 3; count++) {
    rig.start();
    if (rig.chip.engine.state === "waiting") rig.targets[6].returnToBus();
    assert.equal(rig.long(Reg.DSPS), 2, describeStop(rig.chip));
    order.push([rig.read(Reg.LCRC), ...rig.memory.read(0x5000, 3)]);
    rig.causes();
    rig.entry(36, blockSize, places.data);
    rig.start(scriptAt + 32);
    assert.equal(rig.long(Reg.DSPS), 3, describeStop(rig.chip));
    rig.causes();
  }
  assert.deepEqual(order, [
    [0xc0, 0x80, 0x20, 9],
    [0x81, 0x80, 0x20, 5],
    [0xc0, 0x80, 0x20, 4],
  ]);
});

test("a bus reset at any phase frees the bus, drops the command and is known by the next one", () => {
  for (let length = 1; length <= 8; length++) {
    const rig = makeRig({ store: slowStore });
    command(rig, 6, cdb.testUnitReady(), 0);
    // The script is cut after so many instructions.
    const lines = patientScript.split("\n").filter((line) => /^ {2}(SELECT|MOVE FROM)/.test(line));
    rig.load(
      `${lines.slice(0, Math.min(length, lines.length)).join("\n").replace("REL(reselected)", "0")}\nINT 0x55\n`,
    );
    prepareCommand(rig, 6, cdb.read10(0, 1), blockSize, 0x80);
    rig.start();
    rig.write(Reg.SCNTL1, 0x28);
    rig.write(Reg.SCNTL1, 0x20);
    const { sstat0 } = rig.causes();
    assert.equal(sstat0 & 0x02, 0x02);
    assert.equal(rig.chip.engine.state, "stopped");
    assert.equal(rig.wire.owner, undefined);
    command(rig, 6, cdb.testUnitReady(), 0);
    assert.equal(status(rig), 2, "a unit attention");
  }
});

test("check 15: SEL is told only when it is enabled: a target comes back while SCRIPTS stand still", () => {
  for (const [enabled, istat] of [
    [0x10, 0x02],
    [0, 0],
  ]) {
    const rig = makeRig({ target: { disconnect: "always", staysAway: true } });
    rig.load(patientScript);
    prepareCommand(rig, 6, cdb.read10(0, 1), blockSize, 0xc0);
    rig.start();
    rig.causes();
    rig.write(Reg.SIEN, enabled);
    rig.targets[6].returnToBus();
    assert.equal(rig.read(Reg.ISTAT), istat);
    assert.equal(rig.chip.interruptLevel, enabled !== 0);
    assert.equal(rig.read(Reg.SSTAT0), enabled);
  }
});
