/** HD_SCSICMD (6 of the reference). */
import { buildSense, ScsiStatus, SenseKey } from "../../../scsi/index.js";
import type { UnitRequest } from "../device/command-entry.js";
import type { CdbOutcome, UnitAccess } from "../device/unit.js";
import { IoError } from "../exec/index.js";
import { outcomeError } from "./capacity.js";
import { isRefused } from "./io-errors.js";
import { readScsiCmd, type ScsiCmd, ScsiFlag, scsiCmdSize, writeScsiCmdResult } from "./scsi-cmd.js";
import { answerHere, judgeScsi, type Refusal, type ScsiQuestion, type ScsiVerdict } from "./scsi-rules.js";

/** Bytes of a CDB at most. */
const longestCdb = 32;
/** Bytes of sense that the original gives, and wants room for. */
const fixedSense = 18;

/** How a command ended, for the caller. */
interface ScsiEnd {
  readonly status: number;
  readonly error: number;
  readonly actual: number;
  readonly ioActual: number;
  readonly sense: Uint8Array;
}

const noSense = new Uint8Array();

/** Runs the command in the request's SCSICmd. */
export async function scsiDirect(unit: UnitAccess, request: UnitRequest): Promise<void> {
  const { memory } = unit;
  request.ioActual = 0;
  request.ioError = checkStructure(unit, request);
  if (request.ioError !== 0) return;
  const command = readScsiCmd(memory, request.ioData);
  request.ioError = checkCommand(unit, command);
  if (request.ioError !== 0) return;
  const end = await carryOut(unit, command);
  const senseActual = deliverSense(unit, command, end.sense);
  writeScsiCmdResult(memory, request.ioData, {
    actual: end.actual,
    commandActual: command.commandLength,
    status: end.status,
    senseActual,
  });
  request.ioActual = end.ioActual;
  request.ioError = end.error;
}

function checkStructure({ memory }: UnitAccess, { ioData, ioLength }: UnitRequest): number {
  if (ioData === 0 || ioLength < scsiCmdSize) return IoError.BadLength;
  return memory.isMapped(ioData, scsiCmdSize) ? 0 : IoError.BadAddress;
}

function checkCommand({ memory, profile }: UnitAccess, { command, commandLength, data, length }: ScsiCmd): number {
  if (command === 0 || commandLength === 0) return IoError.BadStatus;
  // The original cuts a longer one; what is left is another command.
  if (commandLength > longestCdb && profile.commands.opcodes === "all") return IoError.BadLength;
  if (!memory.isMapped(command, Math.min(commandLength, longestCdb))) return IoError.BadAddress;
  return data !== 0 && length > 0 && !memory.isMapped(data, length) ? IoError.BadAddress : 0;
}

async function carryOut(unit: UnitAccess, command: ScsiCmd): Promise<ScsiEnd> {
  const behaviour = unit.profile.commands;
  const cdb = unit.memory.read(command.command, Math.min(command.commandLength, longestCdb));
  const question: ScsiQuestion = {
    cdb,
    room: command.data === 0 ? 0 : command.length,
    target: unit.target,
    lun: unit.lun,
    reads: (command.flags & ScsiFlag.Read) !== 0,
  };
  const verdict = judgeScsi(question, behaviour);
  if (verdict.kind !== "forward") return endHere(unit, command, verdict);
  const { length, isWrite } = verdict;
  const data = length === 0 ? undefined : { address: command.data, length, isWrite };
  const outcome = await unit.sendCdb({ cdb, data });
  if (behaviour.localAnswers === "when-refused" && refuses(unit, outcome)) {
    const ours = answerHere(question, behaviour);
    if (ours?.kind === "answer") return endHere(unit, command, ours);
  }
  return endForwarded(unit, outcome);
}

function refuses(unit: UnitAccess, { pathError, response, status, sense }: CdbOutcome): boolean {
  return pathError === 0 && isRefused(response, status, sense, unit.profile.commands);
}

/** Answers or refuses without the device. */
function endHere(
  unit: UnitAccess,
  command: ScsiCmd,
  verdict: Exclude<ScsiVerdict, { readonly kind: "forward" }>,
): ScsiEnd {
  if (verdict.kind === "refuse") {
    const sense = verdict.sense === undefined ? noSense : senseOf(verdict.sense);
    return { status: ScsiStatus.CheckCondition, error: IoError.BadStatus, actual: 0, ioActual: 0, sense };
  }
  const { data, tellsLength } = verdict;
  if (data.length > 0) unit.memory.write(command.data, data);
  return { status: 0, error: 0, actual: data.length, ioActual: tellsLength ? data.length : 0, sense: noSense };
}

function senseOf({ asc, ascq }: Refusal): Uint8Array {
  const sense = new Uint8Array(32);
  return sense.subarray(0, buildSense(sense, "fixed", { key: SenseKey.IllegalRequest, asc, ascq }));
}

function endForwarded(unit: UnitAccess, outcome: CdbOutcome): ScsiEnd {
  const error = outcomeError(unit, outcome);
  // Without an answer there is no status.
  const isAnswered = outcome.pathError === 0 && outcome.response === 0;
  const actual = isAnswered ? outcome.actual : 0;
  const isDelivered = unit.profile.commands.forwardedSense === "delivered" && isAnswered;
  return {
    status: isAnswered ? outcome.status : 0,
    error,
    actual,
    ioActual: actual,
    sense: isDelivered ? outcome.sense : noSense,
  };
}

/** Autosense (6.2). @returns the bytes that were delivered. */
function deliverSense({ memory, profile }: UnitAccess, command: ScsiCmd, sense: Uint8Array): number {
  const { flags, senseData, senseLength } = command;
  if (sense.length === 0 || (flags & ScsiFlag.AutoSense) === 0 || senseData === 0) return 0;
  if (profile.commands.forwardedSense === "discarded" && senseLength < fixedSense) return 0;
  const length = Math.min(senseLength, sense.length);
  if (length === 0 || !memory.isMapped(senseData, length)) return 0;
  memory.write(senseData, sense.subarray(0, length));
  return length;
}
