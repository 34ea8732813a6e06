import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { constants, PerformanceObserver } from "node:perf_hooks";
import { fileURLToPath } from "node:url";

/** Medians of alternating rounds, so that a machine whose speed drifts is fair to both sides. */

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/** Processor time that `work` takes, in nanoseconds: other programs on the machine do not count. */
export function processorTime(work: () => void): number {
  const start = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(start);
  return (user + system) * 1000;
}

/** Minor garbage collections while `work` runs: 0 when nothing is allocated for long enough to matter. */
export async function countScavenges(work: () => void): Promise<number> {
  let count = 0;
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { kind } = (entry as unknown as { detail: { kind: number } }).detail;
      if (kind === constants.NODE_PERFORMANCE_GC_MINOR) count++;
    }
  });
  observer.observe({ entryTypes: ["gc"] });
  work();
  // Entries are handed over when the event loop turns.
  await new Promise<void>((resolve) => setTimeout(resolve, 20));
  observer.disconnect();
  return count;
}

/** Builds a C program of bench/ into `folder`; returns its path. @throws Error when there is no C compiler. */
export function buildC(name: string, folder: string): string {
  // dist/bench/compare.js
  const source = fileURLToPath(new URL(`../../bench/${name}`, import.meta.url));
  const program = join(folder, name.replace(/\.c$/, ""));
  execFileSync("cc", ["-O2", "-o", program, source]);
  return program;
}
