/** virtio-net as hostile rings need it: packets with work left on them, commands, buffers of all sizes. */
import type { Endianness } from "../../src/bytes/index.js";
import { internetChecksum, Packet } from "../../src/packet/index.js";
import { anyBytes, anyNumber, type HostileContent, RecordingPeer, type SeededRandom } from "../../src/testing/index.js";
import { netFeatures, netHeader, VirtioNetDevice } from "../../src/virtio/index.js";
import type { RingSubject } from "./ring-subjects.js";

const pairs = 2;
const knownFeatures = Object.values(netFeatures).reduce((set, bit) => set | (1n << BigInt(bit)), 0n);

/** A frame: mostly TCP over IPv4 that is sound, sometimes with something wrong, sometimes noise. */
export function anyFrame(random: SeededRandom): Uint8Array {
  if (random.chance(0.1)) return anyBytes(random, random.below(200));
  const length = random.chance(0.2) ? random.below(9000) : random.below(1500);
  const packet = new Packet(new Uint8Array(54 + length));
  const { bytes, view } = packet;
  bytes.set([0x52, 0x55, 10, 0, 2, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0]);
  view.setUint16(16, 40 + length);
  bytes.set([0, 1, 0, 0, 64, [6, 17, 1][random.below(3)], 0, 0, 10, 0, 2, 15, 10, 0, 2, 2], 18);
  view.setUint16(24, internetChecksum(view, 14, 20));
  view.setUint16(34, random.below(4));
  view.setUint16(36, random.chance(0.8) ? [7, 9, 67][random.below(3)] : random.below(65536));
  bytes.set([0x50, random.below(256), 0xff, 0xff], 46);
  for (let times = random.below(3); times > 0 && random.chance(0.5); times--) {
    bytes[random.below(60) % bytes.length] = random.below(256);
  }
  return bytes;
}

/** The header before a frame: mostly one that fits it. */
export function anyHeader(random: SeededRandom, size: number, endianness: Endianness): Uint8Array {
  const view = new DataView(new ArrayBuffer(netHeader.size));
  const isPlain = random.chance(0.4);
  netHeader.write(view, 0, endianness, {
    flags: isPlain ? 0 : random.chance(0.9) ? 1 : random.below(256),
    gsoType: isPlain || random.chance(0.3) ? 0 : [1, 3, 4, 0x81, 0x84, random.below(256)][random.below(6)],
    hdrLen: random.chance(0.7) ? 54 : anyNumber(random, 16) & 0xffff,
    gsoSize: random.chance(0.7) ? 1 + random.below(1460) : anyNumber(random, 16) & 0xffff,
    csumStart: random.chance(0.8) ? 34 : anyNumber(random, 16) & 0xffff,
    csumOffset: random.chance(0.8) ? 16 : anyNumber(random, 16) & 0xffff,
    numBuffers: random.below(4),
  });
  return new Uint8Array(view.buffer, 0, size);
}

function anyCommand(random: SeededRandom): HostileContent {
  const data = random.chance(0.5)
    ? anyBytes(random, random.below(20))
    : Uint8Array.from([2, 0, 0, 0, ...anyBytes(random, 12), random.below(3), 0, 0, 0, ...anyBytes(random, 12)]);
  const readable = Uint8Array.from([random.below(7), random.below(6), ...data]);
  return { readable: random.chance(0.95) ? readable : readable.subarray(0, 1), writable: random.below(4) };
}

/** The device, with two pairs of queues; what it sends is thrown away, what it receives is any frame. */
export function netSubject(): RingSubject {
  const peer = new RecordingPeer();
  const device = new VirtioNetDevice(peer, { queuePairs: pairs, backlog: 4 });
  let hasLongHeader = true;
  let random: SeededRandom | undefined;
  let commands = 0;
  return {
    device,
    get reached() {
      peer.packets.length = 0;
      return device.counters.transmitted + device.counters.received + commands;
    },
    violations: [
      "request-header-short",
      "response-space-short",
      "request-data-direction",
      "packet-length-invalid",
      "packet-offload-invalid",
    ],
    features(dice) {
      random = dice;
      const any = (BigInt(dice.below(2 ** 32)) << 8n) ^ BigInt(dice.below(2 ** 32));
      const features = dice.chance(0.5) ? knownFeatures : any & knownFeatures;
      hasLongHeader = (features & (1n << BigInt(netFeatures.MRG_RXBUF))) !== 0n;
      return features;
    },
    queues(dice) {
      const place = dice.below(10);
      if (place < 4) return [1];
      if (place < 7) return [0];
      // With MQ the control queue is 4, without it 2.
      return place < 9 ? [0, dice.chance(0.5) ? 4 : 2, 1] : [3, 0];
    },
    content(dice, index, endianness) {
      if (index === 2 || index === 4) {
        commands++;
        return anyCommand(dice);
      }
      if (index % 2 === 0) {
        const readable = new Uint8Array(dice.chance(0.05) ? 1 + dice.below(20) : 0);
        return { readable, writable: dice.chance(0.1) ? dice.below(14) : 64 + dice.below(2000) };
      }
      const header = anyHeader(dice, hasLongHeader ? netHeader.size : 10, endianness);
      const whole = Uint8Array.from([...header, ...anyFrame(dice)]);
      const readable = dice.chance(0.05) ? whole.subarray(0, dice.below(12)) : whole;
      return { readable, writable: dice.chance(0.05) ? 1 + dice.below(20) : 0 };
    },
    served(index) {
      if (index % 2 === 1 || random === undefined) return;
      for (let count = random.below(4); count > 0; count--) {
        const frame = anyFrame(random);
        if (frame.length >= 14) peer.send(frame);
      }
    },
  };
}
