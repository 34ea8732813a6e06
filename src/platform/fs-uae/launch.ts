/**
 * Starts fs-uae without a screen, with the monitor as its Kickstart and its serial port on a pseudo-terminal, and waits
 * until the monitor speaks.
 */
import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PseudoTerminal } from "../../linux/index.js";
import { generateRom } from "../../ncr53c710/index.js";
import { Keeper } from "../qemu/keeper.js";
import { endProcess, lastWordsOf } from "../qemu/program-end.js";
import { configurationOf, type FsUaeDisk, type FsUaeModel } from "./configuration.js";
import { type FsUaeProgram, findFsUae } from "./find-fs-uae.js";
import { FsUaeError } from "./fs-uae-error.js";
import { MonitorClient } from "./monitor-client.js";
import { buildMonitorRom } from "./monitor-rom.js";

/** What fs-uae is started with. */
export interface FsUaeOptions {
  /** Default `a4000`. */
  readonly model?: FsUaeModel;
  /** Disks on the A4091's SCSI bus. */
  readonly disks?: readonly FsUaeDisk[];
  /** The A4091's ROM. Default: one with the board's identity and no boot code. */
  readonly boardRom?: Uint8Array;
  /** An fs-uae to use instead of the one in PATH. */
  readonly path?: string;
  /** Limit for the start and for each of the monitor's answers, milliseconds; default 20 000. */
  readonly timeout?: number;
  /** The machine's time runs as fast as the host can. Default true; false is a real machine's speed. */
  readonly fast?: boolean;
}

/** A running fs-uae. */
export interface FsUaeProcess {
  readonly program: FsUaeProgram;
  readonly monitor: MonitorClient;
  readonly pid: number;
  /** Private folder with configuration, ROMs and copies of images; gone after `close`. */
  readonly folder: string;
  /** The end of what it wrote, as one line. */
  lastWords(): string;
  /** Ends it (politely first, so that it writes out images that it may change) and removes what it needed. */
  close(): Promise<void>;
}

/**
 * Starts fs-uae and waits until the monitor speaks.
 * @throws UnsupportedError when there is no fs-uae, FsUaeError when it does not start, RangeError
 */
export async function launchFsUae(options: FsUaeOptions = {}): Promise<FsUaeProcess> {
  const program = findFsUae(options.path);
  const timeout = options.timeout ?? 20_000;
  const folder = mkdtempSync(join(tmpdir(), "ringside-fs-uae-"));
  /** What to undo, last first, when the start fails. */
  const undo: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
  try {
    const log = openSync(join(folder, "log"), "a+", 0o600);
    undo.push(() => closeSync(log));
    const terminal = new PseudoTerminal();
    undo.push(() => terminal.close());
    const configuration = prepareFolder(folder, terminal.path, options);
    const child = spawn(program.path, [configuration, "--stdout=1"], {
      stdio: ["ignore", log, log],
      detached: true,
      cwd: folder,
      env: environment(folder),
    });
    let failed: string | undefined;
    child.once("error", (error) => (failed = error.message));
    child.once(
      "exit",
      (status, signal) => (failed ??= lastWordsOf(log, 300) || `it ended with ${signal ?? `exit status ${status}`}`),
    );
    undo.push(() => endProcess(child, 0));
    const keeper = new Keeper(child, folder);
    undo[0] = () => keeper.release();
    let isClosed = false;
    const lastWords = () => (isClosed ? "" : lastWordsOf(log, 300));
    const monitor = new MonitorClient(terminal, { timeout, lastWords });
    const end = performance.now() + timeout;
    while (!monitor.takeGreeting(0)) {
      if (failed !== undefined) throw new FsUaeError(`fs-uae did not start: ${failed}`);
      if (performance.now() > end)
        throw new FsUaeError(`the monitor did not speak within ${timeout} ms: ${lastWords()}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    terminal.leaveOtherEnd();
    child.unref();
    let closing: Promise<void> | undefined;
    const close = async () => {
      const patience = monitor.isBroken ? 0 : 5000;
      monitor.close();
      await endProcess(child, patience);
      isClosed = true;
      closeSync(log);
      await keeper.release();
    };
    return { program, monitor, pid: child.pid as number, folder, lastWords, close: () => (closing ??= close()) };
  } catch (error) {
    for (const step of undo.reverse()) await step();
    throw error;
  }
}

/** Writes what fs-uae reads. @returns the path of its configuration. */
function prepareFolder(folder: string, serialPort: string, options: FsUaeOptions): string {
  const kickstart = join(folder, "monitor.rom");
  const boardRom = join(folder, "a4091.rom");
  const configuration = join(folder, "ringside.fs-uae");
  writeFileSync(kickstart, buildMonitorRom(), { mode: 0o600 });
  writeFileSync(boardRom, options.boardRom ?? generateRom(), { mode: 0o600 });
  const text = configurationOf({
    model: options.model ?? "a4000",
    folder,
    kickstart,
    boardRom,
    serialPort,
    disks: options.disks ?? [],
    fast: options.fast ?? true,
  });
  writeFileSync(configuration, text, { mode: 0o600 });
  return configuration;
}

/** No screen, no sound, and nothing of the user's own settings. */
function environment(folder: string): NodeJS.ProcessEnv {
  const { DISPLAY: _, WAYLAND_DISPLAY: __, ...rest } = process.env;
  return {
    ...rest,
    HOME: folder,
    XDG_CONFIG_HOME: folder,
    XDG_CACHE_HOME: folder,
    XDG_DATA_HOME: folder,
    SDL_VIDEODRIVER: "offscreen",
    SDL_AUDIODRIVER: "dummy",
    ALSOFT_DRIVERS: "null",
  };
}
