/** struct SCSICmd (devices/scsidisk.h), packed on 2 bytes as all of the Amiga's are. */
import type { ExecMemory } from "../exec/index.js";

/** Bytes of struct SCSICmd. */
export const scsiCmdSize = 30;

/** scsi_Flags. */
export const ScsiFlag = { Write: 0, Read: 1, AutoSense: 2 } as const;

/** One SCSICmd; pointers are addresses of the program. */
export interface ScsiCmd {
  readonly data: number;
  readonly length: number;
  readonly command: number;
  readonly commandLength: number;
  readonly flags: number;
  readonly senseData: number;
  readonly senseLength: number;
}

/** What the device writes back. */
export interface ScsiCmdResult {
  readonly actual: number;
  readonly commandActual: number;
  readonly status: number;
  readonly senseActual: number;
}

const at = {
  ...{ data: 0, length: 4, actual: 8, command: 12, commandLength: 16, commandActual: 18, flags: 20, status: 21 },
  ...{ senseData: 22, senseLength: 26, senseActual: 28 },
} as const;

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Reads what the caller filled in. @throws RangeError where there is no memory. */
export function readScsiCmd(memory: ExecMemory, address: number): ScsiCmd {
  const view = viewOf(memory.read(address, scsiCmdSize));
  return {
    data: view.getUint32(at.data),
    length: view.getUint32(at.length),
    command: view.getUint32(at.command),
    commandLength: view.getUint16(at.commandLength),
    flags: view.getUint8(at.flags),
    senseData: view.getUint32(at.senseData),
    senseLength: view.getUint16(at.senseLength),
  };
}

/** Fills one in, for programs. @throws RangeError where there is no memory. */
export function writeScsiCmd(memory: ExecMemory, address: number, command: ScsiCmd): void {
  const bytes = new Uint8Array(scsiCmdSize);
  const view = viewOf(bytes);
  view.setUint32(at.data, command.data);
  view.setUint32(at.length, command.length);
  view.setUint32(at.command, command.command);
  view.setUint16(at.commandLength, command.commandLength);
  view.setUint8(at.flags, command.flags);
  view.setUint32(at.senseData, command.senseData);
  view.setUint16(at.senseLength, command.senseLength);
  memory.write(address, bytes);
}

/** Reads what the device wrote back. @throws RangeError where there is no memory. */
export function readScsiCmdResult(memory: ExecMemory, address: number): ScsiCmdResult {
  const view = viewOf(memory.read(address, scsiCmdSize));
  return {
    actual: view.getUint32(at.actual),
    commandActual: view.getUint16(at.commandActual),
    status: view.getUint8(at.status),
    senseActual: view.getUint16(at.senseActual),
  };
}

/** Writes the answer into the caller's structure, and nothing else of it. @throws RangeError where there is no memory. */
export function writeScsiCmdResult(memory: ExecMemory, address: number, result: ScsiCmdResult): void {
  const bytes = memory.read(address, scsiCmdSize);
  const view = viewOf(bytes);
  view.setUint32(at.actual, result.actual);
  view.setUint16(at.commandActual, result.commandActual);
  view.setUint8(at.status, result.status);
  view.setUint16(at.senseActual, result.senseActual);
  memory.write(address, bytes);
}
