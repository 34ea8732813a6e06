/** MODE SENSE (SPC-4 §6.11, §6.12) for units that have mode pages. */
import { reply } from "./check-condition.js";
import type { CommandEntry } from "./command-set.js";
import { Commands } from "./command-table.js";
import { buildModeSense6, buildModeSense10, ModePage, type ModeParameters } from "./mode.js";
import type { ScsiUnit } from "./scsi-unit.js";
import { Conditions } from "./sense-codes.js";
import type { ScsiTask } from "./task.js";

/** Page control, in the order of its codes; saved values (code 3) do not exist here. */
const pageControls = ["current", "changeable", "default"] as const;

/** Which values of a mode page are asked for. */
export type PageControl = (typeof pageControls)[number];

/** A unit with mode pages. */
export interface ModeUnit extends ScsiUnit {
  /** Header and block descriptor. */
  modeHeader(): Omit<ModeParameters, "pages">;
  /** All pages in the order of their codes. */
  modePages(control: PageControl): readonly Uint8Array[];
}

/** The pages asked for, or undefined after the task was refused. */
function selectPages(unit: ModeUnit, task: ScsiTask): readonly Uint8Array[] | undefined {
  const { cdb } = task;
  const code = cdb[2] & 0x3f;
  const subpage = cdb[3];
  const control = pageControls[cdb[2] >>> 6];
  if (control === undefined) {
    unit.fail(task, Conditions.savingNotSupported);
    return undefined;
  }
  // No page here has subpages, so "all subpages" (FFh) gives what 00h gives.
  if (subpage !== 0 && subpage !== 0xff) {
    unit.invalidField(task, 3);
    return undefined;
  }
  const pages = unit.modePages(control);
  if (code === ModePage.All) return pages;
  const page = pages.find((found) => found[0] === code);
  if (page !== undefined) return [page];
  unit.invalidField(task, 2, 5);
  return undefined;
}

function selectParameters(unit: ModeUnit, task: ScsiTask): ModeParameters | undefined {
  const pages = selectPages(unit, task);
  if (pages === undefined) return undefined;
  const header = unit.modeHeader();
  const noDescriptors = (task.cdb[1] & 0x08) !== 0;
  return { ...header, blockDescriptor: noDescriptors ? undefined : header.blockDescriptor, pages };
}

/** MODE SENSE(6) and (10). */
export const modeSenseEntries: readonly CommandEntry<ModeUnit>[] = [
  {
    definition: Commands.modeSense6,
    execute(unit, task) {
      const parameters = selectParameters(unit, task);
      if (parameters !== undefined) reply(task, buildModeSense6(parameters));
      return undefined;
    },
  },
  {
    definition: Commands.modeSense10,
    execute(unit, task) {
      const parameters = selectParameters(unit, task);
      if (parameters !== undefined) reply(task, buildModeSense10(parameters, (task.cdb[1] & 0x10) !== 0));
      return undefined;
    },
  },
];
