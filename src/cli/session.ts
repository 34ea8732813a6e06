/** Adapters of a machine, found and opened with what the command line says. */
import { type FoundAdapter, findVirtioAdapters, type Machine, openAdapter } from "../machine/index.js";
import type { Observer } from "../observe/index.js";
import type { DriverTransport, InterruptPreference } from "../transport/index.js";
import { virtioBlkId, virtioScsiId } from "../virtio/index.js";
import type { DeviceKind } from "./driven.js";
import { asUsageError, WorkFailed } from "./errors.js";
import { type RegisterChoice, registersFor } from "./platform.js";

/** What drivers of any kind are opened with. */
export interface SessionOptions {
  readonly registers: RegisterChoice;
  readonly interrupts: InterruptPreference;
  readonly observer?: Observer | undefined;
}

const deviceIds: Readonly<Record<DeviceKind, number>> = { blk: virtioBlkId, scsi: virtioScsiId };

/** The adapters of one kind, in the order in which an operating system finds them. @throws WorkFailed when some lack */
export function adaptersOf(machine: Machine, kind: DeviceKind, count: number): FoundAdapter[] {
  const found = findVirtioAdapters(machine).filter(({ deviceId }) => deviceId === deviceIds[kind]);
  if (found.length >= count) return found;
  const which = count === 1 ? "no" : `${found.length} of ${count}`;
  throw new WorkFailed(
    `${which} virtio-${kind} adapter${count === 1 ? " was" : "s were"} found on ${machine.board.name}`,
  );
}

/** Opens an adapter as the command line says. @throws UsageError when it cannot be had so */
export function openTransport(machine: Machine, adapter: FoundAdapter, options: SessionOptions): DriverTransport {
  const { interrupts: prefer, observer } = options;
  const registers = registersFor(machine.board, options.registers);
  try {
    return openAdapter(machine, adapter, { registers, prefer, observer });
  } catch (error) {
    throw asUsageError(error);
  }
}
