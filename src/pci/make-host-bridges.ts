/** Builds the device half of every bridge that a board describes. */
import type { BridgeDescription } from "./bridge-description.js";
import { type BridgeBus, FixedHostBridge, type HostBridge } from "./host-bridge.js";
import { Mv64361 } from "./mv64361.js";

/** The chips, and the bus of each description in the order given. */
export interface MadeHostBridges {
  readonly chips: readonly HostBridge[];
  readonly buses: readonly BridgeBus[];
}

export function makeHostBridges(descriptions: readonly BridgeDescription[]): MadeHostBridges {
  const chips: HostBridge[] = [];
  const marvell = new Map<number, BridgeDescription[]>();
  for (const description of descriptions) {
    if (description.kind !== "mv64361") chips.push(new FixedHostBridge(description));
    else {
      const registers = description.unit?.registers ?? 0;
      marvell.set(registers, [...(marvell.get(registers) ?? []), description]);
    }
  }
  for (const units of marvell.values()) chips.push(new Mv64361(units));
  const all = chips.flatMap((chip) => chip.buses);
  const buses = descriptions.map((description) => all.find((made) => made.description === description) as BridgeBus);
  return { chips, buses };
}
