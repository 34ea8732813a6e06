/**
 * Cutting a long TCP segment (or UDP datagram) into packets of their own, for ends that cannot be left to do it. Header
 * lengths come from the packet itself: what the sender says of them is a hint only (virtio 1.2 §5.1.6.2).
 */
import { EtherType, ethernetHeaderLength } from "./addresses.js";
import { finishChecksum, internetChecksum, pseudoHeaderSum } from "./checksum.js";
import { Packet, Segmentation } from "./packet.js";

const TcpFlag = { Fin: 0x01, Psh: 0x08, Cwr: 0x80 } as const;
const IpProtocol = { Tcp: 6, Udp: 17 } as const;
const moreFragments = 0x2000;

/** Where the headers of a packet lie. */
interface Headers {
  /** Offset of the IP header. */
  readonly ip: number;
  /** Offset of what IP carries. */
  readonly transport: number;
  /** Offset of the data. */
  readonly data: number;
  /** Where the packet ends by its own account: what follows is Ethernet's padding. */
  readonly end: number;
}

/** Keeps what cutting needs; one for each who cuts. */
export class Segmenter {
  readonly #segment = Packet.ofCapacity(0x1_0000 + 256);

  /**
   * Gives the packets of a long one to `emit`, each whole and one after the other in the same {@link Packet}.
   * @returns false, with nothing given, when the packet is not what its `segmentation` says.
   */
  cut(packet: Packet, emit: (segment: Packet) => void): boolean {
    switch (packet.segmentation) {
      case Segmentation.TcpV4:
      case Segmentation.TcpV6:
        return this.#cutTcp(packet, emit);
      case Segmentation.Udp:
        return this.#cutUdp(packet, emit);
      default:
        return false;
    }
  }

  #cutTcp(packet: Packet, emit: (segment: Packet) => void): boolean {
    const isV4 = packet.segmentation === Segmentation.TcpV4;
    const headers = isV4 ? findV4(packet, IpProtocol.Tcp) : findV6(packet);
    if (headers === undefined || packet.segmentSize === 0) return false;
    const { ip, transport, data, end } = headers;
    const { view } = packet;
    const sequence = view.getUint32(transport + 4);
    const flags = view.getUint8(transport + 13);
    const identification = isV4 ? view.getUint16(ip + 4) : 0;
    let done = data;
    for (let number = 0; number === 0 || done < end; number++) {
      const size = Math.min(packet.segmentSize, end - done);
      const isLast = done + size >= end;
      const segment = this.#begin(packet, data, done, size);
      const out = segment.view;
      const tcpLength = data - transport + size;
      out.setUint32(transport + 4, (sequence + done - data) >>> 0);
      const kept = (isLast ? flags : flags & ~(TcpFlag.Fin | TcpFlag.Psh)) & (number === 0 ? 0xff : ~TcpFlag.Cwr);
      out.setUint8(transport + 13, kept);
      if (isV4) sealV4(out, ip, transport, tcpLength, (identification + number) & 0xffff);
      else out.setUint16(ip + 4, transport - ip - 40 + tcpLength);
      out.setUint16(transport + 16, 0);
      const [at, bytes] = isV4 ? [ip + 12, 8] : [ip + 8, 32];
      const sum = pseudoHeaderSum(out, at, bytes, IpProtocol.Tcp, tcpLength);
      out.setUint16(transport + 16, internetChecksum(out, transport, tcpLength, sum));
      emit(segment);
      done += size;
    }
    return true;
  }

  /** UDP is cut by IP: fragments of one datagram, whose checksum is finished first. IPv4 only. */
  #cutUdp(packet: Packet, emit: (segment: Packet) => void): boolean {
    const headers = findV4(packet, IpProtocol.Udp);
    const step = packet.segmentSize & ~7;
    if (headers === undefined || step === 0) return false;
    finishChecksum(packet);
    const { ip, transport, end } = headers;
    const identification = packet.view.getUint16(ip + 4);
    for (let done = transport; done < end; done += step) {
      const size = Math.min(step, end - done);
      const segment = this.#begin(packet, transport, done, size);
      const more = done + size < end ? moreFragments : 0;
      segment.view.setUint16(ip + 6, more | ((done - transport) >>> 3));
      sealV4(segment.view, ip, transport, size, identification);
      emit(segment);
    }
    return true;
  }

  /** A segment with the packet's first `headers` bytes and `size` bytes at `from`. */
  #begin(packet: Packet, headers: number, from: number, size: number): Packet {
    const segment = this.#segment;
    segment.begin(headers + size);
    segment.bytes.set(packet.bytes.subarray(0, headers));
    segment.bytes.set(packet.bytes.subarray(from, from + size), headers);
    return segment;
  }
}

/** Length, identification and header checksum of an IPv4 packet that carries `length` bytes. */
function sealV4(view: DataView, ip: number, transport: number, length: number, identification: number): void {
  view.setUint16(ip + 2, transport - ip + length);
  view.setUint16(ip + 4, identification);
  view.setUint16(ip + 10, 0);
  view.setUint16(ip + 10, internetChecksum(view, ip, transport - ip));
}

/** Where the network header lies, and what it is; behind a VLAN tag if there is one. */
export function networkHeader(packet: Packet): { type: number; at: number } | undefined {
  if (packet.length < ethernetHeaderLength) return undefined;
  const type = packet.view.getUint16(12);
  if (type !== EtherType.Vlan) return { type, at: ethernetHeaderLength };
  if (packet.length < ethernetHeaderLength + 4) return undefined;
  return { type: packet.view.getUint16(16), at: ethernetHeaderLength + 4 };
}

function findV4(packet: Packet, protocol: number): Headers | undefined {
  const network = networkHeader(packet);
  if (network?.type !== EtherType.IPv4 || packet.length < network.at + 20) return undefined;
  const { view } = packet;
  const ip = network.at;
  const first = view.getUint8(ip);
  const transport = ip + (first & 15) * 4;
  const isFragment = (view.getUint16(ip + 6) & 0x3fff) !== 0;
  if (first >>> 4 !== 4 || transport < ip + 20 || view.getUint8(ip + 9) !== protocol || isFragment) return undefined;
  return findData(packet, ip, transport, protocol, packet.length);
}

/** IPv6 without extension headers: those a sender of long segments does not use. */
function findV6(packet: Packet): Headers | undefined {
  const network = networkHeader(packet);
  if (network?.type !== EtherType.IPv6 || packet.length < network.at + 40) return undefined;
  const ip = network.at;
  if (packet.view.getUint8(ip) >>> 4 !== 6 || packet.view.getUint8(ip + 6) !== IpProtocol.Tcp) return undefined;
  return findData(packet, ip, ip + 40, IpProtocol.Tcp, packet.length);
}

function findData(packet: Packet, ip: number, transport: number, protocol: number, end: number): Headers | undefined {
  if (protocol === IpProtocol.Udp)
    return transport + 8 <= end ? { ip, transport, data: transport + 8, end } : undefined;
  if (transport + 20 > end) return undefined;
  const data = transport + (packet.view.getUint8(transport + 12) >>> 4) * 4;
  return data >= transport + 20 && data <= end ? { ip, transport, data, end } : undefined;
}
