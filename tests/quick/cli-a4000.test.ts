/** `ringside run` and `ringside scsi` on an Amiga 4000: the A4091's driver, on our own board and on fs-uae's. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { noFsUae } from "../peers/fs-uae-rig.js";
import { sha256Of, writeNoise } from "./cli-images.js";
import { CliFolder } from "./cli-process.js";

function folderWith(context: TestContext, ...names: readonly string[]): CliFolder {
  const folder = new CliFolder(context);
  for (const [index, name] of names.entries()) writeNoise(folder.file(name), 1 << 20, index + 1);
  return folder;
}

for (const interrupts of ["msix", "none"]) {
  test(`--interrupts ${interrupts}: an A4091, its units at targets 0, 1, 2, verified and hashed; images stay`, async (t) => {
    const folder = folderWith(t, "a.img", "b.img", "c.img");
    const before = ["a.img", "b.img", "c.img"].map((name) => sha256Of(folder.file(name)));
    const words = ["run", "--machine", "a4000", "--interrupts", interrupts, "--json", "--hash"];
    const result = await folder.run([...words, "a.img", "b.img", "c.img,ro"]);
    assert.deepEqual([result.status, result.stderr], [0, ""]);
    const report = JSON.parse(result.stdout);
    assert.deepEqual([report.machine, report.platform, report.adapters.length], ["a4000", "embedded", 1]);
    const [adapter] = report.adapters;
    assert.deepEqual([adapter.kind, adapter.transport, adapter.place], ["a4091", "zorro", "0x40000000"]);
    assert.equal(adapter.interrupts, interrupts === "none" ? "none" : "int2");
    assert.ok(adapter.features.includes("QUEUE_TAGS"));
    const units = adapter.units.map((unit: Record<string, unknown>) => [unit["target"], unit["lun"], unit["sha256"]]);
    assert.deepEqual(
      units,
      before.map((hash, index) => [index, 0, hash]),
    );
    assert.ok(adapter.units.every((unit: Record<string, unknown>) => unit["verified"] === true));
    assert.deepEqual(
      ["a.img", "b.img", "c.img"].map((name) => sha256Of(folder.file(name))),
      before,
    );
  });
}

test("LUNs, large blocks and CD-ROMs on a SCSI-2 bus; the table", async (t) => {
  const folder = folderWith(t, "a.img", "b.img", "c.img");
  const words = ["a.img,target=6,lun=7", "b.img,target=6,lun=0,block-size=4096", "c.img,target=2,cd"];
  const result = await folder.run(["run", "--machine", "a4000", ...words]);
  assert.deepEqual([result.status, result.stderr], [0, ""]);
  for (const line of [/a4091 at 0x40000000, zorro, INT2/, /0 +6\/7 /, /1 +6\/0 .*256 × 4096/, /2 +2\/0 .*CD-ROM/]) {
    assert.match(result.stdout, line);
  }
});

test("scsi: one raw command to a target of an A4091", async (t) => {
  const folder = folderWith(t, "a.img");
  const result = await folder.run([
    "scsi",
    "--machine",
    "a4000",
    "a.img,target=4",
    "--",
    "12",
    "0",
    "0",
    "0",
    "24",
    "0",
  ]);
  assert.deepEqual([result.status, result.stderr], [0, ""]);
  assert.match(result.stdout, /target 4 lun 0[\s\S]*Status +GOOD[\s\S]*RINGSIDE/);
  const absent = await folder.run(["scsi", "--machine", "a4000", "a.img", "--to", "5/0", "--", "000000000000"]);
  assert.equal(absent.status, 1);
  assert.match(absent.stdout, /Response +BadTarget/);
});

const wrong: Readonly<Record<string, { words: readonly string[]; says: RegExp }>> = {
  "the board's own id": { words: ["a.img,target=7"], says: /cannot be target 7.*0…6/ },
  "a LUN that there is none of": { words: ["a.img,lun=8"], says: /lun 8.*LUNs 0…7/ },
  "a virtio device": { words: ["--device", "scsi", "a.img"], says: /has an A4091.*leave out --device/ },
  "virtio registers": { words: ["--registers", "legacy", "a.img"], says: /leave out --registers/ },
  QEMU: { words: ["--platform", "qemu", "a.img"], says: /QEMU has no a4000/ },
  "an fs-uae LUN": { words: ["--platform", "fs-uae", "a.img,lun=1"], says: /LUN 0 only/ },
  "fs-uae blocks": { words: ["--platform", "fs-uae", "a.img,block-size=4096"], says: /blocks of 512/ },
  "fs-uae that is a PC": { words: ["--machine", "pc", "--platform", "fs-uae", "a.img"], says: /say --machine a4000/ },
};

for (const [name, { words, says }] of Object.entries(wrong)) {
  test(`wrong: ${name}: one line, status 2`, async (t) => {
    const folder = folderWith(t, "a.img");
    const machine = words.includes("--machine") ? [] : ["--machine", "a4000"];
    const result = await folder.run(["run", ...machine, ...words]);
    assert.deepEqual([result.status, result.stdout], [2, ""]);
    assert.match(result.stderr, says);
    assert.equal(result.stderr.trim().split("\n").length, 1);
  });
}

test("fs-uae: the same driver on its A4091, two disks, images stay", { skip: noFsUae }, async (t) => {
  const folder = folderWith(t, "a.img", "b.img");
  const before = sha256Of(folder.file("a.img"));
  const result = await folder.run(["run", "--platform", "fs-uae", "--json", "a.img,ro", "b.img,target=5"]);
  assert.deepEqual([result.status, result.stderr], [0, ""]);
  const [adapter] = JSON.parse(result.stdout).adapters;
  assert.deepEqual(
    adapter.units.map((unit: Record<string, unknown>) => [unit["target"], unit["vendor"], unit["verified"]]),
    [
      [0, "UAE", true],
      [5, "UAE", true],
    ],
  );
  assert.equal(sha256Of(folder.file("a.img")), before);
});
