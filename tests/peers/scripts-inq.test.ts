/**
 * The scripts of Amix's A4091 driver (inq.ss and inq-wr.ss, another project's: RINGSIDE_GOLDENS names a folder that has
 * them) on our chip: check 23 of the reference, with the outcomes that were measured on another model (its M3).
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { assemble, dialects, Reg, wordsToBytes } from "../../src/ncr53c710/index.js";
import { blockSize, makeRig, type Rig, scriptAt } from "../../src/ncr53c710/rig.test.js";
import { cdb } from "../../src/scsi/index.js";
import { test } from "./limited-test.js";

const folder = process.env["RINGSIDE_GOLDENS"];
const paths = folder === undefined ? [] : readdirSync(folder, { recursive: true, encoding: "utf8" });
const places = { identify: 0x3000, cdb: 0x3010, status: 0x3020, message: 0x3021, data: 0x4000 } as const;

function find(file: string): string | undefined {
  return paths.find((path) => basename(path) === file);
}

function skip(file: string): string | false {
  return find(file) === undefined ? `no ${file}: RINGSIDE_GOLDENS names no folder that has it` : false;
}

function load(file: string): Rig {
  const rig = makeRig();
  const { program } = assemble(readFileSync(join(folder ?? "", find(file) ?? ""), "latin1"), {
    dialect: dialects.ncr53cxxx,
  });
  assert.ok(program !== undefined);
  rig.memory.write(scriptAt, wordsToBytes(program.words));
  return rig;
}

/** What a driver looks at after a command. ISTAT.CON is among it, which the other model never sets. */
interface Outcome {
  istat: number;
  dstat: number;
  sstat0: number;
  dsps: number;
  /** From the script's start. */
  dsp: number;
  dbc: number;
  dnad: number;
  status: number;
}

/** One command: the table has id, IDENTIFY, CDB, status, message, three unused entries, data. */
function run(rig: Rig, bytes: Uint8Array, length: number, target = 6): Outcome {
  rig.view.setUint32(0x2000, 0x1_0000 << target);
  rig.memory.write(places.identify, Uint8Array.of(0x80));
  rig.memory.write(places.cdb, bytes);
  rig.memory.write(places.status, Uint8Array.of(0xff));
  rig.entry(4, 1, places.identify);
  rig.entry(12, bytes.length, places.cdb);
  rig.entry(20, 1, places.status);
  rig.entry(28, 1, places.message);
  rig.entry(60, length, places.data);
  rig.start();
  const outcome = {
    dsps: rig.long(Reg.DSPS),
    dsp: rig.long(Reg.DSP) - scriptAt,
    dbc: rig.long(0x24) & 0xff_ffff,
    dnad: rig.long(Reg.DNAD),
    status: rig.memory.read(places.status, 1)[0],
  };
  return { ...rig.causes(), ...outcome };
}

function expectEnd(outcome: Outcome, expected: Partial<Outcome>): void {
  const seen = Object.fromEntries(Object.keys(expected).map((key) => [key, outcome[key as keyof Outcome]]));
  assert.deepEqual(seen, expected);
}

const done = { istat: 0x01, dstat: 0x84, sstat0: 0, dsps: 0xff00, dsp: 0xa0, status: 0 } as const;
const pattern = new Uint8Array(2 * blockSize).map((_, index) => index * 5);

test("check 23: inq-wr: TEST UNIT READY, INQUIRY, WRITE(10), READ(10), what was written persists", {
  skip: skip("inq-wr.ss"),
}, () => {
  const rig = load("inq-wr.ss");
  expectEnd(run(rig, cdb.testUnitReady(), 0), done);
  expectEnd(run(rig, cdb.inquiry(36), 36), done);
  assert.equal(new TextDecoder().decode(rig.memory.read(places.data + 8, 8)), "RINGSIDE");
  rig.memory.write(places.data, pattern);
  expectEnd(run(rig, cdb.write10(7, 2), pattern.length), done);
  rig.memory.write(places.data, new Uint8Array(pattern.length));
  expectEnd(run(rig, cdb.read10(7, 2), pattern.length), done);
  assert.deepEqual(rig.memory.read(places.data, pattern.length), pattern);
});

test("check 23: inq-wr: an unknown operation code is status 02, an absent target a timeout with DSP +8", {
  skip: skip("inq-wr.ss"),
}, () => {
  const rig = load("inq-wr.ss");
  expectEnd(run(rig, Uint8Array.of(0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0), { ...done, status: 2 });
  const absent = run(rig, cdb.testUnitReady(), 0, 3);
  expectEnd(absent, { istat: 0x02, dstat: 0x80, sstat0: 0x20, dsp: 8, status: 0xff });
  // The last instruction is the one for a selection that failed.
  assert.equal(absent.dnad, scriptAt + 0xa8);
});

test("check 13: inq-wr: a target that answers 5 bytes of 36: DSPS 3C, DSP +68, DBC 1F, DNAD +5", {
  skip: skip("inq-wr.ss"),
}, () => {
  const outcome = run(load("inq-wr.ss"), cdb.inquiry(5), 36);
  const mismatch = { istat: 0x0a, dstat: 0x80, sstat0: 0x80, dsps: 0x3c, dsp: 0x68, dbc: 0x1f, dnad: places.data + 5 };
  expectEnd(outcome, mismatch);
});

test("check 23: inq-wr: a buffer smaller than the data, and inq with a command that has none, end with FF05", {
  skip: skip("inq-wr.ss") || skip("inq.ss"),
}, () => {
  expectEnd(run(load("inq-wr.ss"), cdb.inquiry(36), 8), { istat: 0x09, dstat: 0x84, sstat0: 0, dsps: 0xff05 });
  expectEnd(run(load("inq.ss"), cdb.testUnitReady(), 0), { istat: 0x09, dstat: 0x84, sstat0: 0, dsps: 0xff05 });
});
