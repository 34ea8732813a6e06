/**
 * The driver half of vhost-user: a {@link DriverTransport} whose device is a back end behind a socket. What a driver
 * writes into registers elsewhere becomes messages here: nothing is sent of a queue before DRIVER_OK.
 */
import { type Endianness, hostEndianness } from "../../bytes/index.js";
import { DeviceError } from "../../errors/index.js";
import type { DmaBlock, DmaMemory, GuestMemory } from "../../memory/index.js";
import { compactLayout, isQueueSize, layoutAt, legacyLayout, type RingAddresses } from "../../virtqueue/index.js";
import type { DriverTransport, InterruptHandlers, InterruptMode } from "../driver-transport.js";
import { featureSet, ringFeatures } from "../features.js";
import { DeviceStatus } from "../status.js";
import { FrontEndChannel, type FrontEndSystem } from "./front-end-channel.js";
import { FrontEndRings } from "./front-end-rings.js";
import { maxConfigSize, ProtocolFeature, protocolFeaturesBit } from "./protocol.js";

/** What the front end is opened with. */
export interface VhostUserTransportOptions {
  /** Virtio device ID of what the back end is: the protocol does not say it. */
  deviceId: number;
  memory: GuestMemory;
  dma: DmaMemory;
  /** Where the memory comes from, for the back end: one file for each region of `memory`. */
  files: readonly SharedFile[];
  system: FrontEndSystem;
  /** Size of every queue. Default 256. */
  queueSize?: number;
  /** Number of queues, where the back end does not say (without MQ). Default 1. */
  queues?: number;
  /** Configuration space of a device whose back end has none (SCSI hosts). Little-endian. */
  localConfig?: Uint8Array | undefined;
  /** Be a legacy driver: without VERSION_1, rings in `guestEndianness`. Default false. */
  legacy?: boolean;
  /** Byte order of a legacy driver. Default the host's; the other one needs CROSS_ENDIAN. */
  guestEndianness?: Endianness;
  /** Protocol features to do without. */
  withoutProtocolFeatures?: bigint;
  /** Ask for an acknowledgement of every message where the back end can. Default true. */
  acknowledged?: boolean;
  /**
   * Told when the connection is lost. The device then counts as there all the same, and `reconnect` goes on with it.
   * Without this the driver is told that its device is gone.
   */
  onLost?: (() => void) | undefined;
}

/** A region of guest memory in a file. */
export interface SharedFile {
  readonly descriptor: number;
  /** Where the region starts in the file. */
  readonly offset: number;
}

const defaultQueueSize = 256;
const legacyAlignment = 4096;
/** Page numbers of legacy rings. */
const ringAlignment = 4096;
const gone = 0xff;

/** A driver's way to a back end. */
export class VhostUserTransport implements DriverTransport {
  readonly kind = "vhost-user";
  readonly isLegacy: boolean;
  readonly choosesQueueSizes = true;
  readonly deviceId: number;
  readonly endianness: Endianness;
  readonly memory: GuestMemory;
  readonly dma: DmaMemory;
  /** Queues that the back end has. */
  readonly queueCount: number;
  readonly #channel: FrontEndChannel;
  readonly #rings: FrontEndRings;
  readonly #queueSize: number;
  readonly #blocks = new Map<number, DmaBlock>();
  readonly #localConfig: DataView | undefined;
  #onLost: (() => void) | undefined;
  /** Whoever reconnects knows of this loss already. */
  #isToldLost = false;
  #handlers: InterruptHandlers | undefined;
  #generation = 0;
  #status = 0;
  #chosen = 0n;

  /**
   * Meets the back end: features, protocol features, queues.
   * @throws DeviceError when it does not answer or is gone, ProtocolError when it answers wrongly.
   */
  constructor(options: VhostUserTransportOptions) {
    const { system, legacy = false, guestEndianness = hostEndianness } = options;
    this.deviceId = options.deviceId;
    this.isLegacy = legacy;
    this.endianness = legacy ? guestEndianness : "little";
    this.memory = options.memory;
    this.dma = options.dma;
    this.#queueSize = options.queueSize ?? defaultQueueSize;
    if (!isQueueSize(this.#queueSize)) throw new RangeError(`a queue cannot have ${this.#queueSize} entries`);
    this.#onLost = options.onLost;
    this.#channel = new FrontEndChannel(system, options.acknowledged ?? true);
    const f = ProtocolFeature;
    const known = featureSet(
      ...[f.MQ, f.REPLY_ACK, f.BACKEND_REQ, f.CROSS_ENDIAN, f.CONFIG, f.INFLIGHT_SHMFD, f.RESET_DEVICE],
      f.CONFIGURE_MEM_SLOTS,
    );
    this.#channel.open(known & ~(options.withoutProtocolFeatures ?? 0n), () => this.#configChanged());
    this.queueCount = this.#channel.has(f.MQ) ? this.#channel.queueCount() : (options.queues ?? 1);
    const { localConfig } = options;
    this.#localConfig =
      localConfig === undefined || this.#channel.has(f.CONFIG)
        ? undefined
        : new DataView(localConfig.buffer, localConfig.byteOffset, localConfig.byteLength);
    this.#rings = new FrontEndRings(this.#channel, system, options);
    system.onClosed(() => this.#lost());
  }

  /** Protocol features in use. */
  get protocolFeatures(): bigint {
    return this.#channel.protocolFeatures;
  }

  /** The back end closed the connection, or stopped answering. */
  get isGone(): boolean {
    return this.#channel.isGone;
  }

  readStatus(): number {
    return this.#channel.isGone && this.#status !== 0 && this.#onLost === undefined ? gone : this.#status;
  }

  writeStatus(value: number): void {
    const before = this.#status;
    if (value === 0) {
      this.#status = 0;
      this.#chosen = 0n;
      this.#whileThere(() => this.#rings.stop());
      // Also those of a back end that is gone.
      this.#rings.closeEvents();
      return;
    }
    this.#status = value & gone;
    const newlySet = value & ~before;
    if ((newlySet & DeviceStatus.FeaturesOk) !== 0 && (this.#chosen & ~this.#channel.features) !== 0n) {
      this.#status &= ~DeviceStatus.FeaturesOk;
    }
    if ((newlySet & DeviceStatus.DriverOk) === 0) return;
    this.#whileThere(() => this.#rings.start(this.#chosen, (index) => this.#handlers?.queue(index)));
    // A loss until now was told to nobody: the driver listens from here on.
    if (this.#channel.isGone) queueMicrotask(() => this.#lost());
  }

  readFeatures(): bigint {
    return (
      this.#channel.features & ~featureSet(protocolFeaturesBit, ...(this.isLegacy ? [ringFeatures.VERSION_1] : []))
    );
  }

  writeFeatures(features: bigint): void {
    this.#chosen = features;
  }

  queueMaxSize(index: number): number {
    return index < this.queueCount ? this.#queueSize : 0;
  }

  setUpQueue(index: number, size: number): RingAddresses {
    const layout = this.isLegacy ? legacyLayout(size, legacyAlignment) : compactLayout(size);
    const block = this.dma.allocate(layout.byteLength, this.isLegacy ? ringAlignment : layout.alignment);
    this.#blocks.set(index, block);
    const addresses = layoutAt(layout, block.address);
    this.#rings.add(index, size, addresses);
    return addresses;
  }

  freeQueues(): void {
    for (const block of this.#blocks.values()) this.dma.free(block);
    this.#blocks.clear();
    this.#rings.clear();
  }

  notify(index: number): void {
    this.#rings.kick(index);
  }

  readConfig(offset: number, width: 1 | 2 | 4): number {
    const view = this.#localConfig ?? this.#remoteConfig(offset, width);
    const at = this.#localConfig === undefined ? 0 : offset;
    if (at + width > view.byteLength) return 0;
    return width === 1 ? view.getUint8(at) : width === 2 ? view.getUint16(at, true) : view.getUint32(at, true);
  }

  writeConfig(offset: number, width: 1 | 2 | 4, value: number): void {
    const data = new DataView(new ArrayBuffer(4));
    data.setUint32(0, value, true);
    if (this.#localConfig === undefined) {
      this.#whileThere(() => this.#channel.writeConfig(offset, new Uint8Array(data.buffer, 0, width)));
      return;
    }
    for (let byte = 0; byte < width && offset + byte < this.#localConfig.byteLength; byte++) {
      this.#localConfig.setUint8(offset + byte, data.getUint8(byte));
    }
  }

  configGeneration(): number {
    return this.#generation;
  }

  openInterrupts(_queues: number, handlers: InterruptHandlers): InterruptMode {
    this.#handlers = handlers;
    return "msix";
  }

  closeInterrupts(): void {
    this.#handlers = undefined;
  }

  /**
   * Connects to another back end (or the same, restarted) in the middle of work: queues go on where they stood, and
   * with INFLIGHT_SHMFD the new back end serves what the old one left.
   * @throws DeviceError, ProtocolError
   */
  reconnect(system: FrontEndSystem): void {
    this.#channel.reopen(system);
    this.#isToldLost = false;
    system.onClosed(() => this.#lost());
    if ((this.#status & DeviceStatus.DriverOk) !== 0) this.#rings.restart(system, this.#chosen);
  }

  /** Closes the connection; a driver closes its link before, or finds its device gone. */
  close(): void {
    this.#onLost = undefined;
    this.#rings.close();
    this.#channel.close();
  }

  #remoteConfig(offset: number, width: number): DataView {
    if (!this.#channel.has(ProtocolFeature.CONFIG) || offset + width > maxConfigSize)
      return new DataView(new ArrayBuffer(0));
    // Always from the start: libvhost-user, and so QEMU's storage daemon, takes no notice of the offset.
    const bytes = this.#whileThere(() => this.#channel.readConfig(0, offset + width)) ?? new Uint8Array(0);
    return new DataView(
      bytes.buffer,
      bytes.byteOffset + Math.min(offset, bytes.byteLength),
      Math.max(0, bytes.byteLength - offset),
    );
  }

  #configChanged(): void {
    this.#generation = (this.#generation + 1) & gone;
    this.#handlers?.config();
  }

  #lost(): void {
    this.#channel.close();
    if (this.#onLost === undefined) this.#handlers?.config();
    else if (!this.#isToldLost) {
      this.#isToldLost = true;
      this.#onLost();
    }
  }

  /** A back end that is gone shows in the status, as a device that was pulled out does. */
  #whileThere<T>(work: () => T): T | undefined {
    if (this.#channel.isGone) return undefined;
    try {
      return work();
    } catch (error) {
      if (!(error instanceof DeviceError) || !this.#channel.isGone) throw error;
      return undefined;
    }
  }
}
