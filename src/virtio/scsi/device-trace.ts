/** What the device half tells of commands. */
import type { Observer } from "../../observe/index.js";
import { describeCdb, lunOf, statusName, targetOf, type UnitAddress } from "../../scsi/index.js";
import type { DeviceRequest } from "./device-request.js";
import { responseName } from "./protocol.js";

/** A unit in words. */
export function unitName(address: UnitAddress): string {
  return `target ${targetOf(address)} lun ${lunOf(address)}`;
}

/** A command came. */
export function observeCommand(observer: Observer, request: DeviceRequest): void {
  const { task, chain } = request;
  observer.emit({
    category: "scsi",
    source: unitName(request.address),
    name: "command",
    fields: {
      command: describeCdb(task.cdb),
      head: chain.head,
      dataOut: chain.readable.byteLength,
      dataIn: chain.writable.byteLength,
    },
  });
}

/** A command was answered. */
export function observeAnswer(observer: Observer, request: DeviceRequest, response: number): void {
  const { task } = request;
  observer.emit({
    category: "scsi",
    source: unitName(request.address),
    name: "answer",
    fields: {
      response: responseName(response),
      status: statusName(task.status),
      in: task.transferredIn,
      out: task.transferredOut,
    },
  });
}
