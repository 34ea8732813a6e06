/** What is in a virtio-mmio window, and the loop over a machine's windows (virtio 1.2 §4.2.3.1). */
import { type RegisterWindow, subWindow, swap32 } from "../../bytes/index.js";
import { type MmioVersion, type MmioWindow, mmioMagic, mmioRegisters } from "./registers.js";

/** A window with a device in it. */
export interface FoundMmioDevice {
  readonly window: MmioWindow;
  readonly version: MmioVersion;
  /** Virtio device ID. */
  readonly deviceId: number;
}

/** What the first registers of a window say. */
export interface MmioIdentity {
  readonly version: MmioVersion;
  readonly deviceId: number;
  /** The registers have the byte order of a big-endian guest: version 1 only. */
  readonly swapped: boolean;
}

const r = mmioRegisters;

/**
 * Reads magic, version and device id in this order, and nothing after the first that says that no driver is wanted
 * (mmio-driver-4 to 6, 17, 18). A big-endian version 1 device shows its magic the other way round.
 */
export function probeMmio(registers: RegisterWindow): MmioIdentity | undefined {
  const magic = registers.read32(r.magicValue.offset);
  const swapped = magic === swap32(mmioMagic);
  if (magic !== mmioMagic && !swapped) return undefined;
  const read = (offset: number) => (swapped ? swap32(registers.read32(offset)) : registers.read32(offset));
  const version = read(r.version.offset);
  if (version !== 1 && (version !== 2 || swapped)) return undefined;
  const deviceId = read(r.deviceId.offset);
  return deviceId === 0 ? undefined : { version, deviceId, swapped };
}

/** The devices in windows of a memory space, in the order of the windows. */
export function findMmioDevices(memorySpace: RegisterWindow, windows: readonly MmioWindow[]): FoundMmioDevice[] {
  return windows.flatMap((window) => {
    const identity = probeMmio(subWindow(memorySpace, window.base));
    if (identity === undefined) return [];
    return [{ window, version: identity.version, deviceId: identity.deviceId }];
  });
}
