/** One command with what every initiator does about it: repeats what a unit asks to have repeated, names what failed. */
import { DeviceError } from "../../errors/index.js";
import type { Observer } from "../../observe/index.js";
import { describeCdb } from "../describe-cdb.js";
import { lunOf, targetOf, type UnitAddress } from "../lun-address.js";
import { describeSense, parseSense, type Sense } from "../sense.js";
import { SenseKey } from "../sense-codes.js";
import { statusName } from "../status-name.js";
import { ScsiStatus } from "../task.js";
import type { CommandAnswer, CommandOptions, ScsiInitiator } from "./initiator.js";
import { responseName, ScsiResponse } from "./service-response.js";

/** A command ended with something else than success. The message names unit, command and reason. */
export class ScsiCommandError extends DeviceError {
  override readonly name = "ScsiCommandError";
  readonly address: UnitAddress;
  readonly result: CommandAnswer;
  /** Undefined without sense data. */
  readonly sense: Sense | undefined;

  constructor(address: UnitAddress, cdb: Uint8Array, result: CommandAnswer) {
    super(`target ${targetOf(address)} lun ${lunOf(address)}: ${describeCdb(cdb)}: ${describeResult(result)}`);
    this.address = address;
    this.result = result;
    this.sense = parseSense(result.sense);
  }
}

/** How a command ended, in words: `GOOD`, `CHECK CONDITION, DATA PROTECT 27h/00h: write protected`, `BadTarget`. */
export function describeResult(result: CommandAnswer): string {
  if (result.response !== ScsiResponse.Ok) return responseName(result.response);
  const status = statusName(result.status);
  return result.sense.length > 0 ? `${status}, ${describeSense(result.sense)}` : status;
}

/** Data and patience of one command. */
export interface SendOptions extends CommandOptions {
  /** Told of the command and its end. */
  observer?: Observer | undefined;
}

/** A unit has a handful of unit attentions at most; one that never runs out of them is broken. */
const attentionLimit = 16;
const busyLimit = 100;
const busyPause = 10;

/**
 * Sends a command and repeats it while the unit answers with a unit attention, is busy or was reset.
 * @returns the result of a command that succeeded (GOOD or CONDITION MET).
 * @throws ScsiCommandError when it failed; what {@link ScsiInitiator.execute} throws.
 */
export async function sendCommand(
  driver: ScsiInitiator,
  address: UnitAddress,
  cdb: Uint8Array,
  options: SendOptions = {},
): Promise<CommandAnswer> {
  let attentions = 0;
  let busy = 0;
  for (;;) {
    const result = await executeObserved(driver, address, cdb, options);
    if (isSuccess(result)) return result;
    if (isRepeatable(result) && attentions++ < attentionLimit) continue;
    if (isBusy(result) && busy++ < busyLimit) {
      await new Promise((resolve) => setTimeout(resolve, busyPause));
      continue;
    }
    throw new ScsiCommandError(address, cdb, result);
  }
}

async function executeObserved(
  driver: ScsiInitiator,
  address: UnitAddress,
  cdb: Uint8Array,
  { observer, ...options }: SendOptions,
): Promise<CommandAnswer> {
  if (observer === undefined) return driver.execute(address, cdb, options);
  const source = `driver target ${targetOf(address)} lun ${lunOf(address)}`;
  const sizes = { dataOut: options.dataOut?.length ?? 0, dataIn: options.dataIn?.length ?? 0 };
  observer.emit({ category: "scsi", source, name: "command", fields: { command: describeCdb(cdb), ...sizes } });
  const result = await driver.execute(address, cdb, options);
  const fields = { result: describeResult(result), residual: result.residual };
  observer.emit({ category: "scsi", source, name: "answer", fields });
  return result;
}

function isSuccess({ response, status }: CommandAnswer): boolean {
  return response === ScsiResponse.Ok && (status === ScsiStatus.Good || status === ScsiStatus.ConditionMet);
}

function isRepeatable({ response, status, sense }: CommandAnswer): boolean {
  if (response === ScsiResponse.Reset) return true;
  if (response !== ScsiResponse.Ok || status !== ScsiStatus.CheckCondition) return false;
  return parseSense(sense)?.key === SenseKey.UnitAttention;
}

function isBusy({ response, status }: CommandAnswer): boolean {
  if (response !== ScsiResponse.Ok) return response === ScsiResponse.Busy;
  return status === ScsiStatus.Busy || status === ScsiStatus.TaskSetFull;
}
