/** Finds the virtio functions of a machine and opens transports to them. */
import type { Observer } from "../observe/index.js";
import { enumeratePci, type PciFunctionHandle } from "../pci/index.js";
import {
  type DriverTransport,
  type InterruptPreference,
  openPciTransport,
  type PciTransportOptions,
  virtioDeviceId,
} from "../transport/index.js";
import type { Machine } from "./machine.js";

/** A virtio function of a machine. */
export interface FoundAdapter {
  readonly fn: PciFunctionHandle;
  /** Virtio device ID: 8 for SCSI host. */
  readonly deviceId: number;
}

/** Every virtio function, in the order of the board's bridges, buses and slots. */
export function findVirtioAdapters(machine: Machine): FoundAdapter[] {
  const functions = enumeratePci(machine, machine.board.bridges);
  return functions.flatMap((fn) => {
    const deviceId = virtioDeviceId(fn);
    return deviceId === undefined ? [] : [{ fn, deviceId }];
  });
}

/** How to open an adapter. */
export interface OpenAdapterOptions {
  prefer?: InterruptPreference | undefined;
  registers?: PciTransportOptions["registers"];
  observer?: Observer | undefined;
}

/** Opens the transport to an adapter of a machine. */
export function openAdapter(
  machine: Machine,
  fn: PciFunctionHandle,
  options: OpenAdapterOptions = {},
): DriverTransport {
  const { interrupts, memory, dma, board } = machine;
  const place = { bridge: fn.bridgeIndex, bus: fn.bus, slot: fn.slot, pin: fn.interruptPin };
  const attachMessage = interrupts.attachMessage?.bind(interrupts);
  return openPciTransport(fn, {
    memory,
    dma,
    guestEndianness: board.endianness,
    interrupts: {
      attachLine: (handler) => interrupts.attachLine(place, handler),
      ...(attachMessage === undefined ? {} : { attachMessage }),
    },
    ...options,
  });
}
