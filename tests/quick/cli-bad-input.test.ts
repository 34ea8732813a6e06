/** Calls that are wrong, and images that cannot be used: one line that says what to do, and the image untouched. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { emptyQcow2 } from "../../src/platform/qemu/index.js";
import { openImage } from "../../src/storage/file/index.js";
import { missing, writeNoise } from "./cli-images.js";
import { CliFolder } from "./cli-process.js";

const isRoot = process.getuid?.() === 0;

interface BadCall {
  readonly words: readonly string[];
  readonly says: RegExp;
  /** Default 2. */
  readonly status?: number;
  readonly skip?: string;
}

const run = (...words: string[]) => ["run", ...words];

/** By what is wrong. The images are made in the test. */
const badCalls: Readonly<Record<string, BadCall>> = {
  "a missing image": { words: run("none.img"), says: /none\.img does not exist; check the path/ },
  "an image in a missing folder": { words: run("no/a.img"), says: /no\/a\.img does not exist/ },
  "a path through a file": { words: run("good.img/a.img"), says: /does not exist/ },
  "a directory": { words: run("folder"), says: /folder is a directory; give a disk image file/ },
  "an empty image": { words: run("empty.img"), says: /empty\.img is empty; give an image of at least one block/ },
  "a size that is no multiple of the block": {
    words: run("odd.img"),
    says: /odd\.img has 1000 bytes.*block size of 512/,
  },
  "a size that is no multiple of 4096": {
    words: run("small.img,block-size=4096"),
    says: /small\.img has 1536 bytes.*block size of 4096/,
  },
  "a character device": { words: run("/dev/null"), says: /\/dev\/null is a character device/ },
  "a dangling link": { words: run("dangling.img"), says: /does not exist/ },
  "a qcow2 image": { words: run("q.qcow2"), says: /is a qcow2 file.*qemu-img convert.*insist with --format raw/ },
  "an unreadable image": {
    ...{ words: run("secret.img"), says: /secret\.img may not be read/, status: 1 },
    ...(isRoot ? { skip: "root may read everything" } : {}),
  },
  "an unwritable image with --write": {
    ...{ words: run("--write", "fixed.img"), says: /fixed\.img may not be written: leave out --write, or.*,ro/ },
    ...(isRoot ? { skip: "root may write everything" } : {}),
  },
  "two images in one place": {
    words: run("good.img", "good2.img,target=0,lun=0"),
    says: /good\.img and good2\.img are both at target 0 lun 0/,
  },
  "one writable image twice": {
    ...{ words: run("--write", "good.img", "good.img"), says: /good\.img is in use/, status: 1 },
  },
  "a target out of range": { words: run("good.img,target=256"), says: /target .* must be a number within 0…255/ },
  "a LUN out of range": { words: run("good.img,lun=16384"), says: /lun .* must be a number within 0…16383/ },
  "a negative block size": { words: run("good.img,block-size=-512"), says: /block-size .* must be a number/ },
  "a block size that is no power of two": { words: run("good.img,block-size=1000"), says: /must be a power of two/ },
  "a block size of 256": { words: run("good.img,block-size=256"), says: /power of two within 512…65536/ },
  "a setting twice": { words: run("good.img,lun=1,lun=2"), says: /says lun twice/ },
  "an unknown setting": { words: run("good.img,rw"), says: /"rw" in "good\.img,rw" is no setting.*target=N/ },
  "a value for ro": { words: run("good.img,ro=1"), says: /is no setting/ },
  "a CD-ROM": { words: run("good.img,cd"), says: /CD-ROM units are not there yet/ },
  "an empty image argument": { words: run(""), says: /names no image/ },
  "an unknown machine": { words: run("--machine", "amiga500"), says: /amiga500.*amigaone, pegasos2, pc/ },
  "an unknown platform": { words: run("--platform", "bochs"), says: /bochs.*embedded, qemu/ },
  "an unknown option": { words: run("--jsn"), says: /unknown option '--jsn' \(Did you mean --json\?\)/ },
  "an unknown command": { words: ["rnu"], says: /unknown command 'rnu' \(Did you mean run\?\)/ },
  "an unknown trace category": { words: run("--trace=tcp"), says: /one or more of registers, ring, scsi/ },
  "a seed that is no number": { words: run("--seed", "x"), says: /--seed.*within 0…4294967295/ },
  "too little memory": { words: run("--ram", "1M"), says: /--ram.*from 32M to 2G/ },
  "a QEMU that is not there": {
    ...{ words: run("--platform", "qemu", "--qemu", "/nowhere/qemu", "good.img"), status: 1 },
    says: /QEMU at \/nowhere\/qemu cannot be run: there is no such file/,
  },
  "a QEMU that is something else": {
    ...{ words: run("--platform", "qemu", "--qemu", "/bin/true", "good.img"), status: 1 },
    says: /\/bin\/true is not a QEMU/,
  },
  "a missing image on QEMU": { words: run("--platform", "qemu", "none.img"), says: /none\.img does not exist/ },
  "blocks that QEMU cannot have": {
    words: run("--platform", "qemu", "good.img,block-size=65536"),
    says: /good\.img: QEMU's disks have blocks of up to 32768 bytes, not 65536/,
  },
  "no CDB": { words: ["scsi", "good.img"], says: /missing required argument 'cdb'/ },
  "a CDB that is no hexadecimal": { words: ["scsi", "good.img", "--", "xyz"], says: /is no CDB/ },
  "a CDB of 3 bytes": { words: ["scsi", "good.img", "--", "120000"], says: /a CDB has 6 to 32 bytes, this one has 3/ },
  "a CDB that asks for 8 GiB": {
    words: ["scsi", "good.img", "--", "88 00 00 00 00 00 00 00 00 00 01 00 00 00 00 00"],
    says: /asks for \d+ bytes, more than 64 MiB/,
  },
  "a place that does not exist": {
    words: ["scsi", "good.img", "--to", "256/0", "--", "000000000000"],
    says: /"256\/0" is no place: write TARGET\/LUN/,
  },
  "data to send that is nothing": {
    words: ["scsi", "good.img", "--data-out", "xyz", "--", "2a000000000000000100"],
    says: /neither a file nor bytes/,
  },
  "an unknown benchmark": { words: ["bench", "nothing"], says: /there is no benchmark nothing|not in the package/ },
};

for (const [what, { words, says, status = 2, skip }] of Object.entries(badCalls)) {
  test(`${what}: one line, exit status ${status}`, { skip: skip ?? false }, async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("good.img"), 65536);
    writeNoise(folder.file("good2.img"), 65536, 2);
    writeNoise(folder.file("small.img"), 1536);
    writeFileSync(folder.file("odd.img"), new Uint8Array(1000));
    writeFileSync(folder.file("empty.img"), "");
    writeFileSync(folder.file("q.qcow2"), emptyQcow2(1 << 20));
    mkdirSync(folder.file("folder"));
    symlinkSync("gone.img", folder.file("dangling.img"));
    for (const [name, mode] of [
      ["secret.img", 0o000],
      ["fixed.img", 0o444],
    ] as const) {
      writeNoise(folder.file(name), 65536);
      chmodSync(folder.file(name), mode);
    }
    const before = readFileSync(folder.file("good.img"));
    const result = await folder.run(words);
    assert.match(result.stderr, /^ringside: [^\n]+\n$/);
    assert.match(result.stderr, says);
    assert.equal(result.status, status);
    assert.equal(result.stdout, "");
    assert.deepEqual(readFileSync(folder.file("good.img")), before);
    for (const name of ["none.img", "gone.img"]) assert.equal(existsSync(folder.file(name)), false);
    assert.deepEqual(folder.leftovers(), []);
  });
}

test("without words: the help on standard error, exit status 2", async (t) => {
  const result = await new CliFolder(t).run([]);
  assert.equal(result.status, 2);
  assert.equal(result.stdout, "");
  assert.match(result.stderr, /^Usage: ringside/);
});

test("--format raw takes a qcow2 file as a disk of its bytes", async (t) => {
  const folder = new CliFolder(t);
  writeFileSync(folder.file("q.qcow2"), emptyQcow2(1 << 20));
  const result = await folder.run(["run", "--format", "raw", "--json", "q.qcow2"]);
  assert.deepEqual([result.status, result.stderr], [0, ""]);
});

test("an image that another Ringside writes: one line, exit status 1", async (t) => {
  const folder = new CliFolder(t);
  writeNoise(folder.file("a.img"), 65536);
  const store = openImage(folder.file("a.img"));
  t.after(() => store.close());
  const result = await folder.run(["run", "a.img"]);
  assert.equal(result.status, 1);
  assert.match(result.stderr, /^ringside: a\.img is in use by another process, which writes it; close that first\n$/);
});

test("an image that QEMU's tools write: one line, exit status 1", { skip: missing("qemu-io") }, async (t) => {
  const folder = new CliFolder(t);
  writeNoise(folder.file("a.img"), 65536);
  const other = spawn("qemu-io", ["-f", "raw", folder.file("a.img")], { stdio: ["pipe", "pipe", "ignore"] });
  t.after(() => other.kill());
  await new Promise((resolve) => other.stdout.once("data", resolve));
  const result = await folder.run(["run", "a.img"]);
  assert.equal(result.status, 1);
  assert.match(result.stderr, /^ringside: a\.img is in use by another process[^\n]*\n$/);
});

test("RINGSIDE_DEBUG=1 shows where an error comes from", async (t) => {
  const result = await new CliFolder(t).run(["run", "none.img,lun=x"], { RINGSIDE_DEBUG: "1" });
  assert.equal(result.status, 2);
  assert.match(result.stderr, /\n {4}at /);
});
