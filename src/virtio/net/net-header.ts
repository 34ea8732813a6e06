/** The header before a packet, to and from a {@link Packet}: both halves write it and read it with these. */
import { type Packet, Segmentation } from "../../packet/index.js";
import { gsoEcnFlag, NetHeaderFlag, netHeader, shortHeaderSize } from "./protocol.js";

const { offset } = netHeader;

/** What may be left to be done on packets of one direction, from the features. Asked for every packet: plain fields. */
export class OffloadRules {
  checksum = false;
  tcp4 = false;
  tcp6 = false;
  ecn = false;
  udp = false;
}

/**
 * Writes the header of a packet. @param size its bytes: without `num_buffers` or with.
 */
export function writeNetHeader(view: DataView, at: number, size: number, little: boolean, packet: Packet): void {
  const { needsChecksum, segmentation } = packet;
  const isSegmented = segmentation !== Segmentation.None;
  let flags = needsChecksum ? NetHeaderFlag.NeedsChecksum : 0;
  if (packet.checksumValid) flags |= NetHeaderFlag.ChecksumValid;
  view.setUint8(at + offset.flags, flags);
  view.setUint8(at + offset.gsoType, isSegmented && packet.hasEcn ? segmentation | gsoEcnFlag : segmentation);
  view.setUint16(at + offset.hdrLen, isSegmented ? packet.headerLength : 0, little);
  view.setUint16(at + offset.gsoSize, isSegmented ? packet.segmentSize : 0, little);
  view.setUint16(at + offset.csumStart, needsChecksum ? packet.checksumStart : 0, little);
  view.setUint16(at + offset.csumOffset, needsChecksum ? packet.checksumOffset : 0, little);
  if (size > shortHeaderSize) view.setUint16(at + offset.numBuffers, 0, little);
}

/** Takes what the header says over into `packet`, whose bytes and length are in place. */
export function readNetHeader(view: DataView, at: number, little: boolean, packet: Packet): void {
  const flags = view.getUint8(at + offset.flags);
  const type = view.getUint8(at + offset.gsoType);
  packet.needsChecksum = (flags & NetHeaderFlag.NeedsChecksum) !== 0;
  packet.checksumValid = (flags & NetHeaderFlag.ChecksumValid) !== 0;
  packet.checksumStart = view.getUint16(at + offset.csumStart, little);
  packet.checksumOffset = view.getUint16(at + offset.csumOffset, little);
  packet.segmentation = type & ~gsoEcnFlag;
  packet.hasEcn = (type & gsoEcnFlag) !== 0;
  packet.segmentSize = view.getUint16(at + offset.gsoSize, little);
  packet.headerLength = view.getUint16(at + offset.hdrLen, little);
}

/**
 * Whether a packet asks for nothing that was not negotiated, and its numbers lie in it (virtio 1.2 §5.1.6.2.1,
 * §5.1.6.4.1): a partial checksum with its feature and inside the packet, segmentation with its feature, a segment size
 * and a partial checksum.
 * @returns undefined when it is fine, or what is wrong.
 */
export function offloadFault(packet: Packet, rules: OffloadRules): string | undefined {
  if (packet.needsChecksum) {
    if (!rules.checksum) return "NEEDS_CSUM was not negotiated";
    if (packet.checksumStart + packet.checksumOffset + 2 > packet.length) return "the checksum lies past the packet";
  }
  if (packet.segmentation === Segmentation.None) return packet.hasEcn ? "ECN without segmentation" : undefined;
  if (!allows(rules, packet.segmentation)) return "this gso_type was not negotiated";
  if (packet.hasEcn && !rules.ecn) return "ECN was not negotiated";
  if (packet.segmentSize === 0) return "gso_size is 0";
  return packet.needsChecksum ? undefined : "segmentation without NEEDS_CSUM";
}

function allows(rules: OffloadRules, segmentation: number): boolean {
  if (segmentation === Segmentation.TcpV4) return rules.tcp4;
  if (segmentation === Segmentation.TcpV6) return rules.tcp6;
  return segmentation === Segmentation.Udp && rules.udp;
}
