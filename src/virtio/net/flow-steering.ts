/**
 * Which receive queue a packet goes to (virtio 1.2 §5.1.6.5.6): the partner of the queue on which the driver last sent a
 * packet of the same flow.
 */
import { EtherType, networkHeader, type Packet } from "../../packet/index.js";

const buckets = 256;

export class FlowSteering {
  readonly #pairs = new Uint16Array(buckets);

  reset(): void {
    this.#pairs.fill(0);
  }

  /** The driver sent a packet on this pair. */
  learn(packet: Packet, pair: number): void {
    this.#pairs[flowBucket(packet)] = pair;
  }

  /** The pair for a packet to the driver, of the first `pairs`. */
  pairFor(packet: Packet, pairs: number): number {
    const pair = this.#pairs[flowBucket(packet)];
    return pair < pairs ? pair : 0;
  }
}

/** The same number in both directions of a flow: addresses and ports of both ends are mixed without regard to order. */
function flowBucket(packet: Packet): number {
  const network = networkHeader(packet);
  if (network === undefined) return 0;
  const { view } = packet;
  const { at } = network;
  let mixed = 0;
  let ports = 0;
  if (network.type === EtherType.IPv4 && packet.length >= at + 24) {
    mixed = view.getUint32(at + 12) ^ view.getUint32(at + 16);
    ports = at + (view.getUint8(at) & 15) * 4;
  } else if (network.type === EtherType.IPv6 && packet.length >= at + 44) {
    for (let word = 8; word < 40; word += 4) mixed ^= view.getUint32(at + word);
    ports = at + 40;
  } else return 0;
  if (ports + 4 <= packet.length) mixed ^= view.getUint16(ports) ^ view.getUint16(ports + 2);
  mixed ^= mixed >>> 16;
  return (mixed ^ (mixed >>> 8)) & (buckets - 1);
}
