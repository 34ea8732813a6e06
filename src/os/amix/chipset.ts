/**
 * Whether a machine has the A3000's SCSI: a WD33C93 is asked for, but only where the custom chips say that there can be
 * one, since an A4000 has other things near that address.
 */
import type { RegisterWindow } from "../../bytes/index.js";

/**
 * How `autocon` decides about the A3000's SCSI.
 * - `stock`: it is there when the kernel ends above 0x07000000 (machines with that memory were A3000s once);
 * - `published`: asked for when the chip id is below 22h, which loses NTSC machines with ECS (30h, 31h);
 * - `corrected`: asked for on everything but AGA.
 */
export type ChipsetGate = "stock" | "published" | "corrected";

/** Where the custom chips answer: VPOSR has the Agnus or Alice id in bits 14:8, DENISEID the Denise or Lisa id in 7:0. */
export const customChips = { vposr: 0x00df_f004, deniseId: 0x00df_f07c } as const;

/** Low byte of DENISEID with AGA's Lisa; ECS's Denise has FCh, older ones have no such register. */
export const lisaId = 0xf8;

/** Where the A3000 has its WD33C93: the register number is written to `select`, the value is at `value`. */
export const wd33c93 = { base: 0x00dd_0000, select: 0x00dd_0041, value: 0x00dd_0043 } as const;

/** Chip ids below this are no AGA's, says the published gate. */
const firstPublishedAga = 0x22;
/** The WD33C93 register that the probe writes: its time-out period, which every command sets anew. */
const timeoutPeriod = 2;
const patterns = [0x55, 0xaa] as const;

/** The id in VPOSR: 00h, 10h OCS; 20h, 30h, 31h ECS; 22h, 23h, 32h, 33h AGA. */
export function agnusId(space: RegisterWindow): number {
  return (space.read16(customChips.vposr) >> 8) & 0x7f;
}

/** What a gate makes of a chip id. `ambiguous`: a late ECS Agnus has the same id as AGA's Alice. */
export function judgeChipId(gate: "published" | "corrected", id: number): "probe" | "skip" | "ambiguous" {
  if (gate === "published") return id < firstPublishedAga ? "probe" : "skip";
  if (id === 0x22) return "ambiguous";
  const isAga = (id & 0x0f) === 2 || (id & 0x0f) === 3;
  return isAga ? "skip" : "probe";
}

/** Whether the gate lets the WD33C93 be asked for on this machine. */
export function mayHaveOnboardScsi(gate: "published" | "corrected", space: RegisterWindow): boolean {
  const judgement = judgeChipId(gate, agnusId(space));
  if (judgement !== "ambiguous") return judgement === "probe";
  return (space.read16(customChips.deniseId) & 0xff) !== lisaId;
}

/** Writes two patterns to a register of the WD33C93 and reads them back. */
export function probeWd33c93(space: RegisterWindow): boolean {
  return patterns.every((pattern) => {
    space.write8(wd33c93.select, timeoutPeriod);
    space.write8(wd33c93.value, pattern);
    // Each access moves the register number on.
    space.write8(wd33c93.select, timeoutPeriod);
    return space.read8(wd33c93.value) === pattern;
  });
}

/** A line for people: what the chips are. */
export function describeChipset(id: number, denise: number): string {
  const norm = (id & 0x10) === 0 ? "PAL" : "NTSC";
  const low = id & 0x0f;
  const isAga = low === 3 || (low === 2 && denise === lisaId);
  if (isAga) return `AGA, ${norm}`;
  return id >= 0x20 ? `ECS, ${norm}` : `OCS, ${norm}`;
}
