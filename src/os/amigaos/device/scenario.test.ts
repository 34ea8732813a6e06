/** What the scenarios of the defect table are made with. */
import { MemoryStore } from "../../../storage/index.js";
import {
  type AmigaLoop,
  type AmigaLoopOptions,
  type AmigaLoopUnit,
  amigaPattern,
  openAmigaLoop,
  patternDisk,
  SlowStore,
} from "../../../testing/index.js";
import { type AmigaProfile, amigaProfiles } from "../profile.js";
import { deviceBehaviourWith } from "./defects.js";

/** A rule that one defect breaks. */
export interface DeviceScenario {
  readonly id: string;
  readonly rule: string;
  /** The queue machinery of version 1.5 cannot keep this rule, however right it is. */
  readonly needsDriver?: boolean;
  readonly run: (profile: AmigaProfile) => Promise<void>;
}

/** The extended profile, with fewer places to look at: scenarios are short. */
export const extended: AmigaProfile = { ...amigaProfiles.extended, targets: 4, luns: 2 };

/** The extended profile over version 1.5's machinery, with these defects put back. */
export function profileWith(ids: readonly string[]): AmigaProfile {
  return { ...extended, behaviour: deviceBehaviourWith(ids) };
}

/** Runs `work` on a loop; whatever becomes of it, the loop is taken down. */
export async function onLoop(
  profile: AmigaProfile,
  options: AmigaLoopOptions,
  work: (loop: AmigaLoop) => Promise<void>,
): Promise<void> {
  const loop = await openAmigaLoop({ profile, ...options });
  try {
    await work(loop);
  } catch (error) {
    // What a defect broke may keep programs waiting, and devices from closing.
    await loop.unplug().catch(() => {});
    throw error;
  }
  await loop.close();
}

/** {@link onLoop} on a Pegasos II, and then on an AmigaOne. @param options for each, since a loop takes its units down */
export async function onBoth(
  profile: AmigaProfile,
  options: () => AmigaLoopOptions,
  work: (loop: AmigaLoop) => Promise<void>,
): Promise<void> {
  for (const board of ["pegasos2", "amigaone"] as const) await onLoop(profile, { ...options(), board }, work);
}

/** A disk whose reads and writes wait until they are let go. */
export interface GatedDisk extends AmigaLoopUnit {
  readonly gate: SlowStore;
}

/** A disk of 1 MiB with {@link amigaPattern}. */
export function gatedDisk(target: number, lun: number): GatedDisk {
  const gate = new SlowStore(MemoryStore.of(amigaPattern(1 << 20)), { isHeld: true });
  return { ...patternDisk(target, lun, gate), gate };
}

/** Until `count` requests wait at a gate. */
export async function gathered(gate: SlowStore, count: number): Promise<void> {
  for (let turn = 0; gate.heldRequests < count; turn++) {
    if (turn > 200) throw new Error(`${gate.heldRequests} of ${count} requests came`);
    await pause(1);
  }
}

/** Milliseconds. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
