import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { DurableText } from "./index.js";

const folder = mkdtempSync(join(tmpdir(), "ringside-text-"));
test.after(() => rmSync(folder, { recursive: true }));

test("a text that was never written is undefined; afterwards the last one is there, and no other file", () => {
  const text = new DurableText(join(folder, "a.json"));
  assert.equal(text.read(), undefined);
  for (const value of ["one", "", "zwei, größer"]) {
    assert.equal(text.write(value), undefined);
    assert.equal(new DurableText(join(folder, "a.json")).read(), value);
  }
  assert.deepEqual(readdirSync(folder), ["a.json"]);
});

test("what is no text, or too long for one of ours, is refused and not taken for nothing", () => {
  const path = join(folder, "bad");
  writeFileSync(path, Uint8Array.of(0xff, 0xfe, 0x00));
  assert.throws(() => new DurableText(path).read(), /encoded|invalid/i);
  writeFileSync(path, new Uint8Array((1 << 20) + 1));
  assert.throws(() => new DurableText(path).read(), /more than/);
  assert.throws(() => new DurableText(folder).read(), /EISDIR/);
  rmSync(path);
});

test("a text that cannot be written leaves the old one", { skip: process.getuid?.() === 0 && "root may write" }, () => {
  const locked = mkdtempSync(join(folder, "locked-"));
  const text = new DurableText(join(locked, "t"));
  text.write("old");
  chmodSync(locked, 0o500);
  assert.throws(() => text.write("new"), /EACCES/);
  chmodSync(locked, 0o700);
  assert.equal(text.read(), "old");
});

const noStrace = spawnSync("strace", ["-V"]).status === 0 ? false : "strace is not installed";

test("the file is synced before it is renamed, the folder after", { skip: noStrace }, () => {
  const path = join(folder, "order");
  const module = fileURLToPath(new URL("./index.js", import.meta.url));
  const program = `const { DurableText } = await import(${JSON.stringify(module)}); new DurableText(${JSON.stringify(path)}).write("x");`;
  const log = join(folder, "calls");
  const run = spawnSync("strace", [
    ...["-f", "-y", "-e", "trace=fsync,rename,renameat,renameat2", "-o", log],
    ...[process.execPath, "--input-type=module", "-e", program],
  ]);
  assert.equal(run.status, 0, String(run.stderr));
  const calls = readFileSync(log, "utf8")
    .split("\n")
    .filter((line) => line.includes(folder))
    .map((line) => /\b(fsync|rename)/.exec(line)?.[1]);
  assert.deepEqual(calls, ["fsync", "rename", "fsync"]);
});
