/** Runs the compiled command line as users do: as a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";

/** The compiled program. */
export const cliMain = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

/** How a run ended. */
export interface CliResult {
  /** Exit status, or undefined when a signal ended it. */
  readonly status: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** A run that goes on: for signals. */
export interface CliRun {
  readonly child: ChildProcess;
  /** What came on standard error so far. */
  stderr(): string;
  readonly ended: Promise<CliResult>;
}

/** A folder for one test's images, and another that the command line takes for the system's temporary one. */
export class CliFolder {
  readonly path = mkdtempSync(join(tmpdir(), "cli-test-"));
  readonly #temporary = mkdtempSync(join(tmpdir(), "cli-temp-"));

  readonly #children = new Set<ChildProcess>();

  constructor(context: TestContext) {
    context.after(() => {
      // Those of a test that failed half-way.
      for (const child of this.#children) child.kill("SIGKILL");
      rmSync(this.path, { recursive: true, force: true });
      rmSync(this.#temporary, { recursive: true, force: true });
    });
  }

  file(name: string): string {
    return join(this.path, name);
  }

  /** What runs left behind. */
  leftovers(): string[] {
    return readdirSync(this.#temporary);
  }

  /** @param descriptor becomes number 3 of the process. */
  start(words: readonly string[], environment: Readonly<Record<string, string>> = {}, descriptor?: number): CliRun {
    const env = { ...process.env, TMPDIR: this.#temporary, ...environment };
    const child = spawn(process.execPath, [cliMain, ...words], {
      ...{ cwd: this.path, env },
      stdio: ["ignore", "pipe", "pipe", ...(descriptor === undefined ? [] : [descriptor])],
    });
    this.#children.add(child);
    child.once("exit", () => this.#children.delete(child));
    const output = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name]?.setEncoding("utf8").on("data", (text: string) => {
        output[name] += text;
      });
    }
    const ended = new Promise<CliResult>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (status) => resolve({ status: status ?? undefined, ...output }));
    });
    return { child, stderr: () => output.stderr, ended };
  }

  run(words: readonly string[], environment?: Readonly<Record<string, string>>): Promise<CliResult> {
    return this.start(words, environment).ended;
  }
}
