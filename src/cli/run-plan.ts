/** What `ringside run` shall bring up: its options, checked against each other. */
import { type Board, boardNamed, withMmioWindows } from "../machine/index.js";
import type { TraceCategory } from "../observe/index.js";
import type { ChipsetGate } from "../os/index.js";
import { type InterruptPreference, type MmioWindow, parseMmioWindows } from "../transport/index.js";
import type { DeviceKind } from "./driven.js";
import { asUsageError, UsageError } from "./errors.js";
import type { FunctionKind } from "./extra-functions.js";
import { type Face, faces, type ProfileName } from "./faces.js";
import { checkPlatform, hasA4091, type RegisterChoice, usualMachineOf } from "./platform.js";

/** The options as the command line gives them. */
export interface RunOptions {
  readonly machine?: string;
  readonly platform: string;
  readonly os?: string;
  readonly profile?: ProfileName;
  readonly device?: DeviceKind;
  readonly virtioMmio: readonly string[];
  /** Virtio functions besides the adapters of the images. */
  readonly with?: readonly FunctionKind[];
  readonly debugLevel?: number;
  readonly com1?: string;
  readonly ls?: string;
  readonly cat?: string;
  readonly qemu?: string;
  readonly ram?: number;
  readonly write: boolean;
  readonly json: boolean;
  readonly hash: boolean;
  readonly trace?: readonly TraceCategory[];
  readonly registers: RegisterChoice;
  /** Packed rings: QEMU's devices offer them when true, ours do not when false. */
  readonly packed?: boolean;
  readonly interrupts: InterruptPreference;
  readonly seed?: number;
  readonly format?: "raw";
  /** Amix: the Zorro boards, separated by commas. */
  readonly boards?: string;
  /** Amix: how the kernel decides about the A3000's SCSI. */
  readonly autocon?: ChipsetGate;
  /** Amix: the chip id that VPOSR gives. */
  readonly chipset?: number;
}

/** What shall be brought up: the options, checked against each other. */
export interface Plan {
  readonly board: Board;
  readonly device: DeviceKind;
  readonly inWindows: boolean;
  readonly face: Face | undefined;
  readonly profile: ProfileName;
}

/** @throws UsageError when options do not go together */
export function planOf(options: RunOptions, images: number): Plan {
  const { os, profile, ls, cat } = options;
  const face = os === undefined ? undefined : faces[os];
  if (face === undefined && profile !== undefined) throw new UsageError("--profile is a face's: say --os too");
  if ((ls !== undefined || cat !== undefined) && face?.readsFiles !== true) {
    const readers = Object.keys(faces).filter((name) => faces[name].readsFiles);
    throw new UsageError(`--ls and --cat need a face that reads a file system: say --os ${readers.join(" or --os ")}`);
  }
  if ((options.debugLevel !== undefined || options.com1 !== undefined) && face?.printsMessages !== true) {
    const printers = Object.keys(faces).filter((name) => faces[name].printsMessages);
    throw new UsageError(
      `--debug-level and --com1 are for a driver's own messages: say --os ${printers.join(" or --os ")}`,
    );
  }
  const ofAmix = (["boards", "autocon", "chipset"] as const).find((name) => options[name] !== undefined);
  if (ofAmix !== undefined && os !== "amix")
    throw new UsageError(`--${ofAmix} is for an Amiga with Amix: say --os amix`);
  if (ls !== undefined && cat !== undefined) throw new UsageError("say either --ls or --cat");
  if (cat !== undefined && options.json) throw new UsageError("--cat prints the file as it is: leave out --json");
  const own = boardNamed(options.machine ?? face?.machine ?? usualMachineOf(options.platform));
  checkPlatform(own, options);
  checkFunctions(own, options);
  const windows = windowsOf(options.virtioMmio);
  if (windows.length > 0 && options.platform !== "embedded") {
    throw new UsageError("other machines have the windows that they have: --virtio-mmio goes with --platform embedded");
  }
  const board = windows.length === 0 ? own : boardWith(own, windows, options.ram);
  const inWindows = windows.length > 0 || face?.bus === "mmio";
  const usual = (board.adapters === undefined && !hasA4091(board)) || inWindows ? "blk" : "scsi";
  const device = options.device ?? face?.device ?? usual;
  if (face === undefined) return { board, device, inWindows, face, profile: profile ?? "extended" };
  checkFace(os ?? "", face, board, images, options);
  if (inWindows && face.bus === "pci") throw new UsageError(`--os ${os} drives PCI adapters: leave out --virtio-mmio`);
  return { board, device, inWindows, face, profile: profile ?? "extended" };
}

function checkFunctions(board: Board, { with: functions = [], os, registers }: RunOptions): void {
  if (functions.length === 0) return;
  if (os !== undefined) throw new UsageError(`--os ${os} drives disks only: leave out --with`);
  if (hasA4091(board)) throw new UsageError(`${board.name} has an A4091, no virtio device: leave out --with`);
  if (functions.includes("rpmsg") && registers === "legacy") {
    throw new UsageError("rpmsg has modern registers only: leave it out of --with, or leave out --registers");
  }
}

function checkFace(name: string, face: Face, board: Board, images: number, options: RunOptions): void {
  const place = { mmio: board.mmio, pci: board.adapters, zorro: board.zorro }[face.bus];
  const missing = { mmio: "virtio-mmio windows", pci: "PCI slots", zorro: "Zorro bus" }[face.bus];
  const lacks = place === undefined ? missing : face.lacks?.(board);
  if (lacks !== undefined) {
    throw new UsageError(`--os ${name} does not fit ${board.name}, which has no ${lacks}: leave out --machine`);
  }
  if ((options.device ?? face.device) !== face.device) {
    throw new UsageError(`--os ${name} drives virtio-${face.device}: leave out --device`);
  }
  if (face.ownMachine !== undefined && options.platform !== "embedded") {
    throw new UsageError(`--os ${name} has machines of its own here: leave out --platform`);
  }
  if (face.bus === "zorro" && options.virtioMmio.length > 0) {
    throw new UsageError(`--os ${name} drives Zorro boards: leave out --virtio-mmio`);
  }
  if (options.registers !== "auto") throw new UsageError(`--os ${name} chooses its registers: leave out --registers`);
  if (images > face.mostImages) {
    throw new UsageError(`--os ${name} takes ${face.mostImages} image, and ${images} were given`);
  }
}

/** @throws UsageError */
function windowsOf(texts: readonly string[]): MmioWindow[] {
  try {
    return parseMmioWindows(...texts);
  } catch (error) {
    throw asUsageError(error);
  }
}

/** @throws UsageError */
function boardWith(board: Board, windows: readonly MmioWindow[], ram: number | undefined): Board {
  try {
    return withMmioWindows(board, windows, ram);
  } catch (error) {
    throw asUsageError(error);
  }
}
