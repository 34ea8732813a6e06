/** The Storport face over our own virtio-blk device, in one process; buffers are copied and poisoned. */
import { type RegisterWindow, readRegister, windowOf, writeRegister } from "../bytes/index.js";
import { findVirtioAdapters, type Machine, pc } from "../machine/index.js";
import { MemoryRegion, Scatter } from "../memory/index.js";
import type { FaultHook } from "../observe/index.js";
import { type OpenStorportOptions, openStorport, type StorportAdapter, type StorportDisk } from "../os/index.js";
import type { PciFunctionHandle } from "../pci/index.js";
import { EmbeddedMachine, type EmbeddedVirtioOptions } from "../platform/embedded/index.js";
import { MemoryStore, type Store } from "../storage/index.js";
import type { VirtioPciDevice, VirtioPciFlavour } from "../transport/index.js";
import { VirtioBlkDevice, type VirtioBlkOptions } from "../virtio/index.js";
import { PoisoningDma } from "./poisoning-dma.js";

/** What the loop is made of. */
export interface StorportLoopOptions extends OpenStorportOptions {
  /** Register interfaces of the device. Default `modern`. */
  readonly flavour?: VirtioPciFlavour;
  readonly device?: VirtioBlkOptions;
  readonly plug?: Partial<EmbeddedVirtioOptions>;
  /** Default: 1 MiB of memory. */
  readonly store?: Store;
  readonly faults?: FaultHook;
  /** Bytes of memory. Default 16 MiB. */
  readonly ramSize?: number;
  /** False: buffers go to the device as they are. Default true. */
  readonly poison?: boolean;
}

/** A machine with a disk that no driver has opened. */
export interface StorportBay {
  readonly machine: Machine;
  readonly device: VirtioBlkDevice;
  readonly function: VirtioPciDevice;
  readonly adapter: StorportAdapter & { readonly fn: PciFunctionHandle };
  readonly dma: PoisoningDma | undefined;
  readonly store: Store;
  /** Pulls the adapter out of its slot: its registers read all ones from now on. */
  pull(): void;
  /** What the disk holds. */
  stored(offset: number, length: number): Promise<Uint8Array>;
  unplug(): Promise<void>;
}

/** A machine whose disk is driven by the face. */
export interface StorportLoop extends StorportBay {
  readonly disk: StorportDisk;
  /** Takes everything down. @throws InternalError when memory is still lent. */
  close(): Promise<void>;
}

/** Puts a disk into a PC. */
export function plugStorportBay(options: StorportLoopOptions = {}): StorportBay {
  const { flavour = "modern", faults, ramSize = 16 << 20, poison = true, observer } = options;
  const store = options.store ?? new MemoryStore(1 << 20);
  const embedded = new EmbeddedMachine(pc, { ramSize, observer });
  const dma = poison ? new PoisoningDma(embedded.dma, {}) : undefined;
  let isPulled = false;
  const pullable = (window: RegisterWindow) =>
    windowOf(
      (offset, width) => (isPulled ? 2 ** (8 * width) - 1 : readRegister(window, offset, width)),
      (offset, width, value) => {
        if (!isPulled) writeRegister(window, offset, width, value);
      },
    );
  const machine: Machine = {
    board: pc,
    memorySpace: pullable(embedded.memorySpace),
    portSpace: embedded.portSpace && pullable(embedded.portSpace),
    memory: embedded.memory,
    dma: dma ?? embedded.dma,
    interrupts: embedded.interrupts,
    idle: (milliseconds) => embedded.idle(milliseconds),
    close: () => embedded.close(),
  };
  const device = new VirtioBlkDevice(store, { faults, ...options.device });
  const plugged = embedded.plugVirtio(device, { classCode: 0x010000, flavour, ...options.plug });
  const adapter = findVirtioAdapters(machine)[0];
  if (adapter?.on !== "pci") throw new RangeError("the PC shows no adapter");
  return {
    machine,
    device,
    function: plugged,
    adapter,
    dma,
    store,
    pull() {
      isPulled = true;
    },
    async stored(offset, length) {
      const region = new MemoryRegion(0, new Uint8Array(length));
      const target = new Scatter();
      target.push(region, 0, length);
      await store.read(offset, target, length);
      return region.bytes;
    },
    async unplug() {
      device.close();
      await store.close();
      await machine.close();
    },
  };
}

/** Puts a disk into a PC and opens the face on it. */
export async function openStorportLoop(options: StorportLoopOptions = {}): Promise<StorportLoop> {
  const bay = plugStorportBay(options);
  const disk = await openStorport(bay.machine, bay.adapter, options);
  return {
    ...bay,
    disk,
    async close() {
      await disk.close();
      await bay.unplug();
      bay.dma?.assertNothingAllocated();
    },
  };
}

/** Bytes that differ from block to block. */
export function diskPattern(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 7 + (index >>> 9) * 13 + seed) & 0xff);
}
