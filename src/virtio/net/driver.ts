/**
 * The driver half of virtio-net (virtio 1.2 §5.1; 0.9.5 appendix C): packets at ring level without allocation, promises
 * above that, and the adapter's life cycle.
 */
import {
  DeviceError,
  type ProtocolError,
  RequestAborted,
  UnsupportedError,
  type ViolationCode,
} from "../../errors/index.js";
import { finishChecksum, Packet, Segmentation, Segmenter, takesWork } from "../../packet/index.js";
import { type DriverLink, type DriverTransport, hasFeature } from "../../transport/index.js";
import { observeViolation } from "../device-base/index.js";
import { DriverLife, type WantedOfDevice } from "../driver-base/index.js";
import { announcementFrame } from "./announcement.js";
import { type NetInfo, readNetInfo } from "./driver-info.js";
import { chooseNetFeatures, knownNetFeatures, type NetDriverOptions, offeredPairs } from "./driver-options.js";
import { PacketSender } from "./driver-sender.js";
import { NetSession } from "./driver-session.js";
import { type NetCommand, NetSettings } from "./driver-settings.js";
import { guestOffloadFeatures } from "./feature-rules.js";
import {
  AnnounceCommand,
  NetControl,
  NetQueue,
  netFeatures,
  receiveQueue,
  transmitQueue,
  VlanCommand,
} from "./protocol.js";

/** How one packet is sent. */
export interface PacketSendOptions {
  /** Queue pair. Default 0. */
  readonly pair?: number;
}

/** The driver of one adapter. Packets that the device has at a freeze fail; until the restore everything is refused. */
export class VirtioNetDriver extends DriverLife {
  /** Address that the adapter has, or the driver made up for it. */
  mac: Uint8Array;
  /** How often the device broke each rule with a packet; those packets were dropped. */
  readonly violations = new Map<ViolationCode, number>();
  readonly #options: NetDriverOptions;
  readonly #settings: NetSettings;
  readonly #onFrame: ((packet: Packet) => void)[] = [];
  readonly #onLink = new Set<(isUp: boolean) => void>();
  readonly #segmenter = new Segmenter();
  #sender: PacketSender | undefined;
  #announcer: (() => Iterable<Uint8Array>) | undefined;
  #isAnnouncing = false;
  #session: NetSession | undefined;
  #info!: NetInfo;

  private constructor(transport: DriverTransport, options: NetDriverOptions) {
    super(transport, options);
    this.#options = options;
    this.#settings = new NetSettings(transport.endianness);
    this.mac = new Uint8Array(0);
  }

  /**
   * Brings an adapter up.
   * @throws ProtocolError when the device breaks the rules of initialisation.
   */
  static async open(transport: DriverTransport, options: NetDriverOptions = {}): Promise<VirtioNetDriver> {
    const driver = new VirtioNetDriver(transport, options);
    await driver.bringUp();
    driver.mac = driver.#info.mac ?? madeUpAddress();
    if (driver.queuePairs > 1) await driver.useQueuePairs(driver.queuePairs);
    return driver;
  }

  /** The configuration as it was read last. */
  get info(): NetInfo {
    return this.#info;
  }

  get isLinkUp(): boolean {
    return this.#info.isLinkUp;
  }

  /** Pairs of queues that were set up. */
  get queuePairs(): number {
    return this.#session?.transmitters.length ?? 0;
  }

  /** Packets that the device has to send. */
  get inFlight(): number {
    return this.#session?.transmitters.reduce((sum, transmitter) => sum + transmitter.inFlight, 0) ?? 0;
  }

  /** Work that may be left on packets that are sent; what the device does not take is done by `send`. */
  get takes(): { checksum: boolean; tcp4: boolean; tcp6: boolean; ecn: boolean; udp: boolean } {
    return this.#open().hostRules;
  }

  /** Called for every packet; it is the driver's again afterwards. Returns the way to stop. */
  onFrame(listener: (packet: Packet) => void): () => void {
    this.#onFrame.push(listener);
    return () => {
      const at = this.#onFrame.indexOf(listener);
      if (at >= 0) this.#onFrame.splice(at, 1);
    };
  }

  /** Called when the link goes up or down. Returns the way to stop. */
  onLink(listener: (isUp: boolean) => void): () => void {
    this.#onLink.add(listener);
    return () => this.#onLink.delete(listener);
  }

  /** Says what is sent when the device asks to be announced. Default: a reverse ARP of the adapter's address. */
  announceWith(frames: () => Iterable<Uint8Array>): void {
    this.#announcer = frames;
  }

  // Ring level

  /**
   * Puts a packet on a ring; the device sees it after `flush`. False when there is no room: poll, then try again.
   * @throws RangeError when the packet has work left on it that the device does not take.
   */
  transmit(packet: Packet, pair = 0): boolean {
    const { hostRules, transmitters } = this.#open();
    if (!takesWork(hostRules, packet)) throw new RangeError("the device does not take the work left on this packet");
    return transmitters[pair].transmit(packet);
  }

  /** Shows the device what was put on a ring. */
  flush(pair = 0): void {
    if (this.state === "up") this.#session?.transmitters[pair].flush();
  }

  /** Takes packets that came and slots that were sent. Returns how many. @throws ProtocolError */
  poll(): number {
    const session = this.#session;
    if (session === undefined || this.state !== "up") return 0;
    let count = 0;
    for (let pair = 0; pair < session.receivers.length; pair++) {
      count += session.transmitters[pair].reclaim() + session.receivers[pair].poll();
    }
    return count;
  }

  // Promises

  /**
   * Sends a frame or a packet; resolves when the device has taken it. What the device does not do on packets is done
   * here.
   * @throws RequestAborted when the device did not take it in time; the failure of a driver that gave up.
   */
  async send(frame: Uint8Array | Packet, { pair = 0 }: PacketSendOptions = {}): Promise<void> {
    const { hostRules } = this.#open();
    const packet = frame instanceof Packet ? frame.copy() : new Packet(frame.slice());
    if (!takesWork(hostRules, packet) && packet.segmentation !== Segmentation.None) {
      const parts: Packet[] = [];
      if (!this.#segmenter.cut(packet, (part) => parts.push(part.copy()))) {
        throw new RangeError("the packet is not what its segmentation says");
      }
      await Promise.all(parts.map((part) => this.#sendOne(part, pair)));
      return;
    }
    if (!takesWork(hostRules, packet)) finishChecksum(packet);
    await this.#sendOne(packet, pair);
  }

  /** Receive mode (`RxCommand`). @throws DeviceError when the device refuses; UnsupportedError without CTRL_VQ */
  setMode(command: number, on: boolean): Promise<void> {
    return this.#command(this.#settings.mode(command, on));
  }

  /** Addresses that shall pass besides the adapter's own. Throws as `setMode`, and RangeError for bad ones. */
  setAddresses(unicast: readonly Uint8Array[], multicast: readonly Uint8Array[]): Promise<void> {
    return this.#command(this.#settings.addressTables(unicast, multicast));
  }

  /** Changes the adapter's own address. Throws as `setAddresses`. */
  async setMac(mac: Uint8Array): Promise<void> {
    await this.#command(this.#settings.address(mac));
    this.mac = mac.slice();
  }

  /** Lets packets of a VLAN pass. Throws as `setAddresses`. */
  addVlan(id: number): Promise<void> {
    return this.#command(this.#settings.vlan(VlanCommand.Add, id));
  }

  /** Lets them pass no longer. Throws as `setAddresses`. */
  deleteVlan(id: number): Promise<void> {
    return this.#command(this.#settings.vlan(VlanCommand.Delete, id));
  }

  /** Uses that many pairs of queues. @throws RangeError when there are not so many; else as `setMode`. */
  useQueuePairs(pairs: number): Promise<void> {
    if (pairs < 1 || pairs > this.queuePairs) throw new RangeError(`1 to ${this.queuePairs} pairs, got ${pairs}`);
    return this.#command(this.#settings.pairs(pairs));
  }

  /** Work that the device may leave on packets: bits of GUEST features that were negotiated. Throws as `setMode`. */
  async setGuestOffloads(offloads: bigint): Promise<void> {
    await this.#command(this.#settings.offloads(offloads & guestOffloadFeatures));
  }

  // The way out, and back

  /**
   * Resets one receive or transmit queue (RING_RESET): packets that the device had not sent fail, buffers are given anew.
   * @throws RangeError without RING_RESET or such a queue
   */
  async resetQueue(index: number): Promise<void> {
    const { receivers, transmitters } = this.#open();
    const queue = index % 2 === 0 ? receivers[index >>> 1] : transmitters[index >>> 1];
    if (queue === undefined) throw new RangeError(`there is no queue ${index} that can be reset alone`);
    await queue.reset(new DeviceError(`queue ${index} was reset`));
  }

  /** Takes the device again, and asks it for everything that it did before. */
  override async restore(): Promise<void> {
    await super.restore();
    for (const command of this.#settings.commands) await this.#command(command);
  }

  protected wanted(): WantedOfDevice {
    const { features = knownNetFeatures, queuePairs = 1 } = this.#options;
    const { transport } = this;
    return {
      ...{ features, featureTable: netFeatures },
      choose: (agreed) => chooseNetFeatures(agreed, transport, queuePairs),
      // The control queue comes after all pairs, and wants an interrupt too.
      queues: (agreed) =>
        hasFeature(agreed, netFeatures.MQ) ? 2 * offeredPairs(transport) + 1 : NetQueue.ControlOfOnePair + 1,
    };
  }

  protected setUp(link: DriverLink): void {
    const session = new NetSession(link, this.#options, {
      frame: (packet) => {
        for (const listener of this.#onFrame) listener(packet);
      },
      refuse: (error) => this.#refuse(error),
    });
    const { info, receivers, transmitters, control, controlQueue } = session;
    const giveUp = (error: unknown) => this.giveUp(error);
    const sender = new PacketSender(transmitters, this.#options.timeout ?? 30_000, giveUp);
    for (const [pair, receiver] of receivers.entries()) {
      const close = (_error: Error, keepsMemory: boolean) => receiver.close(keepsMemory);
      this.own(receiveQueue(pair), { poll: () => receiver.interrupt(), close });
    }
    for (const [pair, transmitter] of transmitters.entries()) {
      const close = (error: Error, keepsMemory: boolean) => {
        transmitter.close(error, keepsMemory);
        sender.close(error);
      };
      this.own(transmitQueue(pair), { poll: () => sender.transmitted(pair), close });
    }
    if (control !== undefined) this.own(controlQueue, control);
    this.#session = session;
    this.#sender = sender;
    this.#info = info;
  }

  protected override started(): void {
    const { receivers, transmitters } = this.#open();
    for (const receiver of receivers) receiver.start();
    for (const transmitter of transmitters) transmitter.ignore();
  }

  protected override takenDown(): void {
    this.#session = undefined;
    this.#sender = undefined;
  }

  /** @throws the reason why there is no device: frozen, closed, given up. */
  #open(): NetSession {
    return this.inUse(this.#session);
  }

  #refuse(error: ProtocolError): void {
    this.violations.set(error.code, (this.violations.get(error.code) ?? 0) + 1);
    if (this.#options.observer !== undefined) observeViolation(this.#options.observer, error.queue ?? 0, error);
  }

  /** The link, or a wish to be announced (virtio 1.2 §5.1.6.5.4). */
  protected override configured(): void {
    const before = this.#info;
    this.#info = readNetInfo(this.link);
    if (before.isLinkUp !== this.#info.isLinkUp) for (const listener of this.#onLink) listener(this.#info.isLinkUp);
    if (this.#info.wantsAnnouncement) this.#announce(this.#open());
  }

  /** Packets first, then the acknowledgement. */
  #announce(session: NetSession): void {
    if (this.#isAnnouncing) return;
    this.#isAnnouncing = true;
    for (const frame of this.#announcer?.() ?? [announcementFrame(this.mac)]) this.send(frame).catch(() => {});
    const acknowledged = session.control?.send(NetControl.Announce, AnnounceCommand.Ack, new Uint8Array(0), "announce");
    const end = () => {
      this.#isAnnouncing = false;
    };
    acknowledged?.then(end, end);
  }

  async #command(command: NetCommand): Promise<void> {
    const { control } = this.#open();
    if (control === undefined) throw new UnsupportedError("the adapter has no control queue");
    const { timeout = 30_000 } = this.#options;
    const { kind, data, name } = command;
    const late = () => {
      this.interrupt(this.#session?.controlQueue ?? 0);
      if (!isAnswered) this.giveUp(new RequestAborted(`${name}: no answer in ${timeout} ms`));
    };
    let isAnswered = false;
    const timer = timeout > 0 ? setTimeout(late, timeout) : undefined;
    try {
      await control.send(kind, command.command, data, name);
      this.#settings.keep(command);
      if (kind === NetControl.GuestOffloads) this.#useGuestOffloads(data);
    } finally {
      isAnswered = true;
      clearTimeout(timer);
    }
  }

  #useGuestOffloads(data: Uint8Array): void {
    const view = new DataView(data.buffer, data.byteOffset);
    const low = view.getUint32(this.transport.endianness === "little" ? 0 : 4, this.transport.endianness === "little");
    const has = (feature: number) => ((low >>> feature) & 1) === 1;
    const rules = this.#open().guestRules;
    const f = netFeatures;
    rules.checksum = has(f.GUEST_CSUM);
    rules.tcp4 = has(f.GUEST_TSO4);
    rules.tcp6 = has(f.GUEST_TSO6);
    rules.ecn = has(f.GUEST_ECN);
    rules.udp = has(f.GUEST_UFO);
  }

  #sendOne(packet: Packet, pair: number): Promise<void> {
    return this.inUse(this.#sender).send(packet, pair);
  }
}

/** A random address of the local kind. */
function madeUpAddress(): Uint8Array {
  const mac = crypto.getRandomValues(new Uint8Array(6));
  mac[0] = (mac[0] & 0xfc) | 2;
  return mac;
}
