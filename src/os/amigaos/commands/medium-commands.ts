/** What a unit says of its medium without moving data: change count, state, protection, drive type, tracks, eject. */
import { parseModeSense6, cdb as scsiCdb } from "../../../scsi/index.js";
import type { QuickCommand, UnitRequest } from "../device/command-entry.js";
import type { UnitAccess } from "../device/unit.js";
import { outcomeError } from "./capacity.js";
import { isRefused } from "./io-errors.js";

/** io_Actual of TD_GETDRIVETYPE. */
export const DriveType = { None: 0, Drive3_5: 1, NewStyle: 0x4e535459 } as const;

/** Peripheral device type of CD-ROMs. */
export const cdType = 5;

/** A quick command whose answer is a constant, and needs no unit. */
export function constantCommand(actual: number | undefined): QuickCommand {
  return {
    kind: "quick",
    run(_device, _unit, request) {
      if (actual !== undefined) request.ioActual = actual;
    },
  };
}

/** TD_CHANGENUM. */
export const changeNumber: QuickCommand = {
  kind: "quick",
  run(device, unit, request) {
    request.ioActual = device.profile.commands.mediumState === "kept" ? (unit?.changeCount ?? 0) : 0;
  },
};

/** TD_CHANGESTATE: 0 with a medium. */
export const changeState: QuickCommand = {
  kind: "quick",
  run(device, unit, request) {
    const isAbsent = device.profile.commands.mediumState === "kept" && unit?.isMediumPresent === false;
    request.ioActual = isAbsent ? 1 : 0;
  },
};

/** TD_GETDRIVETYPE. */
export const driveType: QuickCommand = {
  kind: "quick",
  run(device, _unit, request) {
    const types = { "3.5": DriveType.Drive3_5, "new-style": DriveType.NewStyle, zero: DriveType.None };
    request.ioActual = types[device.profile.commands.driveType];
  },
};

/** TD_PROTSTATUS, asked of the device: io_Actual is not 0 when it may not be written. */
export async function protectionStatus(unit: UnitAccess, request: UnitRequest): Promise<void> {
  request.ioActual = 0;
  if (unit.peripheralType === cdType) {
    request.ioActual = 1;
    return;
  }
  const data = { address: unit.scratch, length: 192, isWrite: false };
  const outcome = await unit.sendCdb({ cdb: scsiCdb.modeSense6(0x3f, { length: 192 }), data });
  const { commands } = unit.profile;
  // A disk without mode pages has no write protection to tell of.
  const isUnknown = outcome.pathError === 0 && isRefused(outcome.response, outcome.status, outcome.sense, commands);
  request.ioError = isUnknown ? 0 : outcomeError(unit, outcome);
  if (request.ioError !== 0 || isUnknown) return;
  const mode = parseModeSense6(unit.memory.read(unit.scratch, outcome.actual));
  request.ioActual = mode?.writeProtected === true ? 1 : 0;
}

/** START STOP UNIT: LOEJ, and START for loading. */
const startStop = { opcode: 0x1b, eject: 0x02, load: 0x03 } as const;

/** TD_EJECT: io_Length 0 loads, anything else ejects. Disks have nothing to eject. */
export async function eject(unit: UnitAccess, request: UnitRequest): Promise<void> {
  if (unit.peripheralType !== cdType) return;
  const action = request.ioLength === 0 ? startStop.load : startStop.eject;
  const outcome = await unit.sendCdb({ cdb: Uint8Array.of(startStop.opcode, 0, 0, 0, action, 0) });
  request.ioError = outcomeError(unit, outcome);
  if (request.ioError === 0) unit.capacity = undefined;
}

/** CMD_UPDATE and CMD_FLUSH: what was written before is durable afterwards. */
export async function update(unit: UnitAccess, request: UnitRequest): Promise<void> {
  await unit.drained();
  const outcome = await unit.sendCdb({ cdb: scsiCdb.synchronizeCache10() });
  const { commands } = unit.profile;
  // A device that does not know the command has no cache.
  const isUnknown = outcome.pathError === 0 && isRefused(outcome.response, outcome.status, outcome.sense, commands);
  request.ioError = isUnknown ? 0 : outcomeError(unit, outcome);
}
