/**
 * What every transport's device half has in common: status, features, queues, configuration. A transport decodes its
 * registers into calls of this and says how interrupts are signalled. virtio 1.2 §2.1, §2.2, §3.1; legacy §2.1.2.
 */
import type { Endianness, SavedReader } from "../bytes/index.js";
import { ProtocolError, type ViolationCode } from "../errors/index.js";
import type { GuestMemory } from "../memory/index.js";
import type { Observer } from "../observe/index.js";
import {
  createQueueDevice,
  isRingSize,
  type MovableQueueDevice,
  type QueueDevice,
  type RingFormat,
  ringPlace,
  ringSizeUpTo,
} from "../virtqueue/index.js";
import { type DeviceCoreState, type QueueRegisters, readCoreState } from "./device-core-state.js";
import type { DeviceHost, DeviceType } from "./device-type.js";
import { featureSet, hasFeature, ringFeatures, ringFormatOf } from "./features.js";
import { DeviceStatus, noVector } from "./status.js";

/** What a device is made of. */
export interface DeviceCoreOptions {
  memory: GuestMemory;
  /** Byte order that a legacy driver uses. Default little. */
  guestEndianness?: Endianness;
  /** Offered besides the type's own and the rings': VERSION_1 on modern transports. Default true. */
  offersVersion1?: boolean;
  /**
   * Ring features to offer. Default: those that cost nothing when they are not used, packed rings among them. IN_ORDER has
   * answers wait for each other, NOTIFICATION_DATA says what the ring says too, ACCESS_PLATFORM and ORDER_PLATFORM mean
   * nothing to a device in this process: they are offered when they are asked for.
   */
  ringFeatures?: bigint;
  /**
   * Whether a modern driver has to accept VERSION_1. Without that it is served as before 1.0: drivers that never look
   * at the second word of features exist. Default true.
   */
  requiresVersion1?: boolean;
  /** The transport can reset single queues: RING_RESET is offered when the device type can too. Default false. */
  resetsQueues?: boolean;
  /**
   * Chains (packed: descriptors) that rings have behind them; for tests near the wrap, with a driver half that starts
   * there too. A legacy
   * device then leaves its queues alone until DRIVER_OK, since such rings are not zero when their address is written.
   */
  startIndex?: number;
  /** Puts something around every queue that starts: for platforms that have to know which memory is written. */
  wrapQueue?: ((queue: MovableQueueDevice) => MovableQueueDevice) | undefined;
  observer?: Observer | undefined;
}

/** How a transport tells the driver. Each only sets a level or sends a message. */
export interface DeviceSignals {
  queue(index: number): void;
  config(): void;
}

/** Without VERSION_1 there is no word above bit 31. */
const legacyFeatureMask = 0xffff_ffffn;

/** Feature bits from here on are not offered by anybody: the word selectors 2 and up read 0. */
const featureWords = 2;

export class DeviceCore implements DeviceHost {
  readonly type: DeviceType;
  readonly queues: readonly QueueRegisters[];
  /** How often each rule was broken since the device was made. */
  readonly violations = new Map<ViolationCode, number>();
  readonly #memory: GuestMemory;
  readonly #guestEndianness: Endianness;
  readonly #observer: Observer | undefined;
  readonly #offered: bigint;
  readonly #requiresVersion1: boolean;
  readonly #startIndex: number;
  readonly #config: DataView;
  readonly #wrapQueue: DeviceCoreOptions["wrapQueue"];
  readonly #running: (MovableQueueDevice | undefined)[] = [];
  #signals: DeviceSignals | undefined;
  #status = 0;
  #features = 0n;
  #generation = 0;

  constructor(type: DeviceType, options: DeviceCoreOptions) {
    const { NOTIFY_ON_EMPTY, ANY_LAYOUT, INDIRECT_DESC, EVENT_IDX, VERSION_1, RING_PACKED, RING_RESET } = ringFeatures;
    const ring = options.ringFeatures ?? featureSet(NOTIFY_ON_EMPTY, ANY_LAYOUT, INDIRECT_DESC, EVENT_IDX, RING_PACKED);
    this.type = type;
    this.#memory = options.memory;
    this.#guestEndianness = options.guestEndianness ?? "little";
    this.endianness = this.#guestEndianness;
    this.#observer = options.observer;
    this.#wrapQueue = options.wrapQueue;
    this.#startIndex = options.startIndex ?? 0;
    const reset = options.resetsQueues === true && type.resetQueue !== undefined ? featureSet(RING_RESET) : 0n;
    this.#offered =
      options.offersVersion1 === false
        ? type.features | (ring & legacyFeatureMask)
        : type.features | ring | featureSet(VERSION_1) | reset;
    this.#requiresVersion1 = options.requiresVersion1 ?? true;
    this.#config = new DataView(new ArrayBuffer(type.configSize));
    const sizes = type.queueSizes.map((size) => ringSizeUpTo("split", size));
    this.queues = sizes.map((size) => ({
      maxSize: size,
      size,
      vector: noVector,
      addresses: { descriptors: 0, available: 0, used: 0 },
      enabled: false,
    }));
    type.attach(this);
  }

  /** Says how to tell the driver; the transport calls it once. */
  connect(signals: DeviceSignals): void {
    this.#signals = signals;
  }

  // What device types ask

  /** Kept as a value, since every request asks for it. */
  endianness: Endianness;

  has(feature: number): boolean {
    return hasFeature(this.#features, feature);
  }

  queue(index: number): QueueDevice | undefined {
    return this.#running[index];
  }

  signal(index: number): void {
    this.#signals?.queue(index);
  }

  configChanged(): void {
    this.#generation = (this.#generation + 1) & 0xff;
    this.#signals?.config();
  }

  fail(error: ProtocolError): void {
    this.count(error.code);
    if (!this.has(ringFeatures.VERSION_1)) return; // Legacy devices have no bit for it: they fall silent.
    this.#status |= DeviceStatus.NeedsReset;
    if ((this.#status & DeviceStatus.DriverOk) !== 0) this.#signals?.config();
  }

  /** Counts a broken rule that does not end the device. */
  count(code: ViolationCode): void {
    this.violations.set(code, (this.violations.get(code) ?? 0) + 1);
  }

  // What transports ask

  get status(): number {
    return this.#status;
  }

  get generation(): number {
    return this.#generation;
  }

  /** What a driver of this transport may choose from; `legacy` hides everything above bit 31. */
  offered(legacy: boolean): bigint {
    const { NOTIFY_ON_EMPTY, ANY_LAYOUT } = ringFeatures;
    // Modern devices do not offer the two bits that only legacy drivers know (virtio 1.2 §6.3).
    if (legacy) return this.#offered & legacyFeatureMask;
    return this.#offered & ~featureSet(NOTIFY_ON_EMPTY, ANY_LAYOUT) & ~(this.type.legacyFeatures ?? 0n);
  }

  get driverFeatures(): bigint {
    return this.#features;
  }

  /** 32 bits of a feature set; words that do not exist read 0. */
  featureWord(set: bigint, select: number): number {
    return select >= featureWords ? 0 : Number((set >> BigInt(32 * select)) & 0xffff_ffffn);
  }

  /** The format that the rings have. */
  get ringFormat(): RingFormat {
    return ringFormatOf(this.#features);
  }

  /** Whether a queue can be made to have so many descriptors. */
  takesSize(index: number, size: number): boolean {
    const queue = this.queues[index];
    return queue !== undefined && !queue.enabled && isRingSize(this.ringFormat, size) && size <= queue.maxSize;
  }

  /** The driver's choice, 32 bits of it. Ignored once FEATURES_OK is set (virtio 1.2 §2.2.1). */
  writeFeatures(select: number, value: number, legacy: boolean): void {
    if (select >= featureWords || (!legacy && (this.#status & DeviceStatus.FeaturesOk) !== 0)) return;
    const shift = BigInt(32 * select);
    const kept = this.#features & ~(0xffff_ffffn << shift);
    const features = kept | (BigInt(value >>> 0) << shift);
    this.#setFeatures(legacy ? features & this.offered(true) : features);
  }

  /**
   * Writes the status register. 0 resets; on a modern device FEATURES_OK stays only when the features are acceptable
   * and the driver cannot set NEEDS_RESET.
   */
  writeStatus(value: number, legacy: boolean): void {
    const wanted = value & 0xff;
    if (wanted === 0) {
      this.reset();
      return;
    }
    if (legacy) {
      this.#status = wanted;
      if (this.#startIndex !== 0 && (wanted & DeviceStatus.DriverOk) !== 0) this.#startQueues();
      return;
    }
    const before = this.#status;
    let status = (wanted & ~DeviceStatus.NeedsReset) | (before & DeviceStatus.NeedsReset);
    const newlySet = status & ~before;
    if ((newlySet & DeviceStatus.FeaturesOk) !== 0 && !this.#featuresAcceptable()) status &= ~DeviceStatus.FeaturesOk;
    this.#status = status;
    if ((newlySet & DeviceStatus.DriverOk) !== 0) this.#startQueues();
  }

  /** Back to the state after power-on; nothing is in flight afterwards. */
  reset(): void {
    this.#running.length = 0;
    this.#status = 0;
    this.#setFeatures(0n);
    for (const queue of this.queues) {
      queue.size = queue.maxSize;
      queue.vector = noVector;
      queue.addresses = { descriptors: 0, available: 0, used: 0 };
      queue.enabled = false;
    }
    this.type.reset();
  }

  /** The driver made a queue usable (legacy: gave it an address; modern: wrote queue_enable). */
  enableQueue(index: number, legacy: boolean): void {
    const queue = this.queues[index];
    if (queue === undefined || queue.enabled) return;
    queue.enabled = true;
    const atOnce = legacy && this.#startIndex === 0;
    if (atOnce || (this.#status & DeviceStatus.DriverOk) !== 0) this.#startQueue(index);
  }

  /** The driver took the queue away (legacy: its address; MMIO: its ready bit). Its memory is not touched afterwards. */
  disableQueue(index: number): void {
    const queue = this.queues[index];
    if (queue === undefined) return;
    queue.enabled = false;
    if (this.#running[index] === undefined) return;
    this.#running[index] = undefined;
    this.type.resetQueue?.(index);
  }

  /** RING_RESET: the queue is as after a reset of the whole device (virtio 1.2 §2.6.1). */
  resetQueue(index: number): void {
    const queue = this.queues[index];
    if (queue === undefined) return;
    this.disableQueue(index);
    queue.size = queue.maxSize;
    queue.vector = noVector;
    queue.addresses = { descriptors: 0, available: 0, used: 0 };
  }

  /** Regions of memory were given other bytes: running queues take their views anew. */
  memoryMoved(): void {
    for (const [index, queue] of this.#running.entries()) queue?.move(this.#memory, this.queues[index].addresses);
  }

  /** Requests that the device works on; chains that it keeps for events do not count. */
  get requestsInFlight(): number {
    let count = 0;
    for (const [index, queue] of this.#running.entries()) {
      if (queue !== undefined && this.type.keepsChains?.(index) !== true) count += queue.inFlight;
    }
    return count;
  }

  /** Where it stands, for a snapshot; chains that are kept for events are given back. @throws RangeError during requests */
  save(): DeviceCoreState {
    if (this.requestsInFlight > 0) throw new RangeError(`${this.type.name} has requests in flight`);
    const queues = this.queues.map((queue, index) => {
      const running = this.#running[index];
      const position = running === undefined ? {} : { available: running.base & 0xffff, used: running.nextUsed };
      return { ...queue, addresses: { ...queue.addresses }, ...position };
    });
    const { name } = this.type;
    const type = this.type.saveState?.() ?? {};
    return { name, status: this.#status, features: this.#features, generation: this.#generation, queues, type };
  }

  /**
   * Reads what {@link DeviceCore.save} gave, and gives the step that goes on there; memory has to hold what it held then.
   * @throws RangeError, UnsupportedError when this device cannot: nothing has changed
   */
  readState(saved: SavedReader): () => void {
    const { status, features, generation, queues, type } = readCoreState(saved, this.type, this.#offered);
    return () => {
      this.reset();
      this.#setFeatures(features);
      this.#generation = generation;
      for (const [index, { registers }] of queues.entries()) Object.assign(this.queues[index], registers);
      this.#status = status;
      type?.();
      for (const [index, { place }] of queues.entries()) if (place !== undefined) this.#startQueue(index, place);
    };
  }

  /** The driver notified a queue. A legacy driver may do so at any status (0.9.5: historic drivers are served). */
  notify(index: number): void {
    if (this.#running[index] === undefined || (this.#status & DeviceStatus.Failed) !== 0) return;
    this.type.notified(index);
  }

  /** Device-specific configuration; bytes past its end read 0. */
  readConfig(offset: number, width: 1 | 2 | 4): number {
    this.type.readConfig(this.#config, this.endianness);
    let value = 0;
    for (let byte = 0; byte < width; byte++) {
      if (offset + byte < this.#config.byteLength) value += this.#config.getUint8(offset + byte) * 2 ** (8 * byte);
    }
    return value;
  }

  writeConfig(offset: number, width: 1 | 2 | 4, value: number): void {
    if (offset >= this.#config.byteLength) return;
    this.type.readConfig(this.#config, this.endianness);
    const length = Math.min(width, this.#config.byteLength - offset);
    for (let byte = 0; byte < length; byte++) this.#config.setUint8(offset + byte, (value >>> (8 * byte)) & 0xff);
    this.type.writeConfig(this.#config, this.endianness, offset, length);
  }

  #setFeatures(features: bigint): void {
    this.#features = features;
    this.endianness = hasFeature(features, ringFeatures.VERSION_1) ? "little" : this.#guestEndianness;
    for (const [index, queue] of this.queues.entries()) {
      const maxSize = ringSizeUpTo(this.ringFormat, this.type.queueSizes[index]);
      if (queue.maxSize === maxSize || queue.enabled) continue;
      queue.maxSize = maxSize;
      queue.size = maxSize;
    }
    this.type.featuresChanged?.();
  }

  #featuresAcceptable(): boolean {
    const versionFits = !this.#requiresVersion1 || this.has(ringFeatures.VERSION_1);
    const wereOffered = (this.#features & ~this.offered(false)) === 0n;
    return versionFits && wereOffered && (this.type.acceptsFeatures?.(this.#features) ?? true);
  }

  #startQueues(): void {
    for (const index of this.queues.keys()) this.#startQueue(index);
  }

  #startQueue(index: number, place?: { startIndex: number; startUsedIndex: number }): void {
    const queue = this.queues[index];
    const format = this.ringFormat;
    if (!queue.enabled || this.#running[index] !== undefined || !isRingSize(format, queue.size)) return;
    const { INDIRECT_DESC, EVENT_IDX, NOTIFY_ON_EMPTY, IN_ORDER } = ringFeatures;
    try {
      const queueDevice = createQueueDevice(format, this.#memory, {
        index,
        size: queue.size,
        addresses: queue.addresses,
        endianness: this.endianness,
        indirect: this.has(INDIRECT_DESC),
        eventIndex: this.has(EVENT_IDX),
        notifyOnEmpty: this.has(NOTIFY_ON_EMPTY),
        inOrder: this.has(IN_ORDER),
        startIndex: ringPlace(format, this.#startIndex, queue.size),
        ...place,
        observer: this.#observer,
      });
      this.#running[index] = this.#wrapQueue?.(queueDevice) ?? queueDevice;
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.fail(error);
      return;
    }
    this.type.notified(index);
  }
}
