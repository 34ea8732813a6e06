/** A board with adapters and the images behind them, whatever platform it is on. */
import type { Board, Machine } from "../machine/index.js";
import type { Observer } from "../observe/index.js";
import type { DeviceKind } from "./driven.js";
import { UsageError } from "./errors.js";
import type { FunctionKind } from "./extra-functions.js";
import type { PlacedImage } from "./image-argument.js";

/** The machine of a call that names none. */
export const usualMachine = "pegasos2";

/** The same on a platform that is one machine. */
export function usualMachineOf(platform: string): string {
  return platform === "fs-uae" ? "a4000" : usualMachine;
}

/** Whether a board's adapter is an A4091, and not a virtio one. */
export function hasA4091(board: Board): boolean {
  return board.zorro !== undefined && board.adapters === undefined && board.mmio === undefined;
}

/** What of a call concerns the machine. */
export interface MachineChoice {
  readonly platform: string;
  readonly device?: DeviceKind;
  readonly registers: RegisterChoice;
  readonly ram?: number;
  readonly qemu?: string;
  readonly packed?: boolean;
}

/** @throws UsageError when options do not go with the machine or with one another */
export function checkPlatform(board: Board, options: MachineChoice): void {
  const { name } = board;
  const isAmiga = hasA4091(board);
  const { platform } = options;
  if (platform === "fs-uae" && !isAmiga) throw new UsageError(`fs-uae is an Amiga, not ${name}: say --machine a4000`);
  if (!isAmiga) {
    if (options.packed === true && registersFor(board, options.registers) === "legacy") {
      const otherwise = options.registers === "legacy" ? "leave out --registers legacy" : "say --registers modern";
      throw new UsageError(`legacy registers have no packed rings: leave out --packed, or ${otherwise}`);
    }
    return;
  }
  if (platform === "qemu") throw new UsageError(`QEMU has no ${name}: leave out --platform, or say --platform fs-uae`);
  if (options.device !== undefined) throw new UsageError(`${name} has an A4091, no virtio device: leave out --device`);
  if (options.registers !== "auto") throw new UsageError(`${name} has no virtio registers: leave out --registers`);
  if (options.packed !== undefined) {
    throw new UsageError(`${name} has an A4091, no virtio rings: leave out --${options.packed ? "" : "no-"}packed`);
  }
  if (platform === "fs-uae" && options.ram !== undefined) {
    throw new UsageError("fs-uae's memory is as large as it is: leave out --ram");
  }
}

/** Which register interface the driver is to use; `auto` is what the board's operating system would use. */
export type RegisterChoice = "auto" | "legacy" | "modern";

/** What a platform needs to bring up a machine with the images that were named. */
export interface PlatformOptions {
  readonly board: Board;
  /** What the images are behind: one virtio-scsi adapter, or a virtio-blk adapter each. */
  readonly device: DeviceKind;
  readonly images: readonly PlacedImage[];
  /** Functions besides the adapters of the images, behind them. */
  readonly functions?: readonly FunctionKind[] | undefined;
  /** Put adapters into virtio-mmio windows; otherwise only where the board has no other place for them. */
  readonly inWindows: boolean;
  /** Serve drivers that do not take VERSION_1 although the device is modern. */
  readonly tolerant: boolean;
  /** Writes go to the images. Otherwise to a scratch overlay, which is forgotten at the end. */
  readonly write: boolean;
  readonly registers: RegisterChoice;
  /** Packed rings: QEMU's devices offer them when true, ours do not when false. */
  readonly packed?: boolean | undefined;
  /** Bytes. */
  readonly ram?: number | undefined;
  /** Takes images as raw disks, whatever they look like. */
  readonly insistRaw: boolean;
  readonly qemuPath?: string | undefined;
  readonly observer?: Observer | undefined;
}

/** A machine that was brought up, and what a report says of its platform. */
export interface PlatformMachine {
  readonly machine: Machine;
  /** The QEMU command that was started, for a shell. */
  readonly command?: string;
  /** The machine's processor does not run, which some devices wait for. */
  readonly isStopped?: boolean;
  /** Bytes of random places that a verification looks at, where the usual number takes too long. */
  readonly randomBytes?: number;
  close(): Promise<void>;
}

/** Platforms by name; each is loaded when it is asked for. */
const platforms: Readonly<Record<string, () => Promise<(options: PlatformOptions) => Promise<PlatformMachine>>>> = {
  embedded: async () => (await import("./platform-embedded.js")).startEmbedded,
  qemu: async () => (await import("./platform-qemu.js")).startQemu,
  "fs-uae": async () => (await import("./platform-fs-uae.js")).startFsUae,
};

/** Values of `--platform`. */
export const platformNames: readonly string[] = Object.keys(platforms);

/** Brings the board up. @throws UsageError, ImageError, QemuError */
export async function startPlatform(name: string, options: PlatformOptions): Promise<PlatformMachine> {
  const start = await platforms[name]();
  return start(options);
}

/**
 * The register interface for a board. `auto` is what its operating system uses: a big-endian board with a transitional
 * adapter (AmigaOne) has a legacy driver, which is where guest-native rings matter; others take modern where it is.
 */
export function registersFor(board: Board, choice: RegisterChoice): RegisterChoice {
  const isLegacyBoard = board.endianness === "big" && board.adapters?.virtio === "transitional";
  return choice === "auto" && isLegacyBoard ? "legacy" : choice;
}

/** The PCI interface that the adapter needs to have for what was asked. */
export function adapterFlavour(board: Board, registers: RegisterChoice): "transitional" | "modern" {
  return registers === "legacy" ? "transitional" : (board.adapters?.virtio ?? "transitional");
}

/** MSI-X vectors of an adapter: configuration and each of its queues; none where the board takes none. */
export function adapterVectors(board: Board, device: DeviceKind): number {
  const queues = { scsi: 3, blk: 1 }[device];
  return board.bridges[board.adapters?.bridge ?? 0]?.messageInterrupts === true ? 1 + queues : 0;
}

/** Whether adapters go into virtio-mmio windows. @throws UsageError when there are not as many places as adapters */
export function goesIntoWindows(options: PlatformOptions): boolean {
  const { board, device, images, functions = [] } = options;
  const inWindows = options.inWindows || board.adapters === undefined;
  const places = inWindows ? (board.mmio?.windows.length ?? 0) : (board.adapters?.slots.length ?? 0);
  const adapters = device === "blk" ? images.length : 1;
  if (adapters + functions.length <= places) return inWindows;
  if (functions.length > 0) {
    throw new UsageError(
      `${board.name} has ${places} place${places === 1 ? "" : "s"} for adapters, and ${adapters} are for images: --with may name ${Math.max(0, places - adapters)}, not ${functions.length}`,
    );
  }
  throw new UsageError(
    `${board.name} has room for ${places} virtio-blk adapters, and ${adapters} images were given: leave some out, or say --device scsi`,
  );
}
