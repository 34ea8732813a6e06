/**
 * A Debian Linux guest under QEMU's own processor emulation: the kernel and modules that `.ci/install-peers` unpacked, a
 * first file system made of busybox and programs of the host, and a shell script as its whole life. The script tells
 * results by lines that start with `@@`.
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { peersFolder } from "../peers-folder.js";
import { type ArchiveEntry, entryMode, makeArchive } from "./cpio.js";

/** QEMU 10 for PCs, beside an older one on PATH; undefined when it was not unpacked. */
export function newerQemu(): string | undefined {
  const path = join(peersFolder, "qemu10", "bin", "qemu-system-x86_64");
  return existsSync(path) ? path : undefined;
}

/** A kind of guest: its kernel, its machine and how virtio devices are attached to it. */
interface Architecture {
  /** Folder below .peers with kernel and modules. */
  readonly folder: string;
  readonly qemu: string;
  /** Value of `-machine` and further arguments. */
  readonly machine: string;
  readonly arguments: readonly string[];
  readonly console: string;
  /** Module of the virtio transport. */
  readonly transport: string;
  readonly busybox: string;
}

const overMmio = ["-global", "virtio-mmio.force-legacy=false"];

const pc = {
  qemu: "qemu-system-x86_64",
  machine: "pc",
  arguments: [],
  console: "ttyS0",
  transport: "virtio_pci",
  busybox: "/bin/busybox",
} as const;

/** The guests that there are: a PC with PCI, and the `virt` machines with virtio over MMIO. */
const architectures = {
  amd64: { ...pc, folder: join(peersFolder, "linux") },
  /** The kernel for all machines, which has more file systems. */
  "amd64-generic": { ...pc, folder: join(peersFolder, "linux-generic") },
  arm64: {
    folder: join(peersFolder, "linux-arm64"),
    qemu: "qemu-system-aarch64",
    machine: "virt",
    arguments: ["-cpu", "cortex-a57", ...overMmio],
    console: "ttyAMA0",
    transport: "virtio_mmio",
    busybox: join(peersFolder, "linux-arm64", "busybox"),
  },
  riscv64: {
    folder: join(peersFolder, "linux-riscv64"),
    qemu: "qemu-system-riscv64",
    machine: "virt",
    arguments: overMmio,
    console: "ttyS0",
    transport: "virtio_mmio",
    busybox: join(peersFolder, "linux-riscv64", "busybox"),
  },
} as const satisfies Record<string, Architecture>;

export type GuestArchitecture = keyof typeof architectures;

/** Why no guest can be started, if so. */
export function whyNoGuest(architecture: GuestArchitecture = "amd64"): string | undefined {
  const { folder, busybox, qemu } = architectures[architecture];
  if (!existsSync(join(folder, "vmlinuz")))
    return `no Linux kernel for ${architecture} in .peers: run .ci/install-peers`;
  if (!existsSync(busybox)) return "busybox-static is not installed";
  if (findProgram(qemu) === undefined) return `${qemu} is not installed`;
  return undefined;
}

/** What a guest does and has. */
export interface GuestOptions {
  /** Default amd64. Host programs can be used there only. */
  readonly architecture?: GuestArchitecture;
  /** Shell script (busybox), run as process 1 after modules are loaded. */
  readonly script: string;
  /** Kernel modules besides the PCI virtio transport. What they depend on is loaded too. */
  readonly modules: readonly string[];
  /** Programs of this machine that the script uses, by name; in the guest they are in /host. */
  readonly programs?: readonly string[];
  /** Texts that the script uses, by name; in the guest they are in /files. */
  readonly files?: Readonly<Record<string, string>>;
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

/** A guest that runs. */
export interface Guest {
  /** Done when the script ended well; fails with the last lines of output when it did not, or not in time. */
  readonly ended: Promise<GuestResult>;
  /** Types a line on the guest's console. */
  say(line: string): void;
  /** Pulls the plug; `ended` then fails. */
  kill(): void;
}

/**
 * Boots a guest with 256 MiB of memory that back ends can map, and waits for its end.
 * @throws Error with the last lines of output when it does not end in time or the script failed.
 */
export function runGuest(options: GuestOptions): Promise<GuestResult> {
  return startGuest(options).ended;
}

/** Boots a guest as {@link runGuest} does, to be talked to while it runs. */
export function startGuest(options: GuestOptions): Guest {
  const folder = mkdtempSync(join(tmpdir(), "ringside-guest-"));
  const archive = join(folder, "initramfs");
  writeFileSync(archive, makeArchive(firstFileSystem(options)));
  const guest = boot(archive, options);
  return { ...guest, ended: guest.ended.finally(() => rmSync(folder, { recursive: true, force: true })) };
}

function boot(archive: string, options: GuestOptions): Guest {
  const kind: Architecture = architectures[options.architecture ?? "amd64"];
  const child = spawn(
    options.qemu ?? kind.qemu,
    [
      ...[
        "-machine",
        `${kind.machine},memory-backend=ram`,
        "-accel",
        "tcg",
        "-m",
        "256",
        "-smp",
        `${options.processors ?? 1}`,
      ],
      ...["-object", "memory-backend-memfd,id=ram,size=256M,share=on"],
      ...["-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"],
      ...["-kernel", join(kind.folder, "vmlinuz"), "-initrd", archive],
      ...["-append", `console=${kind.console} quiet loglevel=3 panic=-1 random.trust_cpu=on`],
      ...kind.arguments,
      ...options.devices,
    ],
    { stdio: ["pipe", "pipe", "pipe"] },
  );
  child.stdin.on("error", () => {});
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
  const ended = new Promise<GuestResult>((resolve, reject) => {
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
  return { ended, say: (line) => void child.stdin.write(`${line}\n`), kill: () => void child.kill("SIGKILL") };
}

function firstFileSystem(options: GuestOptions): ArchiveEntry[] {
  const { script, modules, programs = [], files = {} } = options;
  const kind: Architecture = architectures[options.architecture ?? "amd64"];
  const entries = new Map<string, ArchiveEntry>();
  const add = (path: string, mode: number, content: Uint8Array) => entries.set(path, { path, mode, content });
  const text = (value: string) => new TextEncoder().encode(value);
  add("bin/busybox", entryMode.program, readFileSync(kind.busybox));
  add("bin/sh", entryMode.link, text("busybox"));
  for (const name of programs) {
    const path = findProgram(name);
    if (path === undefined) throw new Error(`${name} is not installed`);
    add(`host/${name}`, entryMode.program, readFileSync(path));
    for (const library of librariesOf(path)) add(library.slice(1), entryMode.program, readFileSync(library));
  }
  for (const [name, content] of Object.entries(files)) add(`files/${name}`, entryMode.file, text(content));
  const load = moduleOrder(kind.folder, [kind.transport, ...modules]);
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
export function moduleOrder(kernel: string, names: readonly string[]): string[] {
  const folder = join(kernel, "modules");
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

/** Where this machine has a program. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(":"), "/usr/sbin", "/sbin"];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** Shared libraries of a program, its loader among them. */
function librariesOf(path: string): string[] {
  const listing = execFileSync("ldd", [path], { encoding: "utf8" });
  return [...listing.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map((match) => match[1]);
}
