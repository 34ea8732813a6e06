/**
 * A driver's connection to its device: reset, negotiation, queues, DRIVER_OK, and the way back. The steps and their
 * order are virtio 1.2 §3.1.1; what was negotiated does not change afterwards.
 */
import { ProtocolError, type ViolationCode } from "../errors/index.js";
import type { Observer } from "../observe/index.js";
import { createQueueDriver, maxQueueSize, type QueueDriver, ringPlace, ringSizeUpTo } from "../virtqueue/index.js";
import type { DriverTransport, InterruptHandlers, InterruptMode } from "./driver-transport.js";
import { featureSet, hasFeature, ringFeatures, ringFormatOf } from "./features.js";
import { DeviceStatus } from "./status.js";

/** What a driver wants of its device. */
export interface LinkOptions {
  /** Feature bits that the driver understands; of these it takes what is offered. */
  features: bigint;
  /** Takes features out again that need others which are not offered. Default: takes none out. */
  choose?: (agreed: bigint) => bigint;
  /** Queues that interrupts are opened for, or how to tell from what was negotiated and the configuration. */
  queues: number | ((features: bigint) => number);
  handlers: InterruptHandlers;
  /** Largest ring to make, whatever the device can. Default: what the device can. */
  maxQueueSize?: number;
  /** How long a reset may take, in milliseconds. Default 5000. */
  resetTimeout?: number;
  /** Chains (packed: descriptors) that rings have behind them; for tests. Needs a device half that starts there too. */
  startIndex?: number;
  /**
   * What a used length above a chain's room means. Default: a violation, on legacy devices a number to cut (they put
   * other values there, virtio 1.2 §2.7.8.2).
   */
  excessUsedLength?: "violation" | "cut";
  observer?: Observer | undefined;
}

/** Reads of a configuration that keeps changing, before it is called a violation. */
const settleAttempts = 100;

export class DriverLink {
  readonly transport: DriverTransport;
  /** What both sides agreed on. */
  readonly features: bigint;
  readonly interruptMode: InterruptMode;
  readonly #options: LinkOptions;
  #closed = false;

  private constructor(transport: DriverTransport, features: bigint, mode: InterruptMode, options: LinkOptions) {
    this.transport = transport;
    this.features = features;
    this.interruptMode = mode;
    this.#options = options;
  }

  /**
   * Resets the device and agrees on features; queues come next, then `start`.
   * @throws ProtocolError `reset-never-ends`, `version-1-missing`, `features-refused`, `device-gone`
   */
  static async open(transport: DriverTransport, options: LinkOptions): Promise<DriverLink> {
    await resetDevice(transport, options.resetTimeout);
    transport.writeStatus(DeviceStatus.Acknowledge);
    transport.writeStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver);
    try {
      const features = negotiate(transport, carried(transport, options.features), options.choose);
      const queues = typeof options.queues === "number" ? options.queues : options.queues(features);
      const mode = transport.openInterrupts(queues, options.handlers);
      return new DriverLink(transport, features, mode, options);
    } catch (error) {
      transport.writeStatus(transport.readStatus() | DeviceStatus.Failed);
      throw error;
    }
  }

  has(feature: number): boolean {
    return hasFeature(this.features, feature);
  }

  /**
   * Makes a queue.
   * @throws ProtocolError `queue-missing`
   */
  createQueue<Cookie>(index: number): QueueDriver<Cookie> {
    const { transport } = this;
    const offered = transport.queueMaxSize(index);
    if (offered === 0) throw new ProtocolError("queue-missing", { queue: index });
    const wanted = this.#options.maxQueueSize ?? maxQueueSize;
    // The size of a legacy PCI queue cannot be changed (0.9.5 §2.3).
    const isFixed = !(transport.choosesQueueSizes ?? !transport.isLegacy);
    const format = ringFormatOf(this.features);
    const size = isFixed || offered <= wanted ? offered : ringSizeUpTo(format, wanted);
    const queue = createQueueDriver<Cookie>(format, transport.memory, {
      index,
      size,
      addresses: transport.setUpQueue(index, size),
      endianness: transport.endianness,
      indirect: this.has(ringFeatures.INDIRECT_DESC),
      eventIndex: this.has(ringFeatures.EVENT_IDX),
      dma: transport.dma,
      excessUsedLength: this.#options.excessUsedLength ?? (transport.isLegacy ? "cut" : "violation"),
      inOrder: this.has(ringFeatures.IN_ORDER),
      startIndex: ringPlace(format, this.#options.startIndex ?? 0, size),
      observer: this.#options.observer,
    });
    if (this.has(ringFeatures.NOTIFICATION_DATA)) transport.announcePlaces?.(queue);
    return queue;
  }

  /**
   * Resets one queue, which only works with RING_RESET: afterwards the device has nothing of it. Make it again with
   * `createQueue`.
   * @returns the cookies of everything that was in flight.
   * @throws RangeError without RING_RESET; ProtocolError `reset-never-ends`, the memory then stays the device's.
   */
  async resetQueue<Cookie>(queue: QueueDriver<Cookie>): Promise<Cookie[]> {
    if (!this.has(ringFeatures.RING_RESET)) throw new RangeError("RING_RESET was not negotiated");
    await this.transport.resetQueue?.(queue.index);
    return queue.detachAll();
  }

  /** Sets DRIVER_OK: the device may use the queues from here on. */
  start(): void {
    const { transport } = this;
    transport.writeStatus(transport.readStatus() | DeviceStatus.DriverOk);
  }

  /**
   * Looks at the status.
   * @returns what is wrong with the device, or undefined.
   */
  health(): ViolationCode | undefined {
    const status = this.transport.readStatus();
    // Where nobody answers a read, some machines give ones and others zeros; this driver's device has some bit set.
    if (status === 0xff || status === 0) return "device-gone";
    if (!this.transport.isLegacy && (status & DeviceStatus.NeedsReset) !== 0) return "device-needs-reset";
    return undefined;
  }

  /**
   * Reads configuration fields that belong together: again while the generation changes (virtio 1.2 §2.5.1).
   * @throws ProtocolError `config-never-settles`
   */
  readConfig<T>(read: (transport: DriverTransport) => T): T {
    for (let attempt = 0; attempt < settleAttempts; attempt++) {
      const before = this.transport.configGeneration();
      const value = read(this.transport);
      if (this.transport.configGeneration() === before) return value;
    }
    throw new ProtocolError("config-never-settles");
  }

  /**
   * Reset first: afterwards the device touches no memory and the rings can be freed. A device that does not reset keeps
   * them.
   */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    try {
      await resetDevice(this.transport, this.#options.resetTimeout);
      this.transport.freeQueues();
    } finally {
      this.transport.closeInterrupts();
    }
  }
}

/**
 * Writes 0 to the status and waits until it reads 0 (virtio 1.2 §2.4.2).
 * @throws ProtocolError `reset-never-ends`, `device-gone`
 */
export async function resetDevice(transport: DriverTransport, timeoutMilliseconds = 5000): Promise<void> {
  transport.writeStatus(0);
  const deadline = Date.now() + timeoutMilliseconds;
  for (let status = transport.readStatus(); status !== 0; status = transport.readStatus()) {
    if (status === 0xff) throw new ProtocolError("device-gone");
    if (Date.now() >= deadline) {
      throw new ProtocolError("reset-never-ends", {
        detail: `status 0x${status.toString(16)} after ${timeoutMilliseconds} ms`,
      });
    }
    await new Promise<void>((resolve) => setTimeout(resolve, 1));
  }
}

/** Of the features that a driver understands, those that its transport can carry; VERSION_1 where there is one. */
function carried(transport: DriverTransport, features: bigint): bigint {
  const { VERSION_1, NOTIFICATION_DATA, RING_RESET } = ringFeatures;
  if (transport.isLegacy) return features & 0xffff_ffffn;
  let lacking = 0n;
  if (transport.announcePlaces === undefined) lacking |= featureSet(NOTIFICATION_DATA);
  if (transport.resetQueue === undefined) lacking |= featureSet(RING_RESET);
  return (features | featureSet(VERSION_1)) & ~lacking;
}

/** Our list ∩ the offer, written and, on modern devices, confirmed (virtio 1.2 §3.1.1 steps 4 to 6). */
function negotiate(transport: DriverTransport, wanted: bigint, choose: LinkOptions["choose"]): bigint {
  const agreed = transport.readFeatures() & wanted;
  const features = choose?.(agreed) ?? agreed;
  if (!transport.isLegacy && !hasFeature(features, ringFeatures.VERSION_1))
    throw new ProtocolError("version-1-missing");
  transport.writeFeatures(features);
  if (transport.isLegacy) return features;
  transport.writeStatus(transport.readStatus() | DeviceStatus.FeaturesOk);
  if ((transport.readStatus() & DeviceStatus.FeaturesOk) === 0) throw new ProtocolError("features-refused");
  return features;
}
