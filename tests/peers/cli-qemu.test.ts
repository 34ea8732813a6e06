/** `ringside run` and `ringside scsi` on QEMU's hardware: the same calls, checks and promises as on our own. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { boards } from "../../src/machine/index.js";
import { findQemu } from "../../src/platform/qemu/index.js";
import { missing, partitionGpt, partitionMbr, partitionRdb4k, sha256Of, writeNoise } from "../quick/cli-images.js";
import { CliFolder } from "../quick/cli-process.js";
import { type TestContext, test } from "./limited-test.js";

const mebibyte = 1 << 20;

/** Why a machine cannot be had here, or false. */
function lacking(machine: string): string | false {
  try {
    findQemu(boards[machine]);
    return missing("sfdisk") || missing("parted");
  } catch (error) {
    return (error as Error).message;
  }
}

function makeImages(context: TestContext): CliFolder {
  const folder = new CliFolder(context);
  for (const [index, name] of ["mbr.img", "gpt.img", "rdb.img"].entries()) {
    writeNoise(folder.file(name), 8 * mebibyte, index + 1);
  }
  partitionMbr(folder.file("mbr.img"));
  partitionGpt(folder.file("gpt.img"));
  partitionRdb4k(folder.file("rdb.img"));
  return folder;
}

const names = ["mbr.img", "gpt.img", "rdb.img"] as const;
const words = ["mbr.img", "gpt.img,ro", "rdb.img,target=200,lun=5,block-size=4096"];

/** QEMUs whose images or sockets lie in `folder` are ours. */
function qemusOf(folder: CliFolder): string[] {
  return readdirSync("/proc").filter((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    try {
      const commandLine = readFileSync(`/proc/${entry}/cmdline`, "utf8");
      return commandLine.includes("qemu-system") && commandLine.includes(folder.path);
    } catch {
      return false;
    }
  });
}

for (const [machine, transport] of Object.entries({
  pegasos2: "pci-modern",
  pc: "pci-modern",
  q35: "pci-modern",
  amigaone: "pci-legacy",
})) {
  const skip = lacking(machine);

  test(`${machine} on QEMU: --json tells of units, partitions and hashes, and no image changes`, {
    skip,
  }, async (t) => {
    const folder = makeImages(t);
    const before = names.map((name) => sha256Of(folder.file(name)));
    const run = ["run", "--platform", "qemu", "--machine", machine];
    const result = await folder.run([...run, "--json", "--hash", ...words]);
    assert.match(result.stderr, /^\S*qemu-system-\S+ -machine [^\n]*\n$/, "the command that was started");
    assert.equal(result.status, 0);
    const report = JSON.parse(result.stdout);
    assert.deepEqual([report.machine, report.platform], [machine, "qemu"]);
    const [adapter] = report.adapters;
    assert.deepEqual([adapter.kind, adapter.transport], ["virtio-scsi", transport]);
    const units = adapter.units as Record<string, unknown>[];
    assert.deepEqual(
      units.map(({ unit, target, lun, blockSize, blocks, image, verified, readOnly, vendor }) => [
        ...[unit, target, lun, blockSize, blocks, image, verified, readOnly, vendor],
      ]),
      [
        [0, 0, 0, 512, 16384, "mbr.img", true, false, "QEMU"],
        [1, 1, 1, 512, 16384, "gpt.img", true, true, "QEMU"],
        [2, 200, 5, 4096, 2048, "rdb.img", true, false, "QEMU"],
      ],
    );
    assert.deepEqual(
      units.map(({ sha256 }) => sha256),
      before,
    );
    assert.deepEqual(
      units.map(({ partitions }) =>
        (partitions as { name: string; firstBlock: number }[]).map((one) => one.firstBlock),
      ),
      [
        [2048, 6144],
        [2048, 6144],
        [128, 1024],
      ],
    );
    assert.deepEqual(
      names.map((name) => sha256Of(folder.file(name))),
      before,
    );
    assert.deepEqual(folder.leftovers(), []);
    assert.deepEqual(qemusOf(folder), []);
  });

  test(`${machine} on QEMU: the table shows the command, and the sample disk goes away`, { skip }, async (t) => {
    const folder = new CliFolder(t);
    const result = await folder.run(["run", "--platform", "qemu", "--machine", machine]);
    assert.deepEqual([result.status, result.stderr], [0, ""]);
    for (const text of ["QEMU HARDDISK", "qemu-system", "DH0", "(sample disk)"])
      assert.ok(result.stdout.includes(text));
    assert.deepEqual(folder.leftovers(), []);
  });

  test(`${machine} on QEMU: --write puts back what was there`, { skip }, async (t) => {
    const folder = makeImages(t);
    const before = names.map((name) => sha256Of(folder.file(name)));
    const modified = statSync(folder.file("mbr.img")).mtimeMs;
    const result = await folder.run(["run", "--platform", "qemu", "--machine", machine, "--write", ...words]);
    assert.deepEqual([result.status, result.stderr], [0, ""]);
    assert.deepEqual(
      names.map((name) => sha256Of(folder.file(name))),
      before,
    );
    assert.ok(statSync(folder.file("mbr.img")).mtimeMs > modified, "the test wrote to the image");
  });

  test(`${machine} on QEMU: Ctrl-C in the middle of a --write run leaves image and processes in order`, {
    skip,
  }, async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), 32 * mebibyte);
    const before = sha256Of(folder.file("a.img"));
    const run = folder.start(["run", "--platform", "qemu", "--machine", machine, "--write", "--trace=scsi", "a.img"]);
    await new Promise<void>((resolve) => {
      run.child.stderr?.on("data", () => {
        if (run.stderr().includes("WRITE(10)")) resolve();
      });
    });
    run.child.kill("SIGINT");
    const result = await run.ended;
    assert.deepEqual([result.status, result.stdout], [130, ""]);
    assert.equal(sha256Of(folder.file("a.img")), before);
    assert.deepEqual(folder.leftovers(), []);
    assert.deepEqual(qemusOf(folder), []);
  });

  test(`${machine} on QEMU: one raw command, its sense in words`, { skip }, async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), mebibyte);
    const scsi = ["scsi", "--platform", "qemu", "--machine", machine, "--json", "a.img", "--"];
    const good = await folder.run([...scsi, "28000000000300000100"]);
    assert.equal(good.status, 0);
    const data = readFileSync(folder.file("a.img")).subarray(1536, 2048).toString("hex");
    assert.equal(JSON.parse(good.stdout).data, data);
    const bad = await folder.run([...scsi, "28000010000000000100"]);
    assert.equal(bad.status, 1);
    assert.match(JSON.parse(bad.stdout).senseText, /^ILLEGAL REQUEST 21h\/00h: logical block address out of range/);
  });
}

for (const choice of [
  ["--interrupts", "msix"],
  ["--interrupts", "intx"],
  ["--interrupts", "none"],
  ["--registers", "legacy"],
  ["--registers", "modern"],
]) {
  test(`pc on QEMU with ${choice.join(" ")}: the unit is verified`, { skip: lacking("pc") }, async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), 4 * mebibyte);
    const result = await folder.run(["run", "--platform", "qemu", "--machine", "pc", "--json", ...choice, "a.img"]);
    assert.equal(result.status, 0);
    const [adapter] = JSON.parse(result.stdout).adapters;
    assert.equal(adapter.units[0].verified, true);
    if (choice[0] === "--registers") assert.equal(adapter.transport, `pci-${choice[1]}`);
    else assert.equal(adapter.interrupts, choice[1]);
  });
}

test("a QEMU that is killed: one line, exit status 1, nothing left behind", { skip: lacking("pc") }, async (t) => {
  const folder = new CliFolder(t);
  writeFileSync(folder.file("large.img"), "");
  truncateSync(folder.file("large.img"), 2 ** 38);
  const image = folder.file("large.img");
  const run = folder.start(["run", "--platform", "qemu", "--machine", "pc", "--hash", image]);
  while (qemusOf(folder).length === 0) await new Promise((resolve) => setTimeout(resolve, 50));
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const [pid] = qemusOf(folder);
  const start = performance.now();
  process.kill(Number(pid), "SIGKILL");
  const result = await run.ended;
  assert.ok(performance.now() - start < 5000);
  assert.deepEqual([result.status, result.stdout], [1, ""]);
  assert.match(result.stderr, /^ringside: [^\n]*QEMU[^\n]*\n$/);
  assert.deepEqual(folder.leftovers(), []);
});

test("a QEMU without the machine: one line, exit status 1", { skip: lacking("pc") }, async (t) => {
  const folder = new CliFolder(t);
  writeNoise(folder.file("a.img"), mebibyte);
  const qemu = findQemu(boards["pc"]).path;
  const result = await folder.run(["run", "--platform", "qemu", "--machine", "pegasos2", "--qemu", qemu, "a.img"]);
  assert.equal(result.status, 1);
  assert.match(result.stderr, /^ringside: QEMU [\d.]+ at \S+ has no machine pegasos2: [^\n]+\n$/);
  assert.deepEqual(folder.leftovers(), []);
});

test("no QEMU on the path: one line that says what to install, exit status 1", async (t) => {
  const folder = new CliFolder(t);
  writeNoise(folder.file("a.img"), mebibyte);
  const none = { PATH: folder.path, RINGSIDE_QEMU10: "", RINGSIDE_QEMU: "" };
  const result = await folder.run(["run", "--platform", "qemu", "--machine", "riscv-virt", "a.img"], none);
  assert.equal(result.status, 1);
  assert.match(result.stderr, /^ringside: no qemu-system-riscv64 found for machine virt: install QEMU [^\n]+\n$/);
});
