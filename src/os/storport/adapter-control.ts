/** VirtIoAdapterControl: stopping and restarting, for power management and plug and play. */
import { type AdapterExtension, deviceOf } from "./adapter-extension.js";
import { TraceLevel } from "./debug-print.js";
import { bringUp, rhelShutDown } from "./reset.js";

/** SCSI_ADAPTER_CONTROL_TYPE. */
export const AdapterControl = { Query: 0, Stop: 1, Restart: 2, SetBootConfig: 3, SetRunningConfig: 4 } as const;

/** SCSI_ADAPTER_CONTROL_STATUS. */
export type AdapterControlStatus = "success" | "unsuccessful";

/** The types that are supported, by number; Query copies as many as there is room for. */
const supported = [true, true, true, false, false] as const;

/** @param list for Query: filled with the types that are supported, up to its length and 5. */
export async function virtIoAdapterControl(
  extension: AdapterExtension,
  type: number,
  list: boolean[] = [],
): Promise<AdapterControlStatus> {
  switch (type) {
    case AdapterControl.Query:
      for (let index = 0; index < Math.min(list.length, supported.length); index++) list[index] = supported[index];
      return "success";
    case AdapterControl.Stop:
      return stop(extension);
    case AdapterControl.Restart:
      return restart(extension);
  }
  return "unsuccessful";
}

async function stop(extension: AdapterExtension): Promise<AdapterControlStatus> {
  extension.debug.print(TraceLevel.Information, "stop");
  // A plain sleep leaves today's driver's device running until the restart resets it.
  const resets = extension.profile.stop === "resets" || extension.removed || extension.stopped;
  if (!resets) return "success";
  return (await rhelShutDown(extension)) ? "success" : "unsuccessful";
}

/** From fresh state: the device is reset if it was left running; memory is used again. FindAdapter is not called. */
async function restart(extension: AdapterExtension): Promise<AdapterControlStatus> {
  extension.debug.print(TraceLevel.Information, "restart");
  const needsReset = extension.queues.length > 0 || deviceOf(extension).readStatus() !== 0;
  if (needsReset && !(await rhelShutDown(extension))) return "unsuccessful";
  extension.removed = false;
  extension.stopped = false;
  return bringUp(extension) ? "success" : "unsuccessful";
}
