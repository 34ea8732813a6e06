/**
 * The device half of virtio-net: an adapter whose cable ends at a {@link PacketPeer} (virtio 1.2 §5.1; 0.9.5 appendix C).
 * Work that the driver leaves to be done on packets, and that the peer cannot take over, is done here.
 */
import type { Endianness, SavedFields, SavedReader } from "../../bytes/index.js";
import { ProtocolError, type ViolationCode } from "../../errors/index.js";
import {
  ethernetHeaderLength,
  finishChecksum,
  maxPacketLength,
  Packet,
  type PacketPeer,
  type PacketPort,
  Segmentation,
  Segmenter,
  takesWork,
  ViewCaches,
} from "../../packet/index.js";
import { type DeviceHost, type DeviceType, featureSet, hasFeature, ringFeatures } from "../../transport/index.js";
import type { Chain, QueueDevice } from "../../virtqueue/index.js";
import { observeViolation, publish, serveQueue } from "../device-base/index.js";
import { answerNetControl, type ControlTarget, longestCommand } from "./device-control.js";
import { type NetTraits, netTraits, type VirtioNetOptions } from "./device-options.js";
import { DeviceReceiver, type ReceiverRules } from "./device-receiver.js";
import { consistentFeatures, guestOffloadFeatures, headerSize } from "./feature-rules.js";
import { FlowSteering } from "./flow-steering.js";
import { OffloadRules, offloadFault, readNetHeader } from "./net-header.js";
import { gather } from "./packet-copies.js";
import {
  ControlAck,
  NetQueue,
  NetStatus,
  netConfig,
  netFeatures,
  netHeader,
  receiveQueue,
  transmitQueue,
  unknownSpeed,
  virtioNetId,
} from "./protocol.js";
import { ReceiveFilter } from "./receive-filter.js";

/** Of what it keeps in a snapshot. */
const stateVersion = 1;

/** Packets since the device was made. */
export interface NetCounters {
  transmitted: number;
  received: number;
  /** For the driver, but not wanted by it, without a buffer, or with the link down. */
  dropped: number;
}

/** The device: give it to a transport. */
export class VirtioNetDevice implements DeviceType, PacketPort, ControlTarget {
  readonly deviceId = virtioNetId;
  readonly name = "virtio-net";
  readonly featureTable = netFeatures;
  readonly features: bigint;
  readonly legacyFeatures = featureSet(netFeatures.GSO);
  readonly queueSizes: readonly number[];
  readonly configSize = netConfig.size;
  readonly peer: PacketPeer;
  readonly filter: ReceiveFilter;
  readonly queuePairs: number;
  readonly counters: NetCounters = { transmitted: 0, received: 0, dropped: 0 };
  readonly #traits: NetTraits;
  readonly #packet = Packet.ofCapacity(maxPacketLength);
  readonly #header = new Uint8Array(netHeader.size);
  readonly #headerView = new DataView(this.#header.buffer);
  readonly #caches = new ViewCaches();
  readonly #segmenter = new Segmenter();
  readonly #steering = new FlowSteering();
  /** Work that the driver may leave on its packets, and that may be left on packets for it. */
  readonly #hostRules = new OffloadRules();
  readonly #guestRules = new OffloadRules();
  readonly #rules: ReceiverRules;
  readonly #receivers: DeviceReceiver[] = [];
  readonly #deliver: (packet: Packet) => void;
  readonly #place: (packet: Packet) => void;
  #host: DeviceHost | undefined;
  #controlQueue: number = NetQueue.ControlOfOnePair;
  #pairs = 1;
  #isLinkUp = true;
  #isAnnouncing = false;
  #guestOffloads = 0n;
  #serving = -1;

  /** @throws RangeError when an option is out of its range. */
  constructor(peer: PacketPeer, options: VirtioNetOptions = {}) {
    this.#traits = netTraits(options);
    const { queuePairs, queueSize, mac, features, observer } = this.#traits;
    this.peer = peer;
    this.features = features;
    this.queuePairs = queuePairs;
    const hasControl = hasFeature(features, netFeatures.CTRL_VQ);
    this.queueSizes = new Array<number>(2 * queuePairs + (hasControl ? 1 : 0)).fill(queueSize);
    this.filter = new ReceiveFilter(mac.slice());
    this.#rules = {
      headerSize: netHeader.size,
      isMergeable: false,
      refuse: (queue, error) => {
        this.#host?.count(error.code);
        if (observer !== undefined) observeViolation(observer, queue.index, error);
      },
    };
    this.#deliver = (packet) => this.peer.deliver(packet);
    this.#place = (packet) => {
      this.#receiveOne(packet);
    };
  }

  attach(host: DeviceHost): void {
    this.#host = host;
    for (let pair = 0; pair < this.queuePairs; pair++) {
      this.#receivers.push(new DeviceReceiver(host, receiveQueue(pair), this.#rules, this.#traits.backlog));
    }
    this.featuresChanged();
    this.peer.connect(this);
  }

  // The cable

  get isLinkUp(): boolean {
    return this.#isLinkUp;
  }

  /** Plugs the cable in, or pulls it: the driver is told, and packets are dropped without it. */
  setLink(up: boolean): void {
    if (up === this.#isLinkUp) return;
    this.#isLinkUp = up;
    this.#host?.configChanged();
  }

  /**
   * Asks the driver to tell the network where it is, after a move (virtio 1.2 §5.1.6.5.4).
   * @returns false when it did not negotiate that.
   */
  announce(): boolean {
    if (this.#host?.has(netFeatures.GUEST_ANNOUNCE) !== true) return false;
    this.#isAnnouncing = true;
    this.#host.configChanged();
    return true;
  }

  /** The driver was asked to announce itself and has not answered yet. */
  get isAnnouncing(): boolean {
    return this.#isAnnouncing;
  }

  /** Queue pairs in use. */
  get pairsInUse(): number {
    return this.#pairs;
  }

  // What the peer calls

  receive(packet: Packet): boolean {
    const fits = packet.length >= ethernetHeaderLength && packet.length <= maxPacketLength;
    if (!this.#isLinkUp || !fits || !this.filter.passes(packet)) return this.#drop();
    if (takesWork(this.#guestRules, packet)) return this.#receiveOne(packet);
    if (packet.segmentation !== Segmentation.None) return this.#segmenter.cut(packet, this.#place) || this.#drop();
    finishChecksum(packet);
    return this.#receiveOne(packet);
  }

  resume(): void {
    for (let pair = 0; pair < this.queuePairs; pair++) this.#transmit(pair);
  }

  #drop(): false {
    this.counters.dropped++;
    return false;
  }

  #receiveOne(packet: Packet): boolean {
    if (!this.#guestRules.checksum) packet.checksumValid = false;
    const pair = this.#pairs > 1 ? this.#steering.pairFor(packet, this.#pairs) : 0;
    if (!this.#receivers[pair].receive(packet)) return this.#drop();
    this.counters.received++;
    return true;
  }

  // What the transport calls

  /** §5.1.3.1: an offload without what it is built on is refused. */
  acceptsFeatures(features: bigint): boolean {
    return consistentFeatures(features) === features;
  }

  featuresChanged(): void {
    const host = this.#host;
    if (host === undefined) return;
    const f = netFeatures;
    const chosen = [...Object.values(f), ringFeatures.VERSION_1].filter((feature) => host.has(feature));
    // A legacy driver's choice cannot be refused: what does not go together counts as not chosen.
    const features = consistentFeatures(featureSet(...chosen));
    const has = (feature: number) => hasFeature(features, feature);
    this.#rules.headerSize = headerSize(features);
    this.#rules.isMergeable = has(f.MRG_RXBUF);
    this.#controlQueue = has(f.MQ) ? 2 * this.queuePairs : NetQueue.ControlOfOnePair;
    this.filter.filtersVlans = has(f.CTRL_VLAN);
    const rules = this.#hostRules;
    rules.checksum = has(f.CSUM);
    rules.tcp4 = has(f.HOST_TSO4) || has(f.GSO);
    rules.tcp6 = has(f.HOST_TSO6) || has(f.GSO);
    rules.ecn = has(f.HOST_ECN) || has(f.GSO);
    rules.udp = has(f.HOST_UFO);
    this.switchableOffloads = features & guestOffloadFeatures;
    this.useGuestOffloads(this.switchableOffloads);
  }

  readConfig(view: DataView, endianness: Endianness): void {
    const { mtu, speed, duplex } = this.#traits;
    const status = (this.#isLinkUp ? NetStatus.LinkUp : 0) | (this.#isAnnouncing ? NetStatus.Announce : 0);
    netConfig.write(view, 0, endianness, {
      mac: this.filter.mac,
      status,
      maxVirtqueuePairs: this.queuePairs,
      mtu,
      speed: speed ?? unknownSpeed,
      duplex,
    });
  }

  /** Only a legacy driver may write, and only the address (virtio 1.2 §5.1.4.2). */
  writeConfig(view: DataView, _endianness: Endianness, offset: number): void {
    if (this.#host?.has(ringFeatures.VERSION_1) === true || offset >= this.filter.mac.length) return;
    for (let index = 0; index < this.filter.mac.length; index++) this.filter.mac[index] = view.getUint8(index);
  }

  notified(index: number): void {
    if (index === this.#controlQueue && hasFeature(this.features, netFeatures.CTRL_VQ)) this.#control(index);
    else if (index % 2 === 0) this.#receivers[index >>> 1]?.refill();
    else this.#transmit(index >>> 1);
  }

  reset(): void {
    for (const receiver of this.#receivers) receiver.reset();
    this.#steering.reset();
    this.filter.reset();
    this.filter.mac.set(this.#traits.mac);
    this.#pairs = 1;
    this.#isAnnouncing = false;
  }

  resetQueue(index: number): void {
    if (index !== this.#controlQueue && index % 2 === 0) this.#receivers[index >>> 1]?.reset();
  }

  keepsChains(index: number): boolean {
    return index !== this.#controlQueue && index % 2 === 0;
  }

  /** Packets that wait for buffers are not in it: networks lose some. */
  saveState(): SavedFields {
    const { filter } = this;
    return {
      version: stateVersion,
      filter: filter.save(),
      pairs: this.#pairs,
      offloads: this.#guestOffloads,
      linkUp: this.#isLinkUp,
      announcing: this.#isAnnouncing,
    };
  }

  readState(saved: SavedReader): () => void {
    saved.version(stateVersion);
    const filter = this.filter.read(saved.part("filter"));
    const pairs = saved.whole("pairs", this.queuePairs);
    if (pairs === 0) saved.refuse("pairs", "is 0");
    const offloads = saved.bits("offloads", this.features & guestOffloadFeatures);
    const isLinkUp = saved.flag("linkUp");
    const isAnnouncing = saved.flag("announcing");
    return () => {
      filter();
      this.#pairs = pairs;
      this.useGuestOffloads(offloads);
      this.#isLinkUp = isLinkUp;
      this.#isAnnouncing = isAnnouncing;
    };
  }

  // What control commands call

  switchableOffloads = 0n;

  announced(): void {
    this.#isAnnouncing = false;
  }

  useQueuePairs(pairs: number): void {
    this.#pairs = pairs;
  }

  useGuestOffloads(offloads: bigint): void {
    this.#guestOffloads = offloads;
    const f = netFeatures;
    const chosen = consistentFeatures(offloads);
    const rules = this.#guestRules;
    rules.checksum = hasFeature(chosen, f.GUEST_CSUM);
    rules.tcp4 = hasFeature(chosen, f.GUEST_TSO4);
    rules.tcp6 = hasFeature(chosen, f.GUEST_TSO6);
    rules.ecn = hasFeature(chosen, f.GUEST_ECN);
    rules.udp = hasFeature(chosen, f.GUEST_UFO);
  }

  // Queues

  #control(index: number): void {
    const host = this.#host;
    if (host !== undefined) serveQueue(host, index, (chain, queue) => this.#answer(host, queue, chain));
  }

  #answer(host: DeviceHost, queue: QueueDevice, chain: Chain): void {
    const { readable, writable } = chain;
    if (writable.byteLength < 1) {
      this.#refuse(queue, chain, "response-space-short");
      return;
    }
    const isTooLong = readable.byteLength > longestCommand;
    const ack = isTooLong ? ControlAck.Error : answerNetControl(readable.toBytes(), host, this);
    queue.push(chain, writable.write(Uint8Array.of(ack)));
  }

  #transmit(pair: number): void {
    const queue = this.#host?.queue(transmitQueue(pair));
    // A peer that calls `resume` from inside `deliver` finds the queue being served already.
    if (queue === undefined || this.#serving === pair) return;
    const before = this.#serving;
    this.#serving = pair;
    try {
      do {
        queue.disableNotifications();
        while (this.peer.isFull !== true) {
          const chain = queue.pop();
          if (chain === undefined) break;
          this.#send(queue, chain, pair);
        }
      } while (this.peer.isFull !== true && !queue.enableNotifications());
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#host?.fail(error);
    } finally {
      this.#serving = before;
    }
    if (this.#host !== undefined) publish(this.#host, queue);
  }

  /** One packet of the driver's. Its chain goes back first: the peer may answer at once. */
  #send(queue: QueueDevice, chain: Chain, pair: number): void {
    const { readable } = chain;
    const { headerSize: size } = this.#rules;
    const packet = this.#packet;
    const length = readable.byteLength - size;
    if (chain.writable.byteLength > 0) this.#refuse(queue, chain, "request-data-direction");
    else if (length < 0) this.#refuse(queue, chain, "request-header-short");
    else if (length < ethernetHeaderLength || length > maxPacketLength) {
      this.#refuse(queue, chain, "packet-length-invalid", `${length} bytes`);
    } else {
      readable.copyHeader(this.#headerView, this.#header, size);
      packet.begin(length);
      gather(readable, this.#caches, size, packet.bytes, length);
      readNetHeader(this.#headerView, 0, this.#host?.endianness === "little", packet);
      packet.checksumValid = false;
      const fault = offloadFault(packet, this.#hostRules);
      if (fault !== undefined) {
        this.#refuse(queue, chain, "packet-offload-invalid", fault);
        return;
      }
      queue.push(chain, 0);
      if (this.#isLinkUp) this.#toPeer(packet, pair);
    }
  }

  #toPeer(packet: Packet, pair: number): void {
    if (this.#pairs > 1) this.#steering.learn(packet, pair);
    this.counters.transmitted++;
    if (takesWork(this.peer.takes, packet)) this.peer.deliver(packet);
    else if (packet.segmentation === Segmentation.None) {
      finishChecksum(packet);
      this.peer.deliver(packet);
    } else if (!this.#segmenter.cut(packet, this.#deliver)) this.#host?.count("packet-offload-invalid");
  }

  /** Gives a chain back that cannot be carried out, counted. */
  #refuse(queue: QueueDevice, chain: Chain, code: ViolationCode, detail = ""): void {
    this.#rules.refuse(queue, new ProtocolError(code, { queue: queue.index, head: chain.head, detail }));
    queue.push(chain, 0);
  }
}
