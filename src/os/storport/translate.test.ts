/** SCSI to virtio-blk as a pure function, against the tables of the reference (1.7, 2.8, 2.9). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cdb } from "../../scsi/index.js";
import { BlkType } from "../../virtio/index.js";
import { rightBehaviour } from "./behaviour.js";
import { type BlkConfigInfo, noBlkConfig } from "./block-config.js";
import type { DiskFacts } from "./disk-facts.js";
import { SrbStatus } from "./srb.js";
import { translateScsi } from "./translate.js";

const nothing = new Uint8Array(0);

function facts(info: Partial<BlkConfigInfo> = {}, more: Partial<DiskFacts> = {}): DiskFacts {
  return {
    info: { ...noBlkConfig, capacity: 4096, writeCache: true, canFlush: true, ...info },
    generation: "2026",
    behaviour: rightBehaviour,
    maximumTransferLength: 65_536,
    serial: "abc",
    bus: 0,
    slot: 5,
    limitKnown: true,
    ...more,
  };
}

function translate(command: Uint8Array, known = facts(), parameters = nothing) {
  return translateScsi(command, parameters, 255, known);
}

function answer(command: Uint8Array, known = facts()): number[] {
  const what = translate(command, known);
  assert.equal(what.kind, "answer");
  return what.kind === "answer" ? [...what.data] : [];
}

test("reads and writes become sectors; FUA is durable where there is a cache", () => {
  const transfer = { kind: "transfer", write: false, sector: 8, sectors: 16, durable: false };
  assert.deepEqual(translate(cdb.read10(8, 16)), transfer);
  assert.deepEqual(translate(cdb.read16(1, 2), facts({ blockSize: 4096 })), { ...transfer });
  const fua = cdb.write10(8, 16, { forceUnitAccess: true });
  assert.deepEqual(translate(fua), { ...transfer, write: true, durable: true });
  assert.deepEqual(translate(fua, facts({ writeCache: false })), { ...transfer, write: true });
});

test("what cannot be carried out is never GOOD", () => {
  const status = (value: number) => ({ kind: "status", status: value });
  assert.deepEqual(translate(cdb.read10(4096, 1)), status(SrbStatus.BadSrbBlockLength));
  assert.deepEqual(translate(cdb.write10(0, 1), facts({ isReadOnly: true })), {
    ...{ kind: "sense", sense: { key: 7, asc: 0x27, ascq: 0 } },
  });
  assert.deepEqual(translate(Uint8Array.of(0x04, 0, 0, 0, 0, 0)), status(SrbStatus.InvalidRequest));
  assert.deepEqual(translate(Uint8Array.of(0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0)), status(SrbStatus.Error));
  assert.equal(translate(Uint8Array.of(0x2f, 2, 0, 0, 0, 0, 0, 0, 1, 0)).kind, "sense", "VERIFY that compares");
  assert.equal(translate(Uint8Array.of(0x2f, 0, 0, 0, 0x10, 0, 0, 0, 1, 0)).kind, "sense", "VERIFY past the end");
});

test("SYNCHRONIZE CACHE is a flush where there is a cache, and GOOD where everything is durable", () => {
  assert.equal(translate(cdb.synchronizeCache10()).kind, "flush");
  assert.equal(translate(cdb.synchronizeCache10(), facts({ canFlush: false, writeCache: false })).kind, "answer");
  assert.equal(translate(cdb.synchronizeCache16(), facts({ isReadOnly: true })).kind, "answer");
});

test("the pages of INQUIRY follow the driver's age and the device's features", () => {
  const pages = (known: DiskFacts) => answer(cdb.inquiry(255, 0), known).slice(4);
  assert.deepEqual(pages(facts({}, { generation: "2010" })), [0, 0x80, 0x83]);
  assert.deepEqual(pages(facts()), [0, 0x80, 0x83, 0xb0]);
  const discard = { maxSectors: 64, maxRanges: 40, alignment: 1 };
  assert.deepEqual(pages(facts({ discard })), [0, 0x80, 0x83, 0xb0, 0xb1, 0xb2]);
  const limits = answer(cdb.inquiry(255, 0xb0), facts({ discard }));
  assert.deepEqual(limits.slice(20, 32), [0, 0, 0, 64, 0, 0, 0, 16, 0, 0, 0, 8]);
  assert.equal(translate(cdb.inquiry(255, 0x83), facts({}, { serial: undefined })).kind, "identify");
  assert.deepEqual(answer(cdb.inquiry(255, 0x83), facts({}, { serial: "" })).slice(4), [
    ...[1, 2, 0, 8, 0, 0, 0, 0, 0, 0, 0, 5],
  ]);
  assert.deepEqual(answer(cdb.inquiry(36)).slice(0, 8), [0, 0, 4, 2, 91, 0, 0, 0x42]);
});

test("MODE SENSE and MODE SELECT show and switch the cache", () => {
  const page = [0x08, 10, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
  assert.deepEqual(answer(cdb.modeSense6(0x08)), [15, 0, 0x10, 0, ...page]);
  assert.deepEqual(answer(cdb.modeSense6(0x08, { control: "changeable" })).slice(4, 7), [8, 10, 0]);
  assert.equal(translate(cdb.modeSense6(0x08, { control: "saved" })).kind, "sense");
  const select = Uint8Array.of(0x15, 0x10, 0, 0, 16, 0);
  const list = Uint8Array.from([0, 0, 0, 0, 0x08, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  const switchable = facts({ canSwitchCache: true });
  assert.deepEqual(translate(select, switchable, list), { kind: "cache", on: false });
  assert.equal(translate(select, facts(), list).kind, "status");
  assert.equal(translate(select, switchable, list.subarray(0, 10)).kind, "sense");
});

test("WRITE SAME is WRITE_ZEROES for zeros and a repeated write for anything else", () => {
  const same = Uint8Array.of(0x41, 0, 0, 0, 0, 4, 0, 0, 9, 0);
  const known = facts({ writeZeroes: { maxSectors: 100, maxRanges: 1 } });
  const ranges = [{ sector: 4, sectors: 9 }];
  assert.deepEqual(translate(same, known, new Uint8Array(512)), {
    kind: "ranges",
    type: BlkType.WriteZeroes,
    flags: 0,
    ranges,
  });
  assert.deepEqual(translate(same, known, new Uint8Array(512).fill(1)), { kind: "same", sector: 4, sectors: 9 });
});
