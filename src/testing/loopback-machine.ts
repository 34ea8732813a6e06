/** A machine in this process with one virtio device in it, of any type: what every loopback is built on. */
import {
  type Board,
  findVirtioAdapters,
  type Machine,
  type OpenAdapterOptions,
  openAdapter,
  pc,
} from "../machine/index.js";
import type { FaultHook, Observer } from "../observe/index.js";
import type { PciFunctionHandle } from "../pci/index.js";
import { EmbeddedMachine } from "../platform/embedded/index.js";
import {
  type DeviceType,
  type DriverTransport,
  featureSet,
  ringFeatures,
  type VirtioPciDevice,
} from "../transport/index.js";
import { PoisoningDma, type PoisoningDmaOptions } from "./poisoning-dma.js";

/** Register face and byte order: legacy rings are in the guest's order, modern ones little-endian. */
export type LoopbackTransport = "legacy-be" | "legacy-le" | "modern";

/** What a loopback of any device type is made of. */
export interface LoopbackMachineOptions {
  /** Default `modern`. */
  transport?: LoopbackTransport;
  /** Default: a PC, whose processor is big-endian for `legacy-be`. A board says what its drivers find. */
  board?: Board;
  /** Offer and take INDIRECT_DESC. Default true. */
  indirect?: boolean;
  /** Offer and take EVENT_IDX. Default true. */
  eventIndex?: boolean;
  /** Offer and take RING_PACKED (modern only). Default false. */
  packed?: boolean;
  /** Further ring features to offer: IN_ORDER, NOTIFICATION_DATA, … Default none. */
  furtherRingFeatures?: bigint;
  /** Default `msix`. */
  interrupts?: "intx" | "msix";
  /** Where the indices of both halves start. Default 0. */
  startIndex?: number;
  /** Bytes of guest memory. Default 8 MiB. */
  ramSize?: number;
  /** Copy and poison what is lent to the device (see {@link PoisoningDma}). Default true. */
  poison?: boolean | PoisoningDmaOptions;
  /** MSI-X vectors of the device. Default: as many as it can use. */
  vectors?: number;
  observer?: Observer;
  faults?: FaultHook;
}

/** A machine with a device that no driver has opened yet. */
export interface LoopbackMachine {
  readonly machine: Machine;
  readonly adapter: VirtioPciDevice;
  /** The adapter's function as enumeration found it. */
  readonly fn: PciFunctionHandle;
  /** Undefined with `poison: false`. */
  readonly dma: PoisoningDma | undefined;
  /** Opens the driver transport that the options ask for. */
  openTransport(options?: OpenAdapterOptions): DriverTransport;
}

/** A PC with a big-endian processor: what legacy devices are on PowerPC boards, and with message interrupts. */
export const bigEndianPc: Board = { ...pc, name: "pc-big-endian", endianness: "big" };

/** Puts `device` into a machine. @throws RangeError when the board has no place for it. */
export function plugIntoMachine(
  device: DeviceType,
  classCode: number,
  options: LoopbackMachineOptions,
): LoopbackMachine {
  const { transport = "modern", indirect = true, eventIndex = true, interrupts = "msix", poison = true } = options;
  const { observer, faults, vectors, startIndex = 0, packed = false, furtherRingFeatures = 0n } = options;
  const board = options.board ?? (transport === "legacy-be" ? bigEndianPc : pc);
  const embedded = new EmbeddedMachine(board, { ramSize: options.ramSize ?? 8 << 20, faults, observer });
  const dma = poison === false ? undefined : new PoisoningDma(embedded.dma, poison === true ? {} : poison);
  const machine: Machine = {
    board,
    memorySpace: embedded.memorySpace,
    portSpace: embedded.portSpace,
    memory: embedded.memory,
    dma: dma ?? embedded.dma,
    interrupts: embedded.interrupts,
    idle: (milliseconds) => embedded.idle(milliseconds),
    close: () => embedded.close(),
  };
  const { INDIRECT_DESC, EVENT_IDX, NOTIFY_ON_EMPTY, ANY_LAYOUT, RING_PACKED } = ringFeatures;
  const rings = featureSet(
    NOTIFY_ON_EMPTY,
    ANY_LAYOUT,
    ...(indirect ? [INDIRECT_DESC] : []),
    ...(eventIndex ? [EVENT_IDX] : []),
    ...(packed ? [RING_PACKED] : []),
  );
  const adapter = embedded.plugVirtio(device, {
    classCode,
    flavour: transport === "modern" ? "modern" : "legacy",
    ringFeatures: rings | furtherRingFeatures,
    startIndex,
    ...(vectors === undefined ? {} : { vectors }),
  });
  const found = findVirtioAdapters(machine)[0];
  if (found?.on !== "pci") throw new RangeError(`${board.name} shows no adapter`);
  const openTransport = (how: OpenAdapterOptions = {}) =>
    openAdapter(machine, found, {
      prefer: interrupts,
      registers: transport === "modern" ? "modern" : "legacy",
      observer,
      ...how,
    });
  return { machine, adapter, fn: found.fn, dma, openTransport };
}
