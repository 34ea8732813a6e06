/**
 * A board as data: where its memory, its PCI host bridges and their windows are. Platforms build it (`embedded`) or
 * find it (`qemu`); drivers only see this description and a {@link Machine}.
 */
import type { Endianness } from "../bytes/index.js";
import type { BridgeDescription } from "../pci/index.js";
import type { ConfigArea } from "../zorro/index.js";
import type { MmioDescription } from "./mmio.js";

/** How QEMU has this board. */
export interface QemuBoard {
  /** Suffix of the program: `qemu-system-ppc`. */
  readonly system: "ppc" | "x86_64" | "riscv64" | "arm" | "aarch64";
  /** Value of `-machine`. */
  readonly machine: string;
  /** Oldest version that has the machine. */
  readonly minimumVersion: readonly [major: number, minor: number];
  /**
   * Bytes of an all-zero image for `-bios`, for a machine that does not start without firmware; 0 when none is needed.
   * The processor never runs.
   */
  readonly firmwareSize: number;
  /** Bytes of memory that lie in one piece from `ramBase` on; with more QEMU splits it. Undefined: as much as one likes. */
  readonly largestRam?: number;
  /** Options that only newer versions take, and need: `-audio driver=none` where sound would be opened. */
  readonly options: readonly { readonly sinceMajor: number; readonly arguments: readonly string[] }[];
}

/** A board's Zorro III bus. */
export interface ZorroDescription {
  /** Where boards without an address answer; the first one is what a system uses. */
  readonly configAreas: readonly ConfigArea[];
  /** Bytes of each of these areas. */
  readonly configAreaSize: number;
  /** Where boards can be given addresses. */
  readonly space: { readonly start: number; readonly end: number };
  /** What the board's operating system gives the first one. */
  readonly firstBase: number;
  readonly slots: number;
}

/** What an Amiga has beside its Zorro bus. */
export interface AmigaDescription {
  /** Id of Agnus or Alice, as VPOSR gives it in bits 14:8: 20h ECS PAL, 30h ECS NTSC, 23h AGA PAL, … */
  readonly agnus: number;
  /** Low byte of DENISEID: FCh ECS, F8h AGA. */
  readonly denise: number;
  /** The A3000's SCSI, a WD33C93 behind a DMA controller. */
  readonly onboardScsi: boolean;
}

/** Where adapters that a user asks for are plugged in. */
export interface AdapterPlace {
  /** Index in `bridges`. */
  readonly bridge: number;
  /** Free slots, in the order in which they are filled. */
  readonly slots: readonly number[];
  /** The same bus as QEMU names it (`bus=`). */
  readonly qemuBus: string;
  /** What an operating system of this board expects: 0x1000-range ids with I/O registers, or 0x1040-range ones. */
  readonly virtio: "transitional" | "modern";
}

export interface Board {
  readonly name: string;
  /** One line for people. */
  readonly title: string;
  /** The processor's byte order: that of legacy virtio rings and configuration (virtio 0.9.5). */
  readonly endianness: Endianness;
  readonly ramBase: number;
  /** Bytes of memory unless the caller wants more. */
  readonly defaultRamSize: number;
  /** Host bridges in the order in which an operating system finds them. */
  readonly bridges: readonly BridgeDescription[];
  /** Undefined for a board without PCI. */
  readonly adapters?: AdapterPlace;
  /** Undefined for a board without virtio-mmio. */
  readonly mmio?: MmioDescription;
  /** Undefined for a board without Zorro III. */
  readonly zorro?: ZorroDescription;
  /** Undefined for a board that is no Amiga. */
  readonly amiga?: AmigaDescription;
  /** Undefined when QEMU does not have this board. */
  readonly qemu?: QemuBoard;
}
