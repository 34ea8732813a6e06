/** Writes the frames that a network of ours sends: one frame at a time, headers first, checksums last. */
import { EtherType, ethernetHeaderLength, macLength } from "./addresses.js";
import { internetChecksum, pseudoHeaderSum } from "./checksum.js";
import { Packet } from "./packet.js";

/** Protocols that IPv4 carries. */
export const IpProtocol = { Icmp: 1, Tcp: 6, Udp: 17 } as const;

/** Bytes of an IPv4 header without options. */
export const ipv4HeaderLength = 20;
/** Where what IPv4 carries starts in a frame of ours. */
export const ipv4Payload = ethernetHeaderLength + ipv4HeaderLength;
/** Room of a frame of ours: more than any that is sent. */
const capacity = 2048;

export class FrameWriter {
  readonly packet = Packet.ofCapacity(capacity);
  #identification = 0;

  /** Starts a frame; its payload follows from {@link ethernetHeaderLength} on. */
  ethernet(to: Uint8Array, from: Uint8Array, type: number): Packet {
    const { packet } = this;
    packet.begin(ethernetHeaderLength);
    packet.bytes.set(to);
    packet.bytes.set(from, macLength);
    packet.view.setUint16(12, type);
    return packet;
  }

  /**
   * Writes the IPv4 header of a frame that was started, for `length` bytes that are (or will be) at {@link ipv4Payload}.
   * @throws RangeError when they have no room.
   */
  ipv4(protocol: number, from: number, to: number, length: number): Packet {
    const { packet } = this;
    if (ipv4Payload + length > capacity) throw new RangeError(`${length} bytes are too long for a frame`);
    const { view } = packet;
    const at = ethernetHeaderLength;
    view.setUint16(12, EtherType.IPv4);
    view.setUint16(at, 0x4500);
    view.setUint16(at + 2, ipv4HeaderLength + length);
    this.#identification = (this.#identification + 1) & 0xffff;
    view.setUint16(at + 4, this.#identification);
    // Never cut into fragments; 64 hops.
    view.setUint16(at + 6, 0x4000);
    view.setUint16(at + 8, 0x4000 | protocol);
    view.setUint16(at + 10, 0);
    view.setUint32(at + 12, from);
    view.setUint32(at + 16, to);
    view.setUint16(at + 10, internetChecksum(view, at, ipv4HeaderLength));
    packet.length = ipv4Payload + length;
    return packet;
  }

  /** Sums what IPv4 carries, with the pseudo header, into its checksum field `field` bytes from its start. */
  seal(protocol: number, field: number): void {
    const { view, length } = this.packet;
    const carried = length - ipv4Payload;
    view.setUint16(ipv4Payload + field, 0);
    const sum = pseudoHeaderSum(view, ethernetHeaderLength + 12, 8, protocol, carried);
    const checksum = internetChecksum(view, ipv4Payload, carried, sum);
    view.setUint16(ipv4Payload + field, checksum === 0 && protocol === IpProtocol.Udp ? 0xffff : checksum);
  }
}

/** An IPv4 packet that was received, and where its parts lie; the same object for each. */
export class ReceivedIpv4 {
  packet!: Packet;
  from = 0;
  to = 0;
  protocol = 0;
  /** Where what it carries starts, and how long that is. */
  payload = 0;
  length = 0;

  /** Takes a frame apart. @returns why it is not taken, or undefined. */
  parse(packet: Packet): "malformed" | "fragment" | "checksum" | undefined {
    const at = ethernetHeaderLength;
    if (packet.length < at + ipv4HeaderLength) return "malformed";
    const { view } = packet;
    const headerLength = (view.getUint8(at) & 15) * 4;
    const total = view.getUint16(at + 2);
    const isSound = view.getUint8(at) >>> 4 === 4 && headerLength >= ipv4HeaderLength && total >= headerLength;
    if (!isSound || at + total > packet.length) return "malformed";
    if (internetChecksum(view, at, headerLength) !== 0) return "checksum";
    if ((view.getUint16(at + 6) & 0x3fff) !== 0) return "fragment";
    this.packet = packet;
    this.from = view.getUint32(at + 12);
    this.to = view.getUint32(at + 16);
    this.protocol = view.getUint8(at + 9);
    this.payload = at + headerLength;
    this.length = total - headerLength;
    return undefined;
  }

  /** Whether the checksum of what it carries (TCP, UDP) is right. */
  hasGoodChecksum(): boolean {
    const { packet, payload, length, protocol } = this;
    const sum = pseudoHeaderSum(packet.view, ethernetHeaderLength + 12, 8, protocol, length);
    return internetChecksum(packet.view, payload, length, sum) === 0;
  }
}
