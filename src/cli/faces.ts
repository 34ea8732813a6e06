/** Operating-system faces that `run --os` has: one entry each. */
import type { Board, Machine } from "../machine/index.js";
import type { ChipsetGate } from "../os/index.js";
import type { DeviceKind, DrivenSession, DriveOptions } from "./driven.js";
import type { ImageArgument, PlacedImage } from "./image-argument.js";
import type { PlatformMachine, PlatformOptions } from "./platform.js";
import type { Plan, RunOptions } from "./run-plan.js";

/** Values of `--profile`. */
export const profileNames = ["strict", "extended"] as const;

/** What a face does: what the original did, or what it should have done. */
export type ProfileName = (typeof profileNames)[number];

/** What a face is opened with. */
export interface FaceOptions extends DriveOptions {
  readonly profile: ProfileName;
  /** Of the driver's own messages, 0…5. */
  readonly debugLevel: number;
  /** Where they go. */
  readonly com1: { write(bytes: Uint8Array): void } | undefined;
  /** How Amix decides about the A3000's SCSI. */
  readonly autocon?: ChipsetGate | undefined;
}

/** Machines of a face that are put together in its own way. */
export interface OwnMachine {
  /** Gives every image its place. @throws UsageError */
  place(images: readonly ImageArgument[], plan: Plan, options: RunOptions): PlacedImage[];
  /** Brings the machine up. @throws UsageError, ImageError */
  start(platform: PlatformOptions, plan: Plan, options: RunOptions): Promise<PlatformMachine>;
}

/** One face. */
export interface Face {
  /** Unless `--machine` says otherwise. */
  readonly machine: string;
  /** Adapters that it drives, and where they are. */
  readonly device: DeviceKind;
  readonly bus: "pci" | "mmio" | "zorro";
  /** Images that it takes. */
  readonly mostImages: number;
  /** What else this board has not that the face needs. */
  readonly lacks?: (board: Board) => string | undefined;
  /** `--ls` and `--cat` work. */
  readonly readsFiles: boolean;
  /** `--debug-level` and `--com1` work. */
  readonly printsMessages: boolean;
  /** Profiles whose driver does not take VERSION_1 and is to be served all the same. */
  readonly tolerated: readonly ProfileName[];
  /** Undefined where the machine is as it is without the face. With it goes `--platform embedded` only. */
  readonly ownMachine?: () => Promise<OwnMachine>;
  /** Loads the face. */
  readonly load: () => Promise<(machine: Machine, options: FaceOptions) => Promise<DrivenSession>>;
}

/** Every face by its name. */
export const faces: Readonly<Record<string, Face>> = {
  xv6: {
    ...{ machine: "riscv-virt", device: "blk", bus: "mmio", mostImages: 1 },
    ...{ readsFiles: true, printsMessages: false, tolerated: ["strict"] },
    load: async () => (await import("./face-xv6.js")).driveXv6,
  },
  storport: {
    ...{ machine: "pc", device: "blk", bus: "pci", mostImages: Number.POSITIVE_INFINITY },
    ...{ readsFiles: false, printsMessages: true, tolerated: [] },
    lacks: (board) => (board.endianness === "little" ? undefined : "little-endian processor"),
    load: async () => (await import("./face-storport.js")).driveStorport,
  },
  amix: {
    ...{ machine: "a4000", device: "scsi", bus: "zorro", mostImages: Number.POSITIVE_INFINITY },
    ...{ readsFiles: true, printsMessages: true, tolerated: [] },
    lacks: (board) => (board.amiga === undefined ? "Amiga chips" : undefined),
    ownMachine: async () => (await import("./amix-machine.js")).amixMachine,
    load: async () => (await import("./face-amix.js")).driveAmix,
  },
  amigaos: {
    ...{ machine: "pegasos2", device: "scsi", bus: "pci", mostImages: Number.POSITIVE_INFINITY },
    ...{ readsFiles: true, printsMessages: true, tolerated: [] },
    lacks: (board) => (board.endianness === "big" ? undefined : "big-endian processor"),
    load: async () => (await import("./face-amigaos.js")).driveAmigaos,
  },
};
