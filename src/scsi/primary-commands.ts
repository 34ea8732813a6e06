/** Commands that every kind of unit has (SPC-4 §6). */
import { reply } from "./check-condition.js";
import type { CommandEntry } from "./command-set.js";
import { Commands } from "./command-table.js";
import { encodeLun } from "./lun-address.js";
import { buildReportLuns } from "./report-luns.js";
import type { ScsiUnit } from "./scsi-unit.js";
import { buildSense } from "./sense.js";
import { Attentions, Conditions, type SenseCondition, SenseKey } from "./sense-codes.js";
import type { ScsiTask } from "./task.js";

/** TEST UNIT READY. */
export const testUnitReadyEntry: CommandEntry<ScsiUnit> = {
  definition: Commands.testUnitReady,
  execute(unit, task) {
    const hindrance = unit.notReady();
    if (hindrance !== undefined) unit.fail(task, hindrance);
    return undefined;
  },
};

/** INQUIRY: standard data and vital product data. */
export const inquiryEntry: CommandEntry<ScsiUnit> = {
  definition: Commands.inquiry,
  passesAttention: true,
  execute(unit, task) {
    const page = task.cdb[2];
    if ((task.cdb[1] & 1) === 0) {
      if (page !== 0) unit.invalidField(task, 2);
      else reply(task, unit.inquiryData());
      return undefined;
    }
    const data = unit.vitalPage(page);
    if (data === undefined) unit.invalidField(task, 2);
    else reply(task, data);
    return undefined;
  },
};

/** REQUEST SENSE: a pending unit attention as data (which ends it), or why the unit is not ready, or NO SENSE. */
export const requestSenseEntry: CommandEntry<ScsiUnit> = {
  definition: Commands.requestSense,
  passesAttention: true,
  execute(unit, task) {
    const data = new Uint8Array(32);
    const format = (task.cdb[1] & 1) !== 0 ? "descriptor" : "fixed";
    const length = buildSense(data, format, pendingSense(unit, task));
    reply(task, data.subarray(0, length));
    return undefined;
  },
};

function pendingSense(unit: ScsiUnit, task: ScsiTask): SenseCondition {
  const attention = unit.attentions.take(task.nexus);
  if (attention !== undefined) return { key: SenseKey.UnitAttention, asc: attention.asc, ascq: attention.ascq };
  return unit.notReady() ?? Conditions.noSense;
}

/** REPORT LUNS: the units of the target. */
export const reportLunsEntry: CommandEntry<ScsiUnit> = {
  definition: Commands.reportLuns,
  passesAttention: true,
  execute(unit, task) {
    const select = task.cdb[2];
    if (task.expectedIn < 16) unit.invalidField(task, 6);
    else if (select !== 0 && select !== 1 && select !== 2) unit.invalidField(task, 2);
    else {
      const alone = select === 1 ? new Uint8Array(0) : encodeLun(0);
      reply(task, buildReportLuns(unit.inventory?.lunList(select) ?? alone));
      unit.clearAttention(Attentions.reportedLunsChanged, task.nexus);
      unit.inventory?.listRead(task.nexus);
    }
    return undefined;
  },
};

/** The commands of this file, with those of `report-opcodes` what every unit has. */
export const primaryEntries: readonly CommandEntry<ScsiUnit>[] = [
  testUnitReadyEntry,
  inquiryEntry,
  requestSenseEntry,
  reportLunsEntry,
];
