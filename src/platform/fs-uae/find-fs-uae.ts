/** Where fs-uae is found. */
import { spawnSync } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { UnsupportedError } from "../../errors/index.js";

/** An fs-uae that can be run. */
export interface FsUaeProgram {
  readonly path: string;
  /** `3.1.66` */
  readonly version: string;
}

/** Asks a program for its version. @throws UnsupportedError when it cannot be run or is not fs-uae. */
export function inspectFsUae(path: string): FsUaeProgram {
  const result = spawnSync(path, ["--version"], {
    encoding: "utf8",
    timeout: 20_000,
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (result.error !== undefined) {
    const code = (result.error as NodeJS.ErrnoException).code ?? result.error.message;
    const reason = { ENOENT: "there is no such file", EACCES: "it is not a program that may be run" }[code] ?? code;
    throw new UnsupportedError(`fs-uae at ${path} cannot be run: ${reason}`);
  }
  const version = /^\s*(\d+\.\d+\.\d+)\b/m.exec(result.stdout);
  if (result.status !== 0 || version === null) {
    throw new UnsupportedError(`${path} is not fs-uae: it does not tell its version`);
  }
  return { path, version: version[1] };
}

/**
 * Finds fs-uae: `explicit` and nothing else when given, otherwise the first in PATH.
 * @throws UnsupportedError with one line that says what to install.
 */
export function findFsUae(explicit?: string): FsUaeProgram {
  if (explicit !== undefined) return inspectFsUae(explicit);
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  const path = folders.map((folder) => join(folder, "fs-uae")).find(isProgram);
  if (path === undefined) throw new UnsupportedError("fs-uae is not installed (Debian: the package fs-uae)");
  return inspectFsUae(path);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
