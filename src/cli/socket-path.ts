/** Paths of Unix sockets, and what can be wrong with them. */
import { lstatSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { UsageError, WorkFailed } from "./errors.js";

/** `sun_path` holds 108 bytes, the last of which is 0. */
const longestPath = 107;

/** @throws UsageError when no socket can have this path */
export function checkSocketPath(path: string): string {
  const { length } = new TextEncoder().encode(path);
  if (length === 0 || length > longestPath) {
    throw new UsageError(`the path of a socket has 1 to ${longestPath} bytes, not ${length}: give another one`);
  }
  return path;
}

/** The same for a socket that is to be made. @throws UsageError when there is no folder for it either */
export function checkNewSocket(path: string): string {
  checkSocketPath(path);
  const folder = dirname(path);
  if (!isFolder(folder)) throw new UsageError(`${path}: there is no folder ${folder}: make it first`);
  return path;
}

/** Whether there is a folder. */
export function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Why nobody can listen at `path`, from the system's name of the error. */
export function listenError(path: string, code: string, cause: unknown): UsageError | WorkFailed {
  if (code !== "EADDRINUSE") {
    return new WorkFailed(`no socket can be made at ${path} (${code}): give another path`, { cause });
  }
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) {
    return new UsageError(`${path} exists and is no socket: give another path`, { cause });
  }
  return new WorkFailed(`somebody listens on ${path} already: end that server, or give another path`, { cause });
}
