/**
 * A Debian Linux guest under QEMU's own processor emulation: the kernel and modules that `.ci/install-peers` unpacked, a
 * first file system made of busybox and programs of the host, and a shell script as its whole life. The script tells
 * results by lines that start with `@@`.
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type ArchiveEntry, entryMode, makeArchive } from "./cpio.js";

// dist/tests/peers/linux/guest.js
const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..", "..");
const peers = process.env["RINGSIDE_PEERS"] ?? join(root, ".peers");

/** Why no guest can be started, if so. */
export function whyNoGuest(): string | undefined {
  if (!existsSync(join(peers, "linux", "vmlinuz"))) return "no Linux kernel in .peers/linux: run .ci/install-peers";
  if (!existsSync("/bin/busybox")) return "busybox-static is not installed";
  if (program("qemu-system-x86_64") === undefined) return "qemu-system-x86_64 is not installed";
  return undefined;
}

/** What a guest does and has. */
export interface GuestOptions {
  /** Shell script (busybox), run as process 1 after modules are loaded. */
  readonly script: string;
  /** Kernel modules besides the PCI virtio transport. What they depend on is loaded too. */
  readonly modules: readonly string[];
  /** Programs of this machine that the script uses, by name; in the guest they are in /host. */
  readonly programs?: readonly string[];
  /** QEMU's devices. */
  readonly devices: readonly string[];
  /** Processors. Default 1. */
  readonly processors?: number;
  /** Milliseconds for everything. Default 120 000. */
  readonly timeout?: number;
  /** Called for each `@@` line as it comes. */
  readonly onLine?: (line: string) => void;
  /** Another QEMU than the one on PATH. */
  readonly qemu?: string;
}

/** A guest's end. */
export interface GuestResult {
  /** Lines that started with `@@`, without it. */
  readonly lines: readonly string[];
  /** Everything that the guest and QEMU printed. */
  readonly output: string;
}

/**
 * Boots a guest with 256 MiB of memory that back ends can map, and waits for its end.
 * @throws Error with the last lines of output when it does not end in time or the script failed.
 */
export async function runGuest(options: GuestOptions): Promise<GuestResult> {
  const folder = mkdtempSync(join(tmpdir(), "ringside-guest-"));
  try {
    const archive = join(folder, "initramfs");
    writeFileSync(archive, makeArchive(firstFileSystem(options)));
    return await boot(archive, options);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function boot(archive: string, options: GuestOptions): Promise<GuestResult> {
  const child = spawn(
    options.qemu ?? "qemu-system-x86_64",
    [
      ...["-machine", "pc,memory-backend=ram", "-accel", "tcg", "-m", "256", "-smp", `${options.processors ?? 1}`],
      ...["-object", "memory-backend-memfd,id=ram,size=256M,share=on"],
      ...["-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"],
      ...["-kernel", join(peers, "linux", "vmlinuz"), "-initrd", archive],
      ...["-append", "console=ttyS0 quiet loglevel=3 panic=-1 random.trust_cpu=on"],
      ...options.devices,
    ],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  let output = "";
  let pending = "";
  const lines: string[] = [];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    pending += text;
    const parts = pending.split(/\r?\n/);
    pending = parts.pop() ?? "";
    for (const part of parts) {
      if (!part.startsWith("@@")) continue;
      lines.push(part.slice(2).trim());
      options.onLine?.(part.slice(2).trim());
    }
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  return new Promise((resolve, reject) => {
    const limit = options.timeout ?? 120_000;
    const fail = (why: string) => reject(new Error(`${why}; the guest's last lines:\n${output.slice(-3000)}`));
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      fail(`the guest did not end in ${limit / 1000} s`);
    }, limit);
    child.on("error", (error) => fail(error.message));
    child.on("close", (code) => {
      clearTimeout(timer);
      if (lines.at(-1) !== "end 0") fail(`the guest's script failed (QEMU's status ${code})`);
      else resolve({ lines: lines.slice(0, -1), output });
    });
  });
}

function firstFileSystem({ script, modules, programs = [] }: GuestOptions): ArchiveEntry[] {
  const entries = new Map<string, ArchiveEntry>();
  const add = (path: string, mode: number, content: Uint8Array) => entries.set(path, { path, mode, content });
  const text = (value: string) => new TextEncoder().encode(value);
  add("bin/busybox", entryMode.program, readFileSync("/bin/busybox"));
  add("bin/sh", entryMode.link, text("busybox"));
  for (const name of programs) {
    const path = program(name);
    if (path === undefined) throw new Error(`${name} is not installed`);
    add(`host/${name}`, entryMode.program, readFileSync(path));
    for (const library of librariesOf(path)) add(library.slice(1), entryMode.program, readFileSync(library));
  }
  const load = moduleOrder(["virtio_pci", ...modules]);
  for (const path of load) add(`modules/${basename(path)}`, entryMode.file, readFileSync(path));
  const loads = load.map((path) => `insmod /modules/${basename(path)} || exit 1`).join("\n");
  add("work", entryMode.program, text(`set -e\n${loads}\nmdev -s\n${script}\n`));
  const init = [
    "#!/bin/sh",
    "/bin/busybox mkdir -p /proc /sys /dev /tmp /mnt /sbin /usr/bin /usr/sbin",
    "/bin/busybox --install -s",
    "mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev",
    "export PATH=/bin:/sbin:/usr/bin:/usr/sbin",
    "sh /work 2>&1",
    'echo "@@end $?"',
    "poweroff -f",
  ];
  add("init", entryMode.program, text(`${init.join("\n")}\n`));
  return [...entries.values()];
}

/** Paths of modules in the order in which they load: what each depends on comes first. */
function moduleOrder(names: readonly string[]): string[] {
  const folder = join(peers, "linux", "modules");
  const paths = new Map(
    readdirSync(folder).map((file) => [file.replace(/\.ko$/, "").replaceAll("-", "_"), join(folder, file)]),
  );
  const order: string[] = [];
  const visit = (name: string) => {
    const path = paths.get(name.replaceAll("-", "_"));
    if (path === undefined) throw new Error(`no kernel module ${name} in ${folder}`);
    if (order.includes(path)) return;
    const depends = /depends=([^\0]*)\0/.exec(readFileSync(path, "latin1"))?.[1] ?? "";
    for (const other of depends.split(",").filter(Boolean)) visit(other);
    if (!order.includes(path)) order.push(path);
  };
  for (const name of names) visit(name);
  return order;
}

function program(name: string): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(":"), "/usr/sbin", "/sbin"];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** Shared libraries of a program, its loader among them. */
function librariesOf(path: string): string[] {
  const listing = execFileSync("ldd", [path], { encoding: "utf8" });
  return [...listing.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map((match) => match[1]);
}
