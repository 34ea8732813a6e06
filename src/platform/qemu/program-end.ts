/** The end of a program that we started, and what it said last. */
import type { ChildProcess } from "node:child_process";
import { fstatSync, readSync } from "node:fs";

/** Ends a program: with SIGTERM, and with SIGKILL after `patience` milliseconds (at once when that is 0). */
export async function endProcess(child: ChildProcess, patience: number): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.ref();
  child.kill(patience > 0 ? "SIGTERM" : "SIGKILL");
  const timer = setTimeout(() => child.kill("SIGKILL"), patience);
  await ended;
  clearTimeout(timer);
}

/** The last whole lines of a log, in one line. @param log an open file. @param limit bytes to look at. */
export function lastWordsOf(log: number, limit: number): string {
  const { size } = fstatSync(log);
  const bytes = Buffer.alloc(Math.min(size, limit));
  const length = readSync(log, bytes, 0, bytes.length, size - bytes.length);
  const lines = bytes.toString("utf8", 0, length).split("\n");
  if (size > bytes.length) lines.shift();
  return lines
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .join(" | ");
}
