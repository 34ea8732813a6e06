import assert from "node:assert/strict";
import { test } from "node:test";
import { formatMac, parseMac } from "../../packet/index.js";
import {
  BareQueues,
  createNetLoopback,
  patternFrame,
  plugIntoMachine,
  RecordingPeer,
  ScriptedNetDevice,
} from "../../testing/index.js";
import { featureSet } from "../../transport/index.js";
import { netFeatures, RxCommand, VirtioNetDevice, VirtioNetDriver } from "./index.js";

const f = netFeatures;
const other = parseMac("02:00:00:00:00:07");
const everything = featureSet(
  ...[f.MAC, f.STATUS, f.CTRL_VQ, f.CTRL_RX, f.CTRL_VLAN, f.CTRL_RX_EXTRA, f.GUEST_ANNOUNCE, f.CTRL_MAC_ADDR],
  ...[f.GUEST_CSUM, f.GUEST_TSO4, f.CTRL_GUEST_OFFLOADS],
);

function bare(features = everything, endianness: "little" | "big" = "little", queuePairs = 1) {
  const peer = new RecordingPeer();
  const device = new VirtioNetDevice(peer, { queuePairs });
  const queues = new BareQueues(device, { features, endianness });
  const control = 2 * queuePairs;
  const command = (bytes: readonly number[], writable = 1, cuts: readonly number[] = [2]) => {
    const sent = queues.send(control, Uint8Array.from(bytes), writable, cuts);
    return sent.written === 1 ? sent.answer[0] : `${sent.written} bytes`;
  };
  /** Whether a packet to this address gets through. */
  const passes = (to: string, tag?: number) => {
    const frame = patternFrame(parseMac(to), other, 64);
    if (tag !== undefined) frame.set([0x81, 0, tag >>> 8, tag & 0xff], 12);
    const before = device.counters.dropped;
    queues.submit(0, new Uint8Array(0), 200);
    peer.send(frame);
    queues.poll();
    return device.counters.dropped === before;
  };
  return { device, queues, command, passes };
}

test("R-714 a command is class, command, data and one writable byte: 0 for done, 1 for refused", () => {
  const { command, queues } = bare();
  assert.equal(command([0, 0, 1]), 0);
  assert.equal(command([0, 0, 1], 1, [1, 2]), 0, "in pieces of any size");
  assert.equal(command([0, 0, 1], 1, []), 0);
  assert.equal(command([99, 0]), 1);
  assert.equal(command([0, 77, 1]), 1);
  assert.equal(command([0]), 1);
  assert.equal(command([0, 0, 1], 0), "0 bytes");
  assert.deepEqual(queues.violations, ["response-space-short"]);
});

test("R-714 our driver leaves one writable byte, and a refusal becomes an error that names the command", async () => {
  const device = new ScriptedNetDevice(featureSet(f.CTRL_VQ, f.CTRL_VLAN), [16, 16, 16]);
  const plugged = plugIntoMachine(device, 0x020000, {});
  const driver = await VirtioNetDriver.open(plugged.openTransport(), { timeout: 200 });
  await Promise.all([driver.addVlan(258), plugged.machine.idle(10)]);
  assert.deepEqual(
    device.seen.map(({ queue, writable }) => [queue, writable]),
    [[2, 1]],
  );
  assert.deepEqual([...device.seen[0].readable], [2, 0, 2, 1]);
  device.ack = 1;
  const refused = assert.rejects(driver.addVlan(3), /refused VLAN 3/);
  await Promise.all([refused, plugged.machine.idle(10)]);
  device.ack = undefined;
  const silent = assert.rejects(driver.addVlan(4), { code: "response-short" });
  await Promise.all([silent, plugged.machine.idle(10)]);
  device.holdsCommands = true;
  await assert.rejects(driver.addVlan(5), /no answer|removed/);
  assert.match(String(driver.failure), /VLAN 5: no answer in 200 ms/);
  await driver.close();
});

test("R-715 modes: promiscuous, all multicast and, with CTRL_RX_EXTRA, the other four", () => {
  const { command, passes } = bare();
  const own = "52:54:00:12:34:56";
  const group = "01:00:5e:00:00:01";
  const broadcast = "ff:ff:ff:ff:ff:ff";
  const state = () => [own, formatMac(other), group, broadcast].map((to) => passes(to));
  assert.deepEqual(state(), [true, true, true, true], "until a driver says something everything passes");
  assert.equal(command([0, RxCommand.Promiscuous, 0]), 0);
  assert.deepEqual(state(), [true, false, false, true]);
  command([0, RxCommand.AllMulticast, 1]);
  assert.deepEqual(state(), [true, false, true, true]);
  command([0, RxCommand.NoMulticast, 1]);
  command([0, RxCommand.AllUnicast, 1]);
  assert.deepEqual(state(), [true, true, false, true]);
  command([0, RxCommand.NoUnicast, 1]);
  command([0, RxCommand.NoBroadcast, 1]);
  assert.deepEqual(state(), [false, false, false, false]);
  command([0, RxCommand.Promiscuous, 1]);
  assert.deepEqual(state(), [true, true, true, true]);
  assert.deepEqual([command([0, 0, 2]), command([0, 0])], [1, 1], "0 or 1, and nothing else");
});

test("R-715 address tables: two, each with a 32-bit number of entries in the driver's order", () => {
  for (const endianness of ["little", "big"] as const) {
    const { command, passes } = bare(everything, endianness);
    const count = (entries: number) => (endianness === "little" ? [entries, 0, 0, 0] : [0, 0, 0, entries]);
    command([0, RxCommand.Promiscuous, 0]);
    const [a, b, group] = ["02:00:00:00:00:01", "02:00:00:00:00:02", "01:00:5e:00:00:05"];
    const bytes = (mac: string) => [...parseMac(mac)];
    const set = [1, 0, ...count(2), ...bytes(a), ...bytes(b), ...count(1), ...bytes(group)];
    assert.equal(command(set), 0);
    assert.deepEqual(
      [a, b, group, "01:00:5e:00:00:06"].map((to) => passes(to)),
      [true, true, true, false],
    );
    assert.equal(command(set.slice(0, -1)), 1, "a table that ends early");
    assert.equal(command([1, 0, ...count(200), ...bytes(a)]), 1);
    assert.ok(passes(a), "what was refused changed nothing");
    assert.equal(command([1, 0, ...count(0), ...count(0)]), 0);
    assert.ok(!passes(a));
    const many = Array.from({ length: 100 }, (_, index) => [2, 0, 0, 0, 1, index]).flat();
    assert.equal(command([1, 0, ...count(100), ...many, ...count(0)]), 0);
    assert.ok(passes("02:00:00:00:09:09"), "more than there is room for: all of the kind pass");
    assert.ok(!passes(group));
  }
});

test("R-715 VLANs: ids of 16 bits are added and deleted; other tagged packets do not pass", () => {
  for (const endianness of ["little", "big"] as const) {
    const { command, passes, device } = bare(everything, endianness);
    const id = (value: number) => (endianness === "little" ? [value & 0xff, value >>> 8] : [value >>> 8, value & 0xff]);
    const own = "52:54:00:12:34:56";
    assert.deepEqual([passes(own, 258), passes(own)], [false, true]);
    assert.equal(command([2, 0, ...id(258)]), 0);
    // Priority bits are not part of the id.
    assert.deepEqual([passes(own, 258), passes(own, 0xe000 | 258), passes(own, 259)], [true, true, false]);
    assert.deepEqual(device.filter.vlans, [258]);
    assert.equal(command([2, 1, ...id(258)]), 0);
    assert.equal(passes(own, 258), false);
    assert.deepEqual([command([2, 0, ...id(4096)]), command([2, 0, 1]), command([2, 2, ...id(1)])], [1, 1, 1]);
  }
  const without = bare(featureSet(f.CTRL_VQ));
  assert.ok(without.passes("52:54:00:12:34:56", 77), "without CTRL_VLAN tags mean nothing");
  assert.equal(without.command([2, 0, 1, 0]), 1);
});

test("R-716 class 3 command 0 acknowledges an announcement, with GUEST_ANNOUNCE only", () => {
  const { command, device } = bare();
  device.announce();
  assert.equal(command([3, 1]), 1);
  assert.ok(device.isAnnouncing);
  assert.equal(command([3, 0]), 0);
  assert.ok(!device.isAnnouncing);
  const without = bare(everything & ~featureSet(f.GUEST_ANNOUNCE));
  assert.equal(without.command([3, 0]), 1);
  assert.equal(without.device.announce(), false);
});

test("own address, queue pairs and guest offloads are set by commands within what was negotiated", () => {
  const { command, device, passes } = bare();
  assert.equal(command([1, 1, 2, 0, 0, 0, 0, 0x55]), 0);
  assert.equal(formatMac(device.filter.mac), "02:00:00:00:00:55");
  assert.deepEqual([command([1, 1, 3, 0, 0, 0, 0, 1]), command([1, 1, 2, 0])], [1, 1]);
  command([0, 0, 0]);
  assert.ok(passes("02:00:00:00:00:55"));
  assert.equal(command([5, 0, 2, 0, 0, 0, 0, 0, 0, 0]), 0);
  assert.equal(command([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]), 1, "GUEST_TSO6 was not negotiated");
  assert.equal(command([4, 0, 1, 0]), 1, "MQ neither");
  const many = bare(everything | featureSet(f.MQ), "little", 4);
  assert.deepEqual([command([4, 0, 1]), many.command([4, 0, 4, 0]), many.device.pairsInUse], [1, 0, 4]);
  assert.deepEqual([many.command([4, 0, 0, 0]), many.command([4, 0, 5, 0]), many.device.pairsInUse], [1, 1, 4]);
});

test("R-717 the driver looks at every configuration change, announces, acknowledges; the device clears the bit then", async () => {
  for (const transport of ["legacy-be", "legacy-le", "modern"] as const) {
    const peer = new RecordingPeer();
    const { device, driver, machine, close } = await createNetLoopback({ peer, transport });
    for (let round = 1; round <= 3; round++) {
      assert.ok(device.announce());
      assert.ok(device.isAnnouncing, "until the driver has answered");
      for (let turn = 0; turn < 20 && device.isAnnouncing; turn++) await machine.idle(5);
      assert.ok(!device.isAnnouncing);
      assert.equal(peer.frames.length, round);
    }
    const [frame] = peer.frames;
    assert.deepEqual([...frame.subarray(0, 14)], [...new Uint8Array(6).fill(255), ...driver.mac, 0x80, 0x35]);
    device.setLink(false);
    await machine.idle(10);
    assert.equal(peer.frames.length, 3, "another change is no wish to be announced");
    await close();
  }
});

test("R-718 packets come first, the acknowledgement after them", async () => {
  const features = featureSet(f.MAC, f.STATUS, f.CTRL_VQ, f.GUEST_ANNOUNCE);
  const device = new ScriptedNetDevice(features, [16, 16, 16]);
  const plugged = plugIntoMachine(device, 0x020000, {});
  const driver = await VirtioNetDriver.open(plugged.openTransport());
  const frames = [1, 2].map((seed) => patternFrame(other, driver.mac, 60, seed));
  driver.announceWith(() => frames);
  device.config.status = 3;
  device.host.configChanged();
  for (let turn = 0; turn < 20 && device.seen.length < 3; turn++) await plugged.machine.idle(5);
  assert.deepEqual(
    device.seen.map(({ queue }) => queue),
    [1, 1, 2],
  );
  assert.deepEqual([...device.seen[2].readable], [3, 0]);
  assert.deepEqual(
    device.seen.slice(0, 2).map(({ readable }) => readable.subarray(12)),
    frames,
  );
  await driver.close();
});
