/** How requests end: virtio responses, SCSI status and sense become io_Error (5.7 of the reference). Pure; allocates nothing. */
import { ScsiStatus, SenseKey } from "../../../scsi/index.js";
import { ScsiResponse } from "../../../virtio/index.js";
import { IoError } from "../exec/index.js";
import type { CommandBehaviour } from "./behaviour.js";

/** io_Error of each sense key, 0…15. */
const errorOfKey: readonly number[] = [
  IoError.None, // NO SENSE
  IoError.None, // RECOVERED ERROR: the data are valid
  IoError.BadDriveType, // NOT READY
  IoError.BadSecHdr, // MEDIUM ERROR
  IoError.BadDriveType, // HARDWARE ERROR
  IoError.NoCommand, // ILLEGAL REQUEST
  IoError.DiskChanged, // UNIT ATTENTION
  IoError.WriteProt, // DATA PROTECT
  IoError.BadStatus, // BLANK CHECK
  IoError.BadStatus, // vendor specific
  IoError.BadStatus, // COPY ABORTED
  IoError.NotSpecified, // ABORTED COMMAND
  IoError.BadStatus,
  IoError.BadStatus, // VOLUME OVERFLOW
  IoError.BadStatus, // MISCOMPARE
  IoError.BadStatus,
];

/** The sense key in `length` bytes of sense data, -1 when there is none that can be read. */
export function senseKeyOf(sense: Uint8Array, length: number, behaviour: CommandBehaviour): number {
  // The original looks at byte 2, whatever format and length the device names.
  if (behaviour.senseFormats === "fixed") return sense[2] & 0x0f;
  const code = length > 0 ? sense[0] & 0x7f : 0;
  if (code === 0x70 || code === 0x71) return length > 2 ? sense[2] & 0x0f : -1;
  if (code === 0x72 || code === 0x73) return length > 1 ? sense[1] & 0x0f : -1;
  return -1;
}

/**
 * io_Error of a command that the device answered.
 * @param sense as the device put it; `senseLength` bytes of it are valid.
 */
export function ioErrorOf(
  response: number,
  status: number,
  sense: Uint8Array,
  senseLength: number,
  behaviour: CommandBehaviour,
): number {
  if (response !== ScsiResponse.Ok) return IoError.NotSpecified;
  if (status === ScsiStatus.Good) return IoError.None;
  if (behaviour.errors === "bad-status") return IoError.BadStatus;
  // Success of PRE-FETCH and the like; the original has no such commands.
  if (status === ScsiStatus.ConditionMet && behaviour.opcodes === "all") return IoError.None;
  if (status !== ScsiStatus.CheckCondition) return IoError.BadStatus;
  const key = senseKeyOf(sense, senseLength, behaviour);
  return key < 0 ? IoError.BadStatus : errorOfKey[key];
}

/** Whether a command ended with ILLEGAL REQUEST: the device does not know it, or a field of it. */
export function isRefused(response: number, status: number, sense: Uint8Array, behaviour: CommandBehaviour): boolean {
  if (response !== ScsiResponse.Ok || status !== ScsiStatus.CheckCondition) return false;
  return senseKeyOf(sense, sense.length, behaviour) === SenseKey.IllegalRequest;
}
