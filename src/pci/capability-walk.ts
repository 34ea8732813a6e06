/** The capability list as a driver reads it (PCI 3.0 §6.7). A hostile list ends the walk, never hangs it. */
import type { AccessWidth } from "../bytes/index.js";
import { configRegisters, statusBits } from "./config-layout.js";

/** One capability found. */
export interface FoundCapability {
  readonly id: number;
  /** Offset of its ID byte in configuration space. */
  readonly offset: number;
}

/** What the walk found, and what was wrong with the list if anything. */
export interface CapabilityList {
  readonly capabilities: readonly FoundCapability[];
  readonly problem: string | undefined;
}

/** Walks the list. Pointers below 0x40 and loops end it. */
export function walkCapabilities(read: (offset: number, width: AccessWidth) => number): CapabilityList {
  const status = read(configRegisters.status.offset, 2);
  if (status === 0xffff || (status & statusBits.capabilityList) === 0) return { capabilities: [], problem: undefined };
  const capabilities: FoundCapability[] = [];
  const seen = new Set<number>();
  let at = read(configRegisters.capabilitiesPointer.offset, 1) & 0xfc;
  while (at !== 0) {
    if (at < 0x40) return { capabilities, problem: `capability pointer 0x${at.toString(16)} lies in the header` };
    if (seen.has(at)) return { capabilities, problem: `the capability list loops at 0x${at.toString(16)}` };
    seen.add(at);
    const header = read(at, 2);
    if (header === 0xffff) return { capabilities, problem: `no answer from the capability at 0x${at.toString(16)}` };
    capabilities.push({ id: header & 0xff, offset: at });
    at = (header >>> 8) & 0xfc;
  }
  return { capabilities, problem: undefined };
}
