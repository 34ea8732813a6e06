/** Puts the targets of a bus on a wire. */
import type { ScsiBus } from "../../scsi/index.js";
import { type ScsiWire, wireIds } from "../chip/scsi-wire.js";
import { ScsiPhaseTarget } from "./phase-target.js";
import type { TargetOptions } from "./target-options.js";

/**
 * Gives every id of `wire` but the hosts' to the targets of `bus`. A target answers while it has units, so that units
 * can come and go afterwards. What is returned is by id, with holes at the hosts'.
 */
export function attachScsiBus(
  wire: ScsiWire,
  bus: ScsiBus,
  hosts: number | readonly number[],
  options: TargetOptions = {},
): ScsiPhaseTarget[] {
  const taken = typeof hosts === "number" ? [hosts] : hosts;
  const targets: ScsiPhaseTarget[] = [];
  for (let id = 0; id < wireIds; id++) {
    if (taken.includes(id)) continue;
    const target = new ScsiPhaseTarget(wire, id, bus, options);
    wire.attachTarget(id, target);
    targets[id] = target;
  }
  return targets;
}
