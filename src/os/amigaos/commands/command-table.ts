/** Chapter 5.3 of the reference as a table: who answers which command, and where. */
import type {
  CommandEntry,
  CommandTable,
  QueuedCommand,
  QuickCommand,
  TransferCommand,
  UnitRequest,
} from "../device/command-entry.js";
import type { UnitAccess } from "../device/unit.js";
import { IoError } from "../exec/index.js";
import type { AmigaProfile } from "../profile.js";
import type { CommandBehaviour } from "./behaviour.js";
import { holdCommand, removeChangeInterrupt } from "./change-commands.js";
import { deviceQuery } from "./command-list.js";
import { Command } from "./command-numbers.js";
import { getGeometry, getGeometry64, numberOfTracks } from "./geometry-commands.js";
import {
  changeNumber,
  changeState,
  constantCommand,
  driveType,
  eject,
  protectionStatus,
  update,
} from "./medium-commands.js";
import { scsiDirect } from "./scsi-direct.js";

/** Commands of a profile, by number. */
export function commandTableOf(profile: AmigaProfile): CommandTable {
  const table = new Map<number, CommandEntry>();
  const add = (entry: CommandEntry, ...commands: readonly number[]) => {
    for (const command of commands) table.set(command, entry);
  };
  const behaviour = profile.commands;
  const c = Command;

  add(transfer(false, shortOffset, "plain"), c.CMD_READ);
  add(transfer(true, shortOffset, "plain"), c.CMD_WRITE);
  add(transfer(false, longOffset, "plain"), c.TD_READ64, c.NSCMD_TD_READ64);
  add(transfer(true, longOffset, "plain"), c.TD_WRITE64, c.NSCMD_TD_WRITE64);
  add(transfer(false, shortOffset, "counted"), c.ETD_READ);
  add(transfer(true, shortOffset, "counted"), c.ETD_WRITE);
  add(transfer(false, longOffset, "counted"), c.NSCMD_ETD_READ64);
  add(transfer(true, longOffset, "counted"), c.NSCMD_ETD_WRITE64);

  const formats = behaviour.format === "writes";
  add(formats ? transfer(true, shortOffset, "plain") : nothingQueued, c.TD_FORMAT);
  add(formats ? transfer(true, longOffset, "plain") : nothingQueued, c.TD_FORMAT64, c.NSCMD_TD_FORMAT64);
  add(formats ? transfer(true, shortOffset, "counted") : nothingQueued, c.ETD_FORMAT);
  add(formats ? transfer(true, longOffset, "counted") : nothingQueued, c.NSCMD_ETD_FORMAT64);

  const flush = behaviour.update === "durable" ? queued(update) : nothingQueued;
  add(flush, c.CMD_UPDATE, c.CMD_FLUSH);
  add(behaviour.update === "durable" ? queued(countedUpdate) : nothingQueued, c.ETD_UPDATE);

  add(constantCommand(undefined), c.CMD_CLEAR, c.TD_SEEK, c.TD_SEEK64, c.ETD_CLEAR, c.ETD_MOTOR, c.ETD_SEEK);
  add(nothingQueued, c.NSCMD_TD_SEEK64, c.NSCMD_ETD_SEEK64);
  add(constantCommand(1), c.CMD_STOP, c.CMD_START, c.TD_MOTOR);

  add(holdCommand("heldRemoves"), c.TD_REMOVE);
  add(holdCommand("heldChangeInterrupts"), c.TD_ADDCHANGEINT);
  add(removeChangeInterrupt, c.TD_REMCHANGEINT);
  add(changeNumber, c.TD_CHANGENUM);
  add(changeState, c.TD_CHANGESTATE);
  add(driveType, c.TD_GETDRIVETYPE);
  add(behaviour.protection === "asked" ? queued(protectionStatus) : constantCommand(0), c.TD_PROTSTATUS);
  add(behaviour.tracks === "counted" ? queued(numberOfTracks) : constantCommand(0), c.TD_GETNUMTRACKS);
  add(behaviour.eject === "ejects" ? queued(eject) : constantCommand(undefined), c.TD_EJECT);
  add(queued(getGeometry), c.TD_GETGEOMETRY);
  add(queued(getGeometry64), c.NSCMD_TD_GETGEOMETRY64);
  add(queued(scsiDirect), c.HD_SCSICMD);

  add(query, c.NSCMD_DEVICEQUERY);
  // Advertised and answered, as the original does; no public header says what a callback is called with.
  add(nothingQueued, c.NSCMD_TD_CHANGEUNIT, c.NSCMD_TD_ADDSTATCALLBACK, c.NSCMD_TD_REMSTATCALLBACK);
  return table;
}

const query: QuickCommand = { kind: "quick", run: (device, _unit, request) => deviceQuery(device, request) };
const nothingQueued: QueuedCommand = { kind: "queued", run: () => {} };

/** A handler that may find the caller's memory gone when it wants to answer. */
function queued(run: (unit: UnitAccess, request: UnitRequest) => Promise<void>): QueuedCommand {
  return {
    kind: "queued",
    async run(unit, request) {
      try {
        await run(unit, request);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        request.ioError = IoError.BadAddress;
        request.ioActual = 0;
      }
    },
  };
}

async function countedUpdate(unit: UnitAccess, request: UnitRequest): Promise<void> {
  request.ioError = checkCount(unit, request);
  if (request.ioError === 0) await update(unit, request);
}

function transfer(
  isWrite: boolean,
  offset: (request: UnitRequest) => number,
  form: "plain" | "counted",
): TransferCommand {
  return form === "plain"
    ? { kind: "transfer", isWrite, offset }
    : { kind: "transfer", isWrite, offset, check: checkCount };
}

const shortOffset = (request: UnitRequest): number => request.ioOffset;
/** The high word travels in io_Actual. */
const longOffset = (request: UnitRequest): number => request.ioActual * 2 ** 32 + request.ioOffset;

/** ETD commands are for the medium that the program knows. */
function checkCount(unit: UnitAccess, { iotdCount }: UnitRequest): number {
  const { etdCount }: CommandBehaviour = unit.profile.commands;
  return etdCount === "compared" && unit.changeCount > iotdCount ? IoError.DiskChanged : 0;
}
