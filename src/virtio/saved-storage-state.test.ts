/** What storage adapters and rpmsg keep in a snapshot: modes, what units hold for this driver, what each side was told. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SavedReader } from "../bytes/index.js";
import { buildReserveOut, CdDrive, cdb, commandOutcome, Disk, Nexus, runCommand, ScsiBus } from "../scsi/index.js";
import { MemoryStore } from "../storage/index.js";
import { BareQueues } from "../testing/index.js";
import { type Fields, moved, plug, refusal, saved, withType } from "../testing/saved-device.js";
import { type DeviceType, featureSet } from "../transport/index.js";
import {
  blkConfig,
  blkFeatures,
  blkHeader,
  nameServiceMessage,
  RpmsgQueue,
  rpmsgBufferSize,
  rpmsgFeatures,
  rpmsgHeader,
  ScsiQueue,
  VirtioBlkDevice,
  VirtioRpmsgDevice,
  VirtioScsiDevice,
} from "./index.js";

/** A device takes over what another one keeps; a driver has chosen the same features for both. */
function takeOver(from: DeviceType, to: DeviceType): void {
  to.readState?.(new SavedReader(structuredClone(from.saveState?.()), to.name))();
}

class CountingStore extends MemoryStore {
  flushes = 0;
  override flush(): undefined {
    this.flushes++;
  }
}

test("blk: the cache mode that the driver wrote goes over, and writes are as durable as it asked for", () => {
  const { FLUSH, CONFIG_WCE } = blkFeatures;
  for (const [mode, flushes, features] of [
    [0, 1, featureSet(FLUSH, CONFIG_WCE)],
    [1, 0, featureSet(CONFIG_WCE)],
  ] as const) {
    const store = new CountingStore(4096);
    const [first, second] = [new VirtioBlkDevice(store), new VirtioBlkDevice(store)];
    new BareQueues(first, { features });
    const queues = new BareQueues(second, { features });
    const view = new DataView(new ArrayBuffer(blkConfig.size));
    view.setUint8(blkConfig.offset.writeback, mode);
    first.writeConfig(view);
    takeOver(first, second);
    second.readConfig(view, "little");
    assert.equal(view.getUint8(blkConfig.offset.writeback), mode);
    const write = new Uint8Array(blkHeader.size + 512);
    write[0] = 1;
    assert.deepEqual([...queues.send(0, write, 1).answer], [0]);
    assert.equal(store.flushes, flushes);
  }
});

const key = "a".repeat(16);
const none = "0".repeat(16);
const eventStatus = Uint8Array.of(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8, 0);

/** An adapter with a disk and a drive. */
function adapter() {
  const bus = new ScsiBus();
  const disk = new Disk(new MemoryStore(512 * 64), { serial: "s" });
  const drive = new CdDrive(new MemoryStore(2048 * 4));
  bus.attach(0, 0, disk);
  bus.attach(3, 1, drive);
  const device = new VirtioScsiDevice(bus);
  const queues = new BareQueues(device);
  const run = async (
    unit: Disk | CdDrive,
    bytes: Uint8Array,
    dataOut: Uint8Array = new Uint8Array(512),
    nexus = device.nexus,
  ) => commandOutcome(await runCommand(unit, bytes, { nexus, dataOut }));
  const reserveOut = (action: number, type: number, actionKey: string, own: string, nexus = device.nexus) =>
    run(
      disk,
      Uint8Array.of(0x5f, action, type, 0, 0, 0, 0, 0, 24, 0),
      buildReserveOut({ key: own, actionKey, flags: 0 }),
      nexus,
    );
  return { device, queues, disk, drive, run, reserveOut };
}

test("scsi disk: mode pages, pending attentions and reservations go over", async () => {
  const { device, disk, run, reserveOut } = adapter();
  assert.equal(await run(disk, cdb.testUnitReady()), "6/29/0");
  const page = Uint8Array.of(0, 0, 0, 0, 0x0a, 10, 6, 0x10, 8, 0, 0, 0, 0, 0, 0, 0);
  const select = Uint8Array.of(0x15, 0x10, 0, 0, 16, 0);
  assert.equal(await run(disk, select, page), "GOOD");
  const caching = new Uint8Array(24);
  caching.set([8, 18], 4);
  assert.equal(await run(disk, Uint8Array.of(0x15, 0x10, 0, 0, 24, 0), caching), "GOOD");
  assert.equal(await reserveOut(0, 0, key, none), "GOOD");
  assert.equal(await reserveOut(1, 1, none, key), "GOOD");
  disk.attention({ asc: 0x3f, ascq: 3 });
  disk.attention({ asc: 0x29, ascq: 3 });

  const second = adapter();
  takeOver(device, second.device);
  assert.deepEqual(
    [second.disk.hasWriteCache, second.disk.senseFormat, second.disk.isWriteProtected],
    [false, "descriptor", true],
  );
  assert.deepEqual(
    [await second.run(second.disk, cdb.testUnitReady()), await second.run(second.disk, cdb.testUnitReady())],
    ["6/29/3", "6/3f/3"],
  );
  assert.equal(await second.run(second.disk, cdb.testUnitReady()), "GOOD");
  assert.deepEqual(second.disk.reservations.state, disk.reservations.state);
  const stranger = new Nexus("stranger");
  await second.run(second.disk, cdb.testUnitReady(), undefined, stranger);
  assert.equal(await second.run(second.disk, cdb.write10(0, 1), undefined, stranger), "RESERVATION CONFLICT");
  assert.equal(await second.reserveOut(2, 1, none, key), "GOOD", "and the holder can release it");
});

test("scsi disk: a unit that RESERVE(6) reserved stays this driver's; one that was free is free again", async () => {
  const [first, second] = [adapter(), adapter()];
  const free = structuredClone(first.device.saveState());
  await first.run(first.disk, cdb.testUnitReady());
  assert.equal(await first.run(first.disk, Uint8Array.of(0x16, 0, 0, 0, 0, 0)), "GOOD");
  takeOver(first.device, second.device);
  assert.equal(second.disk.reservations.legacyHolder, second.device.nexus);
  assert.equal(second.disk.reservations.isRestricting, true);
  second.device.readState(new SavedReader(free, "virtio-scsi"))();
  assert.equal(second.disk.reservations.legacyHolder, undefined);
  assert.equal(second.disk.reservations.isRestricting, false);
});

test("scsi disk: reservations that are kept with the storage are the storage's, and not a snapshot's", async () => {
  let text: string | undefined;
  const keeper = { description: "a cell", read: () => text, write: (next: string) => void (text = next) };
  const make = () => {
    const bus = new ScsiBus();
    const disk = new Disk(new MemoryStore(4096), { reservationKeeper: keeper, powerOnAttention: false });
    bus.attach(0, 0, disk);
    const device = new VirtioScsiDevice(bus);
    new BareQueues(device);
    return { disk, device };
  };
  const first = make();
  const before = structuredClone(first.device.saveState());
  const bytes = Uint8Array.of(0x5f, 0, 0, 0, 0, 0, 0, 0, 24, 0);
  const dataOut = buildReserveOut({ key: none, actionKey: key, flags: 1 });
  await runCommand(first.disk, bytes, { nexus: first.device.nexus, dataOut });
  const second = make();
  takeOver(first.device, second.device);
  assert.deepEqual(second.disk.reservations.state, first.disk.reservations.state);
  second.device.readState(new SavedReader(before, "virtio-scsi"))();
  assert.deepEqual(second.disk.reservations.state.registrations, first.disk.reservations.state.registrations);
});

test("scsi drive: the tray, this driver's lock and the event that it has not heard of go over", async () => {
  const { device, drive, run } = adapter();
  assert.equal(await run(drive, cdb.testUnitReady()), "6/29/0");
  assert.equal(await run(drive, Uint8Array.of(0x1e, 0, 0, 0, 1, 0)), "GOOD");
  assert.equal(drive.eject(), undefined);
  const locked = structuredClone(device.saveState());
  drive.eject({ force: true });
  drive.insert(new MemoryStore(2048));
  await runCommand(drive, eventStatus, { nexus: device.nexus });
  drive.openTray();

  const second = adapter();
  takeOver(device, second.device);
  assert.deepEqual([second.drive.isTrayOpen, second.drive.isLocked, second.drive.medium], [true, false, undefined]);
  const told = async () => (await runCommand(second.drive, eventStatus, { nexus: second.device.nexus })).data[4];
  assert.deepEqual([await told(), await told()], [3, 0], "media removal, once");
  second.device.readState(new SavedReader(locked, "virtio-scsi"))();
  assert.deepEqual([second.drive.isTrayOpen, second.drive.isLocked], [false, true]);
  assert.deepEqual([await told(), await told()], [1, 0], "eject request, once");
  assert.equal(second.drive.eject(), undefined);
});

test("scsi: sizes, subscriptions and an event that was lost go over; the loss is told with the next buffer", () => {
  const { device: first, queues: asking } = adapter();
  const { device: second, queues, drive } = adapter();
  const view = new DataView(new ArrayBuffer(first.configSize));
  first.readConfig(view, "little");
  view.setUint32(20, 24, true);
  view.setUint32(24, 48, true);
  first.writeConfig(view, "little");
  const unit = Uint8Array.of(1, 3, 0x40, 1, 0, 0, 0, 0);
  const subscribe = Uint8Array.of(2, 0, 0, 0, ...unit, 0x10, 0, 0, 0);
  const asked = asking.send(ScsiQueue.Control, subscribe, 5);
  assert.deepEqual([...asked.answer], [0x10, 0, 0, 0, 0]);
  first.bus.reset("bus-reset", { target: 0 });
  takeOver(first, second);
  second.readConfig(view, "little");
  assert.deepEqual([view.getUint32(20, true), view.getUint32(24, true)], [24, 48]);
  const lost = queues.send(ScsiQueue.Event, new Uint8Array(0), 16);
  assert.deepEqual([...lost.answer.subarray(0, 4)], [0, 0, 0, 0x80]);
  const later = queues.send(ScsiQueue.Event, new Uint8Array(0), 16);
  assert.equal(later.done, false, "it is told once");
  drive.openTray();
  queues.poll();
  assert.deepEqual([...later.answer], [2, 0, 0, 0, ...unit, 0x10, 0, 0, 0], "and what it subscribed to is told");
});

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** What the name service tells, or the text of a message. */
function readMessage(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { destination, length } = rpmsgHeader.read(view, 0, "little");
  if (destination !== 53) return text(bytes.subarray(rpmsgHeader.size, rpmsgHeader.size + length));
  const { name, address, flags } = nameServiceMessage.read(view, rpmsgHeader.size, "little");
  return `${flags === 0 ? "+" : "-"}${name} ${address}`;
}

test("rpmsg: services go over both ways: the driver hears only of those that came or went, and gets what waited", () => {
  const features = featureSet(rpmsgFeatures.NS);
  const setUp = (...names: string[]) => {
    const device = new VirtioRpmsgDevice();
    for (const name of names) device.bus.createEndpoint({ name });
    return { device, queues: new BareQueues(device, { features, queueSize: 8 }) };
  };
  const give = ({ queues }: ReturnType<typeof setUp>) =>
    queues.send(RpmsgQueue.Receive, new Uint8Array(0), rpmsgBufferSize);
  const first = setUp("same", "gone");
  const heard = [give(first), give(first)];
  first.queues.poll();
  assert.deepEqual(
    heard.map(({ answer }) => readMessage(answer)),
    ["+same 1024", "+gone 1025"],
  );
  const announcement = new Uint8Array(rpmsgHeader.size + nameServiceMessage.size);
  const view = new DataView(announcement.buffer);
  rpmsgHeader.write(view, 0, "little", {
    source: 7,
    destination: 53,
    reserved: 0,
    length: nameServiceMessage.size,
    flags: 0,
  });
  nameServiceMessage.write(view, rpmsgHeader.size, "little", { name: "theirs", address: 7, flags: 0 });
  first.queues.send(RpmsgQueue.Transmit, announcement, 0);
  void first.device.bus.send(1024, 7, new TextEncoder().encode("waits"));

  const second = setUp("same", "fresh");
  const seen: string[] = [];
  second.device.bus.onService(({ name }, what) => seen.push(`${what} ${name}`));
  takeOver(first.device, second.device);
  assert.deepEqual([second.device.bus.services, seen], [[{ name: "theirs", address: 7 }], ["created theirs"]]);
  const answers = [give(second), give(second), give(second), give(second)];
  assert.deepEqual(
    answers.map(({ done, answer }) => done && readMessage(answer)),
    ["waits", "-gone 1025", "+fresh 1025", false],
  );
});

test("a state with anything in it that cannot be is refused in one line, and the device stays as it was", () => {
  const blk = plug(new VirtioBlkDevice(new MemoryStore(4096)));
  const rpmsg = plug(new VirtioRpmsgDevice({ patience: 1 }));
  const bus = new ScsiBus();
  bus.attach(0, 0, new Disk(new MemoryStore(4096, { isReadOnly: true })));
  bus.attach(0, 1, new CdDrive());
  const scsi = plug(new VirtioScsiDevice(bus));
  const [disk, cd] = saved(scsi).core.type["units"] as readonly Fields[];
  const ofDisk = (fields: Fields) => ({ units: [{ ...disk, state: { ...(disk["state"] as Fields), ...fields } }, cd] });
  const ofCd = (fields: Fields) => ({ units: [disk, { ...cd, state: { ...(cd["state"] as Fields), ...fields } }] });
  const modes = { hasWriteCache: false, descriptorSense: false, softwareWriteProtect: false };
  const reserved = { generation: 0, isReserved: false };
  const held = JSON.stringify({
    format: "ringside reservations 1",
    ...{ registrations: [{ initiatorPort: "i", key }], reservation: null },
  });
  const wrong: [device: typeof blk, fields: Fields, why: string][] = [
    [blk, { version: 2 }, "type.version is 2, this knows 1"],
    [blk, { writeback: 1 }, "type.writeback is number, not true or false"],
    [scsi, { version: undefined }, "type.version is undefined, not 0 to 9007199254740991"],
    [scsi, { senseSize: 253 }, "type.senseSize is 253, not 0 to 252"],
    [scsi, { cdbSize: 0 }, "type.cdbSize is 0"],
    [scsi, { eventsMissed: 0 }, "type.eventsMissed is number, not true or false"],
    [scsi, { units: [disk] }, "type.units are 1, here are 2"],
    [scsi, { units: [disk, cd, cd] }, "type.units has 3 entries, at most 2 fit"],
    [scsi, { units: [cd, disk] }, "type.units 0 is of cd-rom 0/1: here is disk 0/0"],
    [scsi, { units: [{ ...disk, lun: 2 }, cd] }, "type.units 0 is of disk 0/2: here is disk 0/0"],
    [scsi, { units: [{ ...disk, subscribed: 16 }, cd] }, "type.units 0.subscribed is 16: the unit tells of 0"],
    [scsi, { units: [{ ...disk, state: 5 }, cd] }, "type.units 0.state is missing"],
    [scsi, ofDisk({ version: 9 }), "type.units 0.state.version is 9, this knows 1"],
    [
      scsi,
      ofDisk({ attentions: new Array(9).fill({ asc: 1, ascq: 1 }) }),
      "type.units 0.state.attentions has 9 entries, at most 8 fit",
    ],
    [scsi, ofDisk({ attentions: [{ asc: 256, ascq: 1 }] }), "type.units 0.state.attentions 0.asc is 256, not 0 to 255"],
    [
      scsi,
      ofDisk({ modes: { ...modes, hasWriteCache: true } }),
      "type.units 0.state.modes.hasWriteCache is set: this disk is never written",
    ],
    [scsi, ofDisk({ reservations: undefined }), "type.units 0.state.reservations is missing"],
    [
      scsi,
      ofDisk({ reservations: { ...reserved, persistent: "{" } }),
      "type.units 0.state.reservations.persistent cannot be read: it is no JSON",
    ],
    [
      scsi,
      ofDisk({ reservations: { ...reserved, isReserved: true, persistent: held } }),
      "type.units 0.state.reservations.isReserved is set beside registrations",
    ],
    [scsi, ofCd({ isOpen: undefined }), "type.units 1.state.isOpen is undefined, not true or false"],
    [scsi, ofCd({ events: { number: 1, event: 4, heard: 0 } }), "type.units 1.state.events.event is 4, not 0 to 3"],
    [scsi, ofCd({ events: { number: 1, event: 3, heard: 2 } }), "type.units 1.state.events.heard is 2, not 0 to 1"],
    [rpmsg, { isUp: "no" }, "type.isUp is string, not true or false"],
    [rpmsg, { told: [{ name: "x", address: 2 ** 32 }] }, "type.told 0.address is 4294967296, not 0 to 4294967295"],
    [
      rpmsg,
      { services: [{ name: "x".repeat(33), address: 1 }] },
      "type.services 0.name has 33 characters, at most 32 fit",
    ],
    [rpmsg, { services: new Array(1025).fill({}) }, "type.services has 1025 entries, at most 1024 fit"],
    [rpmsg, { messages: [{}, {}] }, "type.messages has 2 entries, at most 1 fit"],
  ];
  for (const [device, fields, why] of wrong) {
    const { name } = device.core.type;
    assert.equal(refusal(device, withType(saved(device), fields)), `the saved state of ${name} cannot be used: ${why}`);
  }
  for (const device of [blk, scsi, rpmsg]) assert.deepEqual(moved(saved(device), device), saved(device));
});
