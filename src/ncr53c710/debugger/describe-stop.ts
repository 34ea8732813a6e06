/** Why SCRIPTS stand still, in words. */
import type { Ncr53c710 } from "../chip/chip.js";
import { Dstat, Reg, Sstat0 } from "../registers.js";
import { phaseNames } from "../scripts/instruction-set.js";

const dmaTexts: readonly (readonly [bit: number, text: string])[] = [
  [Dstat.Bf, "bus fault (DSTAT.BF)"],
  [Dstat.Abrt, "aborted by the host (DSTAT.ABRT)"],
  [Dstat.Ssi, "single step (DSTAT.SSI)"],
  [Dstat.Wtd, "watchdog (DSTAT.WTD)"],
  [Dstat.Iid, "illegal instruction (DSTAT.IID)"],
];
const scsiTexts: readonly (readonly [bit: number, text: string])[] = [
  [Sstat0.Fcmp, "function complete (SSTAT0.FCMP)"],
  [Sstat0.Sto, "selection timeout (SSTAT0.STO)"],
  [Sstat0.Sel, "selected or reselected (SSTAT0.SEL)"],
  [Sstat0.Sge, "gross error (SSTAT0.SGE)"],
  [Sstat0.Udc, "unexpected disconnect (SSTAT0.UDC)"],
  [Sstat0.Rst, "SCSI reset (SSTAT0.RST)"],
  [Sstat0.Par, "parity error (SSTAT0.PAR)"],
];

/** What the chip is doing or why it stopped, from its registers; nothing is cleared. */
export function describeStop(chip: Ncr53c710): string {
  const { engine, causes, file, port } = chip;
  if (engine.isHeld) return `held before ${hex(file.long(Reg.DSP))}`;
  if (engine.state === "running") return `running at ${hex(file.long(Reg.DSP))}`;
  if (engine.state === "waiting") return `waiting before ${hex(file.long(Reg.DSP))}`;
  const texts: string[] = [];
  if ((causes.dma & Dstat.Sir) !== 0) texts.push(`INT ${hex(file.long(Reg.DSPS))}`);
  for (const [bit, text] of dmaTexts) if ((causes.dma & bit) !== 0) texts.push(text);
  if ((causes.dma & Dstat.Bf) !== 0) texts.push(`at ${hex(file.long(Reg.DNAD))}`);
  if ((causes.scsi & Sstat0.Ma) !== 0) {
    const wanted = phaseNames[file.bytes[Reg.DCMD] & 7];
    texts.push(
      `phase mismatch (SSTAT0.M/A): ${phaseNames[port.latchedPhase]} instead of ${wanted}, ${file.count} bytes left`,
    );
  }
  for (const [bit, text] of scsiTexts) if ((causes.scsi & bit) !== 0) texts.push(text);
  return texts.length === 0 ? "stopped" : texts.join(", ");
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
