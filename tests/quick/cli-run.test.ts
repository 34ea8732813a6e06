/** `ringside run` on the embedded platform, with images as users have them. */
import assert from "node:assert/strict";
import { statSync, truncateSync, writeFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { missing, partitionGpt, partitionMbr, partitionRdb4k, sha256Of, writeNoise } from "./cli-images.js";
import { CliFolder } from "./cli-process.js";

const mebibyte = 1 << 20;
const tools = missing("sfdisk") || missing("parted");

/** Four images of every kind. */
function makeImages(context: TestContext): CliFolder {
  const folder = new CliFolder(context);
  for (const [index, name] of ["mbr.img", "gpt.img", "rdb.img", "plain.img"].entries()) {
    writeNoise(folder.file(name), 8 * mebibyte, index + 1);
  }
  partitionMbr(folder.file("mbr.img"));
  partitionGpt(folder.file("gpt.img"));
  partitionRdb4k(folder.file("rdb.img"));
  return folder;
}

const adapterTransports = { amigaone: "pci-legacy", pegasos2: "pci-modern", pc: "pci-modern", q35: "pci-modern" };

for (const [machine, transport] of Object.entries(adapterTransports)) {
  test(`${machine}: --json tells of units, partitions and hashes, and no image changes`, { skip: tools }, async (t) => {
    const folder = makeImages(t);
    const names = ["mbr.img", "gpt.img", "rdb.img", "plain.img"];
    const before = names.map((name) => sha256Of(folder.file(name)));
    const words = ["mbr.img", "gpt.img,ro", "rdb.img,target=0,lun=5,block-size=4096", "plain.img,target=255,lun=16383"];
    const result = await folder.run(["run", "--machine", machine, "--json", "--hash", ...words]);
    assert.deepEqual([result.status, result.stderr], [0, ""]);
    const report = JSON.parse(result.stdout);
    assert.equal(report.machine, machine);
    assert.equal(report.platform, "embedded");
    assert.equal(report.adapters.length, 1);
    const [adapter] = report.adapters;
    assert.equal(adapter.kind, "virtio-scsi");
    assert.equal(adapter.transport, transport);
    assert.equal(adapter.features.includes("VERSION_1"), transport === "pci-modern");
    const units = adapter.units as Record<string, unknown>[];
    const places = units.map(({ unit, target, lun, blockSize, blocks, image }) => [
      ...[unit, target, lun, blockSize, blocks, image],
    ]);
    assert.deepEqual(places, [
      [0, 0, 0, 512, 16384, "mbr.img"],
      [1, 1, 1, 512, 16384, "gpt.img"],
      [2, 0, 5, 4096, 2048, "rdb.img"],
      [3, 255, 16383, 512, 16384, "plain.img"],
    ]);
    assert.deepEqual(
      units.map(({ sha256 }) => sha256),
      before,
    );
    assert.deepEqual(
      units.map(({ verified, vendor, readOnly }) => [verified, vendor, readOnly]),
      [false, true, false, false].map((readOnly) => [true, "RINGSIDE", readOnly]),
    );
    const partitions = (unit: Record<string, unknown>) =>
      (unit["partitions"] as Record<string, unknown>[]).map(({ name, firstBlock, blocks }) => [
        name,
        firstBlock,
        blocks,
      ]);
    assert.deepEqual(partitions(units[0]), [
      ["partition 1", 2048, 4096],
      ["partition 2", 6144, 8192],
    ]);
    assert.deepEqual(partitions(units[1]), [
      ["boot", 2048, 4096],
      ["root", 6144, 8192],
    ]);
    assert.deepEqual(partitions(units[2]), [
      ["DH0", 128, 896],
      ["WORK", 1024, 1024],
    ]);
    assert.deepEqual(units[3]["partitions"], []);
    assert.deepEqual(
      names.map((name) => sha256Of(folder.file(name))),
      before,
    );
    assert.deepEqual(folder.leftovers(), []);
  });
}

for (const words of [
  ["--interrupts", "none"],
  ["--interrupts", "intx"],
  ["--registers", "legacy"],
  ["--registers", "modern"],
]) {
  test(`pc ${words.join(" ")}: the unit is verified`, async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), mebibyte);
    const result = await folder.run(["run", "--machine", "pc", "--json", ...words, "a.img"]);
    assert.deepEqual([result.status, result.stderr], [0, ""]);
    const [adapter] = JSON.parse(result.stdout).adapters;
    assert.equal(adapter.units[0].verified, true);
    if (words[0] === "--registers") assert.equal(adapter.transport, `pci-${words[1]}`);
    else assert.equal(adapter.interrupts, words[1]);
  });
}

test("without an image a sample disk is made, shown and removed", async (t) => {
  const folder = new CliFolder(t);
  const result = await folder.run(["run", "--seed", "7"]);
  assert.deepEqual([result.status, result.stderr], [0, ""]);
  for (const word of ["pegasos2", "(sample disk)", "DH0", "DH1", "DOS\\3", "Seed      7", "MB/s"]) {
    assert.ok(result.stdout.includes(word), `${word} in ${result.stdout}`);
  }
  assert.deepEqual(folder.leftovers(), []);
});

test("a sparse image larger than 2 TiB is found with its size and verified at both ends", async (t) => {
  const folder = new CliFolder(t);
  writeFileSync(folder.file("large.img"), "");
  truncateSync(folder.file("large.img"), 3 * 2 ** 40);
  const result = await folder.run(["run", "--json", "large.img"]);
  assert.deepEqual([result.status, result.stderr], [0, ""]);
  const [unit] = JSON.parse(result.stdout).adapters[0].units;
  assert.equal(unit.blocks, (3 * 2 ** 40) / 512);
  assert.ok(unit.verification.bytes >= 16 * mebibyte);
  assert.ok(statSync(folder.file("large.img")).blocks < 100);
});

test("--write puts back what was there, on every kind of image", { skip: tools }, async (t) => {
  const folder = makeImages(t);
  const names = ["mbr.img", "gpt.img", "rdb.img"];
  const before = names.map((name) => sha256Of(folder.file(name)));
  const modified = statSync(folder.file("mbr.img")).mtimeMs;
  const result = await folder.run([
    "run",
    "--write",
    "--json",
    "mbr.img",
    "gpt.img,ro",
    "rdb.img,block-size=4096,target=9",
  ]);
  assert.deepEqual([result.status, result.stderr], [0, ""]);
  assert.deepEqual(
    names.map((name) => sha256Of(folder.file(name))),
    before,
  );
  assert.ok(statSync(folder.file("mbr.img")).mtimeMs > modified, "the test wrote to the image");
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`${signal} in the middle of a --write run leaves the image as it was`, async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), 32 * mebibyte);
    const before = sha256Of(folder.file("a.img"));
    const run = folder.start(["run", "--write", "--trace=scsi", "a.img"]);
    await new Promise<void>((resolve) => {
      run.child.stderr?.on("data", () => {
        if (run.stderr().includes("WRITE(10)")) resolve();
      });
    });
    run.child.kill(signal);
    const result = await run.ended;
    assert.equal(result.status, signal === "SIGINT" ? 130 : 143);
    assert.equal(result.stdout, "");
    assert.equal(sha256Of(folder.file("a.img")), before);
    assert.deepEqual(folder.leftovers(), []);
  });
}

test("Ctrl-C ends a long --hash run at once, and the sample disk goes with it", async (t) => {
  const folder = new CliFolder(t);
  writeFileSync(folder.file("large.img"), "");
  truncateSync(folder.file("large.img"), 2 ** 38);
  const run = folder.start(["run", "--hash", "--trace=scsi", "large.img"]);
  // The first block that is hashed: from then on the run is under way.
  await new Promise<void>((resolve) => {
    run.child.stderr?.on("data", (text) => /command=READ/.test(`${text}`) && resolve());
    run.child.once("exit", () => resolve());
  });
  const start = performance.now();
  run.child.kill("SIGINT");
  const result = await run.ended;
  assert.deepEqual([result.status, result.stdout], [130, ""]);
  assert.ok(performance.now() - start < 1000);
  assert.deepEqual(folder.leftovers(), []);
});

test("--trace names registers, descriptors and commands on standard error", async (t) => {
  const folder = new CliFolder(t);
  writeNoise(folder.file("a.img"), mebibyte);
  const all = await folder.run(["run", "--trace", "a.img", "--json"]);
  assert.equal(all.status, 0);
  assert.equal(JSON.parse(all.stdout).adapters[0].units.length, 1);
  for (const category of ["registers", "ring", "scsi"])
    assert.match(all.stderr, new RegExp(`^\\[${category}\\] `, "m"));
  assert.match(all.stderr, /READ CAPACITY\(10\)/);
  const some = await folder.run(["run", "--trace=ring", "a.img"]);
  assert.ok(some.stderr.split("\n").every((line) => line === "" || line.startsWith("[ring] ")));
});

test("a comma of a file name is written \\,", async (t) => {
  const folder = new CliFolder(t);
  writeNoise(folder.file("a,ro.img"), mebibyte);
  const result = await folder.run(["run", "--json", "a\\,ro.img,lun=2"]);
  assert.deepEqual([result.status, result.stderr], [0, ""]);
  const [unit] = JSON.parse(result.stdout).adapters[0].units;
  assert.deepEqual([unit.image, unit.target, unit.lun, unit.readOnly], ["a,ro.img", 0, 2, false]);
});

test("thirty images in one run are found in the order of the command line", async (t) => {
  const folder = new CliFolder(t);
  const words = Array.from({ length: 30 }, (_, index) => `${index}.img,target=${(index * 7) % 30},lun=${index % 3}`);
  for (let index = 0; index < 30; index++) writeNoise(folder.file(`${index}.img`), 65536, index);
  const result = await folder.run(["run", "--json", ...words]);
  assert.deepEqual([result.status, result.stderr], [0, ""]);
  const { units } = JSON.parse(result.stdout).adapters[0];
  assert.deepEqual(
    units.map(({ image }: { image: string }) => image),
    words.map((word) => word.split(",")[0]),
  );
});

test("a reader that goes away is told in one line, exit status 1", async (t) => {
  const folder = new CliFolder(t);
  writeNoise(folder.file("a.img"), mebibyte);
  const run = folder.start(["run", "a.img"]);
  run.child.stdout?.destroy();
  const result = await run.ended;
  assert.equal(result.status, 1);
  assert.match(result.stderr, /^ringside: standard output was closed[^\n]*\n$/);
});

test("--version and --help", async (t) => {
  const folder = new CliFolder(t);
  const version = await folder.run(["--version"]);
  assert.equal(version.status, 0);
  assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
  const help = await folder.run(["run", "--help"]);
  assert.equal(help.status, 0);
  assert.match(help.stdout, /Examples:/);
  assert.match(help.stdout, /Exit status: 0 done; 1 the work failed; 2 the call was wrong/);
  for (const words of [
    ["run", "-h"],
    ["help", "run"],
  ]) {
    assert.deepEqual(await folder.run(words), help);
  }
});
