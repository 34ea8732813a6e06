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
  "a CD-ROM with other blocks": { words: run("good.img,cd,block-size=512"), says: /a CD-ROM has blocks of 2048 bytes/ },
  "a CD-ROM of half a block": { words: run("small.img,cd"), says: /small\.img has 1536 bytes.*block size of 2048/ },
  "a CD-ROM on virtio-blk": { words: run("--device", "blk", "good.img,cd"), says: /virtio-blk has no CD-ROM drives/ },
  "a target on virtio-blk": {
    words: run("--machine", "riscv-virt", "good.img,target=1"),
    says: /good\.img: each virtio-blk disk has an adapter of its own: leave out target and lun, or say --device scsi/,
  },
  "more virtio-blk disks than places": {
    words: run("--machine", "amigaone", "--device", "blk", "good.img", "good.img", "good.img", "good.img"),
    says: /amigaone has room for 3 virtio-blk adapters, and 4 images were given/,
  },
  "an unknown device": { words: run("--device", "ide", "good.img"), says: /ide.*blk, scsi/ },
  "a window that is none": {
    words: run("--virtio-mmio", "4K@x:1", "good.img"),
    says: /"x" is no base \(expected <size>@/,
  },
  "a window over the memory": {
    words: run("--machine", "riscv-virt", "--virtio-mmio", "4K@0x80000000:9", "good.img"),
    says: /virtio-mmio window at 0x80000000 overlaps the memory of riscv-virt/,
  },
  "a window of QEMU's": {
    words: run("--machine", "pc", "--platform", "qemu", "--virtio-mmio", "4K@0x20000000:9", "good.img"),
    says: /--virtio-mmio goes with --platform embedded/,
  },
  "an unknown face": { words: run("--os", "beos", "good.img"), says: /beos.*xv6/ },
  "a face on a machine that does not fit": {
    words: run("--os", "xv6", "--machine", "pc", "good.img"),
    says: /--os xv6 does not fit pc, which has no virtio-mmio windows: leave out --machine/,
  },
  "a face with another device": {
    words: run("--os", "xv6", "--device", "scsi", "good.img"),
    says: /drives virtio-blk/,
  },
  "a face with two images": { words: run("--os", "xv6", "good.img", "good2.img"), says: /xv6 takes 1 image, and 2/ },
  "a face that chooses its registers": {
    words: run("--os", "xv6", "--registers", "legacy", "good.img"),
    says: /--os xv6 chooses its registers: leave out --registers/,
  },
  "storport on a big-endian machine": {
    words: run("--os", "storport", "--machine", "pegasos2", "good.img"),
    says: /does not fit pegasos2, which has no little-endian processor/,
  },
  "storport on a machine without PCI": {
    words: run("--os", "storport", "--machine", "riscv-virt", "good.img"),
    says: /does not fit riscv-virt, which has no PCI slots/,
  },
  "storport in a virtio-mmio window": {
    words: run("--os", "storport", "--virtio-mmio", "4K@0x20000000:9", "good.img"),
    says: /--os storport drives PCI adapters: leave out --virtio-mmio/,
  },
  "messages of a driver that has none": { words: run("--com1", "x", "good.img"), says: /say --os storport/ },
  "a file for messages in a missing folder": {
    words: run("--os", "storport", "--com1", "no/x", "good.img"),
    says: /no\/x cannot be written \(ENOENT\)/,
  },
  "a debug level of 6": { words: run("--os", "storport", "--debug-level", "6"), says: /--debug-level.*within 0…5/ },
  "a profile without a face": {
    words: run("--profile", "strict", "good.img"),
    says: /--profile is a face's: say --os too/,
  },
  "an unknown profile": { words: run("--os", "xv6", "--profile", "x", "good.img"), says: /x.*strict, extended/ },
  "--ls without a face": {
    words: run("good.img", "--ls", "/"),
    says: /need a face that reads a file system: say --os xv6/,
  },
  "--ls and --cat": {
    words: run("--os", "xv6", "good.img", "--ls", "/", "--cat", "/x"),
    says: /say either --ls or --cat/,
  },
  "--cat and --json": { words: run("--os", "xv6", "good.img", "--json", "--cat", "/x"), says: /leave out --json/ },
  "a file system that is none": {
    ...{ words: run("--os", "xv6", "good.img", "--ls", "/"), says: /xv6/, status: 1 },
  },
  "serve without a place": { words: ["serve", "good.img"], says: /say where front ends come to: --socket PATH/ },
  "serve at two places": { words: ["serve", "good.img", "--socket", "s", "--fd", "3"], says: /say one of --socket/ },
  "serve without an image": { words: ["serve", "--socket", "s"], says: /no image: say which one to serve/ },
  "two images on virtio-blk": {
    words: ["serve", "good.img", "good2.img", "--socket", "s"],
    says: /virtio-blk is one disk, and 2 images were given: say --device scsi/,
  },
  "a missing image to serve": { words: ["serve", "none.img", "--socket", "s"], says: /none\.img does not exist/ },
  "a socket in a missing folder": {
    words: ["serve", "good.img", "--socket", "no/s"],
    says: /no\/s: there is no folder no: make it first/,
  },
  "a socket path of 200 bytes": {
    words: ["serve", "good.img", "--socket", "s".repeat(200)],
    says: /1 to 107 bytes, not 200/,
  },
  "a socket path that is a file": {
    words: ["serve", "good.img", "--socket", "small.img"],
    says: /small\.img exists and is no socket: give another path/,
  },
  "a descriptor that is no socket": { words: ["serve", "good.img", "--fd", "0"], says: /descriptor 0 is no socket/ },
  "a control socket for virtio-blk": {
    words: ["serve", "good.img", "--socket", "s", "--control", "c"],
    says: /--control adds and removes units: it goes with --device scsi/,
  },
  "a control socket that is a file": {
    words: ["serve", "--device", "scsi", "good.img", "--socket", "s", "--control", "small.img"],
    says: /small\.img exists and is no socket/,
  },
  "a folder for reservations that is not there": {
    words: ["serve", "--device", "scsi", "good.img", "--socket", "s", "--reservations", "no"],
    says: /there is no folder no: make it first/,
  },
  "two units in one place to serve": {
    words: ["serve", "--device", "scsi", "good.img", "good2.img,target=0", "--socket", "s"],
    says: /are both at target 0 lun 0/,
  },
  "too many queues": { words: ["serve", "good.img", "--socket", "s", "--queues", "65"], says: /--queues.*within 1…64/ },
  "a QEMU line without a path": { words: ["serve", "--print-qemu"], says: /say --socket PATH/ },
  "attach without a socket": { words: ["attach", "info"], says: /required option '--socket <path>'/ },
  "attach to nobody": { words: ["attach", "--socket", "s", "info"], says: /no back end at s/, status: 1 },
  "attach to a file": {
    words: ["attach", "--socket", "good.img", "info"],
    says: /no back end at good\.img/,
    status: 1,
  },
  "an unknown action": { words: ["attach", "--socket", "s", "format"], says: /info, read, write, verify, bench/ },
  "a write of nothing": { words: ["attach", "--socket", "s", "write"], says: /write what\? say --input FILE/ },
  "a depth of 0": { words: ["attach", "--socket", "s", "bench", "--depth", "0"], says: /--depth.*within 1…1024/ },
  "a block size that is no number": {
    words: ["attach", "--socket", "s", "bench", "--block-size", "4x"],
    says: /--block-size.*within 512…16777216, such as 4k/,
  },
  "no seconds": { words: ["attach", "--socket", "s", "bench", "--seconds", "0"], says: /--seconds.*within 0\.1…86400/ },
  "an unknown load": {
    words: ["attach", "--socket", "s", "bench", "--op", "trim"],
    says: /read, write, randread, randwrite/,
  },
  "a name that would command the terminal": {
    words: run("\u001b[31mx\n\u009b1m"),
    says: /: \?\[31mx \?1m does not exist/,
  },
  "an empty image argument": { words: run(""), says: /names no image/ },
  "an unknown machine": { words: run("--machine", "amiga500"), says: /amiga500.*amigaone, pegasos2, pc, q35/ },
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
  "data to send without end": {
    words: ["scsi", "good.img", "--data-out", "/dev/zero", "--", "2a000000000000000100"],
    says: /\/dev\/zero has more than 67108864 bytes/,
  },
  "scripts without a file": { words: ["scripts", "assemble"], says: /missing required argument 'file'/ },
  "an unknown command of scripts": { words: ["scripts", "asemble"], says: /unknown command 'asemble'/ },
  "a missing script": { words: ["scripts", "run", "none.ss"], says: /none\.ss cannot be read \(ENOENT\)/ },
  "a folder as a script": { words: ["scripts", "assemble", "folder"], says: /folder cannot be read \(EISDIR\)/ },
  "a script without end": {
    words: ["scripts", "disassemble", "/dev/zero"],
    says: /\/dev\/zero has more than 16777216 bytes/,
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

for (const [what, words, start] of [
  ["without words", [], /^Usage: ringside \[/],
  ["scripts alone", ["scripts"], /^Usage: ringside scripts \[/],
  ["help with what is not there", ["help", "nothing"], /^Usage: ringside \[/],
] as const) {
  test(`${what}: nothing but the help, on standard error, exit status 2`, async (t) => {
    const result = await new CliFolder(t).run(words);
    assert.deepEqual([result.status, result.stdout], [2, ""]);
    assert.match(result.stderr, start);
    assert.doesNotMatch(result.stderr, /ringside: |outputHelp/);
  });
}

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
