/** Finds the structures of a modern virtio PCI device, driver half (virtio 1.2 §4.1.4). */
import { type RegisterWindow, subWindow, windowOf } from "../../bytes/index.js";
import { ProtocolError } from "../../errors/index.js";
import { capabilityIds, type PciFunctionHandle } from "../../pci/index.js";
import {
  CapabilityKind,
  commonSize,
  notifyMultiplierOffset,
  pciConfigDataOffset,
  virtioCapability,
} from "./registers.js";

/** One structure, reachable. */
export interface Structure {
  readonly window: RegisterWindow;
  /** Bytes that the capability says it has. */
  readonly size: number;
}

/** All that a driver needs of a device. */
export interface ModernStructures {
  readonly common: Structure;
  readonly notify: Structure;
  /** Bytes between notify registers. */
  readonly notifyMultiplier: number;
  readonly isr: Structure;
  /** Missing when the device type has no configuration. */
  readonly device: Structure | undefined;
}

/** Least size of each structure; what is smaller is not suitable and the next capability is tried. */
const leastSize: Readonly<Record<number, number>> = {
  [CapabilityKind.Common]: commonSize,
  [CapabilityKind.Notify]: 2,
  [CapabilityKind.Isr]: 1,
  [CapabilityKind.Device]: 1,
};

/**
 * Walks the capability list; the first suitable one of each kind counts (§4.1.4.1).
 * @throws ProtocolError `capability-invalid` when a structure that every device has is not there.
 */
export function findModernStructures(fn: PciFunctionHandle): ModernStructures {
  const found = new Map<number, Structure>();
  let multiplier = 0;
  const throughConfig = configurationAccess(fn);
  for (const { id, offset: at } of fn.capabilities) {
    if (id !== capabilityIds.vendorSpecific || at + virtioCapability.size > 256) continue;
    const kind = fn.readConfig(at + virtioCapability.offset.kind, 1);
    const least = leastSize[kind];
    if (least === undefined || found.has(kind)) continue;
    const length = fn.readConfig(at + virtioCapability.offset.length, 1);
    const extra = kind === CapabilityKind.Notify ? 4 : 0;
    if (length < virtioCapability.size + extra || at + length > 256) continue;
    const bar = fn.readConfig(at + virtioCapability.offset.bar, 1);
    const offset = fn.readConfig(at + virtioCapability.offset.offset, 4);
    const size = fn.readConfig(at + virtioCapability.offset.size, 4);
    if (bar > 5 || size < least || offset + size > fn.barSize(bar)) continue;
    const mapped = fn.bar(bar);
    const window = mapped === undefined ? throughConfig?.(bar, offset) : subWindow(mapped, offset);
    if (window === undefined) continue;
    found.set(kind, { window, size });
    if (kind === CapabilityKind.Notify) multiplier = fn.readConfig(at + notifyMultiplierOffset, 4);
  }
  const need = (kind: number, name: string): Structure => {
    const structure = found.get(kind);
    if (structure === undefined) {
      throw new ProtocolError("capability-invalid", { detail: `${fn.place} has no usable ${name} structure` });
    }
    return structure;
  };
  return {
    common: need(CapabilityKind.Common, "common configuration"),
    notify: need(CapabilityKind.Notify, "notification"),
    notifyMultiplier: multiplier,
    isr: need(CapabilityKind.Isr, "ISR"),
    device: found.get(CapabilityKind.Device),
  };
}

/**
 * Access to BARs that the processor cannot reach, through the PCI configuration access capability (§4.1.4.9): makes a
 * window for a place in a BAR.
 */
export function configurationAccess(
  fn: PciFunctionHandle,
): ((bar: number, base: number) => RegisterWindow) | undefined {
  const at = fn.capabilities.find(
    ({ id, offset }) =>
      id === capabilityIds.vendorSpecific &&
      offset + pciConfigDataOffset + 4 <= 256 &&
      fn.readConfig(offset + virtioCapability.offset.kind, 1) === CapabilityKind.PciConfig,
  )?.offset;
  if (at === undefined) return undefined;
  const point = (bar: number, offset: number, width: number) => {
    fn.writeConfig(at + virtioCapability.offset.bar, 1, bar);
    fn.writeConfig(at + virtioCapability.offset.offset, 4, offset);
    fn.writeConfig(at + virtioCapability.offset.size, 4, width);
  };
  return (bar, base) =>
    windowOf(
      (offset, width) => {
        point(bar, base + offset, width);
        return fn.readConfig(at + pciConfigDataOffset, width);
      },
      (offset, width, value) => {
        point(bar, base + offset, width);
        fn.writeConfig(at + pciConfigDataOffset, width, value);
      },
    );
}
