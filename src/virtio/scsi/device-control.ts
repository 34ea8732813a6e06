/** The control queue, device half: task management and asynchronous notifications, virtio 1.2 §5.6.6.2. */
import type { Endianness } from "../../bytes/index.js";
import { ProtocolError } from "../../errors/index.js";
import { decodeVirtioLun, lunOf, targetOf } from "../../scsi/index.js";
import type { Chain } from "../../virtqueue/index.js";
import type { VirtioScsiDevice } from "./device.js";
import type { DeviceRequest } from "./device-request.js";
import {
  asyncRequest,
  asyncResponse,
  ControlType,
  ScsiResponse,
  TaskManagement,
  taskManagementRequest,
  taskManagementResponse,
} from "./protocol.js";

/**
 * Carries out one control request and writes its response.
 * @returns the number of bytes written.
 * @throws ProtocolError when the request is malformed: it then goes back empty.
 */
export function answerControl(device: VirtioScsiDevice, chain: Chain, endianness: Endianness): number {
  const bytes = new Uint8Array(Math.max(taskManagementRequest.size, asyncRequest.size));
  const view = new DataView(bytes.buffer);
  const length = chain.readable.copyOut(bytes, 0, bytes.length);
  if (length < 4) throw new ProtocolError("request-header-short", { head: chain.head, detail: `${length} bytes` });
  const type = view.getUint32(0, endianness === "little");
  if (type === ControlType.TaskManagement) {
    check(chain, length, taskManagementRequest.size, taskManagementResponse.size);
    const response = manage(device, taskManagementRequest.read(view, 0, endianness));
    return chain.writable.write(Uint8Array.of(response));
  }
  if (type === ControlType.AsyncQuery || type === ControlType.AsyncSubscribe) {
    check(chain, length, asyncRequest.size, asyncResponse.size);
    const request = asyncRequest.read(view, 0, endianness);
    const answer = notify(device, request, type === ControlType.AsyncSubscribe);
    const out = new DataView(new ArrayBuffer(asyncResponse.size));
    asyncResponse.write(out, 0, endianness, answer);
    return chain.writable.write(new Uint8Array(out.buffer));
  }
  throw new ProtocolError("control-type-unknown", { head: chain.head, detail: `type ${type}` });
}

function check(chain: Chain, readable: number, request: number, response: number): void {
  if (readable < request) {
    throw new ProtocolError("request-header-short", { head: chain.head, detail: `${readable} of ${request} bytes` });
  }
  if (chain.writable.byteLength < response) {
    const detail = `${chain.writable.byteLength} of ${response} bytes`;
    throw new ProtocolError("response-space-short", { head: chain.head, detail });
  }
}

/** §5.6.6.2: cancelled requests are completed first, then the function (stray-scsi-device-5). */
function manage(device: VirtioScsiDevice, request: { subtype: number; lun: Uint8Array; id: bigint }): number {
  const address = decodeVirtioLun(request.lun);
  const target = address === undefined ? undefined : device.bus.target(targetOf(address));
  if (address === undefined || target === undefined) return ScsiResponse.BadTarget;
  const unit = target.unit(lunOf(address));
  const nexusWide = request.subtype === TaskManagement.NexusReset;
  if (unit === undefined && !nexusWide) return ScsiResponse.IncorrectLun;
  const inUnit = (running: DeviceRequest) => running.address === address;
  const isTask = (running: DeviceRequest) =>
    inUnit(running) &&
    running.task.tagLow === Number(request.id & 0xffff_ffffn) &&
    running.task.tagHigh === Number(request.id >> 32n);
  const any = (matches: (running: DeviceRequest) => boolean) => [...device.running].some(matches);

  switch (request.subtype) {
    case TaskManagement.AbortTask:
      device.cancel(isTask, ScsiResponse.Aborted);
      return ScsiResponse.Ok;
    case TaskManagement.AbortTaskSet:
    case TaskManagement.ClearTaskSet:
      device.cancel(inUnit, ScsiResponse.Aborted);
      return ScsiResponse.Ok;
    case TaskManagement.LogicalUnitReset:
      device.cancel(inUnit, ScsiResponse.Reset);
      unit?.reset("unit-reset");
      return ScsiResponse.Ok;
    case TaskManagement.NexusReset: {
      device.cancel((running) => targetOf(running.address) === targetOf(address), ScsiResponse.Reset);
      for (const lun of target.luns()) target.unit(lun)?.reset("nexus-loss", device.nexus);
      return ScsiResponse.Ok;
    }
    case TaskManagement.QueryTask:
      return any(isTask) ? ScsiResponse.FunctionSucceeded : ScsiResponse.Ok;
    case TaskManagement.QueryTaskSet:
      return any(inUnit) ? ScsiResponse.FunctionSucceeded : ScsiResponse.Ok;
    default:
      // CLEAR ACA: units report NACA as unsupported, so there is no ACA to clear.
      return ScsiResponse.FunctionRejected;
  }
}

function notify(
  device: VirtioScsiDevice,
  request: { lun: Uint8Array; eventRequested: number },
  subscribe: boolean,
): { eventActual: number; response: number } {
  const address = decodeVirtioLun(request.lun);
  const target = address === undefined ? undefined : device.bus.target(targetOf(address));
  if (address === undefined || target === undefined) return { eventActual: 0, response: ScsiResponse.BadTarget };
  const unit = target.unit(lunOf(address));
  if (unit === undefined) return { eventActual: 0, response: ScsiResponse.IncorrectLun };
  const eventActual = request.eventRequested & device.asyncEventsOf(unit);
  if (subscribe) {
    if (eventActual === 0) device.subscriptions.delete(address);
    else device.subscriptions.set(address, eventActual);
  }
  return { eventActual, response: ScsiResponse.Ok };
}
