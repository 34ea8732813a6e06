/** How version 1.5 looks for the structures of a modern device: 1.3 of the reference. */
import { type RegisterWindow, subWindow } from "../../../bytes/index.js";
import { capabilityIds, configRegisters, type PciFunctionHandle } from "../../../pci/index.js";
import {
  CapabilityKind,
  findModernStructures,
  notifyMultiplierOffset,
  virtioCapability,
} from "../../../transport/index.js";
import type { DeviceBehaviour } from "../device/behaviour.js";

/** Capabilities that are looked at, at most. */
const walkLimit = 32;

/** What was found; a window that is undefined was not. */
export interface WalkedStructures {
  readonly common: RegisterWindow;
  readonly notify: RegisterWindow | undefined;
  readonly notifyMultiplier: number;
  readonly isr: RegisterWindow | undefined;
}

/**
 * The structures, or undefined when there is no common configuration (or, with `first-checked`, one of the others is
 * missing): the device is not modern then. `last-unchecked` looks at no lengths, and of two capabilities of a kind the
 * last one wins.
 */
export function walkCapabilities(
  fn: PciFunctionHandle,
  how: DeviceBehaviour["capabilities"],
): WalkedStructures | undefined {
  if (how === "first-checked") {
    const { common, notify, notifyMultiplier, isr } = findModernStructures(fn);
    return { common: common.window, notify: notify.window, notifyMultiplier, isr: isr.window };
  }
  const windows: (RegisterWindow | undefined)[] = [];
  let notifyMultiplier = 0;
  let at = fn.readConfig(configRegisters.capabilitiesPointer.offset, 1) & 0xfc;
  for (let count = 0; at !== 0 && count < walkLimit; count++) {
    if (fn.readConfig(at, 1) === capabilityIds.vendorSpecific) {
      const kind = fn.readConfig(at + virtioCapability.offset.kind, 1);
      const bar = fn.bar(fn.readConfig(at + virtioCapability.offset.bar, 1));
      if (bar !== undefined) {
        windows[kind] = subWindow(bar, fn.readConfig(at + virtioCapability.offset.offset, 4));
        if (kind === CapabilityKind.Notify) notifyMultiplier = fn.readConfig(at + notifyMultiplierOffset, 4);
      }
    }
    at = fn.readConfig(at + 1, 1) & 0xfc;
  }
  const common = windows[CapabilityKind.Common];
  if (common === undefined) return undefined;
  return { common, notify: windows[CapabilityKind.Notify], notifyMultiplier, isr: windows[CapabilityKind.Isr] };
}
