/**
 * A packet on its way between an adapter and what is at the other end of its cable, and the contract between the two.
 * A packet may still have work to be done on it: a checksum that was only begun, a length that has to be cut into
 * segments. Whoever cannot leave that to the other end does it itself (`checksum.ts`, `segmentation.ts`).
 */

/** How a packet is to be cut into segments; the numbers are those of virtio (1.2 §5.1.6). */
export const Segmentation = { None: 0, TcpV4: 1, Udp: 3, TcpV6: 4 } as const;

/** The longest packet that there is: Ethernet and IPv6 headers and 65535 bytes behind them. */
export const maxPacketLength = 14 + 40 + 65535;

/**
 * A packet and what is left to be done on it. Packets are kept and reused: one that was handed over is its owner's again
 * when the call returns, so a receiver that keeps it copies.
 */
export class Packet {
  /** The frame, from its destination address on; what lies behind `length` means nothing. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Bytes of the frame. */
  length: number;
  /** The checksum field holds the sum of the pseudo header only: the rest is to be added. */
  needsChecksum = false;
  /** Where to start summing, with `needsChecksum`. */
  checksumStart = 0;
  /** Where the sum goes, from `checksumStart` on. */
  checksumOffset = 0;
  /** Somebody who can be trusted has checked the checksums. */
  checksumValid = false;
  /** A value of {@link Segmentation}. */
  segmentation = 0;
  /** Its TCP segment has ECN's CWR set: only the first segment may keep it. */
  hasEcn = false;
  /** Most bytes behind the headers of each segment. */
  segmentSize = 0;
  /** Length of all headers: a hint only. */
  headerLength = 0;

  constructor(bytes: Uint8Array, length = bytes.length) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.length = length;
  }

  /** Room for a packet of up to `capacity` bytes. */
  static ofCapacity(capacity: number): Packet {
    return new Packet(new Uint8Array(capacity), 0);
  }

  /** A new packet of `length` bytes is about to be written: nothing is left to be done on it. */
  begin(length: number): void {
    this.length = length;
    this.needsChecksum = false;
    this.checksumStart = 0;
    this.checksumOffset = 0;
    this.checksumValid = false;
    this.segmentation = Segmentation.None;
    this.hasEcn = false;
    this.segmentSize = 0;
    this.headerLength = 0;
  }

  /** The frame as an array of its own. */
  toBytes(): Uint8Array {
    return this.bytes.slice(0, this.length);
  }

  /** A packet of its own with the same content. */
  copy(): Packet {
    const copy = new Packet(this.toBytes());
    copy.takeWork(this);
    return copy;
  }

  /** Takes over what is left to be done. */
  takeWork(from: Packet): void {
    this.needsChecksum = from.needsChecksum;
    this.checksumStart = from.checksumStart;
    this.checksumOffset = from.checksumOffset;
    this.checksumValid = from.checksumValid;
    this.segmentation = from.segmentation;
    this.hasEcn = from.hasEcn;
    this.segmentSize = from.segmentSize;
    this.headerLength = from.headerLength;
  }
}

/** Work that may be left to one end. */
export interface PacketOffloads {
  /** Checksums that were only begun. Everything below needs this. */
  readonly checksum?: boolean;
  readonly tcp4?: boolean;
  readonly tcp6?: boolean;
  readonly ecn?: boolean;
  readonly udp?: boolean;
}

/** The adapter's side of the cable, as a peer sees it. */
export interface PacketPort {
  /**
   * A packet for the adapter, which copies it.
   * @returns false when it was dropped: no buffers, no driver, link down.
   */
  receive(packet: Packet): boolean;
  /** The peer can take packets again after it was `isFull`. */
  resume(): void;
}

/** What is at the other end of an adapter's cable. */
export interface PacketPeer {
  /** Work that can be left to the peer. Default none: it gets whole frames. */
  readonly takes?: PacketOffloads;
  /** It has no room now: the adapter keeps its packets until `resume`. Default never. */
  readonly isFull?: boolean;
  /** Says where packets for the adapter go; called once, before anything else. A peer has one adapter. */
  connect(port: PacketPort): void;
  /** A packet of the adapter's. It is the adapter's again when this returns. */
  deliver(packet: Packet): void;
}

/** Whether an end takes all the work that is left on a packet. */
export function takesWork(takes: PacketOffloads | undefined, packet: Packet): boolean {
  if (packet.needsChecksum && takes?.checksum !== true) return false;
  if (packet.hasEcn && takes?.ecn !== true && packet.segmentation !== Segmentation.None) return false;
  switch (packet.segmentation) {
    case Segmentation.None:
      return true;
    case Segmentation.TcpV4:
      return takes?.tcp4 === true;
    case Segmentation.TcpV6:
      return takes?.tcp6 === true;
    case Segmentation.Udp:
      return takes?.udp === true;
    default:
      return false;
  }
}
