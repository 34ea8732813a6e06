/** TCP headers (RFC 9293 §3.1), and arithmetic of sequence numbers. */

/** Bits of the flags byte. */
export const TcpFlag = { Fin: 1, Syn: 2, Rst: 4, Psh: 8, Ack: 16 } as const;

/** Bytes of a header without options. */
export const tcpHeaderLength = 20;

/** Most data of a segment when the other end does not say (RFC 9293 §3.7.1). */
const defaultMss = 536;

/** How far `a` is behind `b` in sequence space; negative when it is ahead. */
export function distance(a: number, b: number): number {
  return (b - a) | 0;
}

/** A segment that was received; the same object for each. */
export class TcpSegment {
  sourcePort = 0;
  targetPort = 0;
  sequence = 0;
  acknowledgement = 0;
  flags = 0;
  window = 0;
  /** The other end's largest segment, on SYN. */
  mss = defaultMss;
  bytes!: Uint8Array;
  /** Where its data lies in `bytes`. */
  dataAt = 0;
  dataLength = 0;

  /** @returns false when there is no whole header. */
  parse(view: DataView, bytes: Uint8Array, at: number, length: number): boolean {
    if (length < tcpHeaderLength) return false;
    const headerLength = (view.getUint8(at + 12) >>> 4) * 4;
    if (headerLength < tcpHeaderLength || headerLength > length) return false;
    this.sourcePort = view.getUint16(at);
    this.targetPort = view.getUint16(at + 2);
    this.sequence = view.getUint32(at + 4);
    this.acknowledgement = view.getUint32(at + 8);
    this.flags = view.getUint8(at + 13);
    this.window = view.getUint16(at + 14);
    this.bytes = bytes;
    this.dataAt = at + headerLength;
    this.dataLength = length - headerLength;
    if (this.has(TcpFlag.Syn)) this.mss = readMss(view, at + tcpHeaderLength, at + headerLength);
    return true;
  }

  has(flag: number): boolean {
    return (this.flags & flag) !== 0;
  }
}

function readMss(view: DataView, from: number, end: number): number {
  for (let at = from; at < end; ) {
    const kind = view.getUint8(at);
    if (kind === 0) break;
    if (kind === 1) {
      at++;
      continue;
    }
    if (at + 2 > end) break;
    const length = view.getUint8(at + 1);
    if (length < 2 || at + length > end) break;
    if (kind === 2 && length === 4) return Math.max(64, view.getUint16(at + 2));
    at += length;
  }
  return defaultMss;
}
