/** `ringside bench vhost`: our server against qemu-storage-daemon, same file, same load, in one run. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildC, median } from "./compare.js";

/** One point of the comparison. */
interface Point {
  readonly rw: "randread" | "randwrite" | "read" | "write";
  readonly blockSize: string;
  readonly depth: number;
}

/** What the load generator says of a run. */
interface LoadResult {
  readonly iops: number;
  readonly mb_s: number;
  readonly lat_us: { readonly p50: number; readonly p99: number; readonly p999: number };
  readonly server_cpu: number;
  readonly errors: number;
}

const points: readonly Point[] = [
  ...[1, 8, 32, 128].map((depth) => ({ rw: "randread", blockSize: "4k", depth }) as const),
  ...[1, 8, 32, 128].map((depth) => ({ rw: "randwrite", blockSize: "4k", depth }) as const),
  ...(["read", "write"] as const).flatMap((rw) => ["128k", "1m"].map((blockSize) => ({ rw, blockSize, depth: 8 }))),
];
const rounds = 5;
const fileSize = 1 << 30;

/** The servers compared, by how they are started on a socket and an image. */
const servers: Readonly<Record<string, (socket: string, image: string) => readonly string[]>> = {
  ringside: (socket, image) => {
    const main = fileURLToPath(new URL("../src/cli/main.js", import.meta.url));
    return [process.execPath, main, "serve", image, "--socket", socket];
  },
  "system calls": (socket, image) => {
    const main = fileURLToPath(new URL("../src/cli/main.js", import.meta.url));
    return [process.execPath, main, "serve", image, "--socket", socket, "--no-mapped"];
  },
  "qemu-storage-daemon": (socket, image) => [
    "qemu-storage-daemon",
    ...["--blockdev", `driver=file,node-name=disk,filename=${image},aio=io_uring`],
    ...["--export", `type=vhost-user-blk,id=export,node-name=disk,writable=on,addr.type=unix,addr.path=${socket}`],
  ],
};

export async function benchVhost(print: (line: string) => void): Promise<void> {
  const folder = mkdtempSync(join(process.env["RINGSIDE_DISK_FOLDER"] ?? tmpdir(), "ringside-bench-"));
  const running: ChildProcess[] = [];
  try {
    const load = buildC("vhost-blk-load.c", folder);
    const sockets = new Map<string, { socket: string; image: string; pid: number }>();
    for (const [name, command] of Object.entries(servers)) {
      const socket = join(folder, `${name}.sock`);
      const image = join(folder, `${name}.img`);
      writeImage(image);
      const [program, ...args] = command(socket, image);
      const child = spawn(program, args, { stdio: "ignore" });
      running.push(child);
      await appears(socket, child, name);
      sockets.set(name, { socket, image, pid: child.pid as number });
    }
    print(`4k random and large sequential I/O on a cached 1 GiB file, medians of ${rounds} alternating rounds`);
    print("ringside: by default (mapped), and by system calls; qemu: qemu-storage-daemon with aio=io_uring");
    print(
      "point                     mapped  by calls      qemu       ratios        p99 µs         server µs a request",
    );
    for (const point of points) {
      const results = new Map<string, LoadResult[]>(Object.keys(servers).map((name) => [name, []]));
      for (let round = 0; round < rounds; round++) {
        for (const [name, { socket, image, pid }] of sockets) {
          warm(image);
          results.get(name)?.push(runLoad(load, socket, pid, point));
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      }
      print(
        line(
          point,
          Object.keys(servers).map((name) => results.get(name) ?? []),
        ),
      );
    }
  } finally {
    for (const child of running) child.kill("SIGTERM");
    await Promise.all(running.map((child) => new Promise((resolve) => child.once("exit", resolve))));
    rmSync(folder, { recursive: true, force: true });
  }
}

function line(point: Point, results: readonly (readonly LoadResult[])[]): string {
  const each = (of: (result: LoadResult) => number) => results.map((rounds) => median(rounds.map(of)));
  const iops = each(({ iops }) => iops);
  const theirs = iops[iops.length - 1];
  const thousands = (value: number) => `${(value / 1000).toFixed(1)}k`.padStart(9);
  const list = (values: readonly number[], digits: number) => values.map((value) => value.toFixed(digits)).join(" / ");
  return [
    `${point.rw} ${point.blockSize} depth ${point.depth}`.padEnd(23),
    ...iops.map(thousands),
    `${list(
      iops.slice(0, -1).map((value) => value / theirs),
      2,
    )} ×`.padStart(15),
    list(
      each(({ lat_us }) => lat_us.p99),
      0,
    ).padStart(17),
    list(
      each(({ server_cpu, iops }) => (server_cpu * 10_000) / iops),
      2,
    ).padStart(20),
  ].join(" ");
}

function runLoad(load: string, socket: string, pid: number, { rw, blockSize, depth }: Point): LoadResult {
  const args = ["--socket", socket, "--rw", rw, "--bs", blockSize, "--qd", `${depth}`];
  const output = execFileSync(load, [...args, "--runtime", "1", "--ramp", "0.3", "--server-pid", `${pid}`, "--json"], {
    encoding: "utf8",
    timeout: 60_000,
  });
  const result = JSON.parse(output) as LoadResult;
  if (result.errors > 0) throw new Error(`${result.errors} requests failed: ${output}`);
  return result;
}

function writeImage(path: string): void {
  const block = new Uint8Array(1 << 20).map((_, index) => index * 7);
  const fd = openSync(path, "w");
  for (let at = 0; at < fileSize; at += block.length) writeSync(fd, block, 0, block.length, at);
  closeSync(fd);
}

/** Reads the file once: the page cache of an idle machine forgets. */
function warm(path: string): void {
  const buffer = new Uint8Array(1 << 22);
  const fd = openSync(path, "r");
  for (let at = 0; at < fileSize; at += buffer.length) readSync(fd, buffer, 0, buffer.length, at);
  closeSync(fd);
}

async function appears(socket: string, child: ChildProcess, name: string): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!existsSync(socket)) {
    if (child.exitCode !== null || Date.now() > deadline) throw new Error(`${name} did not start: is it installed?`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
