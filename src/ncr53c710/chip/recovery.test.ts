/** Bad addresses, bad tables and resets wherever a command is: survived, named, and the next command works. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cdb } from "../../scsi/index.js";
import { seededRandom } from "../../testing/index.js";
import { Dstat, describeStop, Reg, Sstat0 } from "../index.js";
import {
  blockSize,
  commandScript,
  makeRig,
  places,
  prepareCommand,
  type Rig,
  settled,
  setUp,
  tableAt,
} from "../rig.test.js";

const data = new Uint8Array(2 * blockSize).map((_, index) => index * 7);
/** Bytes of memory: what lies behind is nobody's. */
const memorySize = 1 << 20;

/** A script that goes through every phase and both kinds of leaving the bus, without a host's help. */
const wholeScript = `
  ABSOLUTE message = ${places.message}
begin:
  SELECT ATN FROM 0, REL(lost)
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
  JUMP REL(saved), IF 0x02
  CLEAR ACK
  WAIT DISCONNECT
  WAIT RESELECT REL(lost)
  MOVE 1, message, WHEN MSG_IN
  CLEAR ACK
  JUMP REL(switch)
saved:
  CLEAR ACK
  JUMP REL(switch)
out:
  MOVE ${blockSize}, ${places.data}, WHEN DATA_OUT
  JUMP REL(switch)
in:
  MOVE ${blockSize}, ${places.data}, WHEN DATA_IN
  JUMP REL(switch)
ending:
  MOVE FROM 20, WHEN STATUS
  MOVE FROM 28, WHEN MSG_IN
  CLEAR ACK
  WAIT DISCONNECT
  INT 0x600d
lost:
  INT 0xbad1
`;

/** A command that must work, on a chip that is set up anew; a unit attention before it is taken. */
function mustWork(rig: Rig, context: string): void {
  setUp(rig.chip);
  rig.load(commandScript);
  for (const command of [cdb.testUnitReady(), cdb.read10(4, 2)]) {
    prepareCommand(rig, 6, command, command.length === 10 ? data.length : 0);
    rig.memory.write(places.data, new Uint8Array(data.length));
    rig.start();
    for (let turn = 0; turn < 100 && rig.chip.engine.state === "running"; turn++) rig.chip.run(100);
    assert.equal(rig.long(Reg.DSPS), 0x600d, `${context}: ${describeStop(rig.chip)}`);
    rig.causes();
  }
  assert.equal(rig.memory.read(places.status, 1)[0], 0, context);
  assert.deepEqual(rig.memory.read(places.data, data.length), data, context);
}

function prepared(manual: boolean): Rig {
  const rig = makeRig({ memorySize, chip: manual ? { turns: "manual" } : {}, target: { disconnectEvery: blockSize } });
  rig.load(commandScript);
  prepareCommand(rig, 6, cdb.write10(4, 2), data.length);
  rig.memory.write(places.data, data);
  rig.start();
  if (manual) rig.chip.run(1000);
  assert.equal(rig.long(Reg.DSPS), 0x600d, describeStop(rig.chip));
  rig.causes();
  return rig;
}

const resets: Readonly<Record<string, (rig: Rig) => void>> = {
  "a bus reset": (rig) => {
    rig.write(Reg.SCNTL1, 0x28);
    rig.write(Reg.SCNTL1, 0x20);
    assert.match(describeStop(rig.chip), /SCSI reset \(SSTAT0\.RST\)/);
    assert.equal(rig.causes().sstat0 & Sstat0.Rst, Sstat0.Rst);
  },
  "a chip reset": (rig) => {
    rig.write(Reg.ISTAT, 0x40);
    rig.write(Reg.ISTAT, 0);
    assert.deepEqual(rig.causes(), { istat: 0, dstat: Dstat.Dfe, sstat0: 0 });
  },
  "an abort and a bus reset": (rig) => {
    rig.write(Reg.ISTAT, 0x80);
    rig.write(Reg.ISTAT, 0);
    assert.match(describeStop(rig.chip), /DSTAT\.ABRT/);
    assert.equal(rig.causes().dstat & Dstat.Abrt, Dstat.Abrt);
    rig.write(Reg.SCNTL1, 0x28);
    rig.write(Reg.SCNTL1, 0x20);
    rig.causes();
  },
};

for (const [name, reset] of Object.entries(resets)) {
  test(`${name} after each instruction of a command, at every phase: named, the bus is free, the next command works`, () => {
    const seen = new Set<number>();
    for (const isWrite of [false, true]) {
      for (let count = 1; ; count++) {
        const rig = prepared(true);
        rig.load(wholeScript);
        prepareCommand(rig, 6, isWrite ? cdb.write10(4, 2) : cdb.read10(4, 2), 0, 0xc0);
        rig.memory.write(places.data, data);
        rig.start();
        rig.chip.run(count);
        if (rig.chip.engine.state === "stopped") {
          assert.equal(rig.long(Reg.DSPS), 0x600d, describeStop(rig.chip));
          assert.ok(count > 20);
          break;
        }
        if (rig.chip.port.isConnected) seen.add(rig.chip.port.phase());
        reset(rig);
        assert.equal(rig.chip.engine.state, "stopped");
        assert.equal(rig.chip.port.isConnected, false);
        assert.equal(rig.wire.owner, undefined);
        if (name !== "a chip reset") {
          assert.equal(rig.targets[6].commandsAway, 0);
          assert.equal(rig.wire.hasReselection, false);
        } else rig.targets[6].abortAll();
        if (!isWrite) mustWork(rig, `${name} after ${count} instructions`);
      }
    }
    for (const phase of [0, 1, 2, 3, 6, 7]) assert.ok(seen.has(phase), `phase ${phase}`);
  });
}

test("tables of random words: the chip stops with a cause that has a name, or waits; the next command works", async () => {
  const random = seededRandom(7100);
  const stops = new Set<string>();
  for (let round = 0; round < 400; round++) {
    const rig = prepared(false);
    rig.load(random.chance(0.5) ? commandScript : wholeScript);
    prepareCommand(rig, 6, cdb.read10(4, 2), data.length, 0xc0);
    for (let change = 0; change <= random.below(4); change++) {
      const word = [random.below(2 ** 32), random.below(memorySize + 0x1000), 0][random.below(3)];
      rig.view.setUint32(tableAt + 4 * random.below(11), word);
    }
    if (random.chance(0.2)) rig.chip.window.write32(Reg.DSA, random.below(2 ** 32));
    rig.start();
    await settled();
    const what = describeStop(rig.chip);
    if (rig.chip.engine.state === "stopped") assert.notEqual(what, "stopped", "a cause is named");
    stops.add(what.replace(/0x[0-9a-f]+|\d+ bytes/g, "n"));
    rig.write(Reg.ISTAT, 0x40);
    rig.write(Reg.ISTAT, 0);
    rig.write(Reg.SCNTL1, 0x28);
    rig.write(Reg.SCNTL1, 0x20);
    rig.causes();
    setUp(rig.chip);
    rig.load(commandScript);
    prepareCommand(rig, 6, cdb.testUnitReady(), 0);
    rig.start();
    assert.equal(rig.long(Reg.DSPS), 0x600d, describeStop(rig.chip));
  }
  for (const expected of [/bus fault/, /selection timeout/, /phase mismatch/, /illegal instruction/]) {
    assert.ok(
      [...stops].some((stop) => expected.test(stop)),
      `${expected} among ${[...stops].join(" | ")}`,
    );
  }
});

test("each operand of a command at an address that is nobody's: a bus fault there, and the next command works", () => {
  const bad = 0x0700_0000;
  for (const [offset, what] of [
    [8, "IDENTIFY"],
    [16, "the CDB"],
    [24, "the status"],
    [32, "the message"],
    [40, "the data"],
  ] as const) {
    const rig = prepared(false);
    rig.load(commandScript);
    prepareCommand(rig, 6, cdb.read10(4, 2), data.length);
    rig.view.setUint32(tableAt + offset, bad);
    rig.start();
    assert.equal(describeStop(rig.chip), `bus fault (DSTAT.BF), at 0x${bad.toString(16)}`, what);
    assert.equal(rig.causes().dstat, Dstat.Dfe | Dstat.Bf);
    resets["a bus reset"](rig);
    mustWork(rig, what);
  }
  for (const register of [Reg.DSA, Reg.DSP]) {
    const rig = prepared(false);
    rig.chip.window.write32(register, bad);
    if (register === Reg.DSA) rig.start();
    assert.match(describeStop(rig.chip), /bus fault \(DSTAT\.BF\), at 0x7000000/);
    rig.causes();
    mustWork(rig, `register ${register}`);
  }
});

test("hosts that drive any lines by hand: every phase is seen, nothing hangs, and the next command works", () => {
  const random = seededRandom(7107);
  const phases = new Set<number>();
  const causes = new Set<number>();
  const hand = [Reg.SCNTL0, Reg.SCNTL1, Reg.SODL, Reg.SDID, Reg.CTEST4, Reg.CTEST8, Reg.ISTAT, Reg.DCNTL];
  for (let round = 0; round < 150; round++) {
    const rig = prepared(false);
    for (let step = 0; step < 300; step++) {
      if (random.chance(0.03)) rig.write(hand[random.below(hand.length)], random.below(256));
      // Mostly a host that means well: it selects, and says ACK to what is asked for.
      if (random.chance(0.1)) {
        rig.write(Reg.SDID, 0x40);
        rig.write(Reg.SCNTL0, 0xfc);
      }
      const lines = rig.read(Reg.SBCL);
      if ((lines & 0xa0) === 0xa0) phases.add(lines & 7);
      rig.write(Reg.SODL, (lines & 7) === 6 ? 0x80 + random.below(2) : [0, 0x12, 8, 16][random.below(4)]);
      rig.write(Reg.SCNTL1, random.chance(0.9) ? 0x60 : random.below(256) & ~0x08);
      const attention = random.chance(0.1) ? 0x08 : 0;
      rig.write(Reg.SOCL, random.chance(0.95) ? 0x40 | attention : random.below(256));
      rig.write(Reg.SOCL, attention);
      if (random.chance(0.1)) causes.add(rig.causes().sstat0);
    }
    rig.write(Reg.ISTAT, 0x40);
    rig.write(Reg.ISTAT, 0);
    resets["a bus reset"](rig);
    assert.equal(rig.wire.owner, undefined);
    mustWork(rig, `round ${round}`);
  }
  for (const phase of [1, 2, 3, 6, 7]) assert.ok(phases.has(phase), `phase ${phase} among ${[...phases]}`);
  for (const cause of [Sstat0.Fcmp, Sstat0.Udc]) {
    assert.ok(
      [...causes].some((seen) => (seen & cause) !== 0),
      `cause ${cause} among ${[...causes]}`,
    );
  }
});
