/** The mode pages of a disk. Nothing can be changed: MODE SELECT is not there. */
import { buildModePage, ModePage } from "./mode.js";
import type { PageControl } from "./mode-commands.js";

/** What the pages tell of a disk. */
export interface DiskModes {
  readonly hasWriteCache: boolean;
  readonly descriptorSense: boolean;
}

/** Pages 01h, 08h, 0Ah, 1Ch in this order. For changeable values all bits are zero: no field can be changed. */
export function diskModePages(control: PageControl, modes: DiskModes): readonly Uint8Array[] {
  const values = control === "changeable" ? undefined : modes;
  return [
    // AWRE, ARRE: the store reallocates on its own.
    buildModePage(ModePage.ErrorRecovery, 12, values && { 2: 0xc0 }),
    buildModePage(ModePage.Caching, 20, values && { 2: values.hasWriteCache ? 0x04 : 0 }),
    buildModePage(
      ModePage.Control,
      12,
      values && {
        // GLTSD: no log parameters are kept; D_SENSE.
        2: 0x02 | (values.descriptorSense ? 0x04 : 0),
        // Unrestricted reordering: tasks end in the order in which the store answers.
        3: 0x10,
      },
    ),
    // DEXCPT: there are no exceptions to inform of.
    buildModePage(ModePage.InformationalExceptions, 12, values && { 2: 0x08 }),
  ];
}
