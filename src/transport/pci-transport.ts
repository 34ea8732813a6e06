/** Opens the driver transport that fits a virtio PCI function (virtio 1.2 §4.1.2). */
import { ProtocolError, UnsupportedError } from "../errors/index.js";
import type { PciFunctionHandle } from "../pci/index.js";
import type { DriverTransport } from "./driver-transport.js";
import { LegacyPciTransport } from "./pci-legacy/driver.js";
import { ModernPciTransport } from "./pci-modern/driver.js";
import type { PciTransportOptions } from "./pci-transport-options.js";

/** What a transport needs of its machine. */
const virtioVendorId = 0x1af4;

/** The virtio device ID of a PCI function, or undefined when it is no virtio device. */
export function virtioDeviceId(fn: PciFunctionHandle): number | undefined {
  if (fn.vendorId !== virtioVendorId || fn.deviceId < 0x1000 || fn.deviceId > 0x107f) return undefined;
  return fn.deviceId >= 0x1040 ? fn.deviceId - 0x1040 : fn.subsystemId;
}

/**
 * Opens a transport.
 * @throws UnsupportedError when the function has not the registers asked for.
 */
export function openPciTransport(fn: PciFunctionHandle, options: PciTransportOptions): DriverTransport {
  if (virtioDeviceId(fn) === undefined) throw new UnsupportedError(`${fn.place} is no virtio device`);
  const { registers = "auto" } = options;
  if (registers === "legacy") return new LegacyPciTransport(fn, options);
  try {
    return new ModernPciTransport(fn, options);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    if (registers === "modern" || fn.deviceId >= 0x1040) throw error;
    return new LegacyPciTransport(fn, options);
  }
}
