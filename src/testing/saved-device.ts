/** Devices in slots of a machine that nothing drives, and their snapshots as they come back from where they were stored. */
import { GuestMemory, MemoryRegion } from "../memory/index.js";
import { type DeviceCoreState, type DeviceType, VirtioPciDevice, type VirtioPciState } from "../transport/index.js";

/** Fields to put in place of others, right or wrong. */
export type Fields = Record<string, unknown>;

/** Puts a device into a slot, with memory of its own. */
export function plug(type: DeviceType, flavour: "modern" | "legacy" = "modern"): VirtioPciDevice {
  const memory = new GuestMemory([new MemoryRegion(0, new Uint8Array(1 << 20))]);
  return new VirtioPciDevice(type, { classCode: 0, flavour, memory });
}

/** A snapshot of a device, as it comes back from where it was stored. */
export const saved = (device: VirtioPciDevice): VirtioPciState => structuredClone(device.save());

/** A snapshot with other fields in what the device type keeps. */
export function withType(state: VirtioPciState, fields: Fields): VirtioPciState {
  const type = { ...state.core.type, ...fields } as DeviceCoreState["type"];
  return { ...state, core: { ...state.core, type } };
}

/**
 * What the device says to a snapshot that it has to refuse.
 * @throws Error when it changed all the same
 */
export function refusal(device: VirtioPciDevice, state: VirtioPciState): string {
  const before = textOf(device);
  let message = "taken";
  try {
    device.readState(state);
  } catch (error) {
    message = (error as Error).message;
  }
  if (textOf(device) !== before) throw new Error(`it was refused (${message}), and the device changed`);
  return message;
}

/** Puts a snapshot into a device, and gives what that would keep. */
export function moved(from: VirtioPciState, to: VirtioPciDevice): VirtioPciState {
  to.readState(from)();
  return saved(to);
}

function textOf(device: VirtioPciDevice): string {
  return JSON.stringify(device.save(), (_, value: unknown) => (typeof value === "bigint" ? `${value}` : value));
}
