/**
 * Starts a QEMU whose processor stays stopped: we are the processor. Its memory is ours too, its registers are behind
 * the qtest socket, and its monitor takes commands.
 */
import { type ChildProcess, spawn } from "node:child_process";
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { closeDescriptor, createMemoryFile, SharedMapping, UnixListener, type UnixSocket } from "../../linux/index.js";
import type { Board } from "../../machine/index.js";
import { adapterDevice, deviceOption, diskProperties, driveNodes, mmioVersion, type QemuAdapter } from "./drives.js";
import { findQemu, type QemuProgram, qemuBoard } from "./find-qemu.js";
import { Keeper } from "./keeper.js";
import { endProcess, lastWordsOf } from "./program-end.js";
import { QemuError } from "./qemu-error.js";
import { QmpClient } from "./qmp.js";
import { QtestClient } from "./qtest.js";

/** What QEMU is started with. */
export interface LaunchOptions {
  readonly board: Board;
  /** Bytes. */
  readonly ramSize: number;
  /** A QEMU to use instead of the one that is found. */
  readonly qemuPath?: string;
  readonly adapters?: readonly QemuAdapter[];
  /** Further arguments for QEMU. */
  readonly extraArguments?: readonly string[];
  /** Limit for QEMU's start and for each of its answers, milliseconds; default 10 000. */
  readonly timeout?: number;
}

/** QEMU's own memory file is descriptor 3 in its process. */
const memoryPath = "/proc/self/fd/3";
/** QEMU may write this much to standard error before we forget the beginning. */
const longestLog = 16 << 20;

/** A running QEMU and the ways to it. */
export class QemuProcess {
  readonly program: QemuProgram;
  readonly commandLine: readonly string[];
  readonly folder: string;
  readonly ram: SharedMapping;
  readonly qtest: QtestClient;
  readonly qmp: QmpClient;
  readonly #child: ChildProcess;
  readonly #keeper: Keeper;
  readonly #log: number;
  #closing: Promise<void> | undefined;

  /** Use {@link launchQemu}. */
  constructor(parts: {
    program: QemuProgram;
    commandLine: readonly string[];
    folder: string;
    ram: SharedMapping;
    qtest: QtestClient;
    qmp: QmpClient;
    child: ChildProcess;
    keeper: Keeper;
    log: number;
  }) {
    this.program = parts.program;
    this.commandLine = parts.commandLine;
    this.folder = parts.folder;
    this.ram = parts.ram;
    this.qtest = parts.qtest;
    this.qmp = parts.qmp;
    this.#child = parts.child;
    this.#keeper = parts.keeper;
    this.#log = parts.log;
  }

  /** QEMU's process number. */
  get pid(): number {
    return this.#child.pid as number;
  }

  /** The end of what QEMU wrote to standard error, as one line. */
  lastWords(): string {
    return this.#closing === undefined ? lastWordsOf(this.#log, 600) : "";
  }

  /** Keeps QEMU's log within bounds. */
  trimLog(): void {
    if (this.#closing === undefined && fstatSync(this.#log).size > longestLog) ftruncateSync(this.#log, 0);
  }

  /** Ends QEMU (politely first, so that it writes out images that it may change) and removes what it needed. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    const patience = this.qtest.isBroken ? 0 : 5000;
    this.qtest.close();
    this.qmp.close();
    await endProcess(this.#child, patience);
    this.ram.close();
    closeSync(this.#log);
    await this.#keeper.release();
  }
}

/**
 * Starts QEMU and waits until it answers.
 * @throws UnsupportedError when there is no such QEMU or machine, QemuError when it does not start.
 */
export async function launchQemu(options: LaunchOptions): Promise<QemuProcess> {
  const program = findQemu(options.board, options.qemuPath);
  const timeout = options.timeout ?? 10_000;
  const folder = mkdtempSync(join(tmpdir(), "ringside-qemu-"));
  /** What to undo, last first, when the start fails. */
  const undo: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
  try {
    const commandLine = [program.path, ...qemuArguments(program, options, folder)];
    const log = openSync(join(folder, "log"), "a+", 0o600);
    undo.push(() => closeSync(log));
    const memory = createMemoryFile(`ringside-${options.board.name}`, options.ramSize);
    let ram: SharedMapping;
    let child: ChildProcess;
    const listener = new UnixListener(join(folder, "qtest"));
    undo.push(() => listener.close());
    const monitor = await listenForMonitor(join(folder, "qmp"));
    undo.push(() => monitor.close());
    try {
      ram = new SharedMapping(memory, options.ramSize);
      undo.push(() => ram.close());
      child = spawn(commandLine[0], commandLine.slice(1), { stdio: ["ignore", log, log, memory], detached: true });
    } finally {
      closeDescriptor(memory);
    }
    let failed: string | undefined;
    child.once("error", (error) => (failed = error.message));
    child.once(
      "exit",
      (status, signal) => (failed ??= lastWordsOf(log, 600) || `it ended with ${signal ?? `exit status ${status}`}`),
    );
    undo.push(() => endProcess(child, 0));
    const keeper = new Keeper(child, folder);
    undo[0] = () => keeper.release();
    const end = performance.now() + timeout;
    let socket: UnixSocket | undefined;
    while ((socket ??= listener.accept(0)) === undefined || monitor.peer === undefined) {
      if (failed !== undefined) throw new QemuError(`QEMU did not start: ${failed}`);
      if (performance.now() > end) throw new QemuError(`QEMU did not start within ${timeout} ms`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    const lastWords = () => lastWordsOf(log, 600);
    const connected = socket;
    undo.push(() => connected.close());
    const { qmp, qtest } = await negotiate(monitor.peer, connected, { timeout, lastWords });
    undo.push(() => qmp.close());
    listener.close();
    monitor.close();
    child.unref();
    return new QemuProcess({ program, commandLine, folder, ram, qtest, qmp, child, keeper, log });
  } catch (error) {
    for (const step of undo.reverse()) await step();
    throw error;
  }
}

/** First words on both sockets. QEMU connects before it looks at its devices: what is wrong with those shows here. */
async function negotiate(
  monitor: Socket,
  registers: UnixSocket,
  options: { timeout: number; lastWords: () => string },
): Promise<{ qmp: QmpClient; qtest: QtestClient }> {
  let qmp: QmpClient | undefined;
  try {
    qmp = await QmpClient.open(monitor, options);
    return { qmp, qtest: new QtestClient(registers, options) };
  } catch (error) {
    qmp?.close();
    throw new QemuError(`QEMU did not start: ${options.lastWords() || (error as Error).message}`);
  }
}

/** The arguments for a board; makes the files in `folder` that they name. */
function qemuArguments(program: QemuProgram, options: LaunchOptions, folder: string): string[] {
  const size = options.ramSize;
  const target = qemuBoard(options.board);
  const args = ["-machine", `${target.machine},memory-backend=ram`, "-accel", "tcg", "-m", `size=${size}B`];
  args.push("-object", `memory-backend-file,id=ram,size=${size},share=on,mem-path=${memoryPath}`);
  args.push("-nodefaults", "-display", "none", "-S");
  if (target.firmwareSize > 0) {
    const firmware = join(folder, "firmware");
    writeFileSync(firmware, "", { mode: 0o600 });
    truncateSync(firmware, target.firmwareSize);
    args.push("-bios", firmware);
  }
  for (const option of target.options) if (program.major >= option.sinceMajor) args.push(...option.arguments);
  args.push("-qtest", `unix:${join(folder, "qtest")}`, "-qtest-log", "none", "-qmp", `unix:${join(folder, "qmp")}`);
  const adapters = options.adapters ?? [];
  if (options.board.adapters === undefined && options.board.mmio !== undefined) args.push(...mmioVersion(adapters));
  adapters.forEach((adapter, adapterIndex) => {
    const id = `adapter${adapterIndex}`;
    const device = { ...adapterDevice(adapter, adapterIndex, options.board) };
    if (adapter.kind === "virtio-blk" && adapter.disks.length !== 1) {
      throw new RangeError(`a virtio-blk adapter has one disk, not ${adapter.disks.length}`);
    }
    if (adapter.kind !== "virtio-blk") args.push("-device", deviceOption(device));
    adapter.disks.forEach((disk, index) => {
      const { nodes, top } = driveNodes(disk, `${id}-disk${index}`, folder);
      for (const node of nodes) args.push("-blockdev", JSON.stringify(node));
      const properties = diskProperties(disk, index, top, adapter.kind === "virtio-scsi" ? `${id}.0` : undefined);
      const own =
        adapter.kind === "virtio-scsi" ? { ...properties, id: `${id}-unit${index}` } : { ...device, ...properties };
      args.push("-device", deviceOption(own));
    });
  });
  args.push(...(options.extraArguments ?? []));
  return args;
}

/** A listening socket for the monitor; `peer` is there once QEMU has connected. */
function listenForMonitor(path: string): Promise<{ readonly peer: Socket | undefined; close: () => void }> {
  return new Promise((resolve, reject) => {
    let peer: Socket | undefined;
    const server: Server = createServer({ pauseOnConnect: false }, (socket) => {
      if (peer === undefined) peer = socket;
      else socket.destroy();
    });
    server.once("error", reject);
    server.listen(path, () =>
      resolve({
        get peer() {
          return peer;
        },
        close: () => {
          server.close();
        },
      }),
    );
  });
}
