/**
 * The legacy virtio header in the first I/O region, little-endian (virtio 0.9.5 §2.1, virtio 1.2 §4.1.4.8). The two
 * vector registers exist only while MSI-X is enabled; the device-specific configuration follows the header and so moves.
 */
import type { RegisterTable } from "../../bytes/index.js";

/** The header. */
export const legacyRegisters = {
  deviceFeatures: { offset: 0x00, width: 4, access: "read" },
  driverFeatures: { offset: 0x04, width: 4, access: "read-write" },
  queueAddress: { offset: 0x08, width: 4, access: "read-write" },
  queueSize: { offset: 0x0c, width: 2, access: "read" },
  queueSelect: { offset: 0x0e, width: 2, access: "read-write" },
  queueNotify: { offset: 0x10, width: 2, access: "read-write" },
  deviceStatus: { offset: 0x12, width: 1, access: "read-write" },
  isrStatus: { offset: 0x13, width: 1, access: "read" },
} as const satisfies RegisterTable;

/** Present only while MSI-X is enabled. */
export const legacyMsixRegisters = {
  configVector: { offset: 0x14, width: 2, access: "read-write" },
  queueVector: { offset: 0x16, width: 2, access: "read-write" },
} as const satisfies RegisterTable;

/** Where the device-specific configuration starts. */
export function legacyConfigOffset(msixEnabled: boolean): number {
  return msixEnabled ? 0x18 : 0x14;
}

/** Queue addresses are written divided by this, and the used ring is aligned to it. */
export const legacyPageSize = 4096;
