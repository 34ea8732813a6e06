/** `ringside run` on QEMU's virtio-blk, over PCI and MMIO, its CD-ROM drive, and the xv6 face there. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { boards } from "../../src/machine/index.js";
import { findQemu } from "../../src/platform/qemu/index.js";
import { makeXv6Image } from "../../src/testing/xv6-mkfs.js";
import { sha256Of, writeNoise } from "../quick/cli-images.js";
import { CliFolder } from "../quick/cli-process.js";
import { test } from "./limited-test.js";

const mebibyte = 1 << 20;

function lacking(machine: string): string | false {
  try {
    findQemu(boards[machine]);
    return false;
  } catch (error) {
    return (error as Error).message;
  }
}

const run = (machine: string, ...words: string[]) => [
  "run",
  "--platform",
  "qemu",
  "--machine",
  machine,
  "--json",
  ...words,
];

for (const [machine, transport] of Object.entries({
  pc: "pci-modern",
  pegasos2: "pci-modern",
  amigaone: "pci-legacy",
  "riscv-virt": "mmio",
  "arm-virt": "mmio",
})) {
  test(`${machine} on QEMU: --device blk, an adapter for each image`, { skip: lacking(machine) }, async (t) => {
    const folder = new CliFolder(t);
    const names = ["a.img", "b.img", "c.img"];
    for (const [index, name] of names.entries()) writeNoise(folder.file(name), mebibyte * (index + 1), index);
    const before = names.map((name) => sha256Of(folder.file(name)));
    const words = ["--device", "blk", "--hash", "a.img", "b.img,block-size=4096", "c.img,ro"];
    const result = await folder.run(run(machine, ...words));
    assert.equal(result.status, 0, result.stderr);
    const { adapters } = JSON.parse(result.stdout);
    type Adapter = { kind: string; transport: string; units: Record<string, unknown>[] };
    assert.deepEqual(
      adapters.map((adapter: Adapter) => [adapter.kind, adapter.transport, adapter.units.length]),
      names.map(() => ["virtio-blk", transport, 1]),
    );
    const units: Record<string, unknown>[] = adapters.flatMap((adapter: Adapter) => adapter.units);
    assert.deepEqual(
      units.map((unit) => [unit["unit"], unit["image"], unit["blockSize"], unit["blocks"], unit["readOnly"]]),
      [
        [0, "a.img", 512, 2048, false],
        [1, "b.img", 4096, 512, false],
        [2, "c.img", 512, 6144, true],
      ],
    );
    assert.deepEqual(
      units.map((unit) => unit["sha256"]),
      before,
    );
    assert.deepEqual(
      names.map((name) => sha256Of(folder.file(name))),
      before,
    );
    assert.deepEqual(folder.leftovers(), []);
  });
}

for (const words of [["--registers", "legacy"], ["--interrupts", "none"], ["--write"], ["--device", "scsi"]]) {
  const machine = "riscv-virt";
  test(`${machine} on QEMU ${words.join(" ")}: verified, and the image as before`, {
    skip: lacking(machine),
  }, async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), mebibyte);
    const before = sha256Of(folder.file("a.img"));
    const result = await folder.run(run(machine, ...words, "a.img"));
    assert.equal(result.status, 0, result.stderr);
    assert.equal(JSON.parse(result.stdout).adapters[0].units[0].verified, true);
    assert.equal(sha256Of(folder.file("a.img")), before);
  });
}

test("a CD-ROM on QEMU is read and never written", { skip: lacking("pegasos2") }, async (t) => {
  const folder = new CliFolder(t);
  writeNoise(folder.file("a.img"), mebibyte);
  writeNoise(folder.file("cd.iso"), mebibyte, 2);
  const result = await folder.run(run("pegasos2", "--hash", "a.img", "cd.iso,cd,target=6"));
  assert.equal(result.status, 0, result.stderr);
  const [, cd] = JSON.parse(result.stdout).adapters[0].units;
  assert.deepEqual(
    [cd.target, cd.blockSize, cd.product, cd.sha256],
    [6, 2048, "QEMU CD-ROM", sha256Of(folder.file("cd.iso"))],
  );
});

for (const profile of ["strict", "extended"]) {
  test(`--os xv6 --profile ${profile} on QEMU: --ls, --cat, and verified`, {
    skip: lacking("riscv-virt"),
  }, async (t) => {
    const folder = new CliFolder(t);
    writeFileSync(folder.file("fs.img"), makeXv6Image({ root: new Map([["README", "hello\n"]]) }));
    const before = sha256Of(folder.file("fs.img"));
    const xv6 = ["run", "--platform", "qemu", "--os", "xv6", "--profile", profile, "fs.img"];
    const list = await folder.run([...xv6, "--ls", "/"]);
    assert.equal(list.status, 0, list.stderr);
    assert.match(list.stdout, /^file +2 +6 {2}README$/m);
    assert.equal((await folder.run([...xv6, "--cat", "/README"])).stdout, "hello\n");
    const whole = await folder.run([...xv6, "--json", "--hash"]);
    assert.equal(whole.status, 0, whole.stderr);
    const report = JSON.parse(whole.stdout);
    assert.deepEqual([report.machine, report.os, report.adapters[0].units[0].sha256], ["riscv-virt", "xv6", before]);
    assert.deepEqual(folder.leftovers(), []);
  });
}

for (const [profile, transport] of [
  ["strict", "pci-legacy"],
  ["extended", "pci-modern"],
]) {
  test(`--os storport --profile ${profile} on QEMU's pc: verified through SRBs`, { skip: lacking("pc") }, async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), mebibyte);
    writeNoise(folder.file("b.img"), mebibyte, 2);
    const before = ["a.img", "b.img"].map((name) => sha256Of(folder.file(name)));
    const words = ["--os", "storport", "--profile", profile, "--hash", "a.img", "b.img,ro"];
    const result = await folder.run(run("pc", ...words));
    assert.equal(result.status, 0, result.stderr);
    const report = JSON.parse(result.stdout);
    assert.deepEqual([report.os, report.profile], ["storport", profile]);
    assert.deepEqual(
      report.adapters.map((adapter: { transport: string; units: { sha256: string; verified: boolean }[] }) => [
        ...[adapter.transport, adapter.units[0].sha256, adapter.units[0].verified],
      ]),
      before.map((sha256) => [transport, sha256, true]),
    );
    assert.deepEqual(folder.leftovers(), []);
  });
}
