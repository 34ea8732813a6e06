/** What is done to a function's configuration space before its registers are touched: 1.2 and 1.3 of the reference. */
import { commandBits, configRegisters, type PciFunctionHandle } from "../../../pci/index.js";
import type { DeviceBehaviour } from "../device/behaviour.js";

/** BAR5's place: the upper half of a 64-bit BAR4. */
const upperHalfOfBar4 = configRegisters.bar5.offset;

/** Firmware on the Articia S leaves the upper half of BAR4 at all ones after sizing it; the BAR then lies nowhere. */
export function repairUpperBar(fn: PciFunctionHandle): boolean {
  const isWide = (fn.readConfig(upperHalfOfBar4 - 4, 4) & 0x7) === 4;
  if (!isWide || fn.readConfig(upperHalfOfBar4, 4) !== 0xffff_ffff) return false;
  fn.writeConfig(upperHalfOfBar4, 4, 0);
  return true;
}

/** Turns memory space and bus mastering on. */
export function enableFunction(fn: PciFunctionHandle, how: DeviceBehaviour["commandBits"]): void {
  const wanted = commandBits.memory | commandBits.busMaster;
  if (how === "left-alone") return;
  if (how === "both-or-none" && (fn.command & wanted) !== 0) return;
  fn.setCommand(wanted);
}
