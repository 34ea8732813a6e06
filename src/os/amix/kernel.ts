/** The kernel's SCSI stack put together: address space, `autocon`, cards, disks, pass-through. */
import type { RegisterWindow } from "../../bytes/index.js";
import type { DmaMemory, GuestMemory } from "../../memory/index.js";
import type { HostAdapter } from "../../ncr53c710/index.js";
import type { Observer } from "../../observe/index.js";
import { a3091Queue, type OnboardScsi } from "./a3091.js";
import { HostAdapterA4091 } from "./a4091-host-adapter.js";
import { SeedA4091 } from "./a4091-seed.js";
import { Autocon, type ConfigRecord } from "./autocon.js";
import type { ChipsetGate } from "./chipset.js";
import { DiskDriver } from "./dd.js";
import { gsioCapacity } from "./gsio.js";
import { PassThrough } from "./gsioctl.js";
import { KernelSpace } from "./kernel-space.js";
import { type AmixProfile, amixProfiles } from "./profile.js";
import { RawDisks } from "./rdsk.js";
import { type QueueFunction, SdRegistry } from "./sd.js";

/** What the kernel runs on. */
export interface AmixHardware {
  /** Physical addresses. */
  readonly memorySpace: RegisterWindow;
  readonly memory: GuestMemory;
  readonly dma: DmaMemory;
  /** Boards as the boot loader found them. */
  readonly records: readonly ConfigRecord[];
  /** The A3000's own SCSI; undefined on machines without. */
  readonly onboard?: OnboardScsi | undefined;
  /** Host adapters' drivers by the bases of their boards, for the extended profile. */
  readonly adapters?: ReadonlyMap<number, HostAdapter>;
}

/** How the kernel is started. */
export interface AmixOptions {
  /** One of the two by name, or a mixture. Default `extended`. */
  readonly profile?: AmixProfile["name"] | AmixProfile;
  /** Default the profile's. */
  readonly gate?: ChipsetGate | undefined;
  /** First address behind the kernel. Default 0x07100000: a kernel in fast memory. */
  readonly kernelEnd?: number;
  /** Pages that `sptalloc` has. */
  readonly mapPages?: number;
  /** Milliseconds until a command to a phantom controller is given up. Default 250. */
  readonly patience?: number;
  /** The console, a line at a time. */
  readonly print?: (line: string) => void;
  readonly observer?: Observer | undefined;
}

const usualKernelEnd = 0x0710_0000;

/** A running kernel. */
export class AmixKernel {
  readonly profile: AmixProfile;
  readonly space: KernelSpace;
  readonly autocon: Autocon;
  readonly sd: SdRegistry;
  readonly disks: DiskDriver;
  readonly raw: RawDisks;
  readonly passThrough: PassThrough;
  /** What it printed. */
  readonly console: string[] = [];
  readonly dma: DmaMemory;
  readonly #seed: SeedA4091 | undefined;

  constructor(hardware: AmixHardware, options: AmixOptions = {}) {
    const { memory, dma, memorySpace, records, onboard } = hardware;
    const { observer, kernelEnd = usualKernelEnd, patience } = options;
    const { profile: wanted = "extended" } = options;
    const profile = typeof wanted === "string" ? amixProfiles[wanted] : wanted;
    const gate = options.gate ?? profile.gate;
    const print = (line: string) => {
      this.console.push(line);
      options.print?.(line);
    };
    this.profile = profile;
    this.dma = dma;
    this.space = new KernelSpace(memorySpace, options.mapPages);
    const { space } = this;
    this.autocon = new Autocon({ records, kernelEnd, gate, space });
    const { autocon } = this;
    this.#seed = profile.a4091 === "seed" ? new SeedA4091({ space, autocon, memory, dma, observer }) : undefined;
    const adapters = hardware.adapters ?? new Map<number, HostAdapter>();
    const cardBase = (card: number) => this.sd.cardBase(card);
    const drivers: Record<string, QueueFunction> = {
      a3091queue: a3091Queue({ controller: onboard, observer, ...(patience === undefined ? {} : { patience }) }),
      a4091queue: this.#seed?.queue ?? new HostAdapterA4091({ memory, adapters, cardBase, observer }).queue,
    };
    this.sd = new SdRegistry({ autocon, profile, drivers, print });
    const { sd } = this;
    this.passThrough = new PassThrough({ sd, dma, profile });
    const capacity = async (card: number, unit: number) => {
      return (await gsioCapacity(this.passThrough, { card, unit }))?.blocks;
    };
    this.disks = new DiskDriver({ sd, dma, profile, print, capacity });
    this.raw = new RawDisks(this.disks, dma);
  }

  /** Gives all memory back. Nothing may be under way. */
  close(): void {
    this.disks.close();
    this.passThrough.close();
    this.#seed?.close();
  }
}
