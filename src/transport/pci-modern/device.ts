import { type AccessWidth, lowBytes, type RegisterWindow, windowOf } from "../../bytes/index.js";
import type { PciCapability } from "../../pci/index.js";
import type { DeviceCore } from "../device-core.js";
import { ringFeatures } from "../features.js";
import type { SelectedRegisters } from "../selected-registers.js";
import { noVector } from "../status.js";
import {
  CapabilityKind,
  commonRegisters,
  type ModernLayout,
  type ModernStructure,
  modernLayout,
  notifyMultiplierOffset,
  pciConfigDataOffset,
  virtioCapability,
} from "./registers.js";

/** What the modern structures need of the PCI function around them. */
export interface ModernPlatform {
  readonly vectors: number;
  /** Reads and clears the ISR status, which lowers INTx. */
  takeIsr(): number;
  configVector: number;
  readonly selected: SelectedRegisters;
}

const word32 = 0x1_0000_0000;
const r = commonRegisters;

/** The three addresses of a queue: low and high register, and the field they make. */
const addressRegisters = [
  { low: r.queueDescriptorsLow.offset, high: r.queueDescriptorsHigh.offset, field: "descriptors" },
  { low: r.queueAvailableLow.offset, high: r.queueAvailableHigh.offset, field: "available" },
  { low: r.queueUsedLow.offset, high: r.queueUsedHigh.offset, field: "used" },
] as const;

/** Where the register that holds each byte of the common configuration starts: narrow accesses reach part of one. */
const commonStarts: readonly number[] = (() => {
  const starts: number[] = [];
  for (const { offset, width } of Object.values(r)) for (let at = 0; at < width; at++) starts[offset + at] = offset;
  return starts;
})();

/** The BAR that holds all structures of a modern device. */
export function modernDeviceWindow(
  core: DeviceCore,
  platform: ModernPlatform,
  layout: ModernLayout = modernLayout,
): RegisterWindow {
  const registers = commonWindow(core, platform);
  const { common, isr, device, notify, notifyMultiplier } = layout;
  const commonEnd = common.at + common.size;
  const deviceEnd = device.at + device.size;
  const notifyEnd = notify.at + notify.size;
  return windowOf(
    (offset, width) => {
      if (offset === isr.at) return platform.takeIsr();
      if (offset >= common.at && offset < commonEnd) {
        const inside = offset - common.at;
        // Buses that halve what a driver reads at once (v86's memory) ask for the bytes of a register one by one.
        const start = commonStarts[inside] ?? inside;
        return lowBytes(registers.read(start) >>> (8 * (inside - start)), width);
      }
      if (offset >= device.at && offset < deviceEnd) return core.readConfig(offset - device.at, width);
      return 0;
    },
    (offset, width, value) => {
      if (offset >= notify.at && offset < notifyEnd) {
        core.notify(notifyMultiplier === 0 ? value & 0xffff : Math.floor((offset - notify.at) / notifyMultiplier));
      } else if (offset >= common.at && offset < commonEnd) registers.write(offset - common.at, width, value);
      else if (offset >= device.at && offset < deviceEnd) {
        core.writeConfig(offset - device.at, width, value);
      }
    },
  );
}

function commonWindow(core: DeviceCore, platform: ModernPlatform) {
  const { selected } = platform;

  const mapVector = (value: number) => (value < platform.vectors ? value : noVector);

  /** Writes half of an address: `part` is the register's offset. */
  const writeAddress = (part: number, value: number) => {
    const queue = core.queues[selected.queue];
    if (queue === undefined || queue.enabled) return;
    for (const { low, high, field } of addressRegisters) {
      const old = queue.addresses[field];
      if (part === low) queue.addresses[field] = Math.floor(old / word32) * word32 + (value >>> 0);
      else if (part === high) queue.addresses[field] = (value >>> 0) * word32 + (old % word32);
    }
  };

  const readAddress = (part: number): number => {
    const queue = core.queues[selected.queue];
    if (queue === undefined) return 0;
    for (const { low, high, field } of addressRegisters) {
      if (part === low) return queue.addresses[field] % word32;
      if (part === high) return Math.floor(queue.addresses[field] / word32);
    }
    return 0;
  };

  return {
    read(offset: number): number {
      const queue = core.queues[selected.queue];
      switch (offset) {
        case r.deviceFeatureSelect.offset:
          return selected.deviceFeatures;
        case r.deviceFeature.offset:
          return core.featureWord(core.offered(false), selected.deviceFeatures);
        case r.driverFeatureSelect.offset:
          return selected.driverFeatures;
        case r.driverFeature.offset:
          return core.featureWord(core.driverFeatures, selected.driverFeatures);
        case r.configVector.offset:
          return platform.configVector;
        case r.queueCount.offset:
          return core.queues.length;
        case r.deviceStatus.offset:
          return core.status;
        case r.configGeneration.offset:
          return core.generation;
        case r.queueSelect.offset:
          return selected.queue;
        case r.queueSize.offset:
          return queue?.size ?? 0;
        case r.queueVector.offset:
          return queue?.vector ?? noVector;
        case r.queueEnable.offset:
          return queue?.enabled ? 1 : 0;
        case r.queueNotifyOffset.offset:
          return queue === undefined ? 0 : selected.queue;
      }
      return readAddress(offset);
    },
    write(offset: number, _width: AccessWidth, value: number): void {
      const queue = core.queues[selected.queue];
      switch (offset) {
        case r.deviceFeatureSelect.offset:
          selected.deviceFeatures = value >>> 0;
          return;
        case r.driverFeatureSelect.offset:
          selected.driverFeatures = value >>> 0;
          return;
        case r.driverFeature.offset:
          core.writeFeatures(selected.driverFeatures, value, false);
          return;
        case r.configVector.offset:
          platform.configVector = mapVector(value);
          return;
        case r.deviceStatus.offset:
          if ((value & 0xff) === 0) {
            platform.takeIsr();
            platform.configVector = noVector;
          }
          core.writeStatus(value, false);
          return;
        case r.queueSelect.offset:
          selected.queue = value & 0xffff;
          return;
        case r.queueSize.offset:
          // A size that cannot be is not taken: the driver reads back what stands (virtio 1.2 §4.1.4.3.2).
          if (queue !== undefined && core.takesSize(selected.queue, value)) queue.size = value;
          return;
        case r.queueVector.offset:
          if (queue !== undefined) queue.vector = mapVector(value);
          return;
        case r.queueEnable.offset:
          if (value === 1) core.enableQueue(selected.queue, false);
          return;
        case r.queueReset.offset:
          // Done within the write: what is read from here on is 0.
          if (value === 1 && core.has(ringFeatures.RING_RESET)) core.resetQueue(selected.queue);
          return;
      }
      writeAddress(offset, value);
    },
  };
}

/**
 * The capabilities that say where the structures are. The last one (virtio 1.2 §4.1.4.9) reaches into the BARs through
 * configuration space, for drivers that cannot map them; `access` carries that out.
 */
export function modernCapabilities(
  access: (bar: number, offset: number, width: AccessWidth, value: number | undefined) => number,
  layout: ModernLayout = modernLayout,
): PciCapability[] {
  const { bar, common, isr, device, notify, notifyMultiplier } = layout;
  const capability = (kind: number, { at, size }: ModernStructure, extra = 0): Uint8Array => {
    const bytes = new Uint8Array(virtioCapability.size + extra);
    const fields = { id: 0x09, length: bytes.length, kind, bar, offset: at, size };
    virtioCapability.write(new DataView(bytes.buffer), 0, "little", fields);
    return bytes;
  };
  const notifyBytes = capability(CapabilityKind.Notify, notify, 4);
  new DataView(notifyBytes.buffer).setUint32(notifyMultiplierOffset, notifyMultiplier, true);
  return [
    { bytes: capability(CapabilityKind.Common, common) },
    { bytes: capability(CapabilityKind.Isr, isr) },
    { bytes: capability(CapabilityKind.Device, device) },
    { bytes: notifyBytes },
    pciConfigCapability(access),
  ];
}

function pciConfigCapability(
  access: (bar: number, offset: number, width: AccessWidth, value: number | undefined) => number,
): PciCapability {
  const bytes = new Uint8Array(virtioCapability.size + 4);
  const view = new DataView(bytes.buffer);
  virtioCapability.write(view, 0, "little", { id: 0x09, length: bytes.length, kind: CapabilityKind.PciConfig });
  const writable = new Uint8Array(bytes.length).fill(0xff, virtioCapability.offset.offset);
  writable[virtioCapability.offset.bar] = 0xff;
  const target = (): { bar: number; offset: number; width: AccessWidth } | undefined => {
    const { bar, offset, size } = virtioCapability.read(view, 0, "little");
    if ((size !== 1 && size !== 2 && size !== 4) || offset % size !== 0) return undefined;
    return { bar, offset, width: size };
  };
  return {
    bytes,
    writable,
    onRead(offset) {
      const place = offset >= pciConfigDataOffset ? target() : undefined;
      if (place) view.setUint32(pciConfigDataOffset, access(place.bar, place.offset, place.width, undefined), true);
    },
    onWrite(offset) {
      const place = offset >= pciConfigDataOffset ? target() : undefined;
      if (!place) return;
      const value = view.getUint32(pciConfigDataOffset, true) % 2 ** (8 * place.width);
      access(place.bar, place.offset, place.width, value);
    },
  };
}
