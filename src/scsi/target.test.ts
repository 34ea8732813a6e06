/** Targets, their missing LUNs, the bus, and unit attentions as commands see them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hexBytes, parseHexBytes } from "../bytes/index.js";
import { MemoryStore } from "../storage/index.js";
import { type BusEvent, ScsiBus } from "./bus.js";
import * as cdb from "./cdb.js";
import { Disk } from "./disk.js";
import type { LogicalUnit } from "./logical-unit.js";
import { busReportLuns, reportLunsWellKnown, unitAddress } from "./lun-address.js";
import { Nexus } from "./nexus.js";
import { parseReportLuns } from "./report-luns.js";
import { type CommandResult, runCommand } from "./run-command.js";
import { parseSense } from "./sense.js";
import { ScsiTarget } from "./target.js";

function quietDisk(): Disk {
  return new Disk(new MemoryStore(512 * 100), { powerOnAttention: false });
}

function sense(result: CommandResult, bytes = result.sense): string {
  const found = parseSense(bytes);
  return found === undefined ? "none" : `${found.key}/${found.asc.toString(16)}/${found.ascq.toString(16)}`;
}

async function run(
  unit: LogicalUnit | undefined,
  bytes: Uint8Array,
  nexus = new Nexus("test"),
): Promise<CommandResult> {
  assert.ok(unit);
  return runCommand(unit, bytes, { nexus });
}

test("a LUN that does not exist: INQUIRY 7Fh, REQUEST SENSE with data, everything else 25h/00h", async () => {
  const target = new ScsiTarget();
  target.add(1, quietDisk());
  for (const lun of [0, 2, 16383]) {
    const absent = target.lookup(lun);
    assert.equal((await run(absent, cdb.inquiry())).data[0], 0x7f);
    assert.equal(hexBytes((await run(absent, cdb.inquiry(255, 0))).data), "7f 00 00 01 00");
    assert.equal(sense(await run(absent, cdb.inquiry(255, 0x80))), "5/24/0");
    for (const bytes of [
      cdb.testUnitReady(),
      cdb.read10(0, 1),
      cdb.readCapacity16(),
      parseHexBytes("c1 00 00 00 00 00"),
    ]) {
      assert.equal(sense(await run(absent, bytes)), "5/25/0");
    }
    const requested = await run(absent, cdb.requestSense());
    assert.equal(requested.status, 0);
    assert.equal(sense(requested, requested.data), "5/25/0");
  }
  assert.equal(sense(await run(target.lookup(2), cdb.reportLuns())), "5/25/0");
});

test("SPC-4 §6.33 LUN 0 is always listed and speaks for its target", async () => {
  const target = new ScsiTarget();
  for (const lun of [300, 7]) target.add(lun, quietDisk());
  const list = async (unit: LogicalUnit, select: number) =>
    parseReportLuns((await run(unit, cdb.reportLuns(4096, select))).data)?.luns;
  for (const lun of [0, 7, reportLunsWellKnown]) {
    assert.deepEqual(await list(target.lookup(lun), 0), [0, 7, 300]);
    assert.deepEqual(await list(target.lookup(lun), 1), [reportLunsWellKnown]);
    assert.deepEqual(await list(target.lookup(lun), 2), [0, 7, 300, reportLunsWellKnown]);
  }
  const cut = await run(target.lookup(0), cdb.reportLuns(16));
  assert.deepEqual(parseReportLuns(cut.data), { luns: [0], totalLength: 32 });
  target.add(0, quietDisk());
  assert.deepEqual(await list(target.lookup(0), 0), [0, 7, 300]);
});

test("SPC-4 §8.2 the REPORT LUNS well-known unit", async () => {
  const unit = new ScsiTarget().lookup(reportLunsWellKnown);
  assert.equal((await run(unit, cdb.inquiry())).data[0], 0x1e);
  assert.equal((await run(unit, cdb.testUnitReady())).status, 0);
  assert.equal(sense(await run(unit, cdb.read10(0, 1))), "5/20/0");
});

test("SAM-5 §5.14 power on: reported once by the first command of each nexus, passed by three commands", async () => {
  const disk = new Disk(new MemoryStore(51200));
  const nexus = new Nexus("a");
  assert.equal((await run(disk, cdb.inquiry(), nexus)).status, 0);
  assert.equal((await run(disk, cdb.reportLuns(), nexus)).status, 0);
  assert.equal(sense(await run(disk, cdb.read10(0, 1), nexus)), "6/29/0");
  assert.equal((await run(disk, cdb.read10(0, 1), nexus)).status, 0);
  assert.equal(sense(await run(disk, parseHexBytes("ff 00 00 00 00 00"), new Nexus("b"))), "6/29/0");
});

test("SPC-4 §6.39 REQUEST SENSE gives a pending attention as data and ends it", async () => {
  const disk = new Disk(new MemoryStore(51200));
  const nexus = new Nexus("a");
  const first = await run(disk, cdb.requestSense(252, true), nexus);
  assert.equal(hexBytes(first.data), "72 06 29 00 00 00 00 00");
  const second = await run(disk, cdb.requestSense(), nexus);
  assert.equal(hexBytes(second.data), "70 00 00 00 00 00 00 0a 00 00 00 00 00 00 00 00 00 00");
  assert.equal((await run(disk, cdb.testUnitReady(), nexus)).status, 0);
});

test("each kind of reset has its attention", async () => {
  const disk = quietDisk();
  const [one, two] = [new Nexus("1"), new Nexus("2")];
  for (const nexus of [one, two]) await run(disk, cdb.testUnitReady(), nexus);
  for (const [kind, expected] of [
    ["power-on", "6/29/0"],
    ["bus-reset", "6/29/2"],
    ["unit-reset", "6/29/3"],
    ["nexus-loss", "6/29/7"],
  ] as const) {
    disk.reset(kind);
    for (const nexus of [one, two]) assert.equal(sense(await run(disk, cdb.testUnitReady(), nexus)), expected);
  }
  disk.reset("nexus-loss", two);
  assert.equal((await run(disk, cdb.testUnitReady(), one)).status, 0);
  assert.equal(sense(await run(disk, cdb.testUnitReady(), two)), "6/29/7");
});

test("adding and removing units: 3Fh/0Eh at the others, ended on all by REPORT LUNS", async () => {
  const target = new ScsiTarget();
  const [first, second] = [quietDisk(), quietDisk()];
  const nexus = new Nexus("a");
  target.add(0, first);
  target.add(1, second);
  for (const unit of [first, second]) await run(unit, cdb.testUnitReady(), nexus);
  target.add(2, quietDisk());
  assert.equal(sense(await run(first, cdb.testUnitReady(), nexus)), "6/3f/e");
  target.remove(2);
  await run(first, cdb.reportLuns(), nexus);
  for (const unit of [first, second]) assert.equal((await run(unit, cdb.testUnitReady(), nexus)).status, 0);
  assert.throws(() => target.add(1, quietDisk()), RangeError);
  assert.throws(() => target.add(16384, quietDisk()), RangeError);
  assert.equal(target.remove(9), undefined);
});

test("SBC-3 §4.5 a new capacity: 2Ah/09h for every nexus, listeners told, the new range valid", async () => {
  const disk = quietDisk();
  const nexus = new Nexus("a");
  await run(disk, cdb.testUnitReady(), nexus);
  const told: string[] = [];
  const stop = disk.onChange((change) => {
    if (change.kind === "parameter") told.push(`${change.code.asc.toString(16)}/${change.code.ascq}`);
  });
  disk.resized(512 * 50);
  disk.resized(512 * 50);
  assert.deepEqual(told, ["2a/9"]);
  assert.equal(sense(await run(disk, cdb.read10(50, 1), nexus)), "6/2a/9");
  assert.equal(sense(await run(disk, cdb.read10(50, 1), nexus)), "5/21/0");
  assert.throws(() => disk.resized(0), RangeError);
  stop();
  disk.resized(512 * 40);
  assert.equal(told.length, 1);
});

test("the bus: looks up by address, a target exists while it has a unit, events for each change", async () => {
  const bus = new ScsiBus();
  const events: string[] = [];
  const stop = bus.onEvent((event: BusEvent) => events.push(`${event.kind} ${event.target}:${event.lun}`));
  const disk = quietDisk();
  bus.attach(3, 1, disk);
  assert.equal(bus.lookup(unitAddress(3, 1)), disk);
  assert.equal(bus.lookup(unitAddress(3, 0))?.kind, "absent");
  assert.equal(bus.lookup(unitAddress(2, 1)), undefined);
  assert.equal(bus.unit(3, 0), undefined);
  disk.resized(512);
  bus.reset("unit-reset", { target: 3, lun: 1 });
  bus.reset("bus-reset", { target: 4 });
  assert.throws(() => bus.attach(3, 1, quietDisk()), RangeError);
  assert.throws(() => bus.attach(256, 0, quietDisk()), RangeError);
  assert.equal(bus.detach(3, 1), disk);
  assert.equal(bus.detach(3, 1), undefined);
  assert.equal(bus.target(3), undefined);
  disk.resized(1024);
  assert.deepEqual(events, ["unit-added 3:1", "parameter-changed 3:1", "reset 3:1", "unit-removed 3:1"]);
  stop();
  bus.attach(0, 0, quietDisk());
  assert.equal(events.length, 4);
  await bus.close();
  assert.deepEqual(bus.units(), []);
});

test("virtio 1.2 §5.6.6.1 the REPORT LUNS unit of the adapter lists every unit in the adapter's own form", async () => {
  const bus = new ScsiBus();
  bus.attach(1, 1, quietDisk());
  bus.attach(0, 300, quietDisk());
  const { data } = await run(bus.lookup(busReportLuns), cdb.reportLuns(4096, 2));
  assert.equal(hexBytes(data.subarray(8)), "01 00 41 2c 00 00 00 00 01 01 40 01 00 00 00 00 c1 01 00 00 00 00 00 00");
});
