/** The driver half of virtio over MMIO, version 1 and 2 (virtio 1.2 §4.2; 0.9.5 appendix X). */
import { type Endianness, type RegisterWindow, swap16, swap32, windowOf } from "../../bytes/index.js";
import { ProtocolError, UnsupportedError } from "../../errors/index.js";
import type { DmaBlock, DmaMemory, GuestMemory } from "../../memory/index.js";
import { type Observer, tracedWindow } from "../../observe/index.js";
import {
  compactLayout,
  isPackedQueueSize,
  isQueueSize,
  layoutAt,
  legacyLayout,
  type QueueDriver,
  type RingAddresses,
} from "../../virtqueue/index.js";
import type { DriverTransport, InterruptHandlers, InterruptMode } from "../driver-transport.js";
import { IsrStatus } from "../status.js";
import { probeMmio } from "./probe.js";
import { type MmioVersion, mmioConfigOffset, mmioLegacyRegisters, mmioRegisters } from "./registers.js";
import type { SharedMemoryRegion } from "./version2-device.js";

/** What the driver half of an MMIO device is opened with. */
export interface MmioTransportOptions {
  memory: GuestMemory;
  dma: DmaMemory;
  /** Calls `handler` while the device's line is raised; returns the way to stop. Without it the rings are polled. */
  attachLine?: ((handler: () => void) => () => void) | undefined;
  /** The processor's byte order: that of a version 1 device's rings and configuration. */
  guestEndianness: Endianness;
  /** Where the window is, for traces. */
  place?: string;
  /** Register layout to insist on: version 1 is `legacy`. Default `auto`: what the device has. */
  registers?: "auto" | "legacy" | "modern" | undefined;
  observer?: Observer | undefined;
}

const r = mmioRegisters;
const v1 = mmioLegacyRegisters;
const word32 = 0x1_0000_0000;
/** GuestPageSize and QueueAlign that we use. */
const pageSize = 4096;
/** Reads of a register that has to become 0, a millisecond apart. */
const patience = 1000;

/** The transport to the device in one window. */
export class MmioTransport implements DriverTransport {
  readonly kind: "mmio-legacy" | "mmio";
  readonly isLegacy: boolean;
  readonly choosesQueueSizes = true;
  readonly version: MmioVersion;
  readonly deviceId: number;
  readonly endianness: Endianness;
  readonly memory: GuestMemory;
  readonly dma: DmaMemory;
  readonly #registers: RegisterWindow;
  readonly #attachLine: MmioTransportOptions["attachLine"];
  readonly #rings = new Map<number, DmaBlock>();
  /** Queues whose notifications say where they stand. */
  readonly #places: (Pick<QueueDriver<unknown>, "index" | "position"> | undefined)[] = [];
  /** The window shows little-endian bytes, the configuration has the guest's order. */
  readonly #swapConfig: boolean;
  #detach: (() => void) | undefined;

  /** @throws UnsupportedError when there is no device in the window, or none with the registers asked for. */
  constructor(window: RegisterWindow, options: MmioTransportOptions) {
    const { place = "mmio", registers = "auto", observer } = options;
    const identity = probeMmio(window);
    if (identity === undefined) throw new UnsupportedError(`${place}: there is no virtio-mmio device`);
    const { version, deviceId, swapped } = identity;
    if (registers !== "auto" && (version === 1) !== (registers === "legacy")) {
      throw new UnsupportedError(`${place}: the device has version ${version} registers, not ${registers} ones`);
    }
    this.isLegacy = version === 1;
    this.kind = this.isLegacy ? "mmio-legacy" : "mmio";
    this.version = version;
    this.deviceId = deviceId;
    this.endianness = this.isLegacy ? options.guestEndianness : "little";
    this.memory = options.memory;
    this.dma = options.dma;
    this.#attachLine = options.attachLine;
    this.#swapConfig = this.endianness === "big";
    const table = this.isLegacy ? v1 : r;
    this.#registers = tracedWindow(
      swapped ? swappedRegisters(window) : window,
      table,
      `${this.kind} ${place}`,
      observer,
    );
  }

  readStatus(): number {
    return this.#registers.read32(r.status.offset) & 0xff;
  }

  writeStatus(value: number): void {
    this.#registers.write32(r.status.offset, value);
  }

  readFeatures(): bigint {
    return BigInt(this.#featureWord(0)) | (BigInt(this.#featureWord(1)) << 32n);
  }

  #featureWord(select: number): number {
    this.#registers.write32(r.deviceFeaturesSelect.offset, select);
    return this.#registers.read32(r.deviceFeatures.offset);
  }

  writeFeatures(features: bigint): void {
    for (const select of [0, 1]) {
      this.#registers.write32(r.driverFeaturesSelect.offset, select);
      this.#registers.write32(r.driverFeatures.offset, Number((features >> BigInt(32 * select)) & 0xffff_ffffn));
    }
  }

  /** 0 also for a queue that is in use already, which after a reset none may be. */
  queueMaxSize(index: number): number {
    this.#registers.write32(r.queueSelect.offset, index);
    const inUse = this.#registers.read32(this.isLegacy ? v1.queuePage.offset : r.queueReady.offset);
    return inUse === 0 ? this.#registers.read32(r.queueSizeMax.offset) : 0;
  }

  setUpQueue(index: number, size: number): RingAddresses {
    // Which of these sizes the ring's format can have is known above.
    if (!(this.isLegacy ? isQueueSize(size) : isPackedQueueSize(size)))
      throw new ProtocolError("ring-size-invalid", { queue: index, detail: `size ${size}` });
    const layout = this.isLegacy ? legacyLayout(size, pageSize) : compactLayout(size);
    const ring = this.dma.allocate(layout.byteLength, layout.alignment);
    this.#rings.set(index, ring);
    const addresses = layoutAt(layout, ring.address);
    const registers = this.#registers;
    if (this.isLegacy) {
      // For every queue, since a reset may take it away (0.9.5: before the first queue is used).
      registers.write32(v1.guestPageSize.offset, pageSize);
      registers.write32(r.queueSelect.offset, index);
      registers.write32(r.queueSize.offset, size);
      registers.write32(v1.queueAlign.offset, pageSize);
      registers.write32(v1.queuePage.offset, ring.address / pageSize);
      return addresses;
    }
    registers.write32(r.queueSelect.offset, index);
    registers.write32(r.queueSize.offset, size);
    this.#writeAddress(r.queueDescriptorsLow.offset, addresses.descriptors);
    this.#writeAddress(r.queueAvailableLow.offset, addresses.available);
    this.#writeAddress(r.queueUsedLow.offset, addresses.used);
    registers.write32(r.queueReady.offset, 1);
    return addresses;
  }

  #writeAddress(low: number, address: number): void {
    this.#registers.write32(low, address % word32);
    this.#registers.write32(low + 4, Math.floor(address / word32));
  }

  freeQueues(): void {
    for (const [index, ring] of this.#rings) {
      // 0.9.5 does not say that a reset stops queues, so each one is told.
      if (this.isLegacy) this.#stopLegacy(index);
      this.dma.free(ring);
    }
    this.#rings.clear();
    this.#places.length = 0;
  }

  #stopLegacy(index: number): void {
    this.#registers.write32(r.queueSelect.offset, index);
    this.#registers.write32(v1.queuePage.offset, 0);
  }

  /**
   * Stops one queue and frees its ring: version 1 by taking its page away, version 2 by its ready bit, which is read
   * back (mmio-driver-11). The driver above has to give up what was in flight.
   * @throws ProtocolError `reset-never-ends` when the device holds on to it; the ring then stays allocated.
   */
  async stopQueue(index: number): Promise<void> {
    if (this.isLegacy) this.#stopLegacy(index);
    else {
      this.#registers.write32(r.queueSelect.offset, index);
      this.#registers.write32(r.queueReady.offset, 0);
      await this.#untilZero(index, r.queueReady.offset);
    }
    this.#freeRing(index);
  }

  /**
   * Resets one queue (RING_RESET must be negotiated) and frees its ring.
   * @throws ProtocolError `reset-never-ends`; the ring then stays allocated. RangeError on a version 1 device.
   */
  async resetQueue(index: number): Promise<void> {
    if (this.isLegacy) throw new RangeError("version 1 devices cannot reset one queue");
    this.#registers.write32(r.queueSelect.offset, index);
    this.#registers.write32(r.queueReset.offset, 1);
    await this.#untilZero(index, r.queueReset.offset);
    this.#freeRing(index);
  }

  async #untilZero(index: number, offset: number): Promise<void> {
    for (let attempt = 0; attempt < patience; attempt++) {
      this.#registers.write32(r.queueSelect.offset, index);
      if (this.#registers.read32(offset) === 0) return;
      await new Promise<void>((resolve) => setTimeout(resolve, 1));
    }
    throw new ProtocolError("reset-never-ends", { queue: index });
  }

  #freeRing(index: number): void {
    const ring = this.#rings.get(index);
    if (ring === undefined) return;
    this.#rings.delete(index);
    this.#places[index] = undefined;
    this.dma.free(ring);
  }

  /** A region of memory that the device shares, or undefined when it has none of this id (version 2). */
  sharedMemory(id: number): SharedMemoryRegion | undefined {
    if (this.isLegacy) return undefined;
    this.#registers.write32(r.sharedMemorySelect.offset, id);
    const read = (low: number) => [this.#registers.read32(low), this.#registers.read32(low + 4)] as const;
    const [lengthLow, lengthHigh] = read(r.sharedMemoryLengthLow.offset);
    if (lengthLow === 0xffff_ffff && lengthHigh === 0xffff_ffff) return undefined;
    const [baseLow, baseHigh] = read(r.sharedMemoryBaseLow.offset);
    return { base: baseHigh * word32 + baseLow, length: lengthHigh * word32 + lengthLow };
  }

  notify(index: number): void {
    const queue = this.#places[index];
    const value = queue === undefined ? index : (index | (queue.position << 16)) >>> 0;
    this.#registers.write32(r.queueNotify.offset, value);
  }

  announcePlaces(queue: Pick<QueueDriver<unknown>, "index" | "position">): void {
    this.#places[queue.index] = queue;
  }

  readConfig(offset: number, width: 1 | 2 | 4): number {
    const at = mmioConfigOffset + offset;
    if (width === 1) return this.#registers.read8(at);
    const value = width === 2 ? this.#registers.read16(at) : this.#registers.read32(at);
    if (!this.#swapConfig) return value;
    return width === 2 ? swap16(value) : swap32(value);
  }

  writeConfig(offset: number, width: 1 | 2 | 4, value: number): void {
    const at = mmioConfigOffset + offset;
    if (width === 1) this.#registers.write8(at, value);
    else if (width === 2) this.#registers.write16(at, this.#swapConfig ? swap16(value) : value);
    else this.#registers.write32(at, this.#swapConfig ? swap32(value) : value);
  }

  configGeneration(): number {
    return this.isLegacy ? 0 : this.#registers.read32(r.configGeneration.offset);
  }

  openInterrupts(queues: number, handlers: InterruptHandlers): InterruptMode {
    if (this.#attachLine === undefined) return "none";
    this.#detach = this.#attachLine(() => this.#interrupt(queues, handlers));
    return "line";
  }

  closeInterrupts(): void {
    this.#detach?.();
    this.#detach = undefined;
  }

  /**
   * Reads what happened, handles it, then acknowledges (R-1408, mmio-driver-21 to 23). What came between the handling
   * and the acknowledgement raises no further interrupt, so rings are looked at once more, and the configuration if its
   * generation moved on. Version 1 has no generation: there the configuration is looked at behind the acknowledgement.
   */
  #interrupt(queues: number, handlers: InterruptHandlers): void {
    const pending = this.#registers.read32(r.interruptStatus.offset) & (IsrStatus.Queue | IsrStatus.Config);
    if (pending === 0) return;
    const isConfig = (pending & IsrStatus.Config) !== 0;
    const isQueue = (pending & IsrStatus.Queue) !== 0;
    const generation = isConfig ? this.configGeneration() : 0;
    if (isConfig && !this.isLegacy) handlers.config();
    if (isQueue) this.#handleQueues(queues, handlers);
    this.#registers.write32(r.interruptAck.offset, pending);
    // A driver that took itself off meanwhile is not called any more.
    if (this.#detach === undefined) return;
    if (isConfig && (this.isLegacy || this.configGeneration() !== generation)) handlers.config();
    if (isQueue) this.#handleQueues(queues, handlers);
  }

  #handleQueues(queues: number, handlers: InterruptHandlers): void {
    for (let queue = 0; queue < queues; queue++) handlers.queue(queue);
  }
}

/** The registers of a big-endian guest seen in its order; the configuration bytes stay as they lie. */
function swappedRegisters(window: RegisterWindow): RegisterWindow {
  const isWord = (offset: number, width: number) => width === 4 && offset < mmioConfigOffset;
  return windowOf(
    (offset, width) => {
      if (isWord(offset, width)) return swap32(window.read32(offset));
      return width === 1 ? window.read8(offset) : width === 2 ? window.read16(offset) : window.read32(offset);
    },
    (offset, width, value) => {
      if (isWord(offset, width)) window.write32(offset, swap32(value));
      else if (width === 1) window.write8(offset, value);
      else if (width === 2) window.write16(offset, value);
      else window.write32(offset, value);
    },
  );
}
