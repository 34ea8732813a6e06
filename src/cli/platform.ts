/** A board with one virtio-scsi adapter and the images behind it, whatever platform it is on. */
import type { Board, Machine } from "../machine/index.js";
import type { Observer } from "../observe/index.js";
import type { PlacedImage } from "./image-argument.js";

/** Which register interface the driver is to use; `auto` is what the board's operating system would use. */
export type RegisterChoice = "auto" | "legacy" | "modern";

/** What a platform needs to bring up a machine with the images that were named. */
export interface PlatformOptions {
  readonly board: Board;
  readonly images: readonly PlacedImage[];
  /** Writes go to the images. Otherwise to a scratch overlay, which is forgotten at the end. */
  readonly write: boolean;
  readonly registers: RegisterChoice;
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
  close(): Promise<void>;
}

/** Platforms by name; each is loaded when it is asked for. */
const platforms: Readonly<Record<string, () => Promise<(options: PlatformOptions) => Promise<PlatformMachine>>>> = {
  embedded: async () => (await import("./platform-embedded.js")).startEmbedded,
  qemu: async () => (await import("./platform-qemu.js")).startQemu,
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

/** MSI-X vectors of the adapter: configuration, control, events, one request queue; none where the board takes none. */
export function adapterVectors(board: Board): number {
  return board.bridges[board.adapters?.bridge ?? 0]?.messageInterrupts === true ? 4 : 0;
}
