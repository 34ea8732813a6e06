/**
 * GRUB's own file system drivers on an image, by `grub-fstest`. Its `affs` (GRUB 2.06) frees the first entry of every
 * directory twice, which ends the program on Linux; so it runs with a `free` that does nothing.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findProgram } from "./guest.js";

/** GRUB's drivers, kept until they are closed. */
export interface GrubFstest {
  /** Names in a directory, without `.` and `..`; directories end with a slash. Names may not have spaces. */
  list(image: string, path: string): string[];
  /** The content of a file. */
  cat(image: string, path: string): Buffer;
  /** Whether a file's content is that of a local file. */
  equals(image: string, path: string, local: string): boolean;
  close(): void;
}

/** Why it cannot be used, if so. */
export function whyNoGrub(): string | undefined {
  if (findProgram("grub-fstest") === undefined) return "grub-fstest (grub-common) is not installed";
  if (findProgram("cc") === undefined) return "no C compiler, which grub-fstest's double free needs a way around with";
  return undefined;
}

/** Makes it ready. */
export function startGrub(): GrubFstest {
  const folder = mkdtempSync(join(tmpdir(), "ringside-grub-"));
  const source = join(folder, "free.c");
  const library = join(folder, "free.so");
  writeFileSync(source, "void free(void *p) { (void)p; }\n");
  execFileSync("cc", ["-shared", "-fPIC", "-o", library, source]);
  const run = (...words: string[]) => {
    const { status, stdout, stderr, signal } = spawnSync(findProgram("grub-fstest") as string, words, {
      env: { ...process.env, LD_PRELOAD: library },
      maxBuffer: 1 << 28,
      timeout: 30_000,
    });
    return { status, stdout, said: `${stdout.toString("latin1").slice(0, 500)}${stderr} ${signal ?? ""}` };
  };
  const checked = (...words: string[]) => {
    const { status, stdout, said } = run(...words);
    if (status !== 0) throw new Error(`grub-fstest ${words.join(" ")}: status ${status}, ${said}`);
    return stdout;
  };
  return {
    list: (image, path) =>
      checked(image, "ls", path)
        .toString()
        .split(/\s+/)
        .filter((name) => name !== "" && name !== "./" && name !== "../"),
    cat: (image, path) => checked(image, "cat", path),
    equals: (image, path, local) => run(image, "cmp", path, local).status === 0,
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}
