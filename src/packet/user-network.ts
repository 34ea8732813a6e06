/**
 * A small network of one host, made in this process: what an adapter's cable can end at when there is no other network.
 * It answers ARP, ping, DHCP and UDP echo, and has TCP ports that a program can listen on.
 */
import { broadcastMac, EtherType, ethernetHeaderLength, macLength, parseIPv4, parseMac } from "./addresses.js";
import { internetChecksum } from "./checksum.js";
import { answerDhcp, type DhcpLease, DhcpPort } from "./dhcp.js";
import { FrameWriter, IpProtocol, ipv4Payload, ReceivedIpv4 } from "./frame-writer.js";
import type { Packet, PacketPeer, PacketPort } from "./packet.js";
import type { TcpConnection } from "./tcp-connection.js";
import { TcpHost } from "./tcp-host.js";

/** All of it may be left out. */
export interface UserNetworkOptions {
  /** The host's address. Default 10.0.2.2. */
  address?: string;
  /** Default 255.255.255.0. */
  netmask?: string;
  /** What DHCP gives to the adapter's side. Default 10.0.2.15. */
  clientAddress?: string;
  /** The host's Ethernet address. Default 52:55:0a:00:02:02. */
  mac?: string;
}

/** A UDP datagram that came. */
export interface Datagram {
  readonly from: number;
  readonly fromPort: number;
  readonly data: Uint8Array;
  /** Sends data back to where it came from. */
  reply(data: Uint8Array): void;
}

/** Frames and packets since the network was made. */
export interface NetworkCounters {
  frames: number;
  /** By reason: `malformed`, `fragment`, `checksum`, `not-ours`. */
  dropped: Record<string, number>;
}

/** UDP and TCP ports of the classic services. */
export const ServicePort = { Echo: 7, Discard: 9 } as const;

const UdpHeader = { length: 8, checksum: 6 } as const;
const ArpOperation = { Request: 1, Reply: 2 } as const;
const arpLength = 28;
const Icmp = { EchoReply: 0, EchoRequest: 8 } as const;
/** Longest data of a datagram or ping that is answered: frames are not cut. */
const longestPayload = 1480;
const everybody = 0xffff_ffff;
/** Neighbours whose Ethernet address is kept. */
const mostNeighbours = 256;
const leaseSeconds = 86_400;
const mtu = 1500;

export class UserNetwork implements PacketPeer {
  readonly counters: NetworkCounters = { frames: 0, dropped: {} };
  readonly #address: number;
  readonly #mac: Uint8Array;
  readonly #lease: DhcpLease;
  readonly #writer = new FrameWriter();
  readonly #received = new ReceivedIpv4();
  readonly #neighbours = new Map<number, Uint8Array>();
  readonly #datagramListeners = new Map<number, (datagram: Datagram) => void>();
  readonly #tcp: TcpHost;
  #port: PacketPort | undefined;

  /** @throws RangeError when an address is none. */
  constructor(options: UserNetworkOptions = {}) {
    const { address = "10.0.2.2", netmask = "255.255.255.0", clientAddress = "10.0.2.15" } = options;
    this.#address = parseIPv4(address);
    this.#mac = parseMac(options.mac ?? "52:55:0a:00:02:02");
    const client = parseIPv4(clientAddress);
    const mask = parseIPv4(netmask);
    const server = this.#address;
    this.#lease = { server, client, netmask: mask, router: server, seconds: leaseSeconds, mtu };
    this.#tcp = new TcpHost(
      this.#writer,
      (protocol, to, length) => this.#begin(protocol, to, length),
      () => this.#send(),
    );
    this.onDatagram(ServicePort.Echo, ({ data, reply }) => reply(data));
    this.onDatagram(DhcpPort.Server, ({ data }) => this.#answerDhcp(data));
    this.listen(ServicePort.Echo, echo);
    this.listen(ServicePort.Discard, (connection) => {
      connection.onEnd = () => connection.end();
    });
  }

  connect(port: PacketPort): void {
    this.#port = port;
  }

  /** TCP connections that are not over. */
  get connections(): number {
    return this.#tcp.connections;
  }

  /** Takes TCP connections on a port. Returns the way to stop. @throws RangeError when the port is taken. */
  listen(port: number, accept: (connection: TcpConnection) => void): () => void {
    return this.#tcp.listen(port, accept);
  }

  /**
   * Asks the adapter's side for a TCP connection: it can be written to at once, and is closed if nobody takes it.
   * @param address default what DHCP gives
   */
  dial(port: number, address: number = this.#lease.client): TcpConnection {
    return this.#tcp.connect(address, port);
  }

  /** Takes UDP datagrams on a port. Returns the way to stop. @throws RangeError when the port is taken. */
  onDatagram(port: number, listener: (datagram: Datagram) => void): () => void {
    if (this.#datagramListeners.has(port)) throw new RangeError(`somebody listens on port ${port} already`);
    this.#datagramListeners.set(port, listener);
    return () => this.#datagramListeners.delete(port);
  }

  /** Ends all connections. */
  close(): void {
    this.#tcp.close();
  }

  deliver(packet: Packet): void {
    this.counters.frames++;
    if (packet.length < ethernetHeaderLength) {
      this.#drop("malformed");
      return;
    }
    if (!this.#isForUs(packet.bytes)) {
      this.#drop("not-ours");
      return;
    }
    const type = packet.view.getUint16(12);
    if (type === EtherType.Arp) this.#takeArp(packet);
    else if (type === EtherType.IPv4) this.#takeIpv4(packet);
    else this.#drop("not-ours");
  }

  #drop(reason: string): void {
    const { dropped } = this.counters;
    dropped[reason] = (dropped[reason] ?? 0) + 1;
  }

  #isForUs(bytes: Uint8Array): boolean {
    return (bytes[0] & 1) === 1 || this.#mac.every((byte, index) => bytes[index] === byte);
  }

  #takeArp(packet: Packet): void {
    const at = ethernetHeaderLength;
    const { view, bytes } = packet;
    const isWhole = packet.length >= at + arpLength;
    // Ethernet (1) and IPv4 addresses, 6 and 4 bytes.
    if (!isWhole || view.getUint32(at) !== 0x0001_0800 || view.getUint16(at + 4) !== 0x0604) {
      this.#drop("malformed");
      return;
    }
    const sender = view.getUint32(at + 14);
    if (sender !== 0) this.#learn(sender, bytes.slice(at + 8, at + 8 + macLength));
    if (view.getUint16(at + 6) !== ArpOperation.Request || view.getUint32(at + 24) !== this.#address) return;
    const asker = bytes.subarray(at + 8, at + 14);
    const reply = this.#writer.ethernet(asker, this.#mac, EtherType.Arp);
    this.#putArp(reply, ArpOperation.Reply, asker, sender);
    this.#send();
  }

  #takeIpv4(packet: Packet): void {
    const received = this.#received;
    const problem = received.parse(packet);
    if (problem !== undefined) {
      this.#drop(problem);
      return;
    }
    const { from, to, protocol } = received;
    const { netmask } = this.#lease;
    const isBroadcast = to === everybody || to === (this.#address | ~netmask) >>> 0;
    if (to !== this.#address && !isBroadcast) {
      this.#drop("not-ours");
      return;
    }
    if (from !== 0) this.#learn(from, packet.bytes.slice(macLength, 2 * macLength));
    if (protocol === IpProtocol.Icmp) this.#takePing(received);
    else if (protocol === IpProtocol.Udp) this.#takeDatagram(received);
    else if (protocol === IpProtocol.Tcp && !isBroadcast) {
      if (received.hasGoodChecksum()) this.#tcp.take(received);
      else this.#drop("checksum");
    } else this.#drop("not-ours");
  }

  #takePing({ packet, payload, length, from }: ReceivedIpv4): void {
    if (length < 8 || length > longestPayload) {
      this.#drop("malformed");
      return;
    }
    if (internetChecksum(packet.view, payload, length) !== 0) {
      this.#drop("checksum");
      return;
    }
    if (packet.view.getUint8(payload) !== Icmp.EchoRequest) return;
    const reply = this.#begin(IpProtocol.Icmp, from, length);
    reply.bytes.set(packet.bytes.subarray(payload, payload + length), ipv4Payload);
    reply.view.setUint8(ipv4Payload, Icmp.EchoReply);
    reply.view.setUint16(ipv4Payload + 2, 0);
    reply.view.setUint16(ipv4Payload + 2, internetChecksum(reply.view, ipv4Payload, length));
    this.#send();
  }

  #takeDatagram(received: ReceivedIpv4): void {
    const { packet, payload, from } = received;
    if (received.length < UdpHeader.length) {
      this.#drop("malformed");
      return;
    }
    const { view } = packet;
    const length = view.getUint16(payload + 4);
    if (length < UdpHeader.length || length > received.length) {
      this.#drop("malformed");
      return;
    }
    // A sender may leave the sum out.
    if (view.getUint16(payload + UdpHeader.checksum) !== 0 && !received.hasGoodChecksum()) {
      this.#drop("checksum");
      return;
    }
    const fromPort = view.getUint16(payload);
    const toPort = view.getUint16(payload + 2);
    const listener = this.#datagramListeners.get(toPort);
    if (listener === undefined) {
      this.#drop("not-ours");
      return;
    }
    listener({
      from,
      fromPort,
      data: packet.bytes.slice(payload + UdpHeader.length, payload + length),
      reply: (data) => this.#sendDatagram(toPort, from, fromPort, data),
    });
  }

  #answerDhcp(request: Uint8Array): void {
    const reply = answerDhcp(request, this.#lease);
    if (reply === undefined) return;
    // The client has no address yet: everybody hears it.
    this.#sendDatagram(DhcpPort.Server, everybody, DhcpPort.Client, reply);
  }

  #sendDatagram(fromPort: number, to: number, toPort: number, data: Uint8Array): void {
    if (data.length + UdpHeader.length > longestPayload) {
      this.#drop("malformed");
      return;
    }
    const packet = this.#begin(IpProtocol.Udp, to, UdpHeader.length + data.length);
    packet.view.setUint16(ipv4Payload, fromPort);
    packet.view.setUint16(ipv4Payload + 2, toPort);
    packet.view.setUint16(ipv4Payload + 4, UdpHeader.length + data.length);
    packet.bytes.set(data, ipv4Payload + UdpHeader.length);
    this.#writer.seal(IpProtocol.Udp, UdpHeader.checksum);
    this.#send();
  }

  #learn(address: number, mac: Uint8Array): void {
    if (this.#neighbours.size >= mostNeighbours && !this.#neighbours.has(address)) this.#neighbours.clear();
    if ((mac[0] & 1) === 0) this.#neighbours.set(address, mac);
  }

  /** Asks who has an address; the answer is learned as all others are. */
  #askFor(address: number): void {
    const request = this.#writer.ethernet(broadcastMac, this.#mac, EtherType.Arp);
    this.#putArp(request, ArpOperation.Request, broadcastMac, address);
    this.#send();
  }

  /** Our side of an ARP packet. @param target the other side */
  #putArp(packet: Packet, operation: number, target: Uint8Array, targetAddress: number): void {
    const at = ethernetHeaderLength;
    // Ethernet (1) and IPv4 addresses, 6 and 4 bytes.
    packet.view.setUint32(at, 0x0001_0800);
    packet.view.setUint16(at + 4, 0x0604);
    packet.view.setUint16(at + 6, operation);
    packet.bytes.set(this.#mac, at + 8);
    packet.view.setUint32(at + 14, this.#address);
    packet.bytes.set(target, at + 18);
    packet.view.setUint32(at + 24, targetAddress);
    packet.length = at + arpLength;
  }

  /** Starts an IPv4 packet in the writer's frame. */
  #begin(protocol: number, to: number, length: number): Packet {
    if (to !== everybody && !this.#neighbours.has(to)) this.#askFor(to);
    // Without an answer yet it goes to everybody, which most hosts ignore; what is sent again finds the answer.
    const mac = this.#neighbours.get(to) ?? broadcastMac;
    this.#writer.ethernet(mac, this.#mac, EtherType.IPv4);
    return this.#writer.ipv4(protocol, this.#address, to, length);
  }

  #send(): boolean {
    return this.#port?.receive(this.#writer.packet) ?? false;
  }
}

/** Pieces of an echo that wait for room, before the other end is asked to wait. */
const mostWaiting = 64;

/** Sends back what comes, as fast as the other end takes it. */
function echo(connection: TcpConnection): void {
  const waiting: Uint8Array[] = [];
  let theyEnded = false;
  const drain = () => {
    while (waiting.length > 0) {
      const taken = connection.write(waiting[0]);
      if (taken < waiting[0].length) {
        waiting[0] = waiting[0].subarray(taken);
        return;
      }
      waiting.shift();
    }
    connection.resume();
    if (theyEnded) connection.end();
  };
  connection.onDrain = drain;
  connection.onData = (data) => {
    waiting.push(data.slice());
    if (waiting.length > mostWaiting) connection.pause();
    drain();
  };
  connection.onEnd = () => {
    theyEnded = true;
    drain();
  };
}
