/** Exec's calls for devices: the list of them, opening and closing, and the four ways to do I/O. */

import { IoError, IoFlag, type IoRequest, poisonedHandle } from "./io-request.js";
import { ExecList, ExecNode } from "./list.js";

/** What a device is to exec. */
export interface ExecDevice extends ExecNode {
  readonly name: string;
  /** Version and revision of the library node. */
  readonly version: readonly [version: number, revision: number];
  readonly openCount: number;
  /** @returns an {@link IoError}; sets ioDevice, ioUnit and ioError. */
  open(request: IoRequest, unit: number, flags: number): Promise<number>;
  close(request: IoRequest): Promise<void>;
  beginIo(request: IoRequest): void;
  /** @returns 0 or an {@link IoError}. */
  abortIo(request: IoRequest): number;
  /** False: it is open, and goes at the last close. */
  expunge(): Promise<boolean>;
}

export class Exec {
  readonly #devices = new ExecList();

  /** AddDevice. @throws RangeError for a device that is in the list: its links would be lost. */
  addDevice(device: ExecDevice): void {
    this.#devices.addTail(device);
  }

  /** The device of a name. */
  findDevice(name: string): ExecDevice | undefined {
    for (let node = this.#devices.head; node !== undefined; node = node.next) {
      const device = node as ExecDevice;
      if (device.name === name) return device;
    }
    return undefined;
  }

  /** RemDevice. */
  removeDevice(device: ExecDevice): void {
    this.#devices.remove(device);
  }

  /** OpenDevice. @returns an {@link IoError}, 0 when it is open. */
  async openDevice(name: string, unit: number, request: IoRequest, flags = 0): Promise<number> {
    const device = this.findDevice(name);
    if (device !== undefined) return device.open(request, unit, flags);
    request.ioError = IoError.OpenFail;
    request.ioDevice = poisonedHandle;
    return IoError.OpenFail;
  }

  /** CloseDevice; nothing happens to a request that is not open. */
  async closeDevice(request: IoRequest): Promise<void> {
    await deviceOf(request)?.close(request);
  }

  /** SendIO: asynchronous, always answered by a message. */
  sendIo(request: IoRequest): void {
    request.ioFlags &= ~IoFlag.Quick;
    begin(request);
  }

  /** DoIO: quick where the device can. @returns ioError. */
  async doIo(request: IoRequest): Promise<number> {
    request.ioFlags |= IoFlag.Quick;
    begin(request);
    return this.waitIo(request);
  }

  /** CheckIO: whether a request has been answered. */
  checkIo(request: IoRequest): boolean {
    return (request.ioFlags & IoFlag.Quick) !== 0 || request.state !== "sent";
  }

  /** WaitIO: waits for the answer and takes it off its port. @returns ioError. */
  async waitIo(request: IoRequest): Promise<number> {
    if ((request.ioFlags & IoFlag.Quick) === 0) {
      const { replyPort } = request;
      while (request.state === "sent" && replyPort !== undefined) await replyPort.task.wait(replyPort.signal);
      replyPort?.remove(request);
    }
    request.state = "idle";
    return request.ioError;
  }

  /** AbortIO. @returns 0 when the request ends early. */
  abortIo(request: IoRequest): number {
    return deviceOf(request)?.abortIo(request) ?? IoError.NoCommand;
  }
}

function begin(request: IoRequest): void {
  const device = deviceOf(request);
  request.state = "sent";
  if (device !== undefined) device.beginIo(request);
  else {
    request.ioError = IoError.OpenFail;
    request.ioFlags |= IoFlag.Quick;
  }
}

function deviceOf({ ioDevice }: IoRequest): ExecDevice | undefined {
  return ioDevice instanceof ExecNode ? (ioDevice as ExecDevice) : undefined;
}
