/** Who answers where no unit is: LUNs that a target does not have, and the REPORT LUNS well-known unit. */
import { CommandSet } from "./command-set.js";
import { buildInquiry, DeviceType, Qualifier, ScsiVersion, StandardCode } from "./inquiry.js";
import { inquiryEntry, reportLunsEntry, requestSenseEntry, testUnitReadyEntry } from "./primary-commands.js";
import type { LunInventory } from "./report-luns.js";
import { ScsiUnit } from "./scsi-unit.js";
import { Conditions, type SenseCondition } from "./sense-codes.js";
import type { ScsiTask } from "./task.js";
import { buildVpdPage, VpdPage } from "./vpd.js";

const absentCommands = new CommandSet<ScsiUnit>([inquiryEntry, requestSenseEntry]);
/** LUN 0 speaks for its target, so it answers REPORT LUNS even where no unit is (SPC-4 §6.33). */
const voiceCommands = new CommandSet<ScsiUnit>([inquiryEntry, requestSenseEntry, reportLunsEntry]);
const wellKnownCommands = new CommandSet<ScsiUnit>([
  testUnitReadyEntry,
  inquiryEntry,
  requestSenseEntry,
  reportLunsEntry,
]);

/** INQUIRY of what is no usual unit: the given peripheral byte and vital product data page 00h alone. */
abstract class PlainUnit extends ScsiUnit {
  readonly #qualifier: number;
  readonly #deviceType: number;

  constructor(commands: CommandSet<ScsiUnit>, qualifier: number, deviceType: number) {
    super(commands, false);
    this.#qualifier = qualifier;
    this.#deviceType = deviceType;
  }

  override inquiryData(): Uint8Array {
    return buildInquiry({
      qualifier: this.#qualifier,
      deviceType: this.#deviceType,
      removable: false,
      version: ScsiVersion.Spc4,
      commandQueuing: true,
      vendor: "RINGSIDE",
      product: "TARGET",
      revision: "0001",
      standards: [StandardCode.Sam5, StandardCode.Spc4],
    });
  }

  override vitalPage(code: number): Uint8Array | undefined {
    if (code !== VpdPage.Supported) return undefined;
    return buildVpdPage((this.#qualifier << 5) | this.#deviceType, code, Uint8Array.of(VpdPage.Supported));
  }

  override close(): undefined {
    return undefined;
  }
}

/**
 * A LUN without a unit: INQUIRY says qualifier 3, type 1Fh; REQUEST SENSE gives 25h/00h as data; everything else fails
 * with 25h/00h.
 */
export class AbsentUnit extends PlainUnit {
  readonly kind = "absent";

  /** @param isTargetVoice for LUN 0, which answers REPORT LUNS. */
  constructor(inventory: LunInventory, isTargetVoice: boolean) {
    super(isTargetVoice ? voiceCommands : absentCommands, Qualifier.NotSupported, DeviceType.None);
    this.inventory = inventory;
  }

  override notReady(): SenseCondition {
    return Conditions.unitNotSupported;
  }

  override execute(task: ScsiTask): undefined | Promise<void> {
    if (this.commands.find(task.cdb) !== undefined) return super.execute(task);
    this.fail(task, Conditions.unitNotSupported);
    return undefined;
  }
}

/** The REPORT LUNS well-known logical unit (SPC-4 §8.2). */
export class ReportLunsUnit extends PlainUnit {
  readonly kind = "report-luns";

  constructor(inventory: LunInventory) {
    super(wellKnownCommands, Qualifier.Connected, DeviceType.WellKnown);
    this.inventory = inventory;
  }
}
