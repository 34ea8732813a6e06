/** The registers of a virtio PCI function as the miniport uses them, legacy and modern: small enough to fake in a test. */
import type { Endianness, RegisterWindow } from "../../bytes/index.js";
import type { Observer } from "../../observe/index.js";
import { tracedWindow } from "../../observe/index.js";
import type { PciFunctionHandle } from "../../pci/index.js";
import {
  commonRegisters,
  findModernStructures,
  legacyConfigOffset,
  legacyMsixRegisters,
  legacyPageSize,
  legacyRegisters,
  type ModernStructures,
} from "../../transport/index.js";
import { compactLayout, legacyLayout, type RingAddresses, type RingLayout } from "../../virtqueue/index.js";

/** The device's registers. */
export interface VirtioRegisters {
  readonly kind: "pci-legacy" | "pci-modern";
  readonly isLegacy: boolean;
  /** Byte order of rings and structures. */
  readonly endianness: Endianness;
  readStatus(): number;
  writeStatus(value: number): void;
  readFeatures(): bigint;
  writeFeatures(features: bigint): void;
  /** Reading clears it. */
  readIsr(): number;
  readConfig(offset: number): number;
  writeConfig(offset: number, value: number): void;
  configGeneration(): number;
  /** 0: there is no such queue. */
  queueSize(index: number): number;
  /** A queue that was given an address before. */
  isQueueActive(index: number): boolean;
  /** How the three parts of a ring lie. */
  layout(size: number): RingLayout;
  startQueue(index: number, size: number, addresses: RingAddresses): void;
  /** Takes the queue away; legacy devices only, on others a reset does. */
  stopQueue(index: number): void;
  /** Clears what a crashed kernel left, with the 16-bit write that the driver of 2010 has for it. */
  clearQueueAddressLow(index: number): void;
  /** Maps a vector; what the register reads afterwards. */
  setConfigVector(vector: number): number;
  setQueueVector(index: number, vector: number): number;
  notify(index: number): void;
}

/** What registers are opened with. */
export interface RegisterOptions {
  readonly endianness: Endianness;
  /** MSI-X is on: the legacy configuration then starts later. */
  readonly messagesOn: () => boolean;
  readonly observer?: Observer | undefined;
}

/** The legacy registers, or undefined when BAR 0 is no I/O range of at least 0x40 bytes (that can be reached). */
export function openLegacyRegisters(fn: PciFunctionHandle, options: RegisterOptions): VirtioRegisters | undefined {
  const bar = fn.bars.find(({ index }) => index === 0);
  const window = bar?.space === "io" && bar.size >= 0x40 ? fn.bar(0) : undefined;
  if (window === undefined) return undefined;
  const table = { ...legacyRegisters, ...legacyMsixRegisters };
  return new LegacyRegisters(tracedWindow(window, table, `storport ${fn.place}`, options.observer), options);
}

/** The modern registers. @throws ProtocolError `capability-invalid` */
export function openModernRegisters(fn: PciFunctionHandle, options: RegisterOptions): VirtioRegisters {
  return new ModernRegisters(findModernStructures(fn), `storport ${fn.place}`, options.observer);
}

const l = legacyRegisters;

class LegacyRegisters implements VirtioRegisters {
  readonly kind = "pci-legacy";
  readonly isLegacy = true;
  readonly endianness: Endianness;
  readonly #io: RegisterWindow;
  readonly #messagesOn: () => boolean;

  constructor(io: RegisterWindow, { endianness, messagesOn }: RegisterOptions) {
    this.#io = io;
    this.endianness = endianness;
    this.#messagesOn = messagesOn;
  }

  readStatus(): number {
    return this.#io.read8(l.deviceStatus.offset);
  }
  writeStatus(value: number): void {
    this.#io.write8(l.deviceStatus.offset, value);
  }
  readFeatures(): bigint {
    return BigInt(this.#io.read32(l.deviceFeatures.offset));
  }
  writeFeatures(features: bigint): void {
    this.#io.write32(l.driverFeatures.offset, Number(features & 0xffff_ffffn));
  }
  readIsr(): number {
    return this.#io.read8(l.isrStatus.offset);
  }
  readConfig(offset: number): number {
    return this.#io.read8(legacyConfigOffset(this.#messagesOn()) + offset);
  }
  writeConfig(offset: number, value: number): void {
    this.#io.write8(legacyConfigOffset(this.#messagesOn()) + offset, value);
  }
  configGeneration(): number {
    return 0;
  }
  queueSize(index: number): number {
    this.#io.write16(l.queueSelect.offset, index);
    return this.#io.read16(l.queueSize.offset);
  }
  isQueueActive(index: number): boolean {
    this.#io.write16(l.queueSelect.offset, index);
    return this.#io.read32(l.queueAddress.offset) !== 0;
  }
  layout(size: number): RingLayout {
    return legacyLayout(size, legacyPageSize);
  }
  startQueue(index: number, _size: number, addresses: RingAddresses): void {
    this.#io.write16(l.queueSelect.offset, index);
    this.#io.write32(l.queueAddress.offset, addresses.descriptors / legacyPageSize);
  }
  stopQueue(index: number): void {
    this.#io.write16(l.queueSelect.offset, index);
    this.#io.write32(l.queueAddress.offset, 0);
  }
  clearQueueAddressLow(index: number): void {
    this.#io.write16(l.queueSelect.offset, index);
    this.#io.write16(l.queueAddress.offset, 0);
  }
  setConfigVector(vector: number): number {
    this.#io.write16(legacyMsixRegisters.configVector.offset, vector);
    return this.#io.read16(legacyMsixRegisters.configVector.offset);
  }
  setQueueVector(index: number, vector: number): number {
    this.#io.write16(l.queueSelect.offset, index);
    this.#io.write16(legacyMsixRegisters.queueVector.offset, vector);
    return this.#io.read16(legacyMsixRegisters.queueVector.offset);
  }
  notify(index: number): void {
    this.#io.write16(l.queueNotify.offset, index);
  }
}

const c = commonRegisters;
const word = 0x1_0000_0000;

class ModernRegisters implements VirtioRegisters {
  readonly kind = "pci-modern";
  readonly isLegacy = false;
  readonly endianness = "little";
  readonly #structures: ModernStructures;
  readonly #common: RegisterWindow;
  readonly #notify: RegisterWindow;
  readonly #notifyOffsets: number[] = [];

  constructor(structures: ModernStructures, source: string, observer: Observer | undefined) {
    this.#structures = structures;
    this.#common = tracedWindow(structures.common.window, c, source, observer);
    const notify = { queueNotify: { offset: 0, width: 2, access: "write" } } as const;
    this.#notify = tracedWindow(structures.notify.window, notify, source, observer);
  }

  readStatus(): number {
    return this.#common.read8(c.deviceStatus.offset);
  }
  writeStatus(value: number): void {
    this.#common.write8(c.deviceStatus.offset, value);
  }
  readFeatures(): bigint {
    let features = 0n;
    for (const select of [0, 1]) {
      this.#common.write32(c.deviceFeatureSelect.offset, select);
      features |= BigInt(this.#common.read32(c.deviceFeature.offset)) << BigInt(32 * select);
    }
    return features;
  }
  writeFeatures(features: bigint): void {
    for (const select of [0, 1]) {
      this.#common.write32(c.driverFeatureSelect.offset, select);
      this.#common.write32(c.driverFeature.offset, Number((features >> BigInt(32 * select)) & 0xffff_ffffn));
    }
  }
  readIsr(): number {
    return this.#structures.isr.window.read8(0);
  }
  readConfig(offset: number): number {
    return this.#structures.device?.window.read8(offset) ?? 0;
  }
  writeConfig(offset: number, value: number): void {
    this.#structures.device?.window.write8(offset, value);
  }
  configGeneration(): number {
    return this.#common.read8(c.configGeneration.offset);
  }
  queueSize(index: number): number {
    if (index >= this.#common.read16(c.queueCount.offset)) return 0;
    this.#common.write16(c.queueSelect.offset, index);
    return this.#common.read16(c.queueSize.offset);
  }
  isQueueActive(index: number): boolean {
    this.#common.write16(c.queueSelect.offset, index);
    return this.#common.read16(c.queueEnable.offset) !== 0;
  }
  layout(size: number): RingLayout {
    return compactLayout(size);
  }
  startQueue(index: number, size: number, addresses: RingAddresses): void {
    this.#common.write16(c.queueSelect.offset, index);
    this.#common.write16(c.queueSize.offset, size);
    this.#writeAddress(c.queueDescriptorsLow.offset, addresses.descriptors);
    this.#writeAddress(c.queueAvailableLow.offset, addresses.available);
    this.#writeAddress(c.queueUsedLow.offset, addresses.used);
    this.#notifyOffsets[index] = this.#common.read16(c.queueNotifyOffset.offset) * this.#structures.notifyMultiplier;
    this.#common.write16(c.queueEnable.offset, 1);
  }
  stopQueue(): void {}
  clearQueueAddressLow(): void {}
  setConfigVector(vector: number): number {
    this.#common.write16(c.configVector.offset, vector);
    return this.#common.read16(c.configVector.offset);
  }
  setQueueVector(index: number, vector: number): number {
    this.#common.write16(c.queueSelect.offset, index);
    this.#common.write16(c.queueVector.offset, vector);
    return this.#common.read16(c.queueVector.offset);
  }
  notify(index: number): void {
    this.#notify.write16(this.#notifyOffsets[index] ?? 0, index);
  }

  #writeAddress(low: number, address: number): void {
    this.#common.write32(low, address % word);
    this.#common.write32(low + 4, Math.floor(address / word));
  }
}
