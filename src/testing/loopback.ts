/**
 * Both halves in one process: a machine with a virtio-scsi adapter, units on its bus, and our driver on it. One builder
 * for every test of the whole stack, so that set-up is never copied.
 */
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
import { Disk, type LogicalUnit, ScsiBus } from "../scsi/index.js";
import { MemoryStore } from "../storage/index.js";
import { type DriverTransport, featureSet, ringFeatures, type VirtioPciDevice } from "../transport/index.js";
import {
  knownScsiFeatures,
  type ScsiDriverOptions,
  VirtioScsiDevice,
  VirtioScsiDriver,
  type VirtioScsiOptions,
} from "../virtio/index.js";
import { PoisoningDma, type PoisoningDmaOptions } from "./poisoning-dma.js";

/** Register face and byte order: legacy rings are in the guest's order, modern ones little-endian. */
export type LoopbackTransport = "legacy-be" | "legacy-le" | "modern";

/** A unit and its place. */
export interface LoopbackUnit {
  readonly target: number;
  readonly lun: number;
  readonly unit: LogicalUnit;
}

/** What the loopback is made of. */
export interface LoopbackOptions {
  /** Default `modern`. */
  transport?: LoopbackTransport;
  /** Default: a PC, whose processor is big-endian for `legacy-be`. A board says what its drivers find. */
  board?: Board;
  /** Offer and take INDIRECT_DESC. Default true. */
  indirect?: boolean;
  /** Offer and take EVENT_IDX. Default true. */
  eventIndex?: boolean;
  /** Default `msix`. */
  interrupts?: "intx" | "msix";
  /** Where the indices of both halves start. Default 0. */
  startIndex?: number;
  /** Default: one disk of 1 MiB at 0/0 without a power-on attention. */
  units?: readonly LoopbackUnit[];
  /** Bytes of guest memory. Default 8 MiB. */
  ramSize?: number;
  /** Copy and poison what is lent to the device (see {@link PoisoningDma}). Default true. */
  poison?: boolean | PoisoningDmaOptions;
  /** MSI-X vectors of the device. Default: as many as it can use. */
  vectors?: number;
  observer?: Observer;
  faults?: FaultHook;
  device?: VirtioScsiOptions;
  driver?: ScsiDriverOptions;
}

/** A machine with an adapter that no driver has opened yet. */
export interface PluggedLoopback {
  readonly machine: Machine;
  readonly bus: ScsiBus;
  readonly device: VirtioScsiDevice;
  readonly adapter: VirtioPciDevice;
  /** The adapter's function as enumeration found it. */
  readonly fn: PciFunctionHandle;
  /** Undefined with `poison: false`. */
  readonly dma: PoisoningDma | undefined;
  /** Opens the driver transport that the options ask for. */
  openTransport(options?: OpenAdapterOptions): DriverTransport;
  /** Opens a transport and the driver on it. */
  openDriver(options?: ScsiDriverOptions): Promise<VirtioScsiDriver>;
  /** Closes units and machine. */
  unplug(): Promise<void>;
}

/** A machine whose adapter is driven. */
export interface Loopback extends PluggedLoopback {
  readonly driver: VirtioScsiDriver;
  /**
   * Takes the driver off, closes everything and, with poison, asserts that all memory came back.
   * @throws InternalError when memory is still lent or allocated.
   */
  close(): Promise<void>;
}

/** A PC with a big-endian processor: what legacy devices are on PowerPC boards, and with message interrupts. */
export const bigEndianPc: Board = { ...pc, name: "pc-big-endian", endianness: "big" };

/** A disk of `byteLength` bytes of memory at a place. */
export function memoryDisk(target: number, lun: number, byteLength = 1 << 20): LoopbackUnit {
  return { target, lun, unit: new Disk(new MemoryStore(byteLength), { powerOnAttention: false }) };
}

/** Puts an adapter into a machine. */
export function plugLoopback(options: LoopbackOptions = {}): PluggedLoopback {
  const { transport = "modern", indirect = true, eventIndex = true, interrupts = "msix", poison = true } = options;
  const { observer, faults, vectors, startIndex = 0 } = options;
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
  const bus = new ScsiBus();
  for (const { target, lun, unit } of options.units ?? [memoryDisk(0, 0)]) bus.attach(target, lun, unit);
  const device = new VirtioScsiDevice(bus, { faults, observer, ...options.device });
  const { INDIRECT_DESC, EVENT_IDX, NOTIFY_ON_EMPTY, ANY_LAYOUT } = ringFeatures;
  const rings = featureSet(
    NOTIFY_ON_EMPTY,
    ANY_LAYOUT,
    ...(indirect ? [INDIRECT_DESC] : []),
    ...(eventIndex ? [EVENT_IDX] : []),
  );
  const adapter = embedded.plugVirtio(device, {
    classCode: 0x010000,
    flavour: transport === "modern" ? "modern" : "legacy",
    ringFeatures: rings,
    startIndex,
    ...(vectors === undefined ? {} : { vectors }),
  });
  const found = findVirtioAdapters(machine)[0];
  if (found?.on !== "pci") throw new RangeError(`${board.name} shows no adapter`);
  const { fn } = found;
  const openTransport = (how: OpenAdapterOptions = {}) =>
    openAdapter(machine, found, {
      prefer: interrupts,
      registers: transport === "modern" ? "modern" : "legacy",
      observer,
      ...how,
    });
  const openDriver = (how: ScsiDriverOptions = {}) =>
    VirtioScsiDriver.open(openTransport(), {
      features: knownScsiFeatures,
      startIndex,
      observer,
      ...options.driver,
      ...how,
    });
  const unplug = async () => {
    device.close();
    await bus.close();
    await machine.close();
  };
  return { machine, bus, device, adapter, fn, dma, openTransport, openDriver, unplug };
}

/** Puts an adapter into a machine and opens our driver on it. */
export async function createLoopback(options: LoopbackOptions = {}): Promise<Loopback> {
  const plugged = plugLoopback(options);
  const driver = await plugged.openDriver();
  return {
    ...plugged,
    driver,
    async close() {
      await driver.close();
      await plugged.unplug();
      plugged.dma?.assertNothingAllocated();
    },
  };
}
