/** `ringside scsi`: one command through driver and device. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { sha256Of, writeNoise } from "./cli-images.js";
import { CliFolder } from "./cli-process.js";

function folderWithImage(context: TestContext): CliFolder {
  const folder = new CliFolder(context);
  writeNoise(folder.file("a.img"), 1 << 20);
  return folder;
}

for (const machine of ["amigaone", "pegasos2", "pc"]) {
  test(`${machine}: INQUIRY is GOOD, with its data in hexadecimal and as text`, async (t) => {
    const folder = folderWithImage(t);
    const result = await folder.run(["scsi", "--machine", machine, "a.img", "--", "12", "0", "0", "0", "24", "0"]);
    assert.deepEqual([result.status, result.stderr], [0, ""]);
    assert.match(result.stdout, /Status +GOOD/);
    assert.match(result.stdout, /00000000 {2}00 00 06 12 45.*RINGSIDE/);
    assert.match(result.stdout, /Data +36 bytes/);
  });
}

test("READ(10) to a file is the image's bytes", async (t) => {
  const folder = folderWithImage(t);
  const words = ["scsi", "a.img,target=3,lun=7,block-size=4096", "-o", "out", "--", "28000000000500000200"];
  const result = await folder.run(words);
  assert.deepEqual([result.status, result.stderr], [0, ""]);
  assert.deepEqual(readFileSync(folder.file("out")), readFileSync(folder.file("a.img")).subarray(5 * 4096, 7 * 4096));
});

test("a refused command: CHECK CONDITION with sense in words, exit status 1", async (t) => {
  const folder = folderWithImage(t);
  const result = await folder.run(["scsi", "a.img", "--", "28", "00", "00 10 00 00", "00", "00 01", "00"]);
  assert.equal(result.status, 1);
  assert.match(
    result.stdout,
    /Status +CHECK CONDITION\nSense +ILLEGAL REQUEST 21h\/00h: logical block address out of range/,
  );
  assert.match(result.stderr, /^ringside: READ\(10\) lba=1048576 blocks=1 ended with CHECK CONDITION[^\n]*\n$/);
});

test("--json tells status, sense and data", async (t) => {
  const folder = folderWithImage(t);
  const good = await folder.run(["scsi", "--json", "a.img", "--", "25000000000000000000"]);
  const report = JSON.parse(good.stdout);
  assert.deepEqual(
    [report.status, report.statusName, report.data, report.succeeded],
    [0, "GOOD", "000007ff00000200", true],
  );
  const bad = await folder.run(["scsi", "--json", "a.img", "--", "ff0000000000"]);
  assert.equal(bad.status, 1);
  assert.equal(JSON.parse(bad.stdout).senseText, "ILLEGAL REQUEST 20h/00h: invalid command operation code");
});

test("an absent target answers BadTarget, an absent LUN LOGICAL UNIT NOT SUPPORTED", async (t) => {
  const folder = folderWithImage(t);
  const target = await folder.run(["scsi", "a.img", "--to", "9/0", "--json", "--", "000000000000"]);
  assert.equal(target.status, 1);
  assert.equal(JSON.parse(target.stdout).response, "BadTarget");
  const lun = await folder.run(["scsi", "a.img", "--to", "0/9", "--json", "--", "000000000000"]);
  assert.equal(lun.status, 1);
  assert.match(JSON.parse(lun.stdout).senseText, /25h\/00h: logical unit not supported/);
});

test("writes reach the image with --write only", async (t) => {
  const folder = folderWithImage(t);
  writeFileSync(folder.file("block"), new Uint8Array(512).fill(0x5a));
  const before = sha256Of(folder.file("a.img"));
  const words = ["a.img", "--data-out", "block", "--", "2a000000000300000100"];
  assert.equal((await folder.run(["scsi", ...words])).status, 0);
  assert.equal(sha256Of(folder.file("a.img")), before);
  assert.equal((await folder.run(["scsi", "--write", ...words])).status, 0);
  assert.deepEqual(readFileSync(folder.file("a.img")).subarray(1536, 2048), Buffer.alloc(512, 0x5a));
});

test("a read-only unit refuses writes with DATA PROTECT", async (t) => {
  const folder = folderWithImage(t);
  const bytes = "00".repeat(512);
  const words = ["scsi", "--write", "a.img,ro", "--data-out", bytes, "--json", "--", "2a000000000300000100"];
  const result = await folder.run(words);
  assert.equal(result.status, 1);
  assert.match(JSON.parse(result.stdout).senseText, /^DATA PROTECT 27h/);
});

test("--keep-attention leaves the power-on attention to the command", async (t) => {
  const folder = folderWithImage(t);
  const result = await folder.run(["scsi", "a.img", "--keep-attention", "--json", "--", "000000000000"]);
  assert.equal(result.status, 1);
  assert.match(JSON.parse(result.stdout).senseText, /^UNIT ATTENTION 29h\/00h/);
});
