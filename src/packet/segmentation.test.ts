import assert from "node:assert/strict";
import { test } from "node:test";
import { foldSum, internetChecksum, Packet, pseudoHeaderSum, Segmentation, Segmenter } from "./index.js";

const macs = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

function data(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 17 + (index >> 8)) & 0xff);
}

/** A packet of the parts, to be cut into pieces of `size`. */
function long(segmentation: number, size: number, ...parts: ArrayLike<number>[]): Packet {
  const packet = new Packet(Uint8Array.from(parts.flatMap((part) => Array.from(part))));
  packet.segmentation = segmentation;
  packet.segmentSize = size;
  packet.needsChecksum = true;
  return packet;
}

function cut(packet: Packet): Uint8Array[] | undefined {
  const frames: Uint8Array[] = [];
  return new Segmenter().cut(packet, (segment) => frames.push(segment.toBytes())) ? frames : undefined;
}

const viewOf = (frame: Uint8Array) => new DataView(frame.buffer, frame.byteOffset, frame.length);

test("RFC 1071's example: the sum of 00 01 f2 03 f4 f5 f6 f7 is ddf2, an odd byte counts as the high half", () => {
  const bytes = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
  assert.equal(internetChecksum(viewOf(bytes), 0, 8), 0xddf2 ^ 0xffff);
  assert.equal(internetChecksum(viewOf(Uint8Array.of(0x12, 0x34, 0x56)), 0, 3), (0x1234 + 0x5600) ^ 0xffff);
  assert.equal(foldSum(0x2_fffe), 1, "a carry may cause another");
  // A header from RFC 791 practice: its own checksum makes the sum complete.
  const header = Uint8Array.of(
    0x45,
    0,
    0,
    0x73,
    0,
    0,
    0x40,
    0,
    0x40,
    0x11,
    0xb8,
    0x61,
    0xc0,
    0xa8,
    0,
    1,
    0xc0,
    0xa8,
    0,
    0xc7,
  );
  assert.equal(internetChecksum(viewOf(header), 0, 20), 0);
});

test("TCP over IPv6, with TCP options and a VLAN tag: lengths, sequence numbers and checksums of each segment", () => {
  const ip = [0x60, 0, 0, 0, 0, 0, 6, 64, ...new Array(15).fill(0xfd), 1, ...new Array(15).fill(0xfd), 2];
  const tcp = [0, 80, 0x30, 0x39, 0xff, 0xff, 0xff, 0, 0, 0, 0, 9, 0x80, 0x19, 1, 0, 0, 0, 0, 0];
  const options = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
  const content = data(2000);
  for (const tag of [[], [0x81, 0, 0, 5]]) {
    const frames = cut(long(Segmentation.TcpV6, 700, macs, tag, [0x86, 0xdd], ip, tcp, options, content)) ?? [];
    const at = 14 + tag.length;
    assert.deepEqual(
      frames.map((frame) => frame.length - at - 72),
      [700, 700, 600],
    );
    let sequence = 0xffff_ff00;
    const whole: number[] = [];
    for (const frame of frames) {
      const view = viewOf(frame);
      const length = frame.length - at - 40;
      assert.equal(view.getUint16(at + 4), length);
      assert.equal(view.getUint32(at + 44), sequence, "it wraps");
      assert.deepEqual([...frame.subarray(at + 60, at + 72)], options);
      assert.equal(internetChecksum(view, at + 40, length, pseudoHeaderSum(view, at + 8, 32, 6, length)), 0);
      sequence = (sequence + length - 32) >>> 0;
      whole.push(...frame.subarray(at + 72));
    }
    assert.deepEqual(Uint8Array.from(whole), content);
    assert.deepEqual(
      frames.map((frame) => frame[at + 53]),
      [0x10, 0x10, 0x19],
    );
  }
});

test("a UDP datagram becomes fragments of IPv4 whose offsets and flags put it together again", () => {
  const content = data(3000);
  const ip = [0x45, 0, 0, 0, 0xab, 0xcd, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
  const udp = [0, 7, 0, 9, (3008 >> 8) & 0xff, 3008 & 0xff, 0, 0];
  const packet = long(Segmentation.Udp, 1480, macs, [8, 0], ip, udp, content);
  packet.checksumStart = 34;
  packet.checksumOffset = 6;
  packet.view.setUint16(40, foldSum(pseudoHeaderSum(packet.view, 26, 8, 17, 3008)));
  const frames = cut(packet) ?? [];
  const whole = new Uint8Array(3008);
  for (const frame of frames) {
    const view = viewOf(frame);
    const word = view.getUint16(20);
    whole.set(frame.subarray(34), (word & 0x1fff) * 8);
    assert.equal((word & 0x2000) !== 0, frame !== frames.at(-1), "more fragments, but for the last");
    assert.equal(view.getUint16(18), 0xabcd);
    assert.equal(view.getUint16(16), frame.length - 14);
    assert.equal(internetChecksum(view, 14, 20), 0);
  }
  assert.equal(frames.length, 3);
  const joined = new DataView(whole.buffer);
  assert.equal(internetChecksum(joined, 0, 3008, pseudoHeaderSum(viewOf(frames[0]), 26, 8, 17, 3008)), 0);
  assert.deepEqual(whole.subarray(8), content);
});

test("what is not what its gso_type says is not cut", () => {
  const ip = [0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
  const tcp = [0, 80, 0, 81, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 1, 0, 0, 0, 0, 0];
  const good = () => long(Segmentation.TcpV4, 100, macs, [8, 0], ip, tcp, data(300));
  assert.equal(cut(good())?.length, 3);
  const spoiled: ((packet: Packet) => void)[] = [
    (packet) => (packet.segmentation = Segmentation.TcpV6),
    (packet) => (packet.segmentation = Segmentation.Udp),
    (packet) => (packet.segmentation = 7),
    (packet) => (packet.segmentSize = 0),
    (packet) => (packet.bytes[14] = 0x65),
    (packet) => (packet.bytes[14] = 0x44),
    (packet) => (packet.bytes[14] = 0x4f),
    (packet) => (packet.bytes[20] = 0x20),
    (packet) => (packet.bytes[23] = 17),
    (packet) => (packet.bytes[46] = 0x40),
    (packet) => (packet.length = 53),
    (packet) => (packet.length = 20),
    (packet) => (packet.length = 13),
  ];
  for (const [index, spoil] of spoiled.entries()) {
    const packet = good();
    spoil(packet);
    assert.equal(cut(packet), undefined, `case ${index}`);
  }
  const headersEndThere = good();
  headersEndThere.bytes[46] = 0xf0;
  assert.equal(cut(headersEndThere)?.length, 3, "options up to 60 bytes");
});
