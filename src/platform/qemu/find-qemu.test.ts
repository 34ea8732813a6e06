import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { UnsupportedError } from "../../errors/index.js";
import { boards } from "../../machine/index.js";
import { findQemu } from "./index.js";

const folder = mkdtempSync(join(tmpdir(), "ringside-find-qemu-"));
test.after(() => rmSync(folder, { recursive: true }));

/** A program that answers as a QEMU of that version would. */
function pretend(name: string, version: string, machines: readonly string[]): string {
  const path = join(folder, name);
  const lines = ["Supported machines are:", ...machines.map((machine) => `${machine}   A machine`)];
  writeFileSync(
    path,
    `#!/bin/sh\ncase $1 in\n--version) echo 'QEMU emulator version ${version} (Test)';;\n*) printf '%s\\n' ${lines.map((line) => `'${line}'`).join(" ")};;\nesac\n`,
  );
  chmodSync(path, 0o755);
  return path;
}

const oneLine = (part: RegExp) => (error: unknown) =>
  error instanceof UnsupportedError && part.test(error.message) && !error.message.includes("\n");

test("a missing program, one that may not be run and one that is no QEMU are told apart in one line", () => {
  assert.throws(() => findQemu(boards["pc"], join(folder, "nothing")), oneLine(/cannot be run: there is no such file/));
  writeFileSync(join(folder, "plain"), "");
  assert.throws(() => findQemu(boards["pc"], join(folder, "plain")), oneLine(/not a program that may be run/));
  assert.throws(() => findQemu(boards["pc"], folder), oneLine(/not a program that may be run/));
  assert.throws(() => findQemu(boards["pc"], "/bin/true"), oneLine(/not a QEMU system emulator/));
  assert.throws(() => findQemu(boards["pc"], "/bin/false"), oneLine(/not a QEMU system emulator/));
});

test("a QEMU without the machine gives one line with its version and what to install", () => {
  const old = pretend("old", "7.2.22", ["pegasos2", "none"]);
  assert.throws(
    () => findQemu(boards["amigaone"], old),
    oneLine(
      /^QEMU 7\.2\.22 at .*old has no machine amigaone: install QEMU 8\.2 or newer .*bookworm-backports.*--qemu$/,
    ),
  );
  assert.equal(findQemu(boards["pegasos2"], old).major, 7);
});

test("a machine counts only under its own name, not as a part of another", () => {
  const near = pretend("near", "10.0.2", ["amigaone-next", "my-amigaone"]);
  assert.throws(() => findQemu(boards["amigaone"], near), oneLine(/no machine amigaone/));
});

test("without --qemu, the first QEMU that has the machine is taken: PATH, then RINGSIDE_QEMU10", (t) => {
  const before = { path: process.env["PATH"], named: process.env["RINGSIDE_QEMU10"] };
  t.after(() => {
    process.env["PATH"] = before.path;
    if (before.named === undefined) delete process.env["RINGSIDE_QEMU10"];
    else process.env["RINGSIDE_QEMU10"] = before.named;
  });
  const inPath = mkdtempSync(join(folder, "path-"));
  const named = mkdtempSync(join(folder, "named-"));
  pretend(join(inPath.slice(folder.length), "qemu-system-ppc"), "7.2.0", ["pegasos2"]);
  pretend(join(named.slice(folder.length), "qemu-system-ppc"), "10.0.2", ["pegasos2", "amigaone"]);
  process.env["PATH"] = `/nonexistent:${inPath}:/bin`;
  process.env["RINGSIDE_QEMU10"] = named;
  assert.equal(findQemu(boards["pegasos2"]).version, "7.2.0");
  assert.equal(findQemu(boards["amigaone"]).version, "10.0.2");
  process.env["RINGSIDE_QEMU10"] = join(named, "qemu-system-ppc");
  assert.equal(findQemu(boards["amigaone"]).version, "10.0.2");
  process.env["PATH"] = "/nonexistent";
  delete process.env["RINGSIDE_QEMU10"];
  // Not one of those that .ci/install-peers unpacks beside the system.
  const needed = /^no qemu-system-riscv64 found for machine virt: install QEMU/;
  assert.throws(() => findQemu(boards["riscv-virt"]), oneLine(needed));
});

test("a board that QEMU does not have is refused", () => {
  const { qemu: _, ...board } = boards["pc"];
  assert.throws(() => findQemu({ ...board, name: "a4000" }), oneLine(/no machine like a4000/));
});
