/**
 * The layout of a type 0 and type 1 configuration header (PCI 3.0 §6.1) and its bits. Both halves take offsets and
 * masks from here, and the trace takes names.
 */
import type { RegisterTable } from "../bytes/index.js";

/** Bytes of configuration space that mechanism #1 reaches. */
export const configSpaceSize = 256;

/** Header registers (PCI 3.0 §6.1, figure 6-1). */
export const configRegisters = {
  vendorId: { offset: 0x00, width: 2, access: "read" },
  deviceId: { offset: 0x02, width: 2, access: "read" },
  command: { offset: 0x04, width: 2, access: "read-write" },
  status: { offset: 0x06, width: 2, access: "read-write" },
  revision: { offset: 0x08, width: 1, access: "read" },
  programmingInterface: { offset: 0x09, width: 1, access: "read" },
  subclass: { offset: 0x0a, width: 1, access: "read" },
  baseClass: { offset: 0x0b, width: 1, access: "read" },
  cacheLineSize: { offset: 0x0c, width: 1, access: "read-write" },
  latencyTimer: { offset: 0x0d, width: 1, access: "read-write" },
  headerType: { offset: 0x0e, width: 1, access: "read" },
  bist: { offset: 0x0f, width: 1, access: "read-write" },
  bar0: { offset: 0x10, width: 4, access: "read-write" },
  bar1: { offset: 0x14, width: 4, access: "read-write" },
  bar2: { offset: 0x18, width: 4, access: "read-write" },
  bar3: { offset: 0x1c, width: 4, access: "read-write" },
  bar4: { offset: 0x20, width: 4, access: "read-write" },
  bar5: { offset: 0x24, width: 4, access: "read-write" },
  subsystemVendorId: { offset: 0x2c, width: 2, access: "read" },
  subsystemId: { offset: 0x2e, width: 2, access: "read" },
  expansionRom: { offset: 0x30, width: 4, access: "read-write" },
  capabilitiesPointer: { offset: 0x34, width: 1, access: "read" },
  interruptLine: { offset: 0x3c, width: 1, access: "read-write" },
  interruptPin: { offset: 0x3d, width: 1, access: "read" },
  minimumGrant: { offset: 0x3e, width: 1, access: "read" },
  maximumLatency: { offset: 0x3f, width: 1, access: "read" },
} as const satisfies RegisterTable;

/** Command register (PCI 3.0 §6.2.2). */
export const commandBits = {
  io: 0x0001,
  memory: 0x0002,
  busMaster: 0x0004,
  parityResponse: 0x0040,
  serr: 0x0100,
  interruptDisable: 0x0400,
} as const;

/** Status register (PCI 3.0 §6.2.3). */
export const statusBits = {
  interrupt: 0x0008,
  capabilityList: 0x0010,
} as const;

/** Bits of a base address register (PCI 3.0 §6.2.5.1). */
export const barBits = {
  io: 0x1,
  memory64: 0x4,
  memoryTypeMask: 0x6,
  prefetchable: 0x8,
  ioFlagsMask: 0x3,
  memoryFlagsMask: 0xf,
} as const;

/** Header type register (PCI 3.0 §6.2.1). */
export const headerTypeBits = { multiFunction: 0x80, layoutMask: 0x7f, device: 0, bridge: 1 } as const;

/** Capability IDs (PCI 3.0 appendix H). */
export const capabilityIds = { powerManagement: 0x01, msi: 0x05, vendorSpecific: 0x09, msix: 0x11 } as const;

/** The MSI-X capability (PCI 3.0 §6.8.2), offsets from the start of the capability. */
export const msixCapability = {
  size: 12,
  control: 2,
  table: 4,
  pba: 8,
  enable: 0x8000,
  functionMask: 0x4000,
  tableSizeMask: 0x07ff,
  barMask: 0x7,
} as const;

/** One MSI-X table entry (PCI 3.0 §6.8.2.6 to 6.8.2.9). */
export const msixEntry = { size: 16, addressLow: 0, addressHigh: 4, data: 8, control: 12, masked: 1 } as const;
