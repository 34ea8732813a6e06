/** The structures of a modern virtio PCI device, little-endian (virtio 1.2 §4.1.4). */
import { type RegisterTable, struct, u8, u32 } from "../../bytes/index.js";

/** Common configuration, virtio 1.2 §4.1.4.3. */
export const commonRegisters = {
  deviceFeatureSelect: { offset: 0x00, width: 4, access: "read-write" },
  deviceFeature: { offset: 0x04, width: 4, access: "read" },
  driverFeatureSelect: { offset: 0x08, width: 4, access: "read-write" },
  driverFeature: { offset: 0x0c, width: 4, access: "read-write" },
  configVector: { offset: 0x10, width: 2, access: "read-write" },
  queueCount: { offset: 0x12, width: 2, access: "read" },
  deviceStatus: { offset: 0x14, width: 1, access: "read-write" },
  configGeneration: { offset: 0x15, width: 1, access: "read" },
  queueSelect: { offset: 0x16, width: 2, access: "read-write" },
  queueSize: { offset: 0x18, width: 2, access: "read-write" },
  queueVector: { offset: 0x1a, width: 2, access: "read-write" },
  queueEnable: { offset: 0x1c, width: 2, access: "read-write" },
  queueNotifyOffset: { offset: 0x1e, width: 2, access: "read" },
  queueDescriptorsLow: { offset: 0x20, width: 4, access: "read-write" },
  queueDescriptorsHigh: { offset: 0x24, width: 4, access: "read-write" },
  queueAvailableLow: { offset: 0x28, width: 4, access: "read-write" },
  queueAvailableHigh: { offset: 0x2c, width: 4, access: "read-write" },
  queueUsedLow: { offset: 0x30, width: 4, access: "read-write" },
  queueUsedHigh: { offset: 0x34, width: 4, access: "read-write" },
  queueNotifyConfigData: { offset: 0x38, width: 2, access: "read" },
  queueReset: { offset: 0x3a, width: 2, access: "read-write" },
} as const satisfies RegisterTable;

/** Bytes of the common configuration that every device has (1.0); later fields follow. */
export const commonSize = 0x38;
/** The same with `queueReset` (1.2). */
export const commonSizeWithReset = 0x3c;

/** Kinds of virtio capability, virtio 1.2 §4.1.4. */
export const CapabilityKind = { Common: 1, Notify: 2, Isr: 3, Device: 4, PciConfig: 5 } as const;

/** A virtio capability as it lies in configuration space. */
export const virtioCapability = struct({
  id: u8,
  next: u8,
  length: u8,
  kind: u8,
  bar: u8,
  structureId: u8,
  padding0: u8,
  padding1: u8,
  offset: u32,
  size: u32,
});

/** In a notification capability: bytes between the notify registers of two queue_notify_off values. */
export const notifyMultiplierOffset = virtioCapability.size;
/** In a PCI configuration access capability: four bytes that reach into a BAR. */
export const pciConfigDataOffset = virtioCapability.size;

/** Where a device puts its structures: offsets in one BAR, in bytes. */
export interface ModernLayout {
  readonly bar: number;
  readonly space: "io" | "memory";
  readonly size: number;
  readonly common: ModernStructure;
  readonly isr: ModernStructure;
  readonly device: ModernStructure;
  readonly notify: ModernStructure;
  /** 0: all queues share one notify register, and the value written says which is meant. */
  readonly notifyMultiplier: number;
}

/** One structure: its first byte and its size. */
export interface ModernStructure {
  readonly at: number;
  readonly size: number;
}

const page = 0x1000;

/** The usual layout: one page each in BAR 4. */
export const modernLayout: ModernLayout = {
  bar: 4,
  space: "memory",
  size: 4 * page,
  common: { at: 0, size: page },
  isr: { at: page, size: page },
  device: { at: 2 * page, size: page },
  notify: { at: 3 * page, size: page },
  notifyMultiplier: 4,
};

/** The layout in I/O space, of which a function may have 256 bytes at once (PCI 3.0 §6.2.5.1). */
export const modernIoLayout: ModernLayout = {
  bar: 4,
  space: "io",
  size: 0x100,
  common: { at: 0, size: 0x40 },
  isr: { at: 0x40, size: 4 },
  notify: { at: 0x44, size: 4 },
  device: { at: 0x80, size: 0x80 },
  notifyMultiplier: 0,
};
