/**
 * The script of a4091.device (siop_script.ss, another project's: RINGSIDE_GOLDENS names a folder that has it) on our
 * chip, driven as that device drives it: check 24 of the reference.
 */
import assert from "node:assert/strict";
import { Reg, type TargetOptions } from "../../src/ncr53c710/index.js";
import { tableAt } from "../../src/ncr53c710/rig.test.js";
import { cdb, Disk } from "../../src/scsi/index.js";
import { MemoryStore } from "../../src/storage/index.js";
import { test } from "./limited-test.js";
import { dataAt, osiop, type Piece, SiopHost, type SiopScript, siop, siopSkip } from "./scripts-siop-host.js";

const skip = siopSkip(siop);
const length = 2048;
const halves: readonly Piece[] = [
  [length / 2, dataAt],
  [length / 2, dataAt + length / 2],
];
const sense = { cdb: Uint8Array.of(3, 0, 0, 0, 18, 0), pieces: [[18, dataAt]] } as const;
const pattern = new Uint8Array(length).map((_, index) => index * 3);

/** Halves of 2 KiB there and back, with these events on the way. */
function writesAndReads(script: SiopScript, target: TargetOptions, expected: readonly string[]): void {
  const host = new SiopHost({ target }, script);
  host.rig.memory.write(dataAt, pattern);
  assert.equal(host.run({ cdb: cdb.write10(3, 4), isWrite: true, pieces: halves }), 0);
  host.rig.memory.write(dataAt, new Uint8Array(length));
  assert.equal(host.run({ cdb: cdb.read10(3, 4), pieces: halves }), 0);
  assert.deepEqual(host.rig.memory.read(dataAt, length), pattern);
  for (const event of expected) assert.ok(host.log.includes(event), `${event} in ${host.log.join(" ")}`);
}

for (const [name, target, expected] of [
  ["a target that stays on the bus, SDTR answered", {}, ["ff0b", "ff00"]],
  ["a target that refuses SDTR", { rejectsNegotiation: true }, ["ff00"]],
  ["a target that disconnects after the command", { disconnect: "always" }, ["ff0b", "ff02", "ff03", "ff00"]],
  ["a target that disconnects amid data and saves pointers", { disconnectEvery: 300 }, ["mismatch", "ff01", "ff03"]],
  [
    "a target that disconnects amid data and does not",
    { disconnectEvery: 300, savesPointers: false },
    ["mismatch", "ff02", "ff03"],
  ],
] as const satisfies readonly (readonly [string, TargetOptions, readonly string[]])[]) {
  test(`check 24: a4091.device's script writes and reads with ${name}`, { skip }, () =>
    writesAndReads(siop, target, expected),
  );
  test(`osiop.ss writes and reads with ${name}`, { skip: siopSkip(osiop) }, () =>
    writesAndReads(osiop, target, expected),
  );
}
test("osiop.ss: seventeen slots of odd sizes with disconnections every 77 bytes keep every byte", {
  skip: siopSkip(osiop),
}, () => {
  const host = new SiopHost({ target: { disconnectEvery: 77 } }, osiop);
  const pieces = Array.from({ length: 17 }, (_, slot): Piece => {
    const size = slot === 16 ? length - 16 * 119 : 119;
    return [size, dataAt + slot * 0x100 + (slot % 5)];
  });
  const scatter = (bytes: Uint8Array) => {
    let from = 0;
    for (const [size, at] of pieces) host.rig.memory.write(at, bytes.subarray(from, (from += size)));
  };
  scatter(pattern);
  assert.equal(host.run({ cdb: cdb.write10(3, 4), isWrite: true, pieces }), 0);
  scatter(new Uint8Array(length));
  assert.equal(host.run({ cdb: cdb.read10(3, 4), pieces }), 0);
  assert.deepEqual(Uint8Array.from(pieces.flatMap(([size, at]) => [...host.rig.memory.read(at, size)])), pattern);
});

for (const disconnectEvery of [undefined, 300, 77]) {
  const how = disconnectEvery === undefined ? "in one go" : `with disconnections every ${disconnectEvery} bytes`;
  test(`check 24: nine slots of odd sizes at odd addresses ${how} keep every byte`, { skip }, () => {
    const host = new SiopHost({ target: disconnectEvery === undefined ? {} : { disconnectEvery } });
    const sizes = [1, 511, 3, 509, 128, 127, 257, 500, 12];
    let from = 0;
    const pieces = sizes.map((size, slot): Piece => {
      const at = dataAt + slot * 0x400 + (slot % 5);
      host.rig.memory.write(at, pattern.subarray(from, from + size));
      from += size;
      return [size, at];
    });
    assert.equal(from, length);
    assert.equal(host.run({ cdb: cdb.write10(9, 4), isWrite: true, pieces, negotiates: false }), 0);
    for (const [size, at] of pieces) host.rig.memory.write(at, new Uint8Array(size));
    assert.equal(host.run({ cdb: cdb.read10(9, 4), pieces, negotiates: false }), 0);
    const back = pieces.flatMap(([size, at]) => [...host.rig.memory.read(at, size)]);
    assert.deepEqual(back, [...pattern]);
    if (disconnectEvery !== undefined) assert.ok(host.log.includes("ff01"), host.log.join(" "));
  });
}

test("check 24: SDTR is sent once; what was agreed on is loaded by SELECT from then on", { skip }, () => {
  const host = new SiopHost({});
  assert.equal(host.run({ cdb: cdb.inquiry(36), pieces: [[36, dataAt]] }), 0);
  assert.deepEqual(host.log, ["ff0b", "ff00"]);
  assert.equal(host.run({ cdb: cdb.inquiry(36), pieces: [[36, dataAt]], negotiates: false }), 0);
  assert.deepEqual(host.log, ["ff00"]);
  assert.equal(host.rig.read(Reg.SXFER), 0x18);
});

test("check 24: SIGP takes the waiting script to a new command; targets come back in an order of their own", {
  skip,
}, () => {
  const host = new SiopHost({ target: { disconnect: "always", staysAway: true } });
  const { rig } = host;
  const read = (target: number, table: number) =>
    ({ cdb: cdb.read10(table, 1), target, table, pieces: [[512, dataAt + 512 * table]], negotiates: false }) as const;
  for (const target of [0, 6]) {
    const bytes = new Uint8Array(512).fill(0x30 + target);
    rig.memory.write(dataAt, bytes);
    let end = host.start({ ...read(target, 0), cdb: cdb.write10(target === 6 ? 0 : 1, 1), isWrite: true });
    while (end === "away") {
      rig.targets[target].returnToBus();
      end = host.waitForTarget();
    }
    assert.equal(end, 0);
  }
  assert.equal(host.start(read(6, 0)), "away");
  assert.equal(host.waitForTarget(), "no answer");
  rig.write(Reg.ISTAT, 0x20);
  assert.equal(host.goOn(), "woken");
  assert.equal(host.start(read(0, 1)), "away");
  assert.equal(host.waitForTarget(), "no answer");
  rig.targets[0].returnToBus();
  assert.equal(host.goOn(), 0);
  assert.equal(rig.long(Reg.DSA), tableAt + 0x200, "the second one ends first");
  assert.equal(host.waitForTarget(), "no answer");
  rig.targets[6].returnToBus();
  assert.equal(host.goOn(), 0);
  assert.deepEqual([...rig.memory.read(dataAt, 1024)], [...Array(512).fill(0x36), ...Array(512).fill(0x30)]);
});

test("check 24: a target that never answers: timeout, reset of chip and bus, unit attention, retry", { skip }, () => {
  let isDue = false;
  const faults = {
    command: () => {
      const fault = isDue ? ({ kind: "never" } as const) : undefined;
      isDue = false;
      return fault;
    },
  };
  const host = new SiopHost({ target: { faults } });
  const command = { cdb: cdb.read10(3, 4), pieces: halves };
  assert.equal(host.run(command), 0);
  isDue = true;
  assert.equal(host.run(command), "no answer");
  host.recover();
  assert.equal(host.rig.wire.owner, undefined);
  assert.equal(host.rig.targets[6].commandsAway, 0, "the target has dropped it");
  assert.equal(host.run(command), 2);
  assert.equal(host.run(sense), 0);
  assert.deepEqual([host.rig.memory.read(dataAt + 2, 1)[0], host.rig.memory.read(dataAt + 12, 1)[0]], [6, 0x29]);
  assert.equal(host.run(command), 0);
  assert.ok(host.log.includes("ff0b"), "negotiated again");
});

test("check 24: an absent target times out, a target that goes is an unexpected disconnect; both leave a free bus", {
  skip,
}, () => {
  let isDue = true;
  const faults = {
    command: () => {
      const fault = isDue ? ({ kind: "response", response: 3 } as const) : undefined;
      isDue = false;
      return fault;
    },
  };
  const host = new SiopHost({ target: { faults } });
  assert.equal(host.run({ cdb: cdb.testUnitReady(), target: 3 }), "selection timeout");
  assert.equal(host.run({ cdb: cdb.testUnitReady() }), "unexpected disconnect");
  assert.equal(host.rig.wire.owner, undefined);
  assert.equal(host.run({ cdb: cdb.testUnitReady() }), 0);
});

test("check 24: LUN 1, and CHECK CONDITION with the sense that a driver fetches by itself", { skip }, () => {
  const host = new SiopHost({});
  const store = new MemoryStore(1 << 20);
  host.rig.bus.attach(6, 1, new Disk(store, { powerOnAttention: false, serial: "second" }));
  host.rig.memory.write(dataAt, pattern);
  assert.equal(host.run({ cdb: cdb.write10(0, 4), lun: 1, isWrite: true, pieces: halves }), 0);
  assert.equal(host.run({ cdb: cdb.read10(0, 4), pieces: halves }), 0);
  assert.deepEqual(host.rig.memory.read(dataAt, length), new Uint8Array(length), "LUN 0 has none of it");
  assert.equal(host.run({ cdb: cdb.read10(5000, 4), lun: 1, pieces: halves }), 2);
  assert.equal(host.run({ ...sense, lun: 1 }), 0);
  assert.deepEqual([host.rig.memory.read(dataAt + 2, 1)[0], host.rig.memory.read(dataAt + 12, 1)[0]], [5, 0x21]);
  assert.equal(host.run({ cdb: cdb.read10(0, 4), lun: 1, pieces: halves }), 0);
  assert.deepEqual(host.rig.memory.read(dataAt, length), pattern);
});
