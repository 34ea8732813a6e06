/** A load by our own driver: `attach bench`, told and read like the load generator in C. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { BenchReport } from "../src/cli/attach-bench.js";
import type { LoadResult } from "./vhost.js";

/** The generator's words for what `attach bench` calls otherwise. */
const words: Readonly<Record<string, string>> = { "--rw": "--op", "--bs": "--block-size", "--qd": "--depth" };
const ticksPerSecond = 100;

/** Runs the load for `seconds` against `socket`, whose server is process `pid`. @throws Error when a request failed */
export function attachLoad(socket: string, options: readonly string[], seconds: number, pid: number): LoadResult {
  const main = fileURLToPath(new URL("../src/cli/main.js", import.meta.url));
  const load = options.map((word) => words[word] ?? word);
  const before = ticksOf(pid);
  const output = execFileSync(
    process.execPath,
    [main, "attach", "bench", "--socket", socket, ...load, "--write", "--seconds", `${seconds}`, "--json"],
    { encoding: "utf8", timeout: 60_000 + seconds * 1000 },
  );
  const report = JSON.parse(output) as BenchReport;
  const { iops, p50Us, p99Us, p999Us, errors } = report;
  const busy = (ticksOf(pid) - before) / ticksPerSecond;
  return {
    ...{ iops, errors, lat_us: { p50: p50Us, p99: p99Us, p999: p999Us } },
    server_cpu: (100 * busy) / report.seconds,
  };
}

/** Processor time that a process has used, in the kernel's ticks. */
function ticksOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1")
    .replace(/^.*\) /s, "")
    .split(" ");
  return Number(fields[11]) + Number(fields[12]);
}
