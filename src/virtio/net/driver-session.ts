/** A driver's time with its device, from reset to reset: queues and what was read of the configuration. */
import type { ProtocolError } from "../../errors/index.js";
import { maxPacketLength, type Packet } from "../../packet/index.js";
import { type DriverLink, ringFeatures } from "../../transport/index.js";
import { NetControlQueue } from "./driver-control.js";
import { type NetInfo, readNetInfo } from "./driver-info.js";
import type { NetDriverOptions } from "./driver-options.js";
import { DriverReceiver, type ReceiveLayout } from "./driver-receiver.js";
import { DriverTransmitter, wantsHeaderApart } from "./driver-transmitter.js";
import { headerSize, takesLongPackets } from "./feature-rules.js";
import { OffloadRules } from "./net-header.js";
import { NetQueue, netFeatures, receiveQueue, transmitQueue } from "./protocol.js";

/** Who is told what happens. */
export interface SessionEvents {
  readonly frame: (packet: Packet) => void;
  readonly refuse: (error: ProtocolError) => void;
}

/** Data of an Ethernet frame with its header, and with a VLAN tag; buffers for both (0.9.5: at least 1514). */
const frameRoom = 1518;
/** Data of the longest packet that comes uncut: 65550 in 0.9.5, more with IPv6 (virtio 1.4). */
const longRoom = maxPacketLength;
/** Buffers of that size that a queue gets. */
const longBuffers = 32;

/** Queues and information of one session; a new one is made by every restore. */
export class NetSession {
  readonly info: NetInfo;
  readonly receivers: readonly DriverReceiver[];
  readonly transmitters: readonly DriverTransmitter[];
  readonly control: NetControlQueue | undefined;
  readonly controlQueue: number;
  /** Work that may be left on packets for the device, and that the device may leave. */
  readonly hostRules = new OffloadRules();
  readonly guestRules = new OffloadRules();

  /** Makes the queues. @throws ProtocolError when the device breaks the rules of initialisation */
  constructor(link: DriverLink, options: NetDriverOptions, events: SessionEvents) {
    this.info = readNetInfo(link);
    const pairs = Math.max(1, Math.min(options.queuePairs ?? 1, this.info.maxQueuePairs));
    const f = netFeatures;
    const host = this.hostRules;
    host.checksum = link.has(f.CSUM);
    host.tcp4 = link.has(f.HOST_TSO4);
    host.tcp6 = link.has(f.HOST_TSO6);
    host.ecn = link.has(f.HOST_ECN);
    host.udp = link.has(f.HOST_UFO);
    const guest = this.guestRules;
    guest.checksum = link.has(f.GUEST_CSUM);
    guest.tcp4 = link.has(f.GUEST_TSO4);
    guest.tcp6 = link.has(f.GUEST_TSO6);
    guest.ecn = link.has(f.GUEST_ECN);
    guest.udp = link.has(f.GUEST_UFO);
    const layout = layoutOf(link, this.info, options, guest, events);
    const numbers = Array.from({ length: pairs }, (_, pair) => pair);
    this.receivers = numbers.map((pair) => new DriverReceiver(link, receiveQueue(pair), layout));
    const apart = wantsHeaderApart(link);
    const { headerSize: size } = layout;
    this.transmitters = numbers.map((pair) => new DriverTransmitter(link, transmitQueue(pair), size, apart));
    this.controlQueue = link.has(f.MQ) ? 2 * this.info.maxQueuePairs : NetQueue.ControlOfOnePair;
    if (link.has(f.CTRL_VQ)) this.control = new NetControlQueue(link, link.createQueue(this.controlQueue));
  }
}

function layoutOf(
  link: DriverLink,
  info: NetInfo,
  options: NetDriverOptions,
  rules: OffloadRules,
  events: SessionEvents,
): ReceiveLayout {
  const size = headerSize(link.features);
  const isMergeable = link.has(netFeatures.MRG_RXBUF);
  const isLong = takesLongPackets(link.features);
  const whole = size + (isLong ? longRoom : Math.max(frameRoom, (info.mtu ?? 0) + 18));
  const { bufferSize = 2048 } = options;
  return {
    headerSize: size,
    isMergeable,
    hasHeaderApart: !isMergeable && link.transport.isLegacy && !link.has(ringFeatures.ANY_LAYOUT),
    bufferSize: isMergeable ? Math.max(bufferSize, size + 1) : whole,
    buffers: options.receiveBuffers ?? (isLong && !isMergeable ? longBuffers : Number.POSITIVE_INFINITY),
    rules,
    frame: events.frame,
    refuse: events.refuse,
  };
}
