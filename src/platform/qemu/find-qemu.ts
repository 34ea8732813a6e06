/**
 * Which QEMU runs which board, and where one is found.
 */
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { basename, delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { UnsupportedError } from "../../errors/index.js";
import type { Board, QemuBoard } from "../../machine/index.js";

/** A QEMU that can be the board. */
export interface QemuProgram {
  readonly path: string;
  /** `10.0.2` */
  readonly version: string;
  readonly major: number;
  readonly machines: ReadonlySet<string>;
}

const known = new Map<string, QemuProgram>();

/**
 * Asks a program for its version and machines.
 * @throws UnsupportedError when it cannot be run or is not QEMU.
 */
export function inspectQemu(path: string): QemuProgram {
  const before = known.get(path);
  if (before !== undefined) return before;
  const version = /QEMU emulator version (\d+)\.(\d+)(?:\.\d+)?/.exec(ask(path, "--version"));
  if (version === null)
    throw new UnsupportedError(`${path} is not a QEMU system emulator: it does not tell its version`);
  const machines = new Set<string>();
  for (const line of ask(path, "-machine", "help").split("\n").slice(1)) {
    const name = line.split(" ", 1)[0];
    if (name !== "") machines.add(name);
  }
  const program = {
    path,
    version: version[0].slice("QEMU emulator version ".length),
    major: Number(version[1]),
    machines,
  };
  known.set(path, program);
  return program;
}

function ask(path: string, ...args: string[]): string {
  const result = spawnSync(path, args, { encoding: "utf8", timeout: 20_000, stdio: ["ignore", "pipe", "pipe"] });
  if (result.error !== undefined) {
    const code = (result.error as NodeJS.ErrnoException).code ?? result.error.message;
    const reason = { ENOENT: "there is no such file", EACCES: "it is not a program that may be run" }[code] ?? code;
    throw new UnsupportedError(`QEMU at ${path} cannot be run: ${reason}`);
  }
  if (result.status !== 0) {
    const words = result.stderr.trim().split("\n").at(-1) ?? "";
    throw new UnsupportedError(
      `${path} is not a QEMU system emulator (${args.join(" ")}: ${words.slice(0, 200) || `exit status ${result.status}`})`,
    );
  }
  return result.stdout;
}

/** How QEMU has a board. @throws UnsupportedError when it does not. */
export function qemuBoard(board: Board): QemuBoard {
  if (board.qemu === undefined) throw new UnsupportedError(`QEMU has no machine like ${board.name}`);
  return board.qemu;
}

/**
 * Finds a QEMU for a board: `explicit` and nothing else when given; otherwise the first that has the machine, of PATH,
 * the folder or program that the environment names in RINGSIDE_QEMU10, and `.peers/qemu10` of this checkout.
 * @throws UnsupportedError with one line that says what to install.
 */
export function findQemu(board: Board, explicit?: string): QemuProgram {
  const { machine, minimumVersion, system } = qemuBoard(board);
  const program = `qemu-system-${system}`;
  const advice = adviceFor(program, minimumVersion);
  let lacking: QemuProgram | undefined;
  for (const path of explicit === undefined ? candidatesFor(program) : [explicit]) {
    const found = inspectQemu(path);
    if (found.machines.has(machine)) return found;
    lacking ??= found;
  }
  if (lacking === undefined) throw new UnsupportedError(`no ${program} found for machine ${machine}: ${advice}`);
  throw new UnsupportedError(`QEMU ${lacking.version} at ${lacking.path} has no machine ${machine}: ${advice}`);
}

/** Debian's packages, where they are not called as the program is. */
const packages: Readonly<Record<string, string>> = {
  "qemu-system-x86_64": "qemu-system-x86",
  "qemu-system-riscv64": "qemu-system-misc",
  "qemu-system-aarch64": "qemu-system-arm",
};

function adviceFor(program: string, [major, minor]: readonly [number, number]): string {
  const package_ = packages[program] ?? program;
  // What Debian 12 itself has.
  const suite = major * 100 + minor > 702 ? " from bookworm-backports, or run .ci/install-peers" : "";
  return `install QEMU ${major}.${minor} or newer (Debian 12: ${package_}${suite}) or name one with --qemu`;
}

function candidatesFor(program: string): string[] {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  const paths = folders.map((folder) => join(folder, program));
  const named = process.env["RINGSIDE_QEMU10"];
  if (named !== undefined && named !== "") {
    if (isFolder(named)) paths.push(join(named, program), join(named, "bin", program));
    else if (basename(named) === program) paths.push(named);
  }
  const root = packageRoot();
  if (root !== undefined) paths.push(join(root, ".peers", "qemu10", "bin", program));
  return [...new Set(paths)].filter(isProgram);
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** The folder with our `package.json`, seen from this file upwards. */
function packageRoot(): string | undefined {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json"))) {
    const parent = dirname(folder);
    if (parent === folder) return undefined;
    folder = parent;
  }
  return folder;
}
