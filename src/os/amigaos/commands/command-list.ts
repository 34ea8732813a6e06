/** NSCMD_DEVICEQUERY (5.5 of the reference): the list of commands in memory, and the answer that points to it. */

import type { UnitRequest } from "../device/command-entry.js";
import type { DeviceAccess } from "../device/unit.js";
import { type ExecMemory, IoError } from "../exec/index.js";
import type { AmigaProfile } from "../profile.js";
import { supportedCommands, supportedCommandsLater } from "./command-numbers.js";

/** Bytes of struct NSDeviceQueryResult. */
export const deviceQuerySize = 16;
/** NSDEVTYPE_TRACKDISK */
export const nsTrackdisk = 5;

/** Puts the zero-terminated list of 16-bit numbers into memory of its own. @returns its address; who asks frees it. */
export function placeCommandList(memory: ExecMemory, profile: AmigaProfile): number {
  const list = profile.commands.commandList === "43" ? supportedCommands : supportedCommandsLater;
  const bytes = new Uint8Array(2 * (list.length + 1));
  const view = new DataView(bytes.buffer);
  for (const [index, command] of list.entries()) view.setUint16(2 * index, command);
  const address = memory.allocate(bytes.length, "contiguous");
  memory.write(address, bytes);
  return address;
}

/** Answers the query. */
export function deviceQuery(device: DeviceAccess, request: UnitRequest): void {
  const { memory, commandList } = device;
  request.ioActual = 0;
  if (request.ioLength < deviceQuerySize) {
    request.ioError = IoError.BadLength;
    return;
  }
  if (!memory.isMapped(request.ioData, deviceQuerySize)) {
    request.ioError = IoError.BadAddress;
    return;
  }
  const bytes = new Uint8Array(deviceQuerySize);
  const view = new DataView(bytes.buffer);
  view.setUint32(4, deviceQuerySize);
  view.setUint16(8, nsTrackdisk);
  view.setUint32(12, commandList);
  memory.write(request.ioData, bytes);
  request.ioActual = deviceQuerySize;
}

/** The commands in a list as {@link placeCommandList} makes it. */
export function readCommandList(memory: ExecMemory, address: number): number[] {
  const commands: number[] = [];
  for (let at = address; commands.length < 0x10000; at += 2) {
    const [high, low] = memory.read(at, 2);
    if (high === 0 && low === 0) break;
    commands.push(high * 256 + low);
  }
  return commands;
}
