/** `ringside bench`: runs the benchmarks that come with a checkout. */
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { UsageError } from "./errors.js";
import type { Interruption } from "./interruption.js";
import { writeOutput } from "./output.js";
import { formatTable } from "./table.js";
import { TemporaryFolder } from "./temporary-folder.js";

/** What `bench/main.ts` exports a list of, as `benchmarks`. */
export interface Benchmark {
  readonly name: string;
  /** What it measures, in one line. */
  readonly title: string;
  /** Prints its result a line at a time, as soon as it has it. */
  run(print: (line: string) => void): Promise<void>;
}

/** Benchmarks are compiled beside `src`, and are no part of the package. */
const home = new URL("../../bench/main.js", import.meta.url);

/** Runs the named benchmarks, or all, or lists them. @throws UsageError when there are none or no such ones */
export async function bench(
  names: readonly string[],
  options: { readonly list: boolean },
  interruption: Interruption,
): Promise<void> {
  const benchmarks = await loadBenchmarks();
  const unknown = names.find((name) => !benchmarks.some((benchmark) => benchmark.name === name));
  if (unknown !== undefined) {
    const known = benchmarks.map(({ name }) => name).join(", ");
    throw new UsageError(`there is no benchmark ${unknown}: there are ${known}`);
  }
  if (options.list) {
    const rows = benchmarks.map(({ name, title }) => [name, title]);
    await writeOutput(`${formatTable([{ title: "Name" }, { title: "Measures" }], rows).join("\n")}\n`);
    return;
  }
  // What they put into the system's temporary folder goes when this process does, however that ends.
  process.env["TMPDIR"] = new TemporaryFolder().path;
  for (const benchmark of benchmarks) {
    if (names.length > 0 && !names.includes(benchmark.name)) continue;
    interruption.check();
    await writeOutput(`${benchmark.name}: ${benchmark.title}\n`);
    await measure(benchmark, interruption);
    await writeOutput("\n");
  }
}

/** @throws Interrupted at once: what benchmarks set up besides goes with the process. */
async function measure(benchmark: Benchmark, interruption: Interruption): Promise<void> {
  let written = Promise.resolve();
  const done = benchmark.run((line) => {
    written = written.then(() => writeOutput(`  ${line}\n`));
  });
  try {
    await Promise.race([done, interruption.ended()]);
  } catch (error) {
    // Ctrl-C ends the processes of a benchmark too, and waits here while the benchmark holds the event loop up.
    await sleep(10);
    interruption.check();
    throw error;
  }
  interruption.check();
  await written;
}

async function loadBenchmarks(): Promise<readonly Benchmark[]> {
  if (!existsSync(fileURLToPath(home))) {
    throw new UsageError(
      "the benchmarks are not in the package: run them in a checkout of the project, after npm install",
    );
  }
  const { benchmarks } = (await import(home.href)) as { benchmarks: readonly Benchmark[] };
  return benchmarks;
}
