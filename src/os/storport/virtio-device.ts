/** The support routines of the seed's `virtio_pci.c`: reset, features, configuration, ISR, and finding a queue. */
import { ProtocolError } from "../../errors/index.js";
import { hasFeature, noVector, ringFeatures } from "../../transport/index.js";
import { isQueueSize, layoutAt, SplitDriver } from "../../virtqueue/index.js";
import {
  type AdapterExtension,
  deviceOf,
  hasFeatureBit,
  type RequestQueue,
  type RequestToken,
} from "./adapter-extension.js";
import { pageSize } from "./port-arithmetic.js";

/** A register that a pulled device answers with. */
export const allOnes = 0xff;

/**
 * VirtIODeviceReset: writes 0 to the status and waits until it reads 0.
 * @throws ProtocolError `reset-never-ends`, `device-gone`
 */
export async function virtIODeviceReset(extension: AdapterExtension): Promise<void> {
  const device = deviceOf(extension);
  const limit = extension.port.resetTimeout;
  device.writeStatus(0);
  const deadline = Date.now() + limit;
  for (let status = device.readStatus(); status !== 0; status = device.readStatus()) {
    if (status === allOnes && extension.behaviour.removal === "detected") throw new ProtocolError("device-gone");
    if (Date.now() >= deadline) {
      throw new ProtocolError("reset-never-ends", { detail: `status 0x${status.toString(16)} after ${limit} ms` });
    }
    await new Promise<void>((resolve) => setTimeout(resolve, 1));
  }
}

/** VirtIODeviceGetHostFeature: whether the device offers a feature. */
export function virtIODeviceGetHostFeature(extension: AdapterExtension, feature: number): boolean {
  return hasFeature(deviceOf(extension).readFeatures(), feature);
}

/** Reads of a configuration that keeps changing, before that is called a violation. */
const settleAttempts = 100;

/**
 * VirtIODeviceGet: `length` bytes of the configuration, byte by byte, again while the generation changes; a legacy
 * configuration has none, so it is read until two reads agree.
 * @throws ProtocolError `config-never-settles`
 */
export function virtIODeviceGet(extension: AdapterExtension, offset: number, length: number): Uint8Array {
  const device = deviceOf(extension);
  const read = () => Uint8Array.from({ length }, (_, index) => device.readConfig(offset + index));
  for (let attempt = 0; attempt < settleAttempts; attempt++) {
    const generation = device.configGeneration();
    const bytes = read();
    if (!device.isLegacy) {
      if (device.configGeneration() === generation) return bytes;
    } else if (length === 1 || read().every((byte, index) => byte === bytes[index])) return bytes;
  }
  throw new ProtocolError("config-never-settles");
}

/** VirtIODeviceISR: reads, and so clears, the interrupt status. */
export function virtIODeviceISR(extension: AdapterExtension): number {
  return deviceOf(extension).readIsr();
}

/** Bytes that a ring needs in the uncached extension, in whole pages. */
export function ringBytes(extension: AdapterExtension, size: number): number {
  return Math.ceil(deviceOf(extension).layout(size).byteLength / pageSize) * pageSize;
}

/**
 * VirtIODeviceFindVirtualQueue: makes a queue in the uncached extension and gives it to the device, with a message or
 * without. Undefined when there is no such queue, it is in use, or the device maps no vector.
 * @param at bytes into the uncached extension. @throws ProtocolError when the ring does not fit memory.
 */
export function virtIODeviceFindVirtualQueue(
  extension: AdapterExtension,
  index: number,
  at: number,
  message: number | undefined,
): RequestQueue | undefined {
  const device = deviceOf(extension);
  const { uncachedExtension: memory, port } = extension;
  const offered = device.queueSize(index);
  if (memory === undefined || offered === 0 || device.isQueueActive(index)) return undefined;
  if (!isQueueSize(offered)) throw new ProtocolError("ring-size-invalid", { queue: index, detail: `size ${offered}` });
  let size = offered;
  // Modern devices take less: half, and half again, until the memory fits.
  while (!device.isLegacy && size > 1 && at + ringBytes(extension, size) > memory.size) size /= 2;
  const layout = device.layout(size);
  if (at + layout.byteLength > memory.size) return undefined;
  memory.region.bytes.fill(0, memory.offset + at, memory.offset + at + layout.byteLength);
  const addresses = layoutAt(layout, memory.address + at);
  const ring = new SplitDriver<RequestToken>(port.memory, {
    index,
    size,
    addresses,
    endianness: device.endianness,
    indirect: hasFeatureBit(extension, ringFeatures.INDIRECT_DESC) && !extension.dumpMode,
    eventIndex: hasFeatureBit(extension, ringFeatures.EVENT_IDX),
    dma: port.dma,
    excessUsedLength: device.isLegacy ? "cut" : "violation",
    observer: port.observer,
  });
  if (message !== undefined && device.setQueueVector(index, message) === noVector) return undefined;
  device.startQueue(index, size, addresses);
  return { index, size, message, ring, byId: new Map(), needsKick: false, dirty: false };
}
