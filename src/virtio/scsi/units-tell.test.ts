/** What units tell of themselves, through the device half to the driver: media, preempted tasks. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { buildReserveOut, CdDrive, cdb, Disk, parseSense, ScsiBus, unitAddress } from "../../scsi/index.js";
import { MemoryStore } from "../../storage/index.js";
import { BareQueues, createLoopback, type Loopback } from "../../testing/index.js";
import { SlowStore } from "../../testing/slow-store.js";
import { AsyncEvent, type ScsiEventReport, ScsiResponse, VirtioScsiDevice } from "./index.js";

/** Events that come until there is quiet. */
async function eventsOf(loop: Loopback, seen: ScsiEventReport[]): Promise<string[]> {
  for (let turn = 0, before = -1; turn < 20 && before !== seen.length; turn++) {
    before = seen.length;
    await loop.machine.idle(5);
  }
  return seen.splice(0).map(({ kind, target, lun, reason }) => `${kind} ${target}/${lun} ${reason.toString(16)}`);
}

for (const transport of ["legacy-be", "modern"] as const) {
  test(`${transport}: media that come and go are told to who subscribed, and as changed parameters to all`, async () => {
    const drive = new CdDrive(undefined, { powerOnAttention: false });
    const loop = await createLoopback({ transport, units: [{ target: 2, lun: 1, unit: drive }] });
    const { driver } = loop;
    const seen: ScsiEventReport[] = [];
    driver.onEvent((event) => seen.push(event));
    const unit = unitAddress(2, 1);
    assert.equal((await driver.execute(unit, cdb.testUnitReady())).status, 2, "no medium");
    const everything = 0x7e;
    const asked = await driver.asyncNotifications(unit, everything, true);
    assert.deepEqual(asked, { response: ScsiResponse.Ok, eventActual: AsyncEvent.MediaChange });
    drive.insert(new MemoryStore(20480));
    assert.deepEqual(await eventsOf(loop, seen), ["parameter 2/1 28"]);
    await driver.asyncNotifications(unit, AsyncEvent.MediaChange);
    drive.eject();
    assert.deepEqual(await eventsOf(loop, seen), ["async 2/1 10", "parameter 2/1 23a"]);
    drive.insert(new MemoryStore(20480));
    assert.deepEqual(await eventsOf(loop, seen), ["async 2/1 10", "parameter 2/1 28"]);
    const sense = parseSense((await driver.execute(unit, cdb.testUnitReady())).sense);
    assert.deepEqual([sense?.key, sense?.asc], [6, 0x28]);
    assert.equal((await driver.execute(unit, cdb.testUnitReady())).status, 0);
    const lock = Uint8Array.of(0x1e, 0, 0, 0, 1, 0);
    assert.equal((await driver.execute(unit, lock)).status, 0);
    assert.equal(drive.eject(), undefined);
    assert.deepEqual(await eventsOf(loop, seen), ["async 2/1 10"], "a wish is told to who subscribed alone");
    const poll = new Uint8Array(8);
    await driver.execute(unit, Uint8Array.of(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8, 0), { dataIn: poll });
    assert.deepEqual([...poll], [0, 4, 4, 0x10, 1, 2, 0, 0]);
    await loop.close();
  });
}

test("a disk has no media to tell of", async () => {
  const loop = await createLoopback();
  const { eventActual } = await loop.driver.asyncNotifications(unitAddress(0, 0), AsyncEvent.MediaChange);
  assert.equal(eventActual, 0);
  await loop.close();
});

test("an unload by the guest itself is told too", async () => {
  const drive = new CdDrive(new MemoryStore(20480), { powerOnAttention: false });
  const loop = await createLoopback({ units: [{ target: 0, lun: 0, unit: drive }] });
  const seen: ScsiEventReport[] = [];
  loop.driver.onEvent((event) => seen.push(event));
  await loop.driver.asyncNotifications(unitAddress(0, 0), AsyncEvent.MediaChange);
  await loop.driver.execute(unitAddress(0, 0), Uint8Array.of(0x1b, 0, 0, 0, 2, 0));
  assert.deepEqual(await eventsOf(loop, seen), ["async 0/0 10", "parameter 0/0 23a"]);
  await loop.close();
});

const requestQueue = 2;

/** A request of a READ, WRITE or PERSISTENT RESERVE OUT to unit 0/0: header and data. */
function request(command: Uint8Array, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const bytes = new Uint8Array(51 + data.length);
  bytes.set([1, 0, 0x40, 0]);
  bytes.set(command, 19);
  bytes.set(data, 51);
  return bytes;
}

test("PREEMPT AND ABORT ends the other adapter's waiting requests, and not one's own", () => {
  const held = new SlowStore(new MemoryStore(1 << 20), { isHeld: true });
  const disk = new Disk(held, { powerOnAttention: false });
  const [one, two] = ["vm-one", "vm-two"].map((initiatorName) => {
    const bus = new ScsiBus();
    bus.attach(0, 0, disk);
    return new BareQueues(new VirtioScsiDevice(bus, { initiatorName }));
  });
  const responseLength = 12 + 96;
  const out = (queues: BareQueues, action: number, key: string, actionKey: string, type = 0) => {
    const command = Uint8Array.of(0x5f, action, type, 0, 0, 0, 0, 0, 24, 0);
    const sent = queues.send(requestQueue, request(command, buildReserveOut({ key, actionKey })), responseLength);
    assert.equal(sent.done, true);
    return [sent.answer[11], sent.answer[10]];
  };
  const [none, a, b] = ["0", "a", "b"].map((digit) => digit.repeat(16));
  assert.deepEqual(out(one, 0, none, a), [0, 0]);
  assert.deepEqual(out(two, 0, none, b), [0, 0]);
  assert.deepEqual(out(one, 1, a, none, 5), [0, 0]);
  const read = request(cdb.read10(0, 1));
  const [first, second] = [one, two].map((queues) => queues.send(requestQueue, read, responseLength + 512));
  assert.deepEqual([first.done, second.done], [false, false]);
  assert.deepEqual(out(two, 5, b, a, 1), [0, 0], "PREEMPT AND ABORT");
  one.poll();
  two.poll();
  assert.deepEqual([first.done, second.done], [true, false]);
  assert.equal(first.answer[11], ScsiResponse.Aborted);
  assert.deepEqual(out(one, 1, a, none, 5), [0, 2], "who was preempted finds the attention first");
  assert.deepEqual(out(one, 1, a, none, 5), [0, 0x18], "and is registered no more");
});
