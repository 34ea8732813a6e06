/** Hostile packets: a device that fills the net driver's buffers with anything, and a network that is sent anything. */
import assert from "node:assert/strict";
import {
  EtherType,
  FrameWriter,
  IpProtocol,
  ipv4Payload,
  Packet,
  parseIPv4,
  parseMac,
  UserNetwork,
} from "../../src/packet/index.js";
import { anyBytes, type PluggedNetLoopback, plugIntoMachine, ScriptedNetDevice } from "../../src/testing/index.js";
import { consistentFeatures, netFeatures, VirtioNetDriver } from "../../src/virtio/index.js";
import { anyFrame, anyHeader } from "./net-subject.js";
import type { Round, Soak } from "./soak.js";

const offered = Object.values(netFeatures)
  .filter((bit) => bit !== netFeatures.MQ)
  .reduce((set, bit) => set | (1n << BigInt(bit)), 0n);

const gateway = parseMac("52:55:0a:00:02:02");
const ours = parseMac("52:54:00:12:34:56");

/** One life of a driver on a device whose packets mean nothing good. */
async function runDriver({ random, count }: Round): Promise<void> {
  const some = (BigInt(random.below(2 ** 32)) << 8n) ^ BigInt(random.below(2 ** 32));
  const features = random.chance(0.5) ? consistentFeatures(offered) : consistentFeatures(some & offered);
  const device = new ScriptedNetDevice(features, [8, 8, 8]);
  const transport = (["legacy-be", "legacy-le", "modern"] as const)[random.below(3)];
  const options = { transport, ramSize: 2 << 20, poison: false };
  const plugged: Pick<PluggedNetLoopback, "machine" | "openTransport"> = plugIntoMachine(device, 0x020000, options);
  const driver = await VirtioNetDriver.open(plugged.openTransport(), { receiveBuffers: 8, bufferSize: 256 });
  const { endianness } = driver.link.transport;
  driver.onFrame((packet) => {
    count("packets that got through");
    assert.ok(packet.length >= 14 && packet.length <= packet.bytes.length);
  });
  for (let times = 0; times < 12 && driver.failure === undefined; times++) {
    const parts = Array.from({ length: 1 + random.below(3) }, (_, index) =>
      index === 0
        ? Uint8Array.from([...anyHeader(random, 12, endianness), ...anyFrame(random).subarray(0, 240)])
        : anyBytes(random, random.below(250)),
    );
    const lengths = parts.map(({ length }) => (random.chance(0.95) ? Math.min(length, 200) : random.below(2 ** 16)));
    try {
      device.fill(parts, lengths);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      count("the driver had no buffer left");
    }
    await plugged.machine.idle(0);
  }
  for (const [code, times] of driver.violations) count(code, times);
  if (driver.failure !== undefined) count("drivers that gave up");
  await driver.close();
  await plugged.machine.close();
}

/** TCP's place on the wire, as the network's answers told it. */
interface Place {
  port: number;
  sequence: number;
  acknowledgement: number;
}

/** A segment that mostly goes on where the last answer left off. */
function anySegment({ random }: Round, writer: FrameWriter, place: Place): Packet {
  const isOpening = random.chance(0.2);
  const length = isOpening ? 0 : random.chance(0.5) ? 0 : random.below(1000);
  writer.ethernet(gateway, ours, EtherType.IPv4);
  const packet = writer.ipv4(IpProtocol.Tcp, parseIPv4("10.0.2.15"), parseIPv4("10.0.2.2"), 20 + length);
  const { view } = packet;
  const at = ipv4Payload;
  if (isOpening || random.chance(0.1)) place.port = 1 + random.below(200);
  view.setUint16(at, place.port);
  view.setUint16(at + 2, random.chance(0.9) ? 7 : random.below(20));
  view.setUint32(at + 4, random.chance(0.85) ? place.sequence : random.below(2 ** 32));
  view.setUint32(at + 8, random.chance(0.85) ? place.acknowledgement : random.below(2 ** 32));
  view.setUint8(at + 12, random.chance(0.97) ? 0x50 : random.below(256));
  view.setUint8(at + 13, isOpening ? 2 : random.chance(0.8) ? 0x10 : random.below(64));
  view.setUint16(at + 14, random.chance(0.8) ? 0xffff : random.below(0x10000));
  writer.seal(IpProtocol.Tcp, 16);
  return packet;
}

/** A network is sent frames and whole conversations; what it answers is a frame. */
function runNetwork(round: Round): void {
  const { random, count } = round;
  const network = new UserNetwork();
  const place: Place = { port: 1, sequence: random.below(2 ** 32), acknowledgement: 0 };
  network.connect({
    receive(packet) {
      count("answers");
      assert.ok(packet.length >= 14 && packet.length <= packet.bytes.length);
      if (packet.length >= 54 && packet.bytes[23] === IpProtocol.Tcp) {
        const { view } = packet;
        const flags = view.getUint8(47);
        const length = packet.length - 34 - (view.getUint8(46) >>> 4) * 4 + ((flags & 3) !== 0 ? 1 : 0);
        place.sequence = view.getUint32(42);
        place.acknowledgement = (view.getUint32(38) + length) >>> 0;
        if (length > 1) count("answers with data");
      }
      return random.chance(0.9);
    },
    resume: () => {},
  });
  const writer = new FrameWriter();
  for (let times = 0; times < 120; times++) {
    network.deliver(random.chance(0.3) ? new Packet(anyFrame(random)) : anySegment(round, writer, place));
    assert.ok(network.connections <= 64);
  }
  count("connections", network.connections);
  for (const [reason, times] of Object.entries(network.counters.dropped)) count(`dropped, ${reason}`, times);
  network.close();
  assert.equal(network.connections, 0);
}

export const netPackets: Soak = {
  name: "net-packets",
  title: "a hostile net device's packets against the driver half, any frames against the user network",
  quickRounds: 200,
  start: () => async (round) => {
    await runDriver(round);
    runNetwork(round);
  },
};
