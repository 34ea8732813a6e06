/**
 * The registers of virtio over MMIO (virtio 1.2 §4.2.2, 1.3 names; version 1: 0.9.5 appendix X, virtio 1.2 §4.2.4). All
 * are 32 bits wide; the device-specific configuration follows them and may be accessed in any width.
 */
import type { RegisterTable } from "../../bytes/index.js";

/** What MagicValue reads: "virt" as little-endian bytes. */
export const mmioMagic = 0x7472_6976;
/** The vendor that QEMU's devices show ("QEMU"), and that drivers such as xv6's look for. */
export const qemuVendorId = 0x554d_4551;
/** Where the device-specific configuration starts; the registers are before it. */
export const mmioConfigOffset = 0x100;

/** Which register layout a device has: 1 before virtio 1.0 (legacy), 2 since. */
export type MmioVersion = 1 | 2;

/** What both versions have. */
const identity = {
  magicValue: { offset: 0x000, width: 4, access: "read" },
  version: { offset: 0x004, width: 4, access: "read" },
  deviceId: { offset: 0x008, width: 4, access: "read" },
  vendorId: { offset: 0x00c, width: 4, access: "read" },
  deviceFeatures: { offset: 0x010, width: 4, access: "read" },
  deviceFeaturesSelect: { offset: 0x014, width: 4, access: "write" },
  driverFeatures: { offset: 0x020, width: 4, access: "write" },
  driverFeaturesSelect: { offset: 0x024, width: 4, access: "write" },
  queueSelect: { offset: 0x030, width: 4, access: "write" },
  queueSizeMax: { offset: 0x034, width: 4, access: "read" },
  queueSize: { offset: 0x038, width: 4, access: "write" },
  queueNotify: { offset: 0x050, width: 4, access: "write" },
  interruptStatus: { offset: 0x060, width: 4, access: "read" },
  interruptAck: { offset: 0x064, width: 4, access: "write" },
  status: { offset: 0x070, width: 4, access: "read-write" },
} as const satisfies RegisterTable;

/** Version 1: one address for the whole queue, in pages. */
export const mmioLegacyRegisters = {
  ...identity,
  guestPageSize: { offset: 0x028, width: 4, access: "write" },
  queueAlign: { offset: 0x03c, width: 4, access: "write" },
  queuePage: { offset: 0x040, width: 4, access: "read-write" },
} as const satisfies RegisterTable;

/** Version 2: three 64-bit addresses, shared memory, reset of one queue. */
export const mmioRegisters = {
  ...identity,
  queueReady: { offset: 0x044, width: 4, access: "read-write" },
  queueDescriptorsLow: { offset: 0x080, width: 4, access: "write" },
  queueDescriptorsHigh: { offset: 0x084, width: 4, access: "write" },
  queueAvailableLow: { offset: 0x090, width: 4, access: "write" },
  queueAvailableHigh: { offset: 0x094, width: 4, access: "write" },
  queueUsedLow: { offset: 0x0a0, width: 4, access: "write" },
  queueUsedHigh: { offset: 0x0a4, width: 4, access: "write" },
  sharedMemorySelect: { offset: 0x0ac, width: 4, access: "write" },
  sharedMemoryLengthLow: { offset: 0x0b0, width: 4, access: "read" },
  sharedMemoryLengthHigh: { offset: 0x0b4, width: 4, access: "read" },
  sharedMemoryBaseLow: { offset: 0x0b8, width: 4, access: "read" },
  sharedMemoryBaseHigh: { offset: 0x0bc, width: 4, access: "read" },
  queueReset: { offset: 0x0c0, width: 4, access: "read-write" },
  configGeneration: { offset: 0x0fc, width: 4, access: "read" },
} as const satisfies RegisterTable;

/** Where a device's window is, and which input of the interrupt controller its line reaches. */
export interface MmioWindow {
  /** Processor address. */
  readonly base: number;
  /** Bytes. */
  readonly size: number;
  readonly irq: number;
  /** Number of the platform device, where somebody gave one. */
  readonly id?: number;
}
