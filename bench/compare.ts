import { constants, PerformanceObserver } from "node:perf_hooks";

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
