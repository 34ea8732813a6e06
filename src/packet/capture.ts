/** Capture files in the classic pcap format: a header, then a record for each packet. Little-endian, microseconds. */
import type { Packet, PacketPeer, PacketPort } from "./packet.js";

const magic = 0xa1b2_c3d4;
const ethernetLinkType = 1;
const fileHeaderLength = 24;
const recordHeaderLength = 16;
/** Most bytes of a packet that are kept. */
const defaultSnapLength = 0x4_0000;

/** Where a capture goes, a piece at a time: a file, a socket, an array. */
export type CaptureSink = (bytes: Uint8Array) => void;

/** How packets are kept. */
export interface CaptureOptions {
  /** Most bytes of a packet. Default 256 KiB: all of it. */
  snapLength?: number;
  /** Milliseconds since 1970. Default the system's clock. */
  now?: () => number;
}

/** Writes packets to a sink, as a capture file has them. */
export class CaptureWriter {
  readonly #sink: CaptureSink;
  readonly #snapLength: number;
  readonly #now: () => number;

  /** Writes the file's header. */
  constructor(sink: CaptureSink, options: CaptureOptions = {}) {
    this.#sink = sink;
    this.#snapLength = options.snapLength ?? defaultSnapLength;
    this.#now = options.now ?? Date.now;
    const header = new DataView(new ArrayBuffer(fileHeaderLength));
    header.setUint32(0, magic, true);
    header.setUint16(4, 2, true);
    header.setUint16(6, 4, true);
    header.setUint32(16, this.#snapLength, true);
    header.setUint32(20, ethernetLinkType, true);
    sink(new Uint8Array(header.buffer));
  }

  /** Writes one record. */
  write(packet: Packet): void {
    const now = this.#now();
    const kept = Math.min(packet.length, this.#snapLength);
    const record = new Uint8Array(recordHeaderLength + kept);
    const view = new DataView(record.buffer);
    view.setUint32(0, Math.floor(now / 1000), true);
    view.setUint32(4, Math.floor((now % 1000) * 1000), true);
    view.setUint32(8, kept, true);
    view.setUint32(12, packet.length, true);
    record.set(packet.bytes.subarray(0, kept), recordHeaderLength);
    this.#sink(record);
  }
}

/** A peer whose packets, both ways, are written to a capture as well. Goes between an adapter and its peer. */
export function capturePeer(peer: PacketPeer, capture: CaptureWriter): PacketPeer {
  return {
    ...(peer.takes === undefined ? {} : { takes: peer.takes }),
    get isFull() {
      return peer.isFull === true;
    },
    connect(port: PacketPort) {
      peer.connect({
        receive(packet) {
          capture.write(packet);
          return port.receive(packet);
        },
        resume: () => port.resume(),
      });
    },
    deliver(packet) {
      capture.write(packet);
      peer.deliver(packet);
    },
  };
}
