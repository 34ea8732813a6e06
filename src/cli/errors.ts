/** How a failure becomes one line on standard error and an exit status. */
import { InternalError, UnsupportedError } from "../errors/index.js";
import { ImageError, type ImageErrorCode } from "../storage/file/index.js";
import { printable } from "./table.js";

/** 0 done; 1 the work failed; 2 the call was wrong. */
export const ExitStatus = { Done: 0, Failed: 1, WrongCall: 2 } as const;

/** The call cannot be carried out as it was written. The message says what to write instead. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The work was done and its result is bad: data differ, a unit is missing. */
export class WorkFailed extends Error {
  override readonly name = "WorkFailed";
}

/** The user called the work off. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
  /** Number of the signal: 2 for Ctrl-C. */
  readonly signal: number;

  constructor(signal: number) {
    super("interrupted");
    this.signal = signal;
  }
}

/** Images that another call would not find wrong. */
const environmental: ReadonlySet<ImageErrorCode> = new Set(["unreadable", "in-use", "no-locks"]);

/** The exit status that goes with an error. */
export function exitStatusOf(error: unknown): number {
  if (error instanceof Interrupted) return 128 + error.signal;
  if (error instanceof UsageError) return ExitStatus.WrongCall;
  if (error instanceof ImageError) return environmental.has(error.code) ? ExitStatus.Failed : ExitStatus.WrongCall;
  return ExitStatus.Failed;
}

/** One line about an error. Whole stacks come with RINGSIDE_DEBUG=1. */
export function errorLine(error: unknown): string {
  if (process.env["RINGSIDE_DEBUG"] === "1" && error instanceof Error && error.stack !== undefined) return error.stack;
  if (!(error instanceof Error)) return oneLine(String(error));
  // These are bugs of ours; everything else was meant to be read.
  const isOurs = error instanceof InternalError || error instanceof TypeError || error instanceof ReferenceError;
  const message = oneLine(error.message || error.name);
  return isOurs ? `internal error: ${message} (RINGSIDE_DEBUG=1 shows where; please report it)` : message;
}

/** Text with its line ends turned into spaces, and without what a terminal would take as a command. */
export function oneLine(text: string): string {
  return printable(text.replaceAll(/\s*[\r\n]+\s*/g, " ").trim());
}

/** The reason why something cannot be had is the caller's to change. */
export function asUsageError(error: unknown): unknown {
  const isCallers = error instanceof UnsupportedError || error instanceof RangeError;
  return isCallers ? new UsageError(error.message, { cause: error }) : error;
}
