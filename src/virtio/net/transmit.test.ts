import assert from "node:assert/strict";
import { test } from "node:test";
import { addWords, foldSum, internetChecksum, Packet, pseudoHeaderSum, Segmentation } from "../../packet/index.js";
import {
  BareQueues,
  createNetLoopback,
  plugIntoMachine,
  RecordingPeer,
  ScriptedNetDevice,
} from "../../testing/index.js";
import { featureSet, ringFeatures } from "../../transport/index.js";
import { netFeatures, VirtioNetDevice, VirtioNetDriver, type VirtioNetOptions } from "./index.js";

const f = netFeatures;
const checksums = featureSet(f.CSUM, f.HOST_TSO4, f.HOST_TSO6, f.HOST_ECN, f.HOST_UFO);

/** An IPv4 TCP segment with `length` bytes of data; its checksum is that of the pseudo header only. */
function tcpPacket(length: number, flags = 0x18): Packet {
  const packet = new Packet(new Uint8Array(54 + length));
  const { bytes, view } = packet;
  for (let index = 0; index < length; index++) bytes[54 + index] = (index * 11) & 0xff;
  bytes.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0]);
  view.setUint16(16, 40 + length);
  bytes.set([0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2], 18);
  view.setUint16(24, internetChecksum(view, 14, 20));
  bytes.set([0x12, 0x34, 0, 80, 0, 0, 0, 100, 0, 0, 0, 7, 0x50, flags, 0x20, 0], 34);
  view.setUint16(50, foldSum(pseudoHeaderSum(view, 26, 8, 6, 20 + length)));
  packet.needsChecksum = true;
  packet.checksumStart = 34;
  packet.checksumOffset = 16;
  return packet;
}

/** Whether TCP's checksum over IPv4 is right. */
function isTcpSound(frame: Uint8Array): boolean {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const length = view.getUint16(16) - 20;
  const ip = internetChecksum(view, 14, 20) === 0;
  return ip && internetChecksum(view, 34, length, pseudoHeaderSum(view, 26, 8, 6, length)) === 0;
}

function header(size: 10 | 12, little: boolean, values: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(size));
  view.setUint8(0, values[0]);
  view.setUint8(1, values[1]);
  for (let index = 2; index < values.length; index++) view.setUint16(2 * index - 2, values[index], little);
  return new Uint8Array(view.buffer);
}

function bare(
  options: VirtioNetOptions & { takes?: RecordingPeer["takes"] } = {},
  how: { legacy?: boolean; features?: bigint } = {},
) {
  const peer = new RecordingPeer(options.takes);
  const device = new VirtioNetDevice(peer, options);
  const queues = new BareQueues(device, {
    ...(how.legacy === true ? { endianness: "big" as const } : {}),
    features: how.features ?? device.features,
  });
  const send = (head: Uint8Array, frame: Uint8Array, cuts: readonly number[] = []) =>
    queues.send(1, Uint8Array.from([...head, ...frame]), 0, cuts);
  return { peer, device, queues, send };
}

test("R-706 a segment with ECN is cut by the driver unless HOST_ECN was negotiated", async () => {
  for (const withECN of [true, false]) {
    const peer = new RecordingPeer({ checksum: true, tcp4: true, ecn: true });
    const device = { withhold: withECN ? 0n : featureSet(f.HOST_ECN) };
    const { driver, machine, close } = await createNetLoopback({ peer, device });
    const packet = tcpPacket(3000, 0x98);
    packet.segmentation = Segmentation.TcpV4;
    packet.segmentSize = 1000;
    packet.hasEcn = true;
    if (!withECN) assert.throws(() => driver.transmit(packet), RangeError);
    await Promise.all([driver.send(packet), machine.idle(20)]);
    await machine.idle(5);
    assert.equal(peer.packets.length, withECN ? 1 : 3);
    assert.equal(peer.packets[0].hasEcn, withECN);
    // CWR stands in the first segment only (RFC 3168 §6.1.2).
    if (!withECN)
      assert.deepEqual(
        peer.frames.map((frame) => frame[47] & 0x80),
        [0x80, 0, 0],
      );
    await close();
  }
});

test("R-706 the device refuses ECN that was not negotiated", () => {
  const { peer, queues, send } = bare({}, { features: checksums & ~featureSet(f.HOST_ECN) });
  const packet = tcpPacket(3000, 0x98);
  send(header(12, true, [1, 0x81, 54, 1000, 34, 16]), packet.bytes);
  assert.deepEqual(queues.violations, ["packet-offload-invalid"]);
  assert.equal(peer.frames.length, 0);
});

test("R-707 header of 10 bytes in guest order, of 12 with MRG_RXBUF, always of 12 with VERSION_1", () => {
  const { bytes } = tcpPacket(10);
  for (const { legacy, features, size } of [
    { legacy: true, features: 0n, size: 10 },
    { legacy: true, features: featureSet(f.MRG_RXBUF), size: 12 },
    { legacy: false, features: 0n, size: 12 },
    { legacy: false, features: featureSet(f.MRG_RXBUF), size: 12 },
  ] as const) {
    const { peer, queues, send } = bare(
      { takes: { checksum: true } },
      { legacy, features: features | featureSet(f.CSUM) },
    );
    send(header(size, !legacy, [1, 0, 0, 0, 34, 16]), bytes);
    assert.deepEqual(queues.violations, []);
    assert.deepEqual(peer.frames, [bytes]);
    const [packet] = peer.packets;
    assert.deepEqual([packet.needsChecksum, packet.checksumStart, packet.checksumOffset], [true, 34, 16]);
  }
});

test("R-707 gso_type numbers: TCPv4 1, UDP 3, TCPv6 4, ECN 0x80 beside them", () => {
  const { peer, send } = bare(
    { takes: { checksum: true, tcp4: true, tcp6: true, udp: true, ecn: true } },
    { features: checksums },
  );
  for (const type of [1, 3, 4, 0x81]) send(header(12, true, [1, type, 54, 500, 34, 16]), tcpPacket(1200).bytes);
  assert.deepEqual(
    peer.packets.map(({ segmentation, hasEcn }) => [segmentation, hasEcn]),
    [
      [1, false],
      [3, false],
      [4, false],
      [1, true],
    ],
  );
});

test("R-708 TCP over IPv4 with csum_start 34 and csum_offset 16: the sum is finished over the pseudo header's", () => {
  for (const length of [0, 1, 100, 1461]) {
    const { peer, queues, send } = bare({}, { features: checksums });
    send(header(12, true, [1, 0, 0, 0, 34, 16]), tcpPacket(length).bytes);
    assert.deepEqual(queues.violations, []);
    assert.ok(isTcpSound(peer.frames[0]), `${length} bytes`);
  }
});

test("R-708 a checksum outside the packet, or without CSUM, is refused", () => {
  const packet = tcpPacket(10).bytes;
  const plain = bare({}, { features: 0n });
  plain.send(header(12, true, [1, 0, 0, 0, 34, 16]), packet);
  assert.deepEqual(plain.queues.violations, ["packet-offload-invalid"]);
  const { queues, peer, send } = bare({}, { features: checksums });
  for (const [start, offset] of [
    [34, packet.length - 35],
    [0xffff, 0xffff],
    [packet.length - 1, 0],
  ]) {
    send(header(12, true, [1, 0, 0, 0, start, offset]), packet);
  }
  assert.deepEqual(queues.violations, new Array(3).fill("packet-offload-invalid"));
  send(header(12, true, [1, 0, 0, 0, packet.length - 2, 0]), packet);
  assert.equal(peer.frames.length, 1, "the last two bytes are inside");
});

test("R-709 gso_size is the data of each packet beyond its headers; hdr_len is a hint only", () => {
  for (const hint of [0, 54, 9999]) {
    const { peer, queues, send } = bare({}, { features: checksums });
    send(header(12, true, [1, 1, hint, 1000, 34, 16]), tcpPacket(2500, 0x19).bytes);
    assert.deepEqual(queues.violations, []);
    assert.deepEqual(
      peer.frames.map(({ length }) => length),
      [1054, 1054, 554],
    );
    assert.ok(peer.frames.every(isTcpSound));
    const view = (frame: Uint8Array) => new DataView(frame.buffer);
    assert.deepEqual(
      peer.frames.map((frame) => view(frame).getUint32(38)),
      [100, 1100, 2100],
    );
    assert.deepEqual(
      peer.frames.map((frame) => view(frame).getUint16(18)),
      [0x1234, 0x1235, 0x1236],
    );
    assert.deepEqual(
      peer.frames.map((frame) => frame[47]),
      [0x10, 0x10, 0x19],
      "FIN and PSH in the last only",
    );
  }
});

test("R-709 segmentation without a size, a partial checksum or its feature is refused", () => {
  const { bytes } = tcpPacket(2500);
  // A peer that would take all of it: nobody else looks at the numbers.
  const takes = { checksum: true, tcp4: true, tcp6: true };
  const { queues, send, peer } = bare({ takes }, { features: checksums & ~featureSet(f.HOST_TSO6) });
  send(header(12, true, [1, 1, 54, 0, 34, 16]), bytes);
  send(header(12, true, [0, 1, 54, 1000, 34, 16]), bytes);
  send(header(12, true, [1, 4, 54, 1000, 34, 16]), bytes);
  send(header(12, true, [1, 2, 54, 1000, 34, 16]), bytes);
  assert.deepEqual(queues.violations, new Array(4).fill("packet-offload-invalid"));
  assert.equal(peer.frames.length, 0);
});

test("R-705 a legacy driver that picks HOST_TSO4 without CSUM cannot be refused, and is served without either", () => {
  const takes = { checksum: true, tcp4: true };
  const { queues, send, peer } = bare({ takes }, { legacy: true, features: featureSet(f.HOST_TSO4) });
  send(header(10, false, [1, 1, 54, 1000, 34, 16]), tcpPacket(2500).bytes);
  assert.deepEqual([queues.violations, peer.frames.length], [["packet-offload-invalid"], 0]);
  const both = bare({ takes }, { legacy: true, features: featureSet(f.HOST_TSO4, f.CSUM) });
  both.send(header(10, false, [1, 1, 54, 1000, 34, 16]), tcpPacket(2500).bytes);
  assert.deepEqual([both.queues.violations, both.peer.frames.length], [[], 1]);
});

test("R-710 our driver sends header and packet in one readable buffer, with num_buffers 0", async () => {
  for (const [transport, features, size, pieces] of [
    ["modern", featureSet(f.MRG_RXBUF), 12, 1],
    ["modern", 0n, 12, 1],
    ["legacy-le", featureSet(f.MRG_RXBUF), 12, 1],
    ["legacy-le", 0n, 10, 1],
  ] as const) {
    const device = new ScriptedNetDevice(features, [16, 16]);
    const plugged = plugIntoMachine(device, 0x020000, { transport });
    const driver = await VirtioNetDriver.open(plugged.openTransport());
    const { bytes } = tcpPacket(100);
    await Promise.all([driver.send(bytes), plugged.machine.idle(10)]);
    const [seen] = device.seen;
    assert.deepEqual([seen.queue, seen.writable, seen.pieces.length], [1, 0, pieces]);
    assert.deepEqual(seen.readable.subarray(0, size), new Uint8Array(size), "no work is left, num_buffers is 0");
    assert.deepEqual(seen.readable.subarray(size), bytes);
    await driver.close();
  }
});

test("R-616 without ANY_LAYOUT a legacy device gets the header in a descriptor of its own", async () => {
  const device = new ScriptedNetDevice(0n, [16, 16]);
  const plugged = plugIntoMachine(device, 0x020000, { transport: "legacy-le" });
  const { ANY_LAYOUT, INDIRECT_DESC } = ringFeatures;
  const driver = await VirtioNetDriver.open(plugged.openTransport(), { features: featureSet(INDIRECT_DESC) });
  assert.equal(driver.link.has(ANY_LAYOUT), false);
  await Promise.all([driver.send(tcpPacket(46).bytes), plugged.machine.idle(10)]);
  assert.deepEqual(device.seen[0].pieces, [10, 100]);
  await driver.close();
});

test("R-616 our device takes a packet in pieces of any size, and refuses what is none", () => {
  const { peer, queues, send } = bare({}, { features: 0n });
  const { bytes } = tcpPacket(200);
  const head = header(12, true, [0, 0, 0, 0, 0, 0]);
  for (const cuts of [[], [12], [1, 2, 3, 11, 12, 13, 26, 100], [5, 40]]) {
    assert.equal(send(head, bytes, cuts).written, 0);
  }
  assert.deepEqual(peer.frames, [bytes, bytes, bytes, bytes]);
  queues.send(1, head.subarray(0, 11), 0);
  send(head, bytes.subarray(0, 13));
  send(head, new Uint8Array(70_000));
  queues.send(1, Uint8Array.from([...head, ...bytes]), 4);
  assert.deepEqual(queues.violations, [
    "request-header-short",
    "packet-length-invalid",
    "packet-length-invalid",
    "request-data-direction",
  ]);
  assert.equal(peer.frames.length, 4);
  assert.equal(addWords(new DataView(bytes.buffer), 0, 2), 0x0200);
});

test("a peer that is full gets its packets when it has room again, in order", () => {
  const { peer, send, queues } = bare({}, { features: 0n });
  const head = header(12, true, [0, 0, 0, 0, 0, 0]);
  peer.isFull = true;
  const sent = [10, 20, 30].map((length) => send(head, tcpPacket(length).bytes));
  assert.deepEqual([peer.frames.length, sent.some(({ done }) => done)], [0, false]);
  peer.resume();
  queues.poll();
  assert.deepEqual(
    peer.frames.map(({ length }) => length),
    [64, 74, 84],
  );
  assert.ok(sent.every(({ done }) => done));
});
