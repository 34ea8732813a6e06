/** PERSISTENT RESERVE IN and OUT (SPC-4 §6.15, §6.16), RESERVE and RELEASE (SPC-2 §7.19, §7.21). */
import { reply } from "./check-condition.js";
import type { CommandEntry } from "./command-set.js";
import { Commands } from "./command-table.js";
import { takeParameters } from "./parameter-list.js";
import { ReserveOutAction, type ReserveOutOutcome } from "./reservation-changes.js";
import {
  buildFullStatus,
  buildReadKeys,
  buildReadReservation,
  buildReserveCapabilities,
  keyText,
  ReserveOutFlag,
  reserveOutLength,
} from "./reservation-data.js";
import type { Reservations } from "./reservations.js";
import type { ScsiUnit } from "./scsi-unit.js";
import { Conditions } from "./sense-codes.js";
import { ScsiStatus, type ScsiTask } from "./task.js";

/** A unit that can be reserved. */
export interface ReservableUnit extends ScsiUnit {
  readonly reservations: Reservations;
}

function conflict(task: ScsiTask): undefined {
  task.status = ScsiStatus.ReservationConflict;
  return undefined;
}

type Definition = CommandEntry<ReservableUnit>["definition"];

function reserveInEntry(
  definition: Definition,
  build: (reservations: Reservations) => Uint8Array,
): CommandEntry<ReservableUnit> {
  return {
    definition,
    execute({ reservations }, task) {
      if (reservations.legacyHolder !== undefined) return conflict(task);
      reply(task, build(reservations));
      return undefined;
    },
  };
}

function refuseList(unit: ReservableUnit, task: ScsiTask, byte: number, bit?: number): undefined {
  unit.fail(task, Conditions.invalidFieldInParameterList, { fieldPointer: { inCdb: false, byte, bit } });
  return undefined;
}

function reserveOutEntry(definition: Definition, action: ReserveOutAction): CommandEntry<ReservableUnit> {
  const { Register, RegisterAndIgnoreExistingKey } = ReserveOutAction;
  const isRegister = action === Register || action === RegisterAndIgnoreExistingKey;
  return {
    definition,
    execute(unit, task) {
      const { reservations } = unit;
      if (reservations.legacyHolder !== undefined) return conflict(task);
      if (task.expectedOut !== reserveOutLength) {
        unit.fail(task, Conditions.parameterListLength);
        return undefined;
      }
      const list = takeParameters(unit, task);
      if (list === undefined) return undefined;
      const flags = list[20];
      if ((flags & ReserveOutFlag.SpecInitiatorPorts) !== 0) return refuseList(unit, task, 20, 3);
      const isKept = isRegister && (flags & ReserveOutFlag.Kept) !== 0;
      if (isKept && reservations.keeper === undefined) return refuseList(unit, task, 20, 0);
      return reservations.change(
        {
          action,
          port: task.nexus.initiatorPort,
          key: keyText(list, 0),
          actionKey: keyText(list, 8),
          type: task.cdb[2] & 0x0f,
          isKept,
        },
        (outcome) => ended(unit, task, outcome),
      );
    },
  };
}

function ended(unit: ReservableUnit, task: ScsiTask, outcome: ReserveOutOutcome): void {
  if (outcome.kind === "conflict") conflict(task);
  else if (outcome.kind === "refused") {
    if (outcome.field === "type") unit.invalidField(task, 2, 3);
    else if (outcome.field === "action-key") refuseList(unit, task, 8);
    else unit.fail(task, outcome.what);
  } else {
    for (const { port, code } of outcome.tell) unit.attentions.queueForPort(port, code);
    for (const port of outcome.abort) unit.preemptTasks(port);
  }
}

function legacyEntry(definition: Definition, act: "reserveLegacy" | "releaseLegacy"): CommandEntry<ReservableUnit> {
  return {
    definition,
    execute: ({ reservations }, task) => (reservations[act](task.nexus) ? undefined : conflict(task)),
  };
}

/** All of them. */
export const reservationEntries: readonly CommandEntry<ReservableUnit>[] = [
  reserveInEntry(Commands.reserveReadKeys, ({ state }) => buildReadKeys(state)),
  reserveInEntry(Commands.reserveReadReservation, ({ state }) => buildReadReservation(state)),
  reserveInEntry(Commands.reserveReportCapabilities, ({ keeper, state }) =>
    buildReserveCapabilities(keeper !== undefined, state.isKept),
  ),
  reserveInEntry(Commands.reserveReadFullStatus, ({ state }) => buildFullStatus(state)),
  reserveOutEntry(Commands.reserveRegister, ReserveOutAction.Register),
  reserveOutEntry(Commands.reserveReserve, ReserveOutAction.Reserve),
  reserveOutEntry(Commands.reserveRelease, ReserveOutAction.Release),
  reserveOutEntry(Commands.reserveClear, ReserveOutAction.Clear),
  reserveOutEntry(Commands.reservePreempt, ReserveOutAction.Preempt),
  reserveOutEntry(Commands.reservePreemptAndAbort, ReserveOutAction.PreemptAndAbort),
  reserveOutEntry(Commands.reserveRegisterAndIgnore, ReserveOutAction.RegisterAndIgnoreExistingKey),
  legacyEntry(Commands.reserve6, "reserveLegacy"),
  legacyEntry(Commands.reserve10, "reserveLegacy"),
  legacyEntry(Commands.release6, "releaseLegacy"),
  legacyEntry(Commands.release10, "releaseLegacy"),
];
