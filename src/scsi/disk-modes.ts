/** The mode pages of a disk. What can be changed: WCE, D_SENSE and SWP. */
import { buildModePage, ModePage } from "./mode.js";
import type { PageControl } from "./mode-commands.js";

/** What the pages tell of a disk and initiators may change. */
export interface DiskModes {
  /** WCE. */
  readonly hasWriteCache: boolean;
  /** D_SENSE. */
  readonly descriptorSense: boolean;
  /** SWP. */
  readonly softwareWriteProtect: boolean;
}

const writeCacheBit = 0x04;
const descriptorSenseBit = 0x04;
const softwareProtectBit = 0x08;

/** Pages 01h, 08h, 0Ah, 1Ch in this order; for `changeable` the bits that can be changed. */
export function diskModePages(control: PageControl, modes: DiskModes, isReadOnly: boolean): readonly Uint8Array[] {
  const isMask = control === "changeable";
  return [
    // AWRE, ARRE: the store reallocates on its own.
    buildModePage(ModePage.ErrorRecovery, 12, isMask ? undefined : { 2: 0xc0 }),
    buildModePage(ModePage.Caching, 20, {
      2: (isMask ? !isReadOnly : modes.hasWriteCache) ? writeCacheBit : 0,
    }),
    buildModePage(ModePage.Control, 12, {
      // GLTSD: no log parameters are kept; D_SENSE.
      2: (isMask ? 0 : 0x02) | (isMask || modes.descriptorSense ? descriptorSenseBit : 0),
      // Unrestricted reordering: tasks end in the order in which the store answers.
      3: isMask ? 0 : 0x10,
      4: isMask || modes.softwareWriteProtect ? softwareProtectBit : 0,
    }),
    // DEXCPT: there are no exceptions to inform of.
    buildModePage(ModePage.InformationalExceptions, 12, isMask ? undefined : { 2: 0x08 }),
  ];
}

/** What pages that an initiator sent make of `modes`. */
export function changedModes(modes: DiskModes, pages: readonly Uint8Array[]): DiskModes {
  let changed = modes;
  for (const page of pages) {
    if (page[0] === ModePage.Caching) changed = { ...changed, hasWriteCache: (page[2] & writeCacheBit) !== 0 };
    else if (page[0] === ModePage.Control) {
      changed = {
        ...changed,
        descriptorSense: (page[2] & descriptorSenseBit) !== 0,
        softwareWriteProtect: (page[4] & softwareProtectBit) !== 0,
      };
    }
  }
  return changed;
}
