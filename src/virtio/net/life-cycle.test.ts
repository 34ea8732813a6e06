import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMac } from "../../packet/index.js";
import {
  createNetLoopback,
  patternFrame,
  plugIntoMachine,
  plugNetLoopback,
  RecordingPeer,
  ScriptedNetDevice,
} from "../../testing/index.js";
import { featureSet } from "../../transport/index.js";
import { netFeatures, RxCommand, VirtioNetDriver } from "./index.js";

const f = netFeatures;
const other = parseMac("02:00:00:00:00:07");

/** What became of each promise: how often it ended, and how. */
function watch(promises: readonly Promise<void>[]): { done: number; failed: string[] } {
  const ends = { done: 0, failed: [] as string[] };
  for (const promise of promises) {
    promise.then(
      () => ends.done++,
      (error: Error) => ends.failed.push(error.message),
    );
  }
  return ends;
}

for (const transport of ["legacy-be", "modern"] as const) {
  test(`${transport}: removed under load, every packet and command fails once and no memory is lost`, async () => {
    const peer = new RecordingPeer();
    const loopback = await createNetLoopback({ peer, transport, device: { queueSize: 16 } });
    const { driver, machine } = loopback;
    peer.isFull = true;
    // More than the ring takes: some are in flight, some wait for room.
    const packets = Array.from({ length: 60 }, (_, seed) => driver.send(patternFrame(other, driver.mac, 400, seed)));
    const ends = watch(packets);
    await machine.idle(5);
    assert.ok(driver.inFlight > 0 && driver.inFlight < 60);
    await loopback.close();
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([ends.done, ends.failed.length], [0, 60]);
    assert.deepEqual([...new Set(ends.failed)], ["the driver was removed"]);
    await assert.rejects(driver.send(new Uint8Array(60)), /removed/);
    assert.equal(peer.frames.length, 0);
  });

  test(`${transport}: frozen under load packets fail once; restored, modes, addresses and VLANs are as before`, async () => {
    const peer = new RecordingPeer();
    const loopback = await createNetLoopback({ peer, transport, device: { queueSize: 16 } });
    const { driver, machine, device } = loopback;
    const settings = async () => {
      await driver.setMode(RxCommand.Promiscuous, false);
      await driver.setAddresses([other], [parseMac("01:00:5e:00:00:01")]);
      await driver.addVlan(5);
      await driver.addVlan(6);
      await driver.deleteVlan(5);
      await driver.setMac(parseMac("02:00:00:00:00:99"));
    };
    const turn = async (work: Promise<void>) => {
      let isOver = false;
      const over = work.finally(() => (isOver = true));
      while (!isOver) await machine.idle(2);
      await over;
    };
    await turn(settings());
    peer.isFull = true;
    const ends = watch(Array.from({ length: 40 }, () => driver.send(patternFrame(other, driver.mac, 100))));
    await driver.freeze();
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([ends.done, ends.failed.length], [0, 40]);
    await assert.rejects(driver.send(new Uint8Array(60)), /frozen/);
    assert.equal(device.filter.hasMode(RxCommand.Promiscuous), true, "the device was reset");
    peer.isFull = false;
    await turn(driver.restore());
    assert.equal(device.filter.hasMode(RxCommand.Promiscuous), false);
    assert.deepEqual(device.filter.vlans, [6]);
    assert.deepEqual(device.filter.unicast.addresses, [other]);
    assert.deepEqual([...device.filter.mac], [2, 0, 0, 0, 0, 0x99]);
    const got: number[] = [];
    driver.onFrame((packet) => got.push(packet.length));
    await turn(driver.send(patternFrame(other, driver.mac, 200)));
    peer.send(patternFrame(driver.mac, other, 300));
    await machine.idle(10);
    assert.deepEqual([peer.frames.length, got], [1, [300]]);
    await loopback.close();
  });
}

test("one queue is reset: its packets fail, its buffers are given anew, the others go on (virtio 1.2 §2.6.1)", async () => {
  const peer = new RecordingPeer();
  const loopback = await createNetLoopback({ peer, device: { queueSize: 16 } });
  const { driver, machine } = loopback;
  const got: number[] = [];
  driver.onFrame((packet) => got.push(packet.length));
  peer.isFull = true;
  const ends = watch(Array.from({ length: 8 }, () => driver.send(patternFrame(other, driver.mac, 100))));
  await driver.resetQueue(1);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(ends.failed, new Array(8).fill("queue 1 was reset"));
  peer.resume();
  await driver.resetQueue(0);
  for (let round = 0; round < 40; round++) {
    peer.send(patternFrame(driver.mac, other, 100 + round));
    await machine.idle(2);
  }
  assert.deepEqual(
    got,
    Array.from({ length: 40 }, (_, round) => 100 + round),
  );
  await Promise.all([driver.send(patternFrame(other, driver.mac, 70)), machine.idle(10)]);
  assert.deepEqual(
    peer.frames.map(({ length }) => length),
    [70],
  );
  await loopback.close();
});

test("a driver comes and goes a hundred times, each time with its packets", async () => {
  const peer = new RecordingPeer();
  const plugged = plugNetLoopback({ peer, device: { queueSize: 8 } });
  for (let time = 0; time < 100; time++) {
    const driver = await plugged.openDriver();
    await Promise.all([driver.send(patternFrame(other, driver.mac, 60 + time)), plugged.machine.idle(5)]);
    await driver.close();
  }
  assert.deepEqual(
    peer.frames.map(({ length }) => length),
    Array.from({ length: 100 }, (_, time) => 60 + time),
  );
  plugged.dma?.assertNothingAllocated();
  await plugged.unplug();
});

test("a device that keeps a packet: the promise ends in time, the memory stays lent until the reset", async () => {
  const device = new ScriptedNetDevice(featureSet(f.MAC), [16, 16]);
  device.holdsPackets = true;
  const plugged = plugIntoMachine(device, 0x020000, {});
  const driver = await VirtioNetDriver.open(plugged.openTransport(), { timeout: 50 });
  await assert.rejects(driver.send(new Uint8Array(60)), /packet of 60 bytes: not sent in 50 ms/);
  assert.equal(driver.inFlight, 1);
  await driver.close();
  plugged.dma?.assertNothingAllocated();
});

test("a device that says it needs a reset is given up, and everybody is told once", async () => {
  const device = new ScriptedNetDevice(featureSet(f.MAC, f.STATUS), [16, 16]);
  device.holdsPackets = true;
  const plugged = plugIntoMachine(device, 0x020000, {});
  const driver = await VirtioNetDriver.open(plugged.openTransport());
  const failures: string[] = [];
  driver.onFailure((error) => failures.push(error.message));
  const ends = watch([driver.send(new Uint8Array(60))]);
  // A used length above what the chain holds is a violation.
  device.fill([new Uint8Array(20)], [1 << 20]);
  for (let turn = 0; turn < 20 && failures.length === 0; turn++) await plugged.machine.idle(5);
  await driver.close();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(failures.length, 1);
  assert.match(failures[0], /used-length-too-large/);
  assert.deepEqual([ends.done, ends.failed.length], [0, 1]);
  plugged.dma?.assertNothingAllocated();
});
