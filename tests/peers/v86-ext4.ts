/** ext4 by e2fsprogs, on images in memory. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findProgram } from "./linux/guest.js";

/** Why it cannot be had, if so. */
export function whyNoExt4(): string | undefined {
  const missing = ["mke2fs", "e2fsck", "debugfs"].filter((name) => findProgram(name) === undefined);
  return missing.length === 0 ? undefined : `${missing.join(", ")} (e2fsprogs) not installed`;
}

const program = (name: string) => findProgram(name) as string;

function withFolder<T>(work: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "ringside-ext4-"));
  try {
    return work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** An empty file system. */
export function formatExt4(byteLength: number): Uint8Array {
  return withFolder((folder) => {
    const image = join(folder, "image");
    writeFileSync(image, "");
    truncateSync(image, byteLength);
    execFileSync(program("mke2fs"), ["-q", "-t", "ext4", image]);
    return readFileSync(image);
  });
}

/** Checks that a volume is clean, and that its files have these sums: lines of `md5sum`. */
export function checkExt4(image: Uint8Array, sums: string): void {
  withFolder((folder) => {
    const path = join(folder, "image");
    writeFileSync(path, image);
    const { status, stdout } = spawnSync(program("e2fsck"), ["-fn", path], { encoding: "utf8" });
    assert.equal(status, 0, stdout);
    const lines = sums.split("\n").filter((line) => line !== "");
    assert.ok(lines.length > 0);
    for (const line of lines) {
      const [sum, name] = line.split(/\s+/);
      const content = execFileSync(program("debugfs"), ["-R", `cat /${name}`, path], {
        stdio: ["ignore", "pipe", "ignore"],
        maxBuffer: 1 << 28,
      });
      assert.equal(createHash("md5").update(content).digest("hex"), sum, name);
    }
  });
}
