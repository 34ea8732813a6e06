/** What a virtio-net device is made with, and what it offers because of that. */

import type { Observer } from "../../observe/index.js";
import { macLength, parseMac } from "../../packet/index.js";
import { featureSet } from "../../transport/index.js";
import { consistentFeatures } from "./feature-rules.js";
import { Duplex, maxQueuePairs, netFeatures } from "./protocol.js";

/** All of it may be left out. */
export interface VirtioNetOptions {
  /** Six bytes. Default 52:54:00:12:34:56. */
  mac?: Uint8Array;
  /** Pairs of queues; more than one offers MQ. Default 1. */
  queuePairs?: number;
  /** Largest size of every queue. Default 256. */
  queueSize?: number;
  /** Largest packet behind the Ethernet header, for the driver to know (MTU). Default: not said. */
  mtu?: number;
  /** Mbit/s, full duplex, for the driver to know (SPEED_DUPLEX). Default: not said. */
  speed?: number;
  /** Bits not to offer; what depends on them is not offered either. Default none. */
  withhold?: bigint;
  /** Offer legacy drivers the deprecated GSO bit. Default false. */
  gso?: boolean;
  /** Packets that wait for receive buffers, of each queue; 0 drops them at once. Default 64. */
  backlog?: number;
  observer?: Observer | undefined;
}

/** The options, complete and checked. */
export interface NetTraits {
  readonly mac: Uint8Array;
  readonly queuePairs: number;
  readonly queueSize: number;
  readonly mtu: number;
  readonly speed: number | undefined;
  readonly duplex: number;
  readonly backlog: number;
  readonly features: bigint;
  readonly observer: Observer | undefined;
}

/** Smallest MTU that a device may tell of, virtio 1.2 §5.1.4.1. */
const leastMtu = 68;

/** @throws RangeError when an option is out of its range. */
export function netTraits(options: VirtioNetOptions): NetTraits {
  const {
    mac = parseMac("52:54:00:12:34:56"),
    queuePairs = 1,
    queueSize = 256,
    mtu = 0,
    speed,
    backlog = 64,
  } = options;
  if (mac.length !== macLength || (mac[0] & 1) !== 0)
    throw new RangeError("an adapter's address is 6 bytes, not a group's");
  if (!Number.isInteger(queuePairs) || queuePairs < 1 || queuePairs > maxQueuePairs / 2) {
    throw new RangeError(`1 to ${maxQueuePairs / 2} queue pairs, got ${queuePairs}`);
  }
  if (mtu !== 0 && (mtu < leastMtu || mtu > 0xffff)) throw new RangeError(`an MTU is ${leastMtu} to 65535, got ${mtu}`);
  const f = netFeatures;
  const all = featureSet(
    ...[f.CSUM, f.GUEST_CSUM, f.CTRL_GUEST_OFFLOADS, f.MAC, f.GUEST_TSO4, f.GUEST_TSO6, f.GUEST_ECN, f.GUEST_UFO],
    ...[f.HOST_TSO4, f.HOST_TSO6, f.HOST_ECN, f.HOST_UFO, f.MRG_RXBUF, f.STATUS, f.CTRL_VQ, f.CTRL_RX, f.CTRL_VLAN],
    ...[f.CTRL_RX_EXTRA, f.GUEST_ANNOUNCE, f.CTRL_MAC_ADDR],
    ...(mtu === 0 ? [] : [f.MTU]),
    ...(queuePairs === 1 ? [] : [f.MQ]),
    ...(speed === undefined ? [] : [f.SPEED_DUPLEX]),
    ...(options.gso === true ? [f.GSO] : []),
  );
  return {
    mac: mac.slice(),
    queuePairs,
    queueSize,
    mtu,
    speed,
    duplex: speed === undefined ? Duplex.Unknown : Duplex.Full,
    backlog,
    features: consistentFeatures(all & ~(options.withhold ?? 0n)),
    observer: options.observer,
  };
}
