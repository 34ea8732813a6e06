/** The synchronous path of a unit: one command at a time, waited for and repeated (3.5 of the reference). */
import { ioErrorOf } from "../commands/io-errors.js";
import type { AmigaUnit } from "./amiga-unit.js";
import type { TransferCommand, UnitRequest } from "./command-entry.js";
import type { Pipeline } from "./pipeline.js";
import type { PipelineSlot } from "./pipeline-slot.js";
import { busyPause, decideRepeat } from "./repeat.js";
import type { CdbCommand, CdbOutcome } from "./unit.js";

/** Sends a command and waits for its end; the caller sees to it that nobody else does so at the same time. */
export async function sendSynchronously(
  unit: AmigaUnit,
  pipeline: Pipeline,
  { cdb, data }: CdbCommand,
): Promise<CdbOutcome> {
  const slot = pipeline.synchronous;
  const { path } = pipeline;
  const { io, profile } = unit;
  const how = profile.behaviour.synchronousRetry;
  const length = data?.length ?? 0;
  slot.endWith = 0;
  for (let repeats = 0; ; repeats++) {
    const { scsi } = slot;
    scsi.cdb.fill(0);
    scsi.cdb.set(cdb.subarray(0, scsi.cdb.length));
    scsi.clearData();
    const lendError = data && length > 0 ? path.lend(scsi, data.address, length, data.isWrite) : 0;
    if (lendError !== 0) return failed(lendError);
    const pathError = await io.send(slot, false);
    const wasReset = slot.mustRestart;
    slot.mustRestart = false;
    const isGood = pathError === 0 && errorOf(unit, scsi) === 0;
    const moved = pathError === 0 ? Math.min(length, Math.max(0, length - scsi.residual)) : 0;
    // Another request in its place: the device may still write to what this one was lent.
    const isReturned = slot.scsi === scsi || wasReset;
    if (length > 0 && isReturned && !io.memoryLost) path.takeBack(scsi, isGood ? moved : 0);
    if (pathError !== 0) {
      if (wasReset && slot.endWith === 0 && io.failure === undefined) continue;
      return failed(pathError);
    }
    unit.noteAnswer(scsi);
    const decision = decideRepeat(scsi, how, repeats, profile);
    if (decision === "no") {
      const { response, status, sense, senseLength } = scsi;
      return { pathError: 0, response, status, sense: sense.slice(0, senseLength), actual: moved };
    }
    if (decision === "pause") await new Promise<void>((resolve) => setTimeout(resolve, busyPause));
  }
}

/** The 17th read or write of version 1.5: it goes the way of all other commands. Sets ioActual and ioError. */
export async function transferSynchronously(
  unit: AmigaUnit,
  pipeline: Pipeline,
  request: UnitRequest,
  command: TransferCommand,
): Promise<void> {
  const transfer = pipeline.spareTransfer;
  const slot = pipeline.synchronous;
  const { io, profile } = unit;
  const how = profile.behaviour.synchronousRetry;
  const { ioData, ioLength } = request;
  let error = command.check?.(unit, request) ?? 0;
  error ||= transfer.begin(unit, command.isWrite, command.offset(request), ioData, ioLength);
  let isDone = error !== 0;
  while (!isDone) {
    const { scsi } = slot;
    error = transfer.next(scsi);
    if (error !== 0) break;
    for (let repeats = 0; ; repeats++) {
      error = await io.send(slot, false);
      if (error !== 0 || decideRepeat(scsi, how, repeats, profile) === "no") break;
    }
    error ||= errorOf(unit, scsi);
    transfer.end(error === 0 ? Math.max(0, transfer.commandLength - scsi.residual) : 0);
    isDone = error !== 0 || !transfer.hasMore;
  }
  request.ioActual = error === 0 ? transfer.moved : 0;
  request.ioError = error;
}

function errorOf({ profile }: AmigaUnit, { response, status, sense, senseLength }: PipelineSlot["scsi"]): number {
  return ioErrorOf(response, status, sense, senseLength, profile.commands);
}

function failed(pathError: number): CdbOutcome {
  return { pathError, response: 0, status: 0, sense: new Uint8Array(), actual: 0 };
}
