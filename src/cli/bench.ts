/** `ringside bench`: runs the benchmarks that come with a checkout. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { UsageError } from "./errors.js";
import type { Interruption } from "./interruption.js";
import { writeOutput } from "./output.js";
import { formatTable } from "./table.js";

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
  for (const benchmark of benchmarks) {
    if (names.length > 0 && !names.includes(benchmark.name)) continue;
    interruption.check();
    await writeOutput(`${benchmark.name}: ${benchmark.title}\n`);
    let written = Promise.resolve();
    await benchmark.run((line) => {
      written = written.then(() => writeOutput(`  ${line}\n`));
    });
    await written;
    await writeOutput("\n");
  }
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
