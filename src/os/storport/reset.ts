/** VirtIoResetBus and RhelShutDown: taking the device away from what it works on, and bringing it back. */
import { ProtocolError } from "../../errors/index.js";
import { type AdapterExtension, deviceOf } from "./adapter-extension.js";
import { completeSrb } from "./complete-srb.js";
import { TraceLevel } from "./debug-print.js";
import { negotiate } from "./find-adapter.js";
import { virtIoHwInitialize } from "./hw-initialize.js";
import { isGone } from "./interrupt.js";
import { type Srb, SrbStatus } from "./srb.js";
import { virtIODeviceReset } from "./virtio-device.js";

/**
 * VirtIoResetBus: resets the device, ends what it had with BUS_RESET, and initialises it again. Never before the reset has
 * ended does an SRB end: the device owns its memory until then.
 */
export async function virtIoResetBus(extension: AdapterExtension, _pathId: number): Promise<boolean> {
  if (extension.behaviour.resetBus === "nothing") return true;
  if (extension.resetInProgress) return false;
  extension.debug.print(TraceLevel.Warning, "bus reset");
  if (extension.behaviour.resetOrder === "complete-first") endInFlight(extension, SrbStatus.BusReset);
  extension.resetInProgress = true;
  if (!(await shutDown(extension, SrbStatus.BusReset))) return false;
  return bringUp(extension);
}

/** Negotiates and initialises again, from fresh state. When that fails the adapter goes on rejecting. */
export function bringUp(extension: AdapterExtension): boolean {
  extension.serial = extension.behaviour.serialCache === "until-change" ? undefined : extension.serial;
  try {
    negotiate(extension);
    if (!virtIoHwInitialize(extension)) return false;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    extension.debug.print(TraceLevel.Fatal, error.message);
    return false;
  }
  extension.resetInProgress = false;
  return true;
}

/** RhelShutDown: resets the device, takes features and queues back. What it had in flight ends with ABORTED. */
export function rhelShutDown(extension: AdapterExtension): Promise<boolean> {
  return shutDown(extension, SrbStatus.Aborted);
}

/** A device that broke a rule, or cannot be trusted: reset, and not brought back. */
export function putOutOfUse(extension: AdapterExtension): Promise<boolean> {
  return shutDown(extension, extension.removed ? SrbStatus.NoDevice : SrbStatus.Error);
}

/** False when the device does not reset: what it was lent stays lost. */
async function shutDown(extension: AdapterExtension, status: number): Promise<boolean> {
  const device = deviceOf(extension);
  try {
    await virtIODeviceReset(extension);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    extension.debug.print(TraceLevel.Fatal, error.message);
    // A device that is gone touches nothing any more; one that hangs may.
    const gone = isGone(extension);
    endInFlight(extension, gone ? SrbStatus.NoDevice : SrbStatus.Error, !gone);
    extension.failure ??= error;
    return false;
  }
  if (extension.profile.bringUp === "none") device.writeFeatures(0n);
  for (const queue of extension.queues) device.stopQueue(queue.index);
  endInFlight(extension, status);
  extension.queues = [];
  return true;
}

/** Ends everything in flight. */
function endInFlight(extension: AdapterExtension, status: number, memoryLost = false): void {
  for (const queue of extension.queues) {
    const srbs = [...queue.ring.detachAll()].map((token) =>
      typeof token === "number" ? queue.byId.get(token) : token,
    );
    queue.byId.clear();
    for (const srb of srbs) if (srb !== undefined) endOne(extension, srb, status, memoryLost);
  }
}

function endOne(extension: AdapterExtension, srb: Srb, status: number, memoryLost: boolean): void {
  srb.memoryLost = memoryLost;
  completeSrb(extension, srb, status);
}
