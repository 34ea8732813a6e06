import assert from "node:assert/strict";
import { test } from "node:test";
import {
  answerDhcp,
  broadcastMac,
  createLink,
  EtherType,
  FrameWriter,
  formatIPv4,
  formatMac,
  IpProtocol,
  internetChecksum,
  ipv4Payload,
  Packet,
  parseIPv4,
  parseMac,
  ReceivedIpv4,
  UserNetwork,
} from "./index.js";

const us = parseMac("52:54:00:12:34:56");
const gateway = parseMac("52:55:0a:00:02:02");
const ourAddress = parseIPv4("10.0.2.15");
const theirAddress = parseIPv4("10.0.2.2");

/** The adapter's side of a network: what it sends is kept. */
function plugged() {
  const network = new UserNetwork();
  const frames: Uint8Array[] = [];
  network.connect({
    receive(packet) {
      frames.push(packet.toBytes());
      return true;
    },
    resume: () => {},
  });
  const writer = new FrameWriter();
  /** Sends an IPv4 packet and gives the answers. */
  const ask = (protocol: number, payload: ArrayLike<number>, seal?: number, spoil?: (packet: Packet) => void) => {
    writer.ethernet(gateway, us, EtherType.IPv4);
    const packet = writer.ipv4(protocol, ourAddress, theirAddress, payload.length);
    packet.bytes.set(Uint8Array.from(payload), ipv4Payload);
    if (seal !== undefined) writer.seal(protocol, seal);
    spoil?.(packet);
    frames.length = 0;
    network.deliver(packet);
    return frames.map((frame) => new Packet(frame));
  };
  return { network, frames, ask };
}

test("addresses are read and written as people do, and nothing else is taken", () => {
  assert.equal(formatMac(parseMac("52:54:00:aB:cd:ef")), "52:54:00:ab:cd:ef");
  assert.equal(formatIPv4(parseIPv4("255.0.2.15")), "255.0.2.15");
  for (const text of ["", "1.2.3", "1.2.3.256", "1.2.3.4.5", "a.b.c.d"])
    assert.throws(() => parseIPv4(text), RangeError);
  for (const text of ["", "52:54:00:12:34", "52:54:00:12:34:5g"]) assert.throws(() => parseMac(text), RangeError);
});

test("who has 10.0.2.2: the network answers with its Ethernet address; for others it is silent", () => {
  const { network, frames } = plugged();
  const request = (target: string) => {
    const frame = new Uint8Array(60);
    frame.set([...broadcastMac, ...us, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, ...us, 10, 0, 2, 15]);
    new DataView(frame.buffer).setUint32(38, parseIPv4(target));
    network.deliver(new Packet(frame));
  };
  request("10.0.2.3");
  assert.equal(frames.length, 0);
  request("10.0.2.2");
  const [reply] = frames;
  assert.deepEqual([...reply.subarray(0, 14)], [...us, ...gateway, 8, 6]);
  assert.deepEqual([...reply.subarray(20, 42)], [0, 2, ...gateway, 10, 0, 2, 2, ...us, 10, 0, 2, 15]);
});

test("ping comes back with its data; with a wrong checksum, in fragments or for others it does not", () => {
  const { ask, network } = plugged();
  const ping = Uint8Array.from([8, 0, 0, 0, 0x12, 0x34, 0, 1, ...new TextEncoder().encode("ringside")]);
  const view = new DataView(ping.buffer);
  view.setUint16(2, internetChecksum(view, 0, ping.length));
  const [reply] = ask(IpProtocol.Icmp, ping);
  assert.deepEqual([...reply.bytes.subarray(0, 12)], [...us, ...gateway]);
  const received = new ReceivedIpv4();
  assert.equal(received.parse(reply), undefined);
  assert.deepEqual([received.from, received.to], [theirAddress, ourAddress]);
  assert.equal(internetChecksum(reply.view, ipv4Payload, ping.length), 0);
  assert.deepEqual([...reply.bytes.subarray(ipv4Payload + 4)], [...ping.subarray(4)]);
  assert.equal(reply.bytes[ipv4Payload], 0);
  const spoiled: ((packet: Packet) => void)[] = [
    (packet) => (packet.bytes[ipv4Payload + 9] ^= 1),
    (packet) => (packet.bytes[24] ^= 1),
    (packet) => (packet.length = 30),
    (packet) => packet.view.setUint16(16, 2000),
    (packet) => (packet.bytes[14] = 0x44),
    (packet) => (packet.bytes[5] ^= 1),
  ];
  for (const spoil of spoiled) assert.equal(ask(IpProtocol.Icmp, ping, undefined, spoil).length, 0);
  assert.deepEqual(network.counters.dropped, { checksum: 2, malformed: 3, "not-ours": 1 });
});

test("UDP port 7 echoes, with and without a checksum; a wrong one is dropped; programs take other ports", () => {
  const { ask, network } = plugged();
  const datagram = (port: number, text: string) => {
    const data = new TextEncoder().encode(text);
    return Uint8Array.from([0x30, 0x39, port >> 8, port & 0xff, 0, 8 + data.length, 0, 0, ...data]);
  };
  for (const seal of [6, undefined]) {
    const [reply] = ask(IpProtocol.Udp, datagram(7, "hello"), seal);
    assert.equal(new TextDecoder().decode(reply.bytes.subarray(ipv4Payload + 8)), "hello");
    assert.deepEqual([reply.view.getUint16(ipv4Payload), reply.view.getUint16(ipv4Payload + 2)], [7, 0x3039]);
    const received = new ReceivedIpv4();
    received.parse(reply);
    assert.ok(received.hasGoodChecksum());
  }
  assert.equal(
    ask(IpProtocol.Udp, datagram(7, "hello"), 6, (packet) => (packet.bytes[ipv4Payload + 9] ^= 4)).length,
    0,
  );
  assert.equal(ask(IpProtocol.Udp, datagram(99, "hello"), 6).length, 0);
  const stop = network.onDatagram(99, ({ data, reply }) => reply(data.slice().reverse()));
  assert.throws(() => network.onDatagram(99, () => {}), RangeError);
  const [reversed] = ask(IpProtocol.Udp, datagram(99, "abc"), 6);
  assert.equal(new TextDecoder().decode(reversed.bytes.subarray(ipv4Payload + 8)), "cba");
  stop();
  assert.equal(ask(IpProtocol.Udp, datagram(99, "abc"), 6).length, 0);
});

test("DHCP: discover is offered, request acknowledged, another address refused, another server's left alone", () => {
  const lease = {
    server: theirAddress,
    client: ourAddress,
    netmask: 0xffff_ff00,
    router: theirAddress,
    seconds: 600,
    mtu: 1500,
  };
  const message = (...options: number[]) => {
    const bytes = new Uint8Array(300);
    bytes.set([1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef]);
    bytes.set(us, 28);
    bytes.set([0x63, 0x82, 0x53, 0x63, ...options, 255], 236);
    return bytes;
  };
  const typeOf = (reply: Uint8Array | undefined) => reply?.[242];
  const offer = answerDhcp(message(53, 1, 1), lease) as Uint8Array;
  assert.equal(typeOf(offer), 2);
  assert.deepEqual([...offer.subarray(0, 8)], [2, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef]);
  assert.deepEqual([...offer.subarray(16, 20), ...offer.subarray(28, 34)], [10, 0, 2, 15, ...us]);
  const asked = [50, 4, 10, 0, 2, 15, 54, 4, 10, 0, 2, 2];
  assert.equal(typeOf(answerDhcp(message(53, 1, 3, ...asked), lease)), 5);
  assert.equal(typeOf(answerDhcp(message(53, 1, 3, 50, 4, 10, 0, 2, 77), lease)), 6);
  assert.equal(answerDhcp(message(53, 1, 3, 54, 4, 10, 0, 2, 99), lease), undefined);
  assert.equal(answerDhcp(message(53, 1, 7), lease), undefined);
  assert.equal(answerDhcp(new Uint8Array(240), lease), undefined);
  assert.equal(answerDhcp(new Uint8Array(20), lease), undefined);
  // Options that end in the middle are no reason to fail.
  assert.equal(answerDhcp(message(53, 1, 1).subarray(0, 242), lease), undefined);
});

test("dial: who has the address is asked; only an answer to our SYN opens, a reset of it closes", () => {
  const { network, frames, ask } = plugged();
  const { Syn, Ack, Rst } = { Syn: 2, Rst: 4, Ack: 16 };
  const connection = network.dial(22);
  const seen: string[] = [];
  connection.onOpen = () => seen.push("open");
  connection.onClose = () => seen.push("closed");
  const [request, syn] = frames.map((frame) => new Packet(frame));
  assert.deepEqual(
    [request.view.getUint16(12), request.view.getUint16(20), request.view.getUint32(38)],
    [EtherType.Arp, 1, ourAddress],
  );
  const tcp = ipv4Payload;
  assert.deepEqual([syn.bytes.subarray(0, 6), syn.bytes[tcp + 13]], [broadcastMac, Syn]);
  const sequence = syn.view.getUint32(tcp + 4);
  /** The answers to a segment of ours. */
  const answer = (flags: number, acknowledged: number) => {
    const segment = new DataView(new ArrayBuffer(20));
    segment.setUint16(0, 22);
    segment.setUint16(2, connection.localPort);
    segment.setUint32(4, 1000);
    segment.setUint32(8, acknowledged);
    segment.setUint16(12, 0x5000 | flags);
    segment.setUint16(14, 5000);
    return ask(IpProtocol.Tcp, new Uint8Array(segment.buffer), 16);
  };
  answer(Syn | Ack, sequence + 2);
  answer(Rst | Ack, sequence + 2);
  answer(Rst, sequence + 1);
  answer(Ack, sequence + 1);
  assert.deepEqual(seen, []);
  const [acknowledgement] = answer(Syn | Ack, sequence + 1);
  assert.deepEqual(seen, ["open"]);
  const { view, bytes } = acknowledgement;
  assert.deepEqual([bytes.subarray(0, 6), bytes[tcp + 13]], [us, Ack], "and by now its Ethernet address is known");
  assert.deepEqual([view.getUint32(tcp + 4), view.getUint32(tcp + 8)], [sequence + 1, 1001]);
  connection.abort();
  assert.deepEqual(seen, ["open", "closed"]);
});

test("a cable carries packets with the work that is left on them, and a tap sees both directions", () => {
  const seen: string[] = [];
  const [left, right] = createLink((packet, from) => seen.push(`${from}:${packet.length}`));
  const got: Packet[] = [];
  const port = { receive: (packet: Packet) => got.push(packet.copy()) > 0, resume: () => {} };
  left.connect(port);
  right.connect(port);
  const packet = new Packet(new Uint8Array(100));
  packet.needsChecksum = true;
  packet.checksumStart = 34;
  left.deliver(packet);
  right.deliver(new Packet(new Uint8Array(60)));
  assert.deepEqual(seen, ["0:100", "1:60"]);
  assert.deepEqual(
    got.map(({ length, needsChecksum, checksumStart }) => [length, needsChecksum, checksumStart]),
    [
      [100, true, 34],
      [60, false, 0],
    ],
  );
});
