/** A soak that was called wrongly says so instead of being good at nothing. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

for (const [program, words, says] of [
  ["main.js", ["--seconds", "0"], /^--seconds must be a number, at least 0\.1, got 0\n$/],
  ["main.js", ["--secs"], /^Unknown option '--secs'[^\n]*\n$/],
  ["main.js", ["nothing"], /^no soak called nothing: one of rings, [^\n]*\n$/],
  ["kills.js", ["--kills", "x"], /^--kills must be a number, at least 1, got x\n$/],
  ["kills.js", ["--kind", "ide"], /^--kind is blk or scsi, not ide\n$/],
  ["power-cuts.js", ["--cuts", "0"], /^--cuts must be a number, at least 1, got 0\n$/],
] as const) {
  test(`${program} ${words.join(" ")}: one line, exit status 2`, () => {
    const path = fileURLToPath(new URL(program, import.meta.url));
    const { status, stdout, stderr } = spawnSync(process.execPath, [path, ...words], { encoding: "utf8" });
    assert.deepEqual([status, stdout], [2, ""]);
    assert.match(stderr, says);
  });
}
