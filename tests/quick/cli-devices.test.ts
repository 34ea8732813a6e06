/** `ringside run` with virtio-blk, virtio-mmio, CD-ROMs and faces, on the embedded platform. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { makeXv6Image, type Xv6Tree } from "../../src/testing/xv6-mkfs.js";
import { sha256Of, writeNoise } from "./cli-images.js";
import { CliFolder } from "./cli-process.js";

const mebibyte = 1 << 20;

interface Unit {
  readonly [name: string]: unknown;
}

interface Adapter {
  readonly kind: string;
  readonly transport: string;
  readonly place: string;
  readonly interrupts: string;
  readonly features: readonly string[];
  readonly units: readonly Unit[];
}

interface Report {
  readonly [name: string]: unknown;
  readonly adapters: readonly Adapter[];
  readonly files: { readonly entries: readonly { readonly name: string }[] };
}

async function runJson(folder: CliFolder, ...words: string[]): Promise<Report> {
  const result = await folder.run(["run", "--json", ...words]);
  assert.deepEqual([result.status, result.stderr], [0, ""]);
  return JSON.parse(result.stdout);
}

for (const [machine, transport] of Object.entries({
  pc: "pci-modern",
  q35: "pci-modern",
  pegasos2: "pci-modern",
  amigaone: "pci-legacy",
  "riscv-virt": "mmio",
  "arm-virt": "mmio",
})) {
  test(`${machine} --device blk: an adapter for each image, in their order, and no image changes`, async (t) => {
    const folder = new CliFolder(t);
    const names = ["a.img", "b.img", "c.img"];
    for (const [index, name] of names.entries()) writeNoise(folder.file(name), mebibyte * (index + 1), index);
    const before = names.map((name) => sha256Of(folder.file(name)));
    const words = ["a.img", "b.img,block-size=4096", "c.img,ro"];
    const report = await runJson(folder, "--machine", machine, "--device", "blk", "--hash", ...words);
    assert.equal(report["machine"], machine);
    assert.deepEqual(
      report.adapters.map((adapter) => [adapter.kind, adapter.transport]),
      Array.from({ length: 3 }, () => ["virtio-blk", transport]),
    );
    assert.equal(new Set(report.adapters.map(({ place }) => place)).size, 3);
    const units = report.adapters.flatMap((adapter) => adapter.units);
    assert.deepEqual(
      units.map(({ unit, image, blockSize, blocks, readOnly, verified }) => [
        ...[unit, image, blockSize, blocks, readOnly, verified],
      ]),
      [
        [0, "a.img", 512, 2048, false, true],
        [1, "b.img", 4096, 512, false, true],
        [2, "c.img", 512, 6144, true, true],
      ],
    );
    assert.deepEqual(
      units.map(({ sha256 }) => sha256),
      before,
    );
    assert.deepEqual(
      names.map((name) => sha256Of(folder.file(name))),
      before,
    );
    assert.deepEqual(
      report.adapters.map(({ features }) => features.includes("RO")),
      [false, false, true],
    );
  });
}

test("riscv-virt takes virtio-blk unless --device scsi says otherwise", async (t) => {
  const folder = new CliFolder(t);
  writeNoise(folder.file("a.img"), mebibyte);
  const blk = await runJson(folder, "--machine", "riscv-virt", "a.img");
  assert.deepEqual([blk.adapters[0].kind, blk.adapters[0].interrupts], ["virtio-blk", "line"]);
  const scsi = await runJson(folder, "--machine", "riscv-virt", "--device", "scsi", "a.img,target=5");
  assert.deepEqual([scsi.adapters[0].kind, scsi.adapters[0].units[0]["target"]], ["virtio-scsi", 5]);
});

for (const words of [
  ["--interrupts", "none"],
  ["--registers", "legacy"],
]) {
  test(`riscv-virt ${words.join(" ")}: the unit is verified`, async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), mebibyte);
    const [adapter] = (await runJson(folder, "--machine", "riscv-virt", ...words, "a.img")).adapters;
    assert.equal(adapter.units[0]["verified"], true);
    if (words[1] === "none") assert.equal(adapter.interrupts, "none");
    else assert.deepEqual([adapter.transport, adapter.features.includes("VERSION_1")], ["mmio-legacy", false]);
  });
}

test("--virtio-mmio puts adapters into the windows that it names, as the kernel parameter does", async (t) => {
  const folder = new CliFolder(t);
  writeNoise(folder.file("a.img"), mebibyte);
  writeNoise(folder.file("b.img"), mebibyte, 2);
  const windows = ["--virtio-mmio", "4K@0x20000000:40", "--virtio-mmio", "virtio_mmio.device=512@0x20001000:41:7"];
  const { adapters } = await runJson(folder, "--machine", "pc", ...windows, "a.img", "b.img");
  assert.deepEqual(
    adapters.map(({ kind, transport, place }) => [kind, transport, place]),
    [
      ["virtio-blk", "mmio", "0x20000000 irq 40"],
      ["virtio-blk", "mmio", "0x20001000 irq 41"],
    ],
  );
});

test("a CD-ROM is a unit of 2048-byte blocks that is read and never written", async (t) => {
  const folder = new CliFolder(t);
  writeNoise(folder.file("a.img"), mebibyte);
  writeNoise(folder.file("cd.iso"), mebibyte, 2);
  const before = sha256Of(folder.file("cd.iso"));
  const report = await runJson(folder, "--hash", "--write", "a.img", "cd.iso,cd,target=6");
  const [, cd] = report.adapters[0].units;
  const { target, blockSize, blocks, product, readOnly, sha256, verified } = cd;
  assert.deepEqual(
    [target, blockSize, blocks, product, readOnly, cd["cd"], sha256, verified],
    [6, 2048, 512, "CD-ROM", true, true, before, true],
  );
  assert.equal(sha256Of(folder.file("cd.iso")), before);
});

const big = Uint8Array.from({ length: 100_000 }, (_, index) => (index * 7 + (index >>> 8)) & 0xff);
const tree: Xv6Tree = new Map<string, Uint8Array | string | Xv6Tree>([
  ["README", "hello\n"],
  ["big", big],
  ["bin", new Map([["ls", "inner"]])],
]);

for (const profile of ["strict", "extended"]) {
  test(`--os xv6 --profile ${profile}: --ls shows files, --cat prints them, and all of the disk is verified`, async (t) => {
    const folder = new CliFolder(t);
    writeFileSync(folder.file("fs.img"), makeXv6Image({ root: tree }));
    const before = sha256Of(folder.file("fs.img"));
    const xv6 = ["--os", "xv6", "--profile", profile, "fs.img"];
    const list = await folder.run(["run", ...xv6, "--ls", "/"]);
    assert.deepEqual([list.status, list.stderr], [0, ""]);
    assert.deepEqual(
      list.stdout.split("\n").map((line) => line.trim().split(/\s+/)),
      [
        ["Type", "Inode", "Size", "Name"],
        ["directory", "1", "1024", "."],
        ["directory", "1", "1024", ".."],
        ["file", "2", "6", "README"],
        ["file", "3", "100000", "big"],
        ["directory", "4", "1024", "bin"],
        [""],
      ],
    );
    const inner = await folder.run(["run", ...xv6, "--cat", "/bin/ls"]);
    assert.deepEqual(inner, { status: 0, stdout: "inner", stderr: "" });
    const report = await runJson(folder, ...xv6, "--ls", "bin", "--hash");
    assert.deepEqual([report["machine"], report["os"], report["profile"]], ["riscv-virt", "xv6", profile]);
    assert.deepEqual(
      report.files.entries.map(({ name }) => name),
      [".", "..", "ls"],
    );
    const [unit] = report.adapters[0].units;
    assert.deepEqual([unit["verified"], unit["blockSize"], unit["sha256"]], [true, 1024, before]);
    assert.equal(sha256Of(folder.file("fs.img")), before);
    assert.deepEqual(folder.leftovers(), []);
  });
}

test("--cat prints bytes as they are", async (t) => {
  const folder = new CliFolder(t);
  const text = "Ünïcode and more text than one block has. ".repeat(2000);
  writeFileSync(folder.file("fs.img"), makeXv6Image({ root: new Map([["text", text]]) }));
  const result = await folder.run(["run", "--os", "xv6", "fs.img", "--cat", "text"]);
  assert.deepEqual(result, { status: 0, stdout: text, stderr: "" });
});

for (const [profile, transport] of [
  ["strict", "pci-legacy"],
  ["extended", "pci-modern"],
]) {
  test(`--os storport --profile ${profile}: a disk for each image, verified through SRBs`, async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), mebibyte);
    writeNoise(folder.file("b.img"), 2 * mebibyte, 2);
    const before = ["a.img", "b.img"].map((name) => sha256Of(folder.file(name)));
    const words = ["--os", "storport", "--profile", profile, "--hash", "a.img", "b.img,ro"];
    const report = await runJson(folder, ...words);
    assert.deepEqual([report["machine"], report["os"], report["profile"]], ["pc", "storport", profile]);
    assert.deepEqual(
      report.adapters.map((adapter) => [adapter.kind, adapter.transport, adapter.units.length]),
      [
        ["virtio-blk", transport, 1],
        ["virtio-blk", transport, 1],
      ],
    );
    const units = report.adapters.flatMap((adapter) => adapter.units);
    assert.deepEqual(
      units.map(({ unit, image, vendor, product, verified, readOnly }) => [
        ...[unit, image, vendor, product, verified, readOnly],
      ]),
      [
        [0, "a.img", "Red Hat", "VirtIO", true, false],
        [1, "b.img", "Red Hat", "VirtIO", true, true],
      ],
    );
    assert.deepEqual(
      units.map(({ sha256 }) => sha256),
      before,
    );
    assert.deepEqual(
      ["a.img", "b.img"].map((name) => sha256Of(folder.file(name))),
      before,
    );
  });
}

test("--os storport --com1 writes the driver's own messages to a file, CR LF at line ends", async (t) => {
  const folder = new CliFolder(t);
  writeNoise(folder.file("a.img"), mebibyte);
  await runJson(folder, "--os", "storport", "--com1", "com1.txt", "a.img");
  const text = readFileSync(folder.file("com1.txt"), "latin1");
  assert.match(text, /initialised: 1 queue\(s\)/);
  assert.ok(text.endsWith("\r\n") && !/[^\r]\n/.test(text));
  const shown = await folder.run(["run", "--os", "storport", "--debug-level", "5", "a.img"]);
  assert.equal(shown.status, 0);
  assert.match(shown.stderr, /initialised: 1 queue\(s\)/);
});
