#!/usr/bin/env node
/** The `ringside` command: exit status 0 done, 1 the work failed, 2 the call was wrong. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Command, CommanderError } from "commander";
import { ExitStatus, errorLine, exitStatusOf, Interrupted, oneLine } from "./errors.js";
import { Interruption } from "./interruption.js";
import { separateTrace } from "./option-values.js";
import { buildProgram } from "./program.js";

/** Of the `package.json` that this file belongs to. */
function packageVersion(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json"))) folder = dirname(folder);
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).version;
}

async function main(words: readonly string[]): Promise<number> {
  const program = buildProgram({ version: packageVersion(), interruption: Interruption.watch() });
  takeOver(program);
  try {
    if (words.length === 0) {
      program.outputHelp({ error: true });
      return ExitStatus.WrongCall;
    }
    await program.parseAsync(separateTrace(words), { from: "user" });
    return ExitStatus.Done;
  } catch (error) {
    return report(error);
  }
}

/** Has a command and those within it leave errors and the end of the process to {@link main}. */
function takeOver(command: Command): void {
  command.exitOverride().configureOutput({ outputError: () => {} });
  for (const inner of command.commands) takeOver(inner);
}

/** Says what went wrong, if that is not said yet. */
function report(error: unknown): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return ExitStatus.Done;
    // The help, on standard error, is the answer.
    if (error.code === "commander.help") return ExitStatus.WrongCall;
    process.stderr.write(`ringside: ${oneLine(error.message).replace(/^error: /, "")}\n`);
    return ExitStatus.WrongCall;
  }
  if (!(error instanceof Interrupted)) process.stderr.write(`ringside: ${errorLine(error)}\n`);
  return exitStatusOf(error);
}

// Standard streams whose reader went away are dealt with where they are written.
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});
process.exit(await main(process.argv.slice(2)));
