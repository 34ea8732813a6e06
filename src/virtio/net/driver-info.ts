/** What a driver knows of its adapter: the configuration, read with the features that give each field a meaning. */
import { macLength } from "../../packet/index.js";
import type { DriverLink, DriverTransport } from "../../transport/index.js";
import { Duplex, NetStatus, netConfig, netFeatures, unknownSpeed } from "./protocol.js";

/** The adapter in numbers. */
export interface NetInfo {
  /** Its address; undefined when it has none, and the driver makes one up. */
  readonly mac: Uint8Array | undefined;
  /** Without STATUS the link counts as up. */
  readonly isLinkUp: boolean;
  /** It asks to be announced to the network. */
  readonly wantsAnnouncement: boolean;
  /** Pairs of queues that can be used. */
  readonly maxQueuePairs: number;
  /** Largest packet behind the Ethernet header, when it says so. */
  readonly mtu: number | undefined;
  /** Mbit/s, when it says so. */
  readonly speed: number | undefined;
  readonly isFullDuplex: boolean | undefined;
}

/** Reads the configuration: only fields whose feature was negotiated. @throws ProtocolError `config-never-settles` */
export function readNetInfo(link: DriverLink): NetInfo {
  const f = netFeatures;
  const { offset } = netConfig;
  return link.readConfig((transport): NetInfo => {
    const status = link.has(f.STATUS) ? transport.readConfig(offset.status, 2) : NetStatus.LinkUp;
    const speed = link.has(f.SPEED_DUPLEX) ? transport.readConfig(offset.speed, 4) : unknownSpeed;
    const duplex = link.has(f.SPEED_DUPLEX) ? transport.readConfig(offset.duplex, 1) : Duplex.Unknown;
    return {
      mac: link.has(f.MAC) ? readMac(transport) : undefined,
      isLinkUp: (status & NetStatus.LinkUp) !== 0,
      wantsAnnouncement: link.has(f.GUEST_ANNOUNCE) && (status & NetStatus.Announce) !== 0,
      maxQueuePairs: link.has(f.MQ) ? transport.readConfig(offset.maxVirtqueuePairs, 2) : 1,
      mtu: link.has(f.MTU) ? transport.readConfig(offset.mtu, 2) : undefined,
      speed: speed > 0x7fff_ffff ? undefined : speed,
      isFullDuplex: duplex > Duplex.Full ? undefined : duplex === Duplex.Full,
    };
  });
}

function readMac(transport: DriverTransport): Uint8Array {
  return Uint8Array.from({ length: macLength }, (_, index) => transport.readConfig(netConfig.offset.mac + index, 1));
}
