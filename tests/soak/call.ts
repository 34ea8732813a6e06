/** How soaks are called: what is wrong is one line on standard error and exit status 2. */
import { type ParseArgsConfig, parseArgs } from "node:util";

/** Ends the process. */
export function wrongCall(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(2);
}

/** As `parseArgs`. */
export function readCall<const C extends ParseArgsConfig>(config: C): ReturnType<typeof parseArgs<C>> {
  try {
    return parseArgs(config);
  } catch (error) {
    return wrongCall(error instanceof Error ? error.message.split("\n")[0] : String(error));
  }
}

/** An option's number, at least `least`. */
export function numberOf(name: string, text: string, least = 0): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least) return value;
  return wrongCall(`--${name} must be a number, at least ${least}, got ${text}`);
}

/** An option's value that is one of `choices`. */
export function choiceOf<const T extends string>(name: string, text: string, choices: readonly T[]): T {
  return choices.find((choice) => choice === text) ?? wrongCall(`--${name} is ${choices.join(" or ")}, not ${text}`);
}
