/** `ringside boot`: a PC in this process (v86), with our disks, a console on the terminal, or a page that has it all. */
import { closeSync, constants, existsSync, openSync, readFileSync, readSync } from "node:fs";
import { makeV86Pc, type V86Pc, type V86Registers } from "../platform/v86/index.js";
import { openBootDisks } from "./boot-disks.js";
import { type BootNetwork, type BootNetworkOptions, openBootNetwork } from "./boot-network.js";
import { loadV86, readFirmware } from "./boot-package.js";
import { BootScreen } from "./boot-screen.js";
import { BootTerminal } from "./boot-terminal.js";
import { Interrupted, UsageError, WorkFailed } from "./errors.js";
import { parseImageArgument } from "./image-argument.js";
import { readInputFile } from "./input-file.js";
import type { Interruption } from "./interruption.js";

/** Bytes: more than v86's memory can hold. */
const largestInitrd = 2 ** 31;

/** The command's options. */
export interface BootOptions {
  readonly device: "blk" | "scsi";
  readonly registers: V86Registers;
  readonly initrd?: string;
  readonly append: string;
  readonly memory: number;
  readonly bios?: string;
  readonly vgaBios?: string;
  readonly write: boolean;
  readonly format?: "raw";
  /** Print the text screen; default when there is no kernel. */
  readonly screen?: boolean;
  readonly timeout?: number;
  readonly page?: number;
  readonly net?: BootNetworkOptions;
  /** A file for what passes through the network. */
  readonly pcap?: string;
}

/** Carries the command out. @throws what {@link exitStatusOf} knows */
export async function boot(words: readonly string[], options: BootOptions, interruption: Interruption): Promise<void> {
  if (options.page !== undefined) {
    if (words.length > 0) throw new UsageError("with --page the files are picked in the browser: leave them out");
    if (options.net !== undefined)
      throw new UsageError("with --page the network is picked in the browser: leave --net out");
    const { servePage } = await import("./boot-page.js");
    return servePage(options.page, interruption);
  }
  const { kernel, images } = sortFiles(words);
  if (kernel === undefined && images.length === 0) throw new UsageError("boot needs a Linux kernel or a disk image");
  // What is missing is said by who opens it.
  if (kernel === undefined && options.initrd !== undefined && words.every(isThere)) {
    throw new UsageError("--initrd goes with a Linux kernel");
  }
  if (options.pcap !== undefined && options.net === undefined) throw new UsageError("--pcap goes with --net");
  const firmware = readFirmware(options);
  const loaded = await loadV86();
  const disks = openBootDisks(images, options);
  let network: BootNetwork | undefined;
  try {
    if (options.net !== undefined) network = await openBootNetwork(options.net, options.pcap, tell);
    const pc = await makeV86Pc({
      ...loaded,
      ...firmware,
      memory: options.memory,
      kernel: kernel === undefined ? undefined : readFileSync(kernel),
      initrd: options.initrd === undefined ? undefined : await readInitrd(options.initrd, interruption),
      commandLine: options.append,
    });
    try {
      disks.plug(pc);
      network?.plug(pc, options.registers);
      await runPc(pc, kernel !== undefined, options, interruption);
    } finally {
      // Connections end in the guest's rings: while there are any.
      await network?.close();
      await pc.emulator.destroy();
    }
  } finally {
    await network?.close();
    await disks.close();
  }
}

function tell(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Runs the PC until it halts, the user leaves, or time is over. */
async function runPc(pc: V86Pc, hasKernel: boolean, options: BootOptions, interruption: Interruption): Promise<void> {
  const ends: Promise<void>[] = [interruption.ended()];
  ends.push(
    new Promise((resolve, reject) => {
      pc.onFailure = reject;
      pc.emulator.add_listener("cpu-event-halt", () => resolve());
      // A kernel is in memory once: firmware that starts anew finds it gone.
      if (hasKernel) pc.onRestart = resolve;
    }),
  );
  let timer: ReturnType<typeof setTimeout> | undefined;
  if (options.timeout !== undefined) {
    const seconds = options.timeout;
    ends.push(
      new Promise((_, reject) => {
        timer = setTimeout(() => reject(new WorkFailed(`the PC still runs after ${seconds} s`)), seconds * 1000);
      }),
    );
  }
  const terminal = new BootTerminal(pc.emulator);
  const screen =
    (options.screen ?? !hasKernel)
      ? new BootScreen(pc.emulator, (line) => process.stdout.write(`${line}\r\n`))
      : undefined;
  if (process.stdin.isTTY === true) process.stderr.write("Ctrl-A X leaves.\r\n");
  try {
    await pc.emulator.run();
    await Promise.race([...ends, terminal.left]);
    await pc.emulator.stop();
  } finally {
    if (timer !== undefined) clearTimeout(timer);
    screen?.flush();
    terminal.close();
  }
  interruption.check();
}

/** Tells a kernel from images by its header (Linux boot protocol, at 0x202). @throws UsageError */
function sortFiles(words: readonly string[]): { readonly kernel: string | undefined; readonly images: string[] } {
  const isKernel = words.map((word) => hasKernelHeader(parseImageArgument(word).path));
  if (isKernel.filter(Boolean).length > 1) throw new UsageError("there are two Linux kernels: boot takes one");
  return { kernel: words[isKernel.indexOf(true)], images: words.filter((_, index) => !isKernel[index]) };
}

function isThere(word: string): boolean {
  return existsSync(parseImageArgument(word).path);
}

function hasKernelHeader(path: string): boolean {
  let descriptor: number;
  try {
    // Without waiting for a pipe's other end.
    descriptor = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch {
    return false; // Opening it as an image says what is wrong.
  }
  try {
    const header = new Uint8Array(4);
    return readSync(descriptor, header, 0, 4, 0x202) === 4 && String.fromCharCode(...header) === "HdrS";
  } catch {
    return false;
  } finally {
    closeSync(descriptor);
  }
}

async function readInitrd(path: string, interruption: Interruption): Promise<Uint8Array> {
  try {
    return await readInputFile(path, largestInitrd, interruption);
  } catch (error) {
    if (error instanceof UsageError || error instanceof Interrupted) throw error;
    throw new UsageError(`cannot read ${path}: ${(error as Error).message}`, { cause: error });
  }
}
