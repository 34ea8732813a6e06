/** Operating-system faces that `run --os` has: one entry each. */
import type { Board, Machine } from "../machine/index.js";
import type { DeviceKind, DrivenSession, DriveOptions } from "./driven.js";

/** Values of `--profile`. */
export const profileNames = ["strict", "extended"] as const;

/** What a face does: what the original did, or what it should have done. */
export type ProfileName = (typeof profileNames)[number];

/** What a face is opened with. */
export interface FaceOptions extends DriveOptions {
  readonly profile: ProfileName;
}

/** One face. */
export interface Face {
  /** For messages. */
  readonly title: string;
  /** Unless `--machine` says otherwise. */
  readonly machine: string;
  /** Adapters that it drives. */
  readonly device: DeviceKind;
  /** Images that it takes. */
  readonly mostImages: number;
  /** What the board must have that this one has not, or undefined when the face fits. */
  readonly lacks: (board: Board) => string | undefined;
  /** `--ls` and `--cat` work. */
  readonly readsFiles: boolean;
  /** The device must serve drivers that do not take VERSION_1. */
  readonly needsTolerance: (profile: ProfileName) => boolean;
  /** Loads the face. */
  readonly load: () => Promise<(machine: Machine, options: FaceOptions) => Promise<DrivenSession>>;
}

/** Every face by its name. */
export const faces: Readonly<Record<string, Face>> = {
  xv6: {
    title: "xv6",
    machine: "riscv-virt",
    device: "blk",
    mostImages: 1,
    lacks: (board) => (board.mmio === undefined ? "virtio-mmio windows" : undefined),
    readsFiles: true,
    needsTolerance: (profile) => profile === "strict",
    load: async () => (await import("./face-xv6.js")).driveXv6,
  },
};
