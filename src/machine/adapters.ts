/** Finds the virtio devices of a machine, on PCI and in MMIO windows, and opens transports to them. */
import { type RegisterWindow, subWindow } from "../bytes/index.js";
import type { Observer } from "../observe/index.js";
import { enumeratePci, type PciFunctionHandle } from "../pci/index.js";
import {
  type DriverTransport,
  type FoundMmioDevice,
  findMmioDevices,
  type InterruptPreference,
  MmioTransport,
  type MmioTransportOptions,
  openPciTransport,
  type PciTransportOptions,
  virtioDeviceId,
} from "../transport/index.js";
import type { Machine } from "./machine.js";

/** A virtio device that is a PCI function. */
export interface FoundPciAdapter {
  readonly on: "pci";
  readonly fn: PciFunctionHandle;
  /** Virtio device ID: 8 for SCSI host. */
  readonly deviceId: number;
  /** Where it is, for people. */
  readonly place: string;
}

/** A virtio device in an MMIO window. */
export interface FoundMmioAdapter extends FoundMmioDevice {
  readonly on: "mmio";
  /** Where it is, for people. */
  readonly place: string;
}

/** A virtio device of a machine. */
export type FoundAdapter = FoundPciAdapter | FoundMmioAdapter;

/** Every virtio device: functions in the order of the board's bridges, buses and slots, then windows in theirs. */
export function findVirtioAdapters(machine: Machine): FoundAdapter[] {
  const { board, memorySpace } = machine;
  const functions = enumeratePci(machine, board.bridges).flatMap((fn): FoundAdapter[] => {
    const deviceId = virtioDeviceId(fn);
    return deviceId === undefined ? [] : [{ on: "pci", fn, deviceId, place: `${fn.bridge.name} ${fn.place}` }];
  });
  const windows = findMmioDevices(memorySpace, board.mmio?.windows ?? []).map(
    (found): FoundAdapter => ({ on: "mmio", ...found, place: mmioPlace(found) }),
  );
  return [...functions, ...windows];
}

/** How to open an adapter. */
export interface OpenAdapterOptions {
  /** `none` polls; anything else takes what the device and the machine have. */
  prefer?: InterruptPreference | undefined;
  /** `legacy` is version 1 on MMIO. */
  registers?: PciTransportOptions["registers"];
  observer?: Observer | undefined;
}

/**
 * Opens the transport to an adapter of a machine.
 * @throws UnsupportedError when the device has not the registers asked for.
 */
export function openAdapter(
  machine: Machine,
  adapter: FoundAdapter,
  options: OpenAdapterOptions = {},
): DriverTransport {
  if (adapter.on === "pci") return openPciAdapter(machine, adapter.fn, options);
  const { registers, ...parts } = mmioParts(machine, adapter, options);
  return new MmioTransport(registers, { ...parts, registers: options.registers });
}

/** What a driver of an MMIO device is made of: the device's registers and what {@link MmioTransport} takes. */
export interface MmioParts extends Omit<MmioTransportOptions, "registers"> {
  readonly registers: RegisterWindow;
}

/** The parts for a driver that brings its own way with the registers (`os/xv6`). */
export function mmioParts(machine: Machine, adapter: FoundMmioAdapter, options: OpenAdapterOptions = {}): MmioParts {
  const { memory, dma, board, interrupts, memorySpace } = machine;
  const { base, irq } = adapter.window;
  const attachInput = options.prefer === "none" ? undefined : interrupts.attachInput?.bind(interrupts);
  return {
    registers: subWindow(memorySpace, base),
    memory,
    dma,
    guestEndianness: board.endianness,
    place: adapter.place,
    ...(attachInput === undefined ? {} : { attachLine: (handler: () => void) => attachInput(irq, handler) }),
    observer: options.observer,
  };
}

function mmioPlace({ window }: FoundMmioDevice): string {
  return `0x${window.base.toString(16)} irq ${window.irq}`;
}

function openPciAdapter(machine: Machine, fn: PciFunctionHandle, options: OpenAdapterOptions): DriverTransport {
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
