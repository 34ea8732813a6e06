/** A cable between two adapters of ours: what one sends, the other receives. */
import type { Packet, PacketOffloads, PacketPeer, PacketPort } from "./packet.js";

/**
 * Frames that may be looked at on their way: `from` says which end sent them. The packet is the cable's again when this
 * returns.
 */
export type PacketTap = (packet: Packet, from: 0 | 1) => void;

/** Both ends of the cable are in this process: nothing has to be finished before the last moment. */
const everything: PacketOffloads = { checksum: true, tcp4: true, tcp6: true, ecn: true, udp: true };

class LinkEnd implements PacketPeer {
  readonly takes = everything;
  readonly #side: 0 | 1;
  readonly #tap: PacketTap | undefined;
  other: LinkEnd | undefined;
  port: PacketPort | undefined;

  constructor(side: 0 | 1, tap: PacketTap | undefined) {
    this.#side = side;
    this.#tap = tap;
  }

  connect(port: PacketPort): void {
    this.port = port;
  }

  deliver(packet: Packet): void {
    this.#tap?.(packet, this.#side);
    this.other?.port?.receive(packet);
  }
}

/** Both ends of a new cable. @param tap sees every packet. */
export function createLink(tap?: PacketTap): readonly [PacketPeer, PacketPeer] {
  const first = new LinkEnd(0, tap);
  const second = new LinkEnd(1, tap);
  first.other = second;
  second.other = first;
  return [first, second];
}
