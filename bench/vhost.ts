/**
 * `ringside bench vhost`: our server against qemu-storage-daemon, same load, in one run. `RINGSIDE_BENCH_VHOST` names
 * groups of points (`main`, `sequential`, `folios`, `flush`, `flush-memory`, `cold`, `direct`, `direct-loop`, `ceiling`, `queues`, `disks`, `packed`,
 * `packed-driver`, `sizes`, or `all`; several with commas), `RINGSIDE_BENCH_ROUNDS` and `RINGSIDE_BENCH_SECONDS` say how
 * many rounds (5) of how long (1).
 */
import { type ChildProcess, execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { attachLoad } from "./attach-load.js";
import { buildC, median } from "./compare.js";
import { type Server, startServer, untilExit } from "./until-exit.js";
import { forget, LoopDevice, settle, warm, writeImage } from "./vhost-image.js";
import { type Group, groups, type Point, type ServerCommand } from "./vhost-points.js";

/** What a load says of a run. */
export interface LoadResult {
  readonly iops: number;
  readonly lat_us: { readonly p50: number; readonly p99: number; readonly p999: number };
  readonly server_cpu: number;
  readonly errors: number;
}

/** A server that runs. */
interface Running {
  readonly server: ServerCommand;
  readonly socket: string;
  readonly image: string;
  readonly pid: number;
}

type Print = (line: string) => void;

/** A group and what it is measured with. */
interface Measuring {
  readonly folder: string;
  /** The load generator. */
  readonly load: string;
  readonly group: Group;
  /** The image of all servers; undefined: one each. */
  readonly shared: string | undefined;
  readonly print: Print;
}

/** A server that is to start, and the processes that are to end. */
interface Starting {
  readonly folder: string;
  readonly server: ServerCommand;
  readonly point: Point;
  readonly shared: string | undefined;
  /** Bytes a write as its image is made. */
  readonly piece: number | undefined;
  readonly servers: Server[];
}

/** Our programs in commands. */
const programs: Readonly<Record<string, readonly string[]>> = {
  MAIN: [process.execPath, fileURLToPath(new URL("../src/cli/main.js", import.meta.url))],
  MEMORY: [process.execPath, fileURLToPath(new URL("./vhost-memory.js", import.meta.url))],
};
/** Not measured. */
const warmUp: Point = { load: ["--rw", "randread", "--bs", "4k", "--qd", "32"] };
const rounds = numberFrom("RINGSIDE_BENCH_ROUNDS", 5);
const seconds = numberFrom("RINGSIDE_BENCH_SECONDS", 1);

export async function benchVhost(print: (line: string) => void): Promise<void> {
  const folder = mkdtempSync(join(process.env["RINGSIDE_DISK_FOLDER"] ?? tmpdir(), "ringside-bench-"));
  const memory = mkdtempSync("/dev/shm/ringside-bench-");
  const remove = untilExit(() => {
    for (const path of [memory, folder]) rmSync(path, { recursive: true, force: true });
  });
  try {
    const load = buildC("vhost-blk-load.c", folder);
    for (const group of chosenGroups()) {
      print(`${group.name}: ${group.title}; medians of ${rounds} alternating rounds of ${seconds} s`);
      print(heading(group));
      if (group.shared === "loop") await measureOnLoop(memory, load, group, print);
      else {
        const place = group.shared === "memory" ? memory : folder;
        const shared = group.shared === undefined ? undefined : join(place, "shared.img");
        await measureGroup({ folder: place, load, group, shared, print });
      }
      print("");
    }
  } finally {
    remove();
  }
}

function chosenGroups(): readonly Group[] {
  const words = process.env["RINGSIDE_BENCH_VHOST"]?.split(",") ?? [groups[0].name];
  if (words.includes("all")) return groups;
  return words.map((word) => {
    const group = groups.find(({ name }) => name === word);
    if (group !== undefined) return group;
    const known = groups.map(({ name }) => name).join(", ");
    throw new Error(`RINGSIDE_BENCH_VHOST: there is no group ${JSON.stringify(word)}: there are ${known} and all`);
  });
}

async function measureOnLoop(folder: string, load: string, group: Group, print: Print): Promise<void> {
  let device: LoopDevice;
  try {
    device = new LoopDevice(folder);
  } catch (error) {
    return print(`not measured: ${(error as Error).message}`);
  }
  try {
    await measureGroup({ folder, load, group, shared: device.path, print });
  } finally {
    device.close();
  }
}

/** Servers stay for as many points as they fit: a fresh one has not compiled its hot code yet. */
async function measureGroup({ folder, load, group, shared, print }: Measuring): Promise<void> {
  let running: Running[] = [];
  let servers: Server[] = [];
  let startedFor = "";
  try {
    for (const point of group.points) {
      const needs = `${point.queues} ${point.disks}`;
      if (needs !== startedFor) {
        await Promise.all(servers.map((server) => server.end()));
        servers = [];
        running = [];
        for (const server of group.servers) {
          const [first] = running;
          const isShared = group.isOneServer === true && first !== undefined;
          running.push(
            isShared
              ? { ...first, server }
              : await start({ folder, server, point, shared, piece: group.piece, servers }),
          );
        }
        for (const one of running) {
          // Pages that a server has mapped cannot be forgotten later: it must not find parts of the file complete.
          if (point.isCold === true) forget(one.image);
          runLoad(load, one, warmUp);
          if (point.isCold !== true) runLoad(load, one, point);
        }
        startedFor = needs;
      }
      print(line(point, group, await measure(load, group, running, point)));
    }
  } finally {
    await Promise.all(servers.map((server) => server.end()));
  }
}

async function measure(load: string, group: Group, running: readonly Running[], point: Point): Promise<LoadResult[][]> {
  const results: LoadResult[][] = running.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < running.length; turn++) {
      // Nobody always comes first.
      const index = (turn + round) % running.length;
      const one = running[index];
      if (group.isSettled === true) settle(one.image);
      if (point.isCold === true) forget(one.image);
      else if (one.server.isMemory !== true && point.isDirect !== true) warm(one.image);
      results[index].push(runLoad(load, one, point));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  return results;
}

/** Starts as many of a server as the point wants; returns the one that gets the load. */
async function start({ folder, server, point, shared, piece, servers }: Starting): Promise<Running> {
  const name = server.name.replaceAll(" ", "-");
  const image = shared ?? join(folder, `${name}${piece === undefined ? "" : "-folios"}.img`);
  if (server.isMemory !== true) writeImage(image, undefined, piece);
  let first: Running | undefined;
  for (let disk = 0; disk < (point.disks ?? 1); disk++) {
    const socket = join(folder, `${name}-${disk}.sock`);
    rmSync(socket, { force: true });
    const served = disk === 0 ? image : idleImage(folder, `${name}-${disk}`);
    const words = server
      .command(point.queues ?? 1)
      .flatMap((word) => programs[word] ?? [word])
      .map((word) => word.replaceAll("SOCKET", socket).replaceAll("IMAGE", served));
    const started = startServer(words);
    const { child } = started;
    servers.push(started);
    await appears(socket, child, server.name);
    first ??= { server, socket, image, pid: child.pid as number };
  }
  return first as Running;
}

const widths = { point: 38, number: 12 } as const;

function heading({ servers }: Group): string {
  const names = servers.map(({ name }) => name);
  const numbers = names.map((name) => name.padStart(widths.number)).join("");
  return `${"point".padEnd(widths.point)}${numbers}   × ${names.at(-1)}; p99 µs; p99.9 µs; server CPU µs a request`;
}

function line(point: Point, group: Group, results: readonly (readonly LoadResult[])[]): string {
  const each = (of: (result: LoadResult) => number) => results.map((rounds) => median(rounds.map(of)));
  const iops = each(({ iops }) => iops);
  const last = iops[iops.length - 1];
  const list = (values: readonly number[], digits: number) => values.map((value) => value.toFixed(digits)).join(" / ");
  const ratios = iops.slice(0, -1).map((value) => value / last);
  const latency = (of: "p99" | "p999") =>
    list(
      each(({ lat_us }) => lat_us[of]),
      0,
    );
  const cpu = each(({ server_cpu, iops }) => (server_cpu * 10_000) / Math.max(1, iops));
  return [
    nameOf(point).padEnd(widths.point),
    ...iops.map((value) => `${(value / 1000).toFixed(1)}k`.padStart(widths.number)),
    `   ${list(ratios, 2)} ×; ${latency("p99")}; ${latency("p999")}; ${list(cpu, 2)}`,
    group.points.some(({ disks }) => disks !== undefined) ? ` (${point.disks} disks)` : "",
  ].join("");
}

/** `randread 4k depth 8, 2 queues`. */
function nameOf({ load }: Point): string {
  const [, rw, , blockSize, , depth, ...more] = load;
  const rest = more.length === 0 ? "" : `, ${more.join(" ").replaceAll("--", "")}`;
  return `${rw} ${blockSize} depth ${depth}${rest}`;
}

function runLoad(load: string, { server, socket, pid }: Running, point: Point): LoadResult {
  const options = [...point.load, ...(server.clientOptions ?? [])];
  if (server.client === "attach") return attachLoad(socket, options, seconds, pid);
  const words = ["--socket", socket, ...options, "--runtime", `${seconds}`, "--ramp", point.isCold ? "0" : "0.3"];
  const output = execFileSync(load, [...words, "--server-pid", `${pid}`, "--json"], {
    encoding: "utf8",
    timeout: 60_000 + seconds * 1000,
  });
  const result = JSON.parse(output) as LoadResult;
  if (result.errors > 0) throw new Error(`${result.errors} requests failed: ${output}`);
  return result;
}

/** A small file for a server without load. */
function idleImage(folder: string, name: string): string {
  const path = join(folder, `${name}.img`);
  writeImage(path, 1 << 20);
  return path;
}

async function appears(socket: string, child: ChildProcess, name: string): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!existsSync(socket)) {
    if (child.exitCode !== null || Date.now() > deadline) throw new Error(`${name} did not start: is it installed?`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function numberFrom(name: string, fallback: number): number {
  const value = Number(process.env[name] ?? fallback);
  if (!(value > 0)) throw new Error(`${name} must be a number above 0`);
  return value;
}
