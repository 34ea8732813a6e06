/**
 * Debian's Linux for i386 in a PC in v86, in this process: stock kernel and modules, busybox, and a shell on the serial line
 * that is asked one command after the other.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { loadV86, readFirmware, v86File } from "../../src/cli/boot-package.js";
import { makeV86Pc, type V86Pc, type V86PcOptions } from "../../src/platform/v86/index.js";
import { type ArchiveEntry, entryMode, makeArchive } from "./linux/cpio.js";
import { moduleOrder } from "./linux/guest.js";
import { peersFolder } from "./peers-folder.js";

/** Kernel, modules and busybox. */
export const kernelFolder = join(peersFolder, "linux-i386");

/** Why there is no PC in v86, if so. */
export function whyNoV86(): string | undefined {
  if (v86File("build/v86.wasm") === undefined) return "the optional package v86 is not installed";
  if (!existsSync("/usr/share/seabios/bios.bin")) return "no firmware: the package seabios is not installed";
  return undefined;
}

/** Why there is no Linux in it, if so. */
export function whyNoV86Linux(): string | undefined {
  if (!existsSync(join(kernelFolder, "vmlinuz"))) return "no Linux kernel for i386 in .peers: run .ci/install-peers";
  return whyNoV86();
}

/** A PC without our devices, not running. */
export async function makePc(options: Partial<V86PcOptions> = {}): Promise<V86Pc> {
  return makeV86Pc({ ...(await loadV86()), ...readFirmware({}), ...options });
}

/** Modules that {@link bootLinux} loads before it asks for commands, besides what these need. */
const usualModules = ["virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "ext4", "crc32c_generic"];

/**
 * The kernel and a first file system with a shell. `others` are module files from elsewhere, in the order to load them in.
 * @param basis what is loaded besides `modules`: a guest with less is there sooner.
 */
export function linuxFiles(
  modules: readonly string[] = [],
  others: readonly string[] = [],
  basis: readonly string[] = usualModules,
): Pick<V86PcOptions, "kernel" | "initrd" | "commandLine"> {
  return {
    kernel: readFileSync(join(kernelFolder, "vmlinuz")),
    initrd: makeArchive(firstFileSystem([...moduleOrder(kernelFolder, [...basis, ...modules]), ...others])),
    commandLine: "console=ttyS0 tsc=reliable mitigations=off random.trust_cpu=on quiet loglevel=3 panic=-1",
  };
}

/** @param order module files. */
function firstFileSystem(order: readonly string[]): ArchiveEntry[] {
  const text = (value: string) => new TextEncoder().encode(value);
  const loads = order.map((path) => `insmod /modules/${path.split("/").at(-1)} || echo "@@failed ${path}"`);
  const init = [
    "#!/bin/sh",
    "/bin/busybox mkdir -p /proc /sys /dev /tmp /mnt /sbin /usr/bin /usr/sbin",
    "/bin/busybox --install -s",
    "mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev",
    "export PATH=/bin:/sbin:/usr/bin:/usr/sbin",
    "exec </dev/ttyS0 >/dev/ttyS0 2>&1",
    "stty -echo -onlcr",
    ...loads,
    'echo "@@ready"',
    'while read -r line; do eval "$line"; echo "@@status $?"; done',
  ];
  return [
    { path: "bin/busybox", mode: entryMode.program, content: readFileSync(join(kernelFolder, "busybox")) },
    { path: "bin/sh", mode: entryMode.link, content: text("busybox") },
    ...order.map((path) => ({
      path: `modules/${path.split("/").at(-1)}`,
      mode: entryMode.file,
      content: readFileSync(path),
    })),
    { path: "init", mode: entryMode.program, content: text(`${init.join("\n")}\n`) },
  ];
}

/** The shell on the serial line. */
export class GuestShell {
  readonly pc: V86Pc;
  #pending = "";
  #output = "";
  #waiting: { mark: RegExp; done: (before: string, match: RegExpExecArray) => void } | undefined;
  readonly #listener: (byte: number) => void;

  constructor(pc: V86Pc) {
    this.pc = pc;
    this.#listener = (byte) => this.#take(byte);
    pc.emulator.add_listener("serial0-output-byte", this.#listener as (argument: never) => void);
  }

  /** Everything that came. */
  get output(): string {
    return this.#output;
  }

  /** Waits for a line, and gives what came before it. @throws Error with what came, when it does not come in time */
  async until(mark: RegExp, patience: number): Promise<{ before: string; match: RegExpExecArray }> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting = undefined;
        reject(
          new Error(`the guest did not say ${mark} in ${patience / 1000} s; it said:\n${this.#output.slice(-3000)}`),
        );
      }, patience);
      this.#waiting = {
        mark,
        done: (before, match) => {
          clearTimeout(timer);
          resolve({ before, match });
        },
      };
      this.#look();
    });
  }

  /** Runs a command and gives what it printed. @throws Error when its status is not 0, or it takes too long */
  async run(command: string, patience = 120_000): Promise<string> {
    this.#pending = "";
    const answer = this.until(/^@@status (\d+)\r?\n/m, patience);
    this.pc.emulator.serial0_send(`${command}\n`);
    const { before, match } = await answer;
    if (match[1] !== "0") throw new Error(`${command}: status ${match[1]}\n${before}`);
    return before.replaceAll("\r", "").trimEnd();
  }

  #take(byte: number): void {
    const character = String.fromCharCode(byte);
    this.#pending += character;
    this.#output += character;
    if (character === "\n") this.#look();
  }

  #look(): void {
    const waiting = this.#waiting;
    const match = waiting?.mark.exec(this.#pending);
    if (waiting === undefined || match === null || match === undefined) return;
    const before = this.#pending.slice(0, match.index);
    this.#pending = this.#pending.slice(match.index + match[0].length);
    this.#waiting = undefined;
    waiting.done(before, match);
  }
}

/** Waits until a value is what it should be. */
export async function reaches<Value>(value: () => Value, expected: Value): Promise<void> {
  for (const end = Date.now() + 60_000; !isDeepStrictEqual(value(), expected); ) {
    if (Date.now() > end) assert.deepEqual(value(), expected);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Starts a PC and waits for the shell. */
export async function bootLinux(pc: V86Pc, patience = 180_000): Promise<GuestShell> {
  const shell = new GuestShell(pc);
  await pc.emulator.run();
  await shell.until(/^@@ready\r?\n/m, patience);
  return shell;
}
