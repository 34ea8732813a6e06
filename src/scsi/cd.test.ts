/** The CD drive: MMC-5's commands, the tray as initiators and the host move it, locks, events. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hexBytes, parseHexBytes } from "../bytes/index.js";
import { MemoryStore, StoreError } from "../storage/index.js";
import { FailingStore } from "../testing/failing-store.js";
import { SlowStore } from "../testing/slow-store.js";
import { CdDrive, type CdDriveOptions } from "./cd.js";
import * as cdb from "./cdb.js";
import { commandOutcome } from "./command-outcome.js";
import { parseInquiry } from "./inquiry.js";
import type { UnitChange } from "./logical-unit.js";
import { Nexus } from "./nexus.js";
import { parseSupportedCommands } from "./report-opcodes.js";
import { runCommand } from "./run-command.js";
import { parseSense } from "./sense.js";

const blocks = 300;
const content = Uint8Array.from({ length: blocks * 2048 }, (_, index) => (index >>> 11) + index);

function medium(size = content.length): MemoryStore {
  return size === content.length ? MemoryStore.of(content, { isReadOnly: true }) : new MemoryStore(size);
}

function bench(store: ConstructorParameters<typeof CdDrive>[0], options: CdDriveOptions = {}) {
  const drive = new CdDrive(store, { powerOnAttention: false, ...options });
  const nexuses = [new Nexus("one"), new Nexus("two")];
  const changes: UnitChange[] = [];
  drive.onChange((change) => changes.push(change));
  const send = (bytes: Uint8Array | string, who = 0) =>
    runCommand(drive, typeof bytes === "string" ? parseHexBytes(bytes) : bytes, { nexus: nexuses[who] });
  const outcome = async (bytes: Uint8Array | string, who = 0) => commandOutcome(await send(bytes, who));
  const data = async (bytes: Uint8Array | string, who = 0) => hexBytes((await send(bytes, who)).data);
  const told = () => changes.splice(0).map((change) => (change.kind === "medium" ? change.change : change.kind));
  return { drive, nexuses, send, outcome, data, told };
}

const ready = "00 00 00 00 00 00";
const eject = "1b 00 00 00 02 00";
const load = "1b 00 00 00 03 00";
const prevent = "1e 00 00 00 01 00";
const allow = "1e 00 00 00 00 00";
const events = "4a 01 00 00 10 00 00 00 08 00";

test("a medium is read in blocks of 2048 bytes, at once and late; ends are checked", async () => {
  for (const store of [medium(), new SlowStore(medium())]) {
    const { send, outcome } = bench(store);
    for (const command of ["28 00 00000007 00 0003 00", "a8 00 00000007 00000003 00 00"]) {
      const result = await send(command);
      assert.equal(commandOutcome(result), "GOOD");
      assert.deepEqual(result.data, content.slice(7 * 2048, 10 * 2048));
    }
    assert.equal(await outcome(cdb.read10(blocks - 1, 1)), "GOOD");
    assert.equal(await outcome(cdb.read10(blocks, 0)), "GOOD");
    assert.equal(await outcome(cdb.read10(blocks, 1)), "5/21/0");
    assert.equal(await outcome(cdb.read10(blocks + 1, 0)), "5/21/0");
    assert.equal(await outcome("2b 00 0000012b 00 00 00 00"), "GOOD", "SEEK");
    assert.equal(await outcome("2b 00 0000012c 00 00 00 00"), "5/21/0");
    assert.equal(await outcome(cdb.write10(0, 1)), "5/20/0", "there is no WRITE");
  }
});

test("a bad block is an unrecovered read error with its address", async () => {
  const failing = new FailingStore(medium(), () => new StoreError("read", "scratch", { position: 5 * 2048 + 1 }));
  const { send } = bench(failing);
  const result = await send(cdb.read10(0, 10));
  assert.equal(commandOutcome(result), "3/11/0");
  assert.equal(parseSense(result.sense)?.information, 5n);
});

test("identity: a removable CD-ROM of MMC-5, pages 00h and 83h, 80h with a serial number", async () => {
  const { send, data } = bench(medium());
  const inquiry = parseInquiry((await send(cdb.inquiry(255))).data);
  assert.deepEqual([inquiry?.deviceType, inquiry?.removable, inquiry?.product], [5, true, "CD-ROM"]);
  assert.ok(inquiry?.standards.includes(0x0420));
  assert.equal(await data(cdb.inquiry(255, 0)), "05 00 00 02 00 83");
  assert.equal(await bench(medium(), { serial: "A1" }).data(cdb.inquiry(255, 0x80)), "05 80 00 02 41 31");
  assert.equal(commandOutcome(await send(cdb.inquiry(255, 0xb0))), "5/24/0");
});

test("capacity, disc information, mechanism status and capabilities by hand", async () => {
  const { data } = bench(medium());
  assert.equal(await data(cdb.readCapacity10()), "00 00 01 2b 00 00 08 00");
  assert.equal(await data("51 00 00 00 00 00 00 00 08 00"), "00 20 0e 01 01 01 01 20");
  assert.equal(await data("bd 00 00 00 00 00 00 00 00 08 00 00"), "00 00 00 00 00 01 00 00");
  assert.equal(
    await data(cdb.modeSense10(0x2a)),
    "00 1a 00 00 00 00 00 00 2a 12 1b 00 00 00 29 00 21 00 00 00 01 00 21 00 00 00 00 00",
  );
});

test("READ TOC: formats 0, 1 and 2, in blocks and as time; other formats and tracks are refused", async () => {
  const { data, outcome } = bench(medium());
  const toc = (format: number, track = 0, time = false) =>
    `43 ${time ? "02" : "00"} 0${format} 00 00 00 ${track.toString(16).padStart(2, "0")} 00 ff 00`;
  assert.equal(await data(toc(0)), "00 12 01 01 00 14 01 00 00 00 00 00 00 14 aa 00 00 00 01 2c");
  assert.equal(await data(toc(0, 1, true)), "00 12 01 01 00 14 01 00 00 00 02 00 00 14 aa 00 00 00 06 00");
  assert.equal(await data(toc(0, 0xaa)), "00 0a 01 01 00 14 aa 00 00 00 01 2c");
  assert.equal(await data(toc(1)), "00 0a 01 01 00 14 01 00 00 00 00 00");
  assert.equal((await data(toc(2))).slice(0, 44), "00 2e 01 01 01 14 00 a0 00 00 00 00 01 00 00");
  assert.equal(await outcome(toc(0, 2)), "5/24/0");
  assert.equal(await outcome(toc(3)), "5/24/0");
  assert.equal(await data("43 00 00 00 00 00 00 00 04 00"), "00 12 01 01", "the length is of the whole");
});

test("GET CONFIGURATION: profile and features follow the medium", async () => {
  const header = async (unit: ReturnType<typeof bench>, type = 0, first = 0) =>
    (await unit.data(`46 0${type} ${first.toString(16).padStart(4, "0")} 00 00 00 ff ff 00`)).slice(0, 23);
  assert.equal(await header(bench(medium())), "00 00 00 3c 00 00 00 08");
  assert.equal(await header(bench(medium(400_000 * 2048))), "00 00 00 3c 00 00 00 10");
  assert.equal(await header(bench(undefined)), "00 00 00 3c 00 00 00 00");
  assert.equal(await header(bench(medium()), 2, 3), "00 00 00 0c 00 00 00 08");
  assert.equal(await header(bench(medium()), 2, 0x77), "00 00 00 04 00 00 00 08");
  assert.equal(await header(bench(medium()), 1, 0x10), "00 00 00 18 00 00 00 08", "10h and 1Eh");
  assert.equal(await bench(medium()).outcome("46 03 00 00 00 00 00 ff ff 00"), "5/24/0");
});

test("NoMedia: 3Ah, closed or open, for what needs a medium; the rest answers", async () => {
  const { outcome, drive } = bench(undefined);
  const needing = [ready, cdb.read10(0, 1), cdb.readCapacity10(), "43 00 00 00 00 00 00 00 ff 00", "1b 00 00 00 01 00"];
  for (const command of needing) assert.equal(await outcome(command), "2/3a/1");
  drive.openTray();
  for (const command of needing) assert.equal(await outcome(command), "2/3a/2");
  for (const command of [
    cdb.inquiry(),
    cdb.requestSense(),
    cdb.modeSense10(0x3f),
    events,
    "46 00 0000 00 00 00 ff ff 00",
  ]) {
    assert.equal(await outcome(command), "GOOD");
  }
});

test("the host inserts: 28h/00h for every initiator, an event each hears once, and the transport is told", async () => {
  const { drive, outcome, data, told } = bench(undefined);
  for (const who of [0, 1]) assert.equal(await outcome(ready, who), "2/3a/1");
  drive.insert(medium());
  assert.deepEqual(told(), ["inserted"]);
  for (const who of [0, 1]) {
    assert.equal(await data(events, who), "00 04 04 10 02 02 00 00", "NewMedia, passing the attention");
    assert.equal(await data(events, who), "00 04 04 10 00 02 00 00");
    assert.equal(await outcome(ready, who), "6/28/0");
    assert.equal(await outcome(ready, who), "GOOD");
  }
  assert.throws(() => drive.insert(medium()), /eject it first/);
  const taken = drive.eject();
  assert.equal(taken?.byteLength, content.length);
  assert.deepEqual(told(), ["removed"]);
  assert.equal(await data(events), "00 04 04 10 03 01 00 00", "MediaRemoval, open");
  assert.equal(await outcome(ready), "2/3a/2");
  assert.throws(() => drive.insert(new MemoryStore(100)), /2048/);
  drive.insert(medium(2048 * 10));
  assert.equal(await outcome(ready), "6/28/0");
  assert.equal(await data(cdb.readCapacity10()), "00 00 00 09 00 00 08 00");
});

test("an initiator ejects and loads: the medium stays in the tray; 28h/00h when it is back", async () => {
  const { drive, outcome, told } = bench(medium());
  assert.equal(await outcome(eject), "GOOD");
  assert.deepEqual(told(), ["removed"]);
  assert.equal(drive.isTrayOpen, true);
  assert.ok(drive.inserted);
  assert.equal(await outcome(cdb.read10(0, 1)), "2/3a/2");
  assert.equal(await outcome(eject), "GOOD", "it is open already");
  assert.deepEqual(told(), []);
  assert.equal(await outcome(load), "GOOD");
  assert.deepEqual(told(), ["inserted"]);
  assert.equal(await outcome(ready), "6/28/0");
  assert.equal(await outcome(cdb.read10(0, 1)), "GOOD");
  await outcome(eject);
  told();
  assert.ok(drive.eject(), "the host takes it out of the open tray");
  assert.deepEqual(told(), [], "which nobody can see");
  assert.equal(await outcome(load), "GOOD");
  assert.equal(await outcome(ready), "2/3a/1");
});

test("PreventAllow: 53h/02h while anybody prevents, also for the host, whose wish is told", async () => {
  const { drive, outcome, data, told, nexuses } = bench(medium());
  assert.equal(await outcome(prevent), "GOOD");
  assert.equal(await outcome(prevent, 1), "GOOD");
  assert.equal(await outcome(allow), "GOOD");
  assert.equal(await outcome(eject), "5/53/2", "the other still prevents");
  assert.equal((await data(cdb.modeSense10(0x2a))).split(" ")[14], "2b", "locked");
  assert.equal(drive.eject(), undefined);
  assert.deepEqual(told(), ["eject-requested"]);
  assert.equal(await data(events), "00 04 04 10 01 02 00 00", "EjectRequest");
  assert.equal(drive.isTrayOpen, false);
  drive.reset("nexus-loss", nexuses[1]);
  assert.equal(drive.isLocked, false, "who is gone prevents nothing");
  await outcome(prevent);
  drive.reset("unit-reset");
  await outcome(ready);
  assert.equal(await outcome(eject), "GOOD");
  await outcome(load);
  await outcome(ready);
  await outcome(prevent);
  assert.ok(drive.eject({ force: true }));
  assert.equal(drive.isLocked, false);
  assert.equal(await outcome("1e 00 00 00 02 00"), "5/24/0", "persistent prevention");
});

test("events that were not fetched are not lost to an initiator that asks for less than an event", async () => {
  const { drive, data } = bench(undefined);
  drive.insert(medium());
  assert.equal(await data("4a 01 00 00 10 00 00 00 04 00"), "00 04 04 10");
  assert.equal(await data(events), "00 04 04 10 02 02 00 00");
  assert.equal(await data("4a 01 00 00 02 00 00 00 08 00"), "00 00 80 10");
});

test("what REPORT SUPPORTED OPERATION CODES lists is what there is", async () => {
  const { send, outcome } = bench(medium());
  const list = parseSupportedCommands((await send(cdb.reportSupportedOperationCodes())).data) ?? [];
  const known = new Set(list.map(({ opcode }) => opcode));
  for (let opcode = 0; opcode < 256; opcode++) {
    const bytes = new Uint8Array(16);
    bytes[0] = opcode;
    assert.equal((await outcome(bytes)) === "5/20/0", !known.has(opcode), opcode.toString(16));
  }
});
