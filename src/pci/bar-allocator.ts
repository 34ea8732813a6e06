/** Finds free PCI addresses in a bridge's windows for BARs that no firmware assigned. */

import type { FoundBar } from "./bar-sizing.js";
import type { BridgeDescription, BridgeWindow } from "./bridge-description.js";

/** The processor address of a PCI range, when a window of the bridge reaches all of it. */
export interface ReachedAddress {
  readonly window: BridgeWindow;
  readonly cpuAddress: number;
}

/** Looks a PCI range up in the bridge's windows. */
export function reach(
  bridge: BridgeDescription,
  space: "io" | "memory",
  base: number,
  size: number,
): ReachedAddress | undefined {
  for (const window of space === "io" ? bridge.io : bridge.memory) {
    if (base < window.pciBase || base + size > window.pciBase + window.size) continue;
    return { window, cpuAddress: window.cpuBase + (base - window.pciBase) };
  }
  return undefined;
}

/** Free addresses of one bridge. Ranges in use are told with `reserve`. */
export class BarAllocator {
  readonly #bridge: BridgeDescription;
  readonly #used: Record<"io" | "memory", { readonly start: number; readonly end: number }[]> = { io: [], memory: [] };

  constructor(bridge: BridgeDescription) {
    this.#bridge = bridge;
  }

  /** Keeps a range from being given out. */
  reserve(space: "io" | "memory", base: number, size: number): void {
    const used = this.#used[space];
    used.push({ start: base, end: base + size });
    used.sort((a, b) => a.start - b.start);
  }

  /** The lowest free address for `bar`, reserved for it; undefined when no window has room. */
  allocate(bar: Pick<FoundBar, "space" | "size">): number | undefined {
    for (const window of bar.space === "io" ? this.#bridge.io : this.#bridge.memory) {
      const range = window.assign ?? { base: window.pciBase, size: window.size };
      let at = alignUp(range.base, bar.size);
      for (const used of this.#used[bar.space]) {
        if (used.end <= at || used.start >= at + bar.size) continue;
        at = alignUp(used.end, bar.size);
      }
      // Address 0 means "not assigned" (PCI 3.0 §6.2.5.1).
      if (at === 0) continue;
      if (at + bar.size > range.base + range.size) continue;
      this.reserve(bar.space, at, bar.size);
      return at;
    }
    return undefined;
  }
}

function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}
