import assert from "node:assert/strict";
import { test } from "node:test";
import { internetChecksum, Packet, parseMac, pseudoHeaderSum, Segmentation } from "../../packet/index.js";
import {
  BareQueues,
  createNetLoopback,
  patternFrame,
  plugIntoMachine,
  RecordingPeer,
  ScriptedNetDevice,
} from "../../testing/index.js";
import { featureSet } from "../../transport/index.js";
import { netFeatures, VirtioNetDevice, VirtioNetDriver, type VirtioNetOptions } from "./index.js";

const f = netFeatures;
const other = parseMac("02:00:00:00:00:07");
const longPackets = featureSet(f.GUEST_CSUM, f.GUEST_TSO4, f.GUEST_TSO6, f.GUEST_ECN, f.GUEST_UFO);

function bare(features: bigint, how: { legacy?: boolean; options?: VirtioNetOptions } = {}) {
  const peer = new RecordingPeer();
  const device = new VirtioNetDevice(peer, how.options ?? {});
  const queues = new BareQueues(device, { ...(how.legacy === true ? { endianness: "big" as const } : {}), features });
  return {
    peer,
    device,
    queues,
    frame: (length: number, seed = 0) => patternFrame(device.filter.mac, other, length, seed),
  };
}

/** A TCP packet over IPv4 whose checksum was begun only. */
function tcpPacket(length: number): Packet {
  const packet = new Packet(new Uint8Array(54 + length).fill(0x5a));
  const { bytes, view } = packet;
  bytes.set([
    ...parseMac("52:54:00:12:34:56"),
    ...other,
    8,
    0,
    0x45,
    0,
    0,
    0,
    0,
    1,
    0,
    0,
    64,
    6,
    0,
    0,
    10,
    0,
    0,
    1,
    10,
    0,
    0,
    2,
  ]);
  view.setUint16(16, 40 + length);
  view.setUint16(24, internetChecksum(view, 14, 20));
  bytes.set([1, 2, 3, 4, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 1, 0, 0, 0, 0], 34);
  view.setUint16(50, internetChecksum(view, 0, 0, pseudoHeaderSum(view, 26, 8, 6, 20 + length)) ^ 0xffff);
  packet.needsChecksum = true;
  packet.checksumStart = 34;
  packet.checksumOffset = 16;
  return packet;
}

function isTcpSound(frame: Uint8Array): boolean {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const length = view.getUint16(16) - 20;
  return internetChecksum(view, 34, length, pseudoHeaderSum(view, 26, 8, 6, length)) === 0;
}

test("R-711 our driver's buffers hold 1514 bytes and the header, or 65550 when long packets can come, if not mergeable", async () => {
  for (const [transport, features, size, header] of [
    ["legacy-le", 0n, 1514, 10],
    ["modern", 0n, 1514, 12],
    ["legacy-le", featureSet(f.GUEST_CSUM, f.GUEST_TSO4), 65_550, 10],
    ["modern", featureSet(f.GUEST_CSUM, f.GUEST_TSO6), 65_550, 12],
    ["modern", featureSet(f.GUEST_CSUM, f.GUEST_UFO), 65_550, 12],
    ["modern", featureSet(f.GUEST_CSUM), 1514, 12],
    ["modern", featureSet(f.MRG_RXBUF), 0, 12],
  ] as const) {
    const device = new ScriptedNetDevice(features, [4, 4]);
    const plugged = plugIntoMachine(device, 0x020000, { transport });
    const driver = await VirtioNetDriver.open(plugged.openTransport());
    const [room] = device.takeBuffers(1);
    assert.ok(room >= size + header, `${room} bytes for ${size} + ${header}`);
    if (size === 1514) assert.ok(room < 2000, "not more than it takes");
    await driver.close();
  }
});

test("R-712 num_buffers counts the buffers of a packet; only the first has a header", () => {
  const { peer, queues, frame } = bare(featureSet(f.MRG_RXBUF));
  const chains = Array.from({ length: 5 }, () => queues.submit(0, new Uint8Array(0), 100, [], [30]));
  queues.notify(0);
  const sent = frame(300);
  assert.ok(peer.send(sent));
  queues.poll();
  assert.deepEqual(
    chains.map(({ done, written }) => [done, written]),
    [
      [true, 100],
      [true, 100],
      [true, 100],
      [true, 12],
      [false, 0],
    ],
  );
  const view = new DataView(chains[0].answer.buffer, chains[0].answer.byteOffset);
  assert.equal(view.getUint16(10, true), 4, "buffers, not descriptors: each has two");
  const whole = chains.slice(0, 4).flatMap(({ answer, written }) => [...answer.subarray(0, written)]);
  assert.deepEqual(whole.slice(12), [...sent]);
});

test("R-712 the number is in the guest's order on legacy devices, and 1 on modern ones without MRG_RXBUF", () => {
  const legacy = bare(featureSet(f.MRG_RXBUF), { legacy: true });
  const big = legacy.queues.submit(0, new Uint8Array(0), 200);
  legacy.peer.send(legacy.frame(60));
  legacy.queues.poll();
  assert.deepEqual([...big.answer.subarray(10, 12)], [0, 1]);
  const modern = bare(0n);
  const one = modern.queues.submit(0, new Uint8Array(0), 200);
  modern.peer.send(modern.frame(60));
  modern.queues.poll();
  assert.deepEqual([one.written, ...one.answer.subarray(10, 12)], [72, 1, 0]);
  const short = bare(0n, { legacy: true });
  const ten = short.queues.submit(0, new Uint8Array(0), 200);
  const sent = short.frame(60);
  short.peer.send(sent);
  short.queues.poll();
  assert.equal(ten.written, 70);
  assert.deepEqual([...ten.answer.subarray(10, 70)], [...sent]);
});

test("R-712 our driver puts a packet together from its buffers, and drops one whose number is wrong", async () => {
  const device = new ScriptedNetDevice(featureSet(f.MRG_RXBUF), [16, 16]);
  const plugged = plugIntoMachine(device, 0x020000, {});
  const driver = await VirtioNetDriver.open(plugged.openTransport(), { bufferSize: 128 });
  const got: Uint8Array[] = [];
  driver.onFrame((packet) => got.push(packet.toBytes()));
  const sent = patternFrame(driver.mac, other, 300);
  const first = (buffers: number) =>
    Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, buffers, 0, ...sent.subarray(0, 116)]);
  const rest = [sent.subarray(116, 244), sent.subarray(244)];
  device.fill([first(3), ...rest]);
  await plugged.machine.idle(5);
  assert.deepEqual(got, [sent]);
  device.fill([first(0)]);
  await plugged.machine.idle(5);
  device.fill([first(9), ...rest]);
  await plugged.machine.idle(5);
  assert.deepEqual([...driver.violations], [["packet-buffers-missing", 2]]);
  // The driver goes on: all buffers are there again.
  for (let round = 0; round < 40; round++) {
    device.fill([first(3), ...rest]);
    await plugged.machine.idle(2);
  }
  assert.equal(got.length, 41);
  await driver.close();
});

test("R-713 NEEDS_CSUM only with GUEST_CSUM: without it the device finishes the checksum", () => {
  for (const features of [0n, featureSet(f.GUEST_CSUM)]) {
    const { peer, queues } = bare(features);
    const chain = queues.submit(0, new Uint8Array(0), 2000);
    peer.send(tcpPacket(100));
    queues.poll();
    const partial = features !== 0n;
    assert.equal(chain.answer[0], partial ? 1 : 0);
    assert.deepEqual([...chain.answer.subarray(6, 10)], partial ? [34, 0, 16, 0] : [0, 0, 0, 0]);
    assert.equal(isTcpSound(chain.answer.subarray(12, chain.written)), !partial);
  }
});

test("R-713 a gso_type only with its GUEST feature: otherwise the device cuts", () => {
  for (const features of [featureSet(f.GUEST_CSUM), featureSet(f.GUEST_CSUM, f.GUEST_TSO6), longPackets]) {
    const { peer, queues } = bare(features | featureSet(f.MRG_RXBUF));
    const chains = Array.from({ length: 4 }, () => queues.submit(0, new Uint8Array(0), 4000));
    const packet = tcpPacket(2500);
    packet.segmentation = Segmentation.TcpV4;
    packet.segmentSize = 1000;
    peer.send(packet);
    queues.poll();
    const used = chains.filter(({ done }) => done);
    const isWhole = features === longPackets;
    assert.deepEqual(
      used.map(({ answer }) => answer[1]),
      isWhole ? [1] : [0, 0, 0],
    );
    assert.deepEqual(
      used.map(({ written }) => written - 12),
      isWhole ? [2554] : [1054, 1054, 554],
    );
    if (!isWhole) assert.ok(used.every(({ answer, written }) => isTcpSound(answer.subarray(12, written))));
  }
});

test("R-713 our driver drops a packet with work that was not negotiated", async () => {
  const device = new ScriptedNetDevice(featureSet(f.MRG_RXBUF, f.GUEST_CSUM, f.GUEST_TSO4), [16, 16]);
  const plugged = plugIntoMachine(device, 0x020000, {});
  const driver = await VirtioNetDriver.open(plugged.openTransport());
  let count = 0;
  driver.onFrame(() => count++);
  const { bytes } = tcpPacket(100);
  const send = (flags: number, type: number, size: number, start: number, offset: number) =>
    device.fill([Uint8Array.from([flags, type, 0, 0, size, 0, start, 0, offset, 0, 1, 0, ...bytes])]);
  send(1, 0, 0, 34, 16);
  send(1, 1, 100, 34, 16);
  send(1, 4, 100, 34, 16);
  send(0, 1, 100, 0, 0);
  send(1, 0, 0, 152, 1);
  send(1, 0x81, 100, 34, 16);
  await plugged.machine.idle(5);
  assert.equal(count, 2);
  assert.deepEqual([...driver.violations], [["packet-offload-invalid", 4]]);
  device.fill([new Uint8Array(5)]);
  device.fill([new Uint8Array(20).fill(1, 10, 11)]);
  await plugged.machine.idle(5);
  assert.deepEqual([driver.violations.get("response-short"), driver.violations.get("packet-length-invalid")], [1, 1]);
  await driver.close();
});

test("packets wait for buffers up to a limit, oldest given up first, and a packet too large for a buffer is dropped", () => {
  const { peer, device, queues, frame } = bare(0n, { options: { backlog: 3 } });
  for (let number = 0; number < 5; number++) peer.send(frame(60, number));
  const chains = Array.from({ length: 4 }, () => queues.submit(0, new Uint8Array(0), 80));
  queues.notify(0);
  const arrived = chains.filter(({ done }) => done).map(({ answer }) => [...answer.subarray(12, 72)]);
  assert.deepEqual(
    arrived,
    [2, 3, 4].map((number) => [...frame(60, number)]),
  );
  assert.equal(peer.send(frame(100)), false);
  assert.deepEqual(queues.violations, ["response-space-short"]);
  assert.equal(peer.send(frame(60, 9)), true, "the buffer that was too small is still there");
  assert.equal(device.counters.dropped, 1);
});

test("buffers that cannot be used go back empty, and are named", () => {
  const { peer, queues, frame } = bare(featureSet(f.MRG_RXBUF));
  const readable = queues.submit(0, new Uint8Array(4), 100);
  const tiny = queues.submit(0, new Uint8Array(0), 11);
  const good = queues.submit(0, new Uint8Array(0), 100);
  assert.ok(peer.send(frame(60)));
  queues.poll();
  assert.deepEqual([readable.written, tiny.written, good.written], [0, 0, 72]);
  assert.deepEqual(queues.violations, ["request-data-direction", "response-space-short"]);
});

test("with several pairs in use a flow comes back on the pair on which it was sent last", async () => {
  const peer = new RecordingPeer({ checksum: true });
  const { driver, machine, close } = await createNetLoopback({
    peer,
    device: { queuePairs: 4 },
    driver: { queuePairs: 4 },
  });
  await machine.idle(10);
  const signalled: number[] = [];
  const interrupt = driver.interrupt.bind(driver);
  driver.interrupt = (index) => {
    signalled.push(index);
    interrupt(index);
  };
  for (const pair of [0, 3, 1, 2]) {
    const packet = tcpPacket(20);
    packet.view.setUint16(34, 5000 + pair);
    await Promise.all([driver.send(packet, { pair }), machine.idle(10)]);
    signalled.length = 0;
    const answer = tcpPacket(30);
    // The other direction: ports and addresses change places.
    answer.view.setUint16(34, packet.view.getUint16(36));
    answer.view.setUint16(36, 5000 + pair);
    answer.bytes.set([10, 0, 0, 2, 10, 0, 0, 1], 26);
    peer.send(answer);
    await machine.idle(10);
    assert.deepEqual(
      signalled.filter((index) => index % 2 === 0),
      [2 * pair],
    );
  }
  await close();
});
