/** The Internet checksum (RFC 1071) and what virtio calls a partial one: begun with the pseudo header, to be finished. */
import type { Packet } from "./packet.js";

/** Sums 16-bit big-endian words onto `sum`; an odd last byte counts as the high half. Not folded. */
export function addWords(view: DataView, from: number, length: number, sum = 0): number {
  let total = sum;
  const end = from + (length & ~1);
  for (let at = from; at < end; at += 2) total += view.getUint16(at);
  if ((length & 1) !== 0) total += view.getUint8(end) << 8;
  return total;
}

/** Brings a sum back to 16 bits by adding the carries. */
export function foldSum(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = Math.floor(folded / 0x1_0000) + (folded & 0xffff);
  return folded;
}

/** The checksum of `length` bytes: the complement of their folded sum. */
export function internetChecksum(view: DataView, from: number, length: number, sum = 0): number {
  return foldSum(addWords(view, from, length, sum)) ^ 0xffff;
}

/** The sum of TCP's and UDP's pseudo header. @param addresses where both addresses lie, `addressBytes` in all. */
export function pseudoHeaderSum(
  view: DataView,
  addresses: number,
  addressBytes: number,
  protocol: number,
  length: number,
): number {
  return addWords(view, addresses, addressBytes, protocol + (length >>> 16) + (length & 0xffff));
}

/** Whether the two places of a partial checksum lie in the packet. */
export function hasChecksumRoom(packet: Packet): boolean {
  return packet.checksumStart + packet.checksumOffset + 2 <= packet.length;
}

/** Finishes a partial checksum in place (virtio 1.2 §5.1.6.2). Does nothing when none is wanted or it has no room. */
export function finishChecksum(packet: Packet): void {
  if (!packet.needsChecksum) return;
  packet.needsChecksum = false;
  if (!hasChecksumRoom(packet)) return;
  const { view, checksumStart, checksumOffset, length } = packet;
  const sum = internetChecksum(view, checksumStart, length - checksumStart);
  // In UDP 0 says that there is no checksum; all ones is the same number (RFC 768).
  const isUdp = checksumOffset === 6;
  view.setUint16(checksumStart + checksumOffset, sum === 0 && isUdp ? 0xffff : sum);
}
