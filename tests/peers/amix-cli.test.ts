/** `ringside run --os amix` as users call it. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { sha256Of, writeNoise } from "../quick/cli-images.js";
import { CliFolder } from "../quick/cli-process.js";
import { type TestContext, test } from "./limited-test.js";
import { findProgram } from "./linux/guest.js";

const skip = findProgram("makefs") === undefined ? { skip: "makefs is not installed" } : {};
const amix = ["run", "--os", "amix"];

function folderWithVolume(context: TestContext): CliFolder {
  const folder = new CliFolder(context);
  mkdirSync(folder.file("source/etc"), { recursive: true });
  writeFileSync(folder.file("source/etc/motd"), "welcome\n");
  writeNoise(folder.file("source/unix"), 700_000);
  const option = "version=1,bsize=8192,fsize=1024";
  execFileSync("makefs", ["-t", "ffs", "-B", "be", "-o", option, folder.file("disk.img"), folder.file("source")]);
  return folder;
}

test("--ls and --cat on a makefs volume: c8d0s0 on an A4000, in both profiles, on each machine", skip, async (t) => {
  const folder = folderWithVolume(t);
  const before = sha256Of(folder.file("disk.img"));
  const listed = await folder.run([...amix, "--machine", "a4000", "disk.img", "--ls", "c8d0s0:/"]);
  assert.deepEqual([listed.status, listed.stderr], [0, ""]);
  assert.match(listed.stdout, /directory +\d+ +512 +etc\nfile +\d+ +700000 +unix\n/);
  for (const words of [[], ["--profile", "strict"], ["--machine", "a3000"], ["--autocon", "stock"]]) {
    const printed = await folder.run([...amix, ...words, "disk.img", "--cat", "c8d0s0:/etc/motd"]);
    assert.deepEqual([printed.status, printed.stdout, printed.stderr], [0, "welcome\n", ""], words.join(" "));
  }
  const json = await folder.run([...amix, "disk.img", "--json", "--ls", "c6d0s0:/etc"]);
  assert.deepEqual(
    JSON.parse(json.stdout).files.entries.map(({ name, size }: { name: string; size: number }) => [name, size]),
    [["motd", 8]],
  );
  for (const [path, why] of [
    ["c6d0s0:/nothing", /nothing: there is no such file/],
    ["c6d0s0:/etc/motd/x", /is no directory|not a directory/],
    ["c6d0s1:/", /\/dev\/dsk\/c6d0s1 does not open: error 6 \(ENXIO\)/],
  ] as const) {
    const failed = await folder.run([...amix, "disk.img,target=6", "--ls", path]);
    assert.deepEqual([failed.status, failed.stdout], [1, ""]);
    assert.match(failed.stderr, new RegExp(`^ringside: [^\\n]*(${why.source})[^\\n]*\\n$`));
  }
  assert.equal(sha256Of(folder.file("disk.img")), before, "no image changes");
});

test("two disks behind two controllers are verified through the block driver; --hash is the images'", async (t) => {
  const folder = new CliFolder(t);
  writeNoise(folder.file("a.img"), 2 << 20, 1);
  writeNoise(folder.file("b.img"), 1 << 20, 2);
  for (const words of [
    ["--machine", "a3000"],
    ["--machine", "a4000"],
    ["--profile", "strict"],
    ["--interrupts", "none"],
  ]) {
    const { status, stdout, stderr } = await folder.run([
      ...amix,
      ...words,
      "--json",
      "--hash",
      "a.img",
      "b.img,target=9",
    ]);
    assert.deepEqual([status, stderr], [0, ""], words.join(" "));
    const report = JSON.parse(stdout);
    assert.equal(report.os, "amix");
    const [first, second] = report.adapters;
    const facts = (unit: Record<string, unknown>) => [unit["target"], unit["verified"], unit["sha256"], unit["image"]];
    assert.deepEqual(facts(first.units[0]), [6, true, sha256Of(folder.file("a.img")), "a.img"]);
    assert.deepEqual(facts(second.units[0]), [1, true, sha256Of(folder.file("b.img")), "b.img"]);
    assert.equal(report.boot.cards.length, 2);
  }
});

test("with --write the image has it, and gets back what was there; ,ro refuses writes", async (t) => {
  const folder = new CliFolder(t);
  writeNoise(folder.file("a.img"), 1 << 20);
  const before = readFileSync(folder.file("a.img"));
  for (const words of [["--write", "a.img"], ["a.img,ro"], ["--profile", "strict", "a.img,ro"]]) {
    const { status, stdout, stderr } = await folder.run([...amix, ...words]);
    assert.deepEqual([status, stderr], [0, ""], words.join(" "));
    assert.match(stdout, words.includes("--write") ? /written, put back/ : /writes are refused/);
    assert.deepEqual(readFileSync(folder.file("a.img")), before);
  }
});

test("the boot story: a sample disk opens as root and swap; a phantom's root does not, and the kernel panics", async (t) => {
  const folder = new CliFolder(t);
  const { status, stdout } = await folder.run(amix);
  assert.equal(status, 0);
  assert.match(stdout, /Card 0 +A4091 SCSI at 0x40000000, a4091queue\(0\)/);
  assert.match(stdout, /Root +c6d0s1 \(0x480016\) opens: 32512 blocks/);
  assert.doesNotMatch(stdout, /Panic/);
  const phantom = await folder.run([...amix, "--autocon", "stock"]);
  assert.match(phantom.stdout, /Card 0 +A3000 Internal SCSI at 0x00dd0000.*\nCard 1 +A4091 SCSI at 0x40000000/);
  assert.match(phantom.stdout, /Panic +mount of root c6d0s1 \(0x480016\): open error 5 \(EIO\), then of NFS: errno 89/);
  const third = await folder.run([...amix, "--boards", "a4091,a4092,a4770", "--com1", "console.txt"]);
  assert.match(third.stdout, /Card +refused: A4770 SCSI at 0x42000000/);
  assert.match(readFileSync(folder.file("console.txt"), "utf8"), /^sd: too many controllers$/m);
});

test("wrong calls are one line and exit status 2; a disk behind a controller without a number is 1", async (t) => {
  const folder = new CliFolder(t);
  writeFileSync(folder.file("a.img"), "");
  truncateSync(folder.file("a.img"), 1 << 20);
  const wrong: [string[], RegExp][] = [
    [["--machine", "pc", "a.img"], /does not fit pc, which has no Zorro bus/],
    [["--platform", "fs-uae", "a.img"], /leave out --platform/],
    [["--boards", "a2091", "a.img"], /"a2091" in --boards is no board/],
    [["--boards", "a4091,a4091,a4091,a4091,a4091", "a.img"], /a4000 has 4 Zorro slots, and --boards names 5/],
    [["--boards", "none", "a.img"], /no place for another disk/],
    [["a.img,target=7"], /target 7 is the controller's own id/],
    [["a.img,target=16"], /the last target of this machine is 14/],
    [["a.img,lun=1"], /LUN 0 only/],
    [["a.img,cd"], /no CD-ROM driver|blocks of 512/],
    [["a.img,block-size=4096"], /blocks of 512 bytes only/],
    [["a.img,target=3", "a.img,target=3"], /both at target 3/],
    [["a.img", "--ls", "c16d0s0:/"], /"c16d0s0:\/" names no disk/],
    [["--chipset", "0x80", "a.img"], /up to 0x7f/],
    [["--virtio-mmio", "4K@0x20000000:40", "a.img"], /leave out --virtio-mmio/],
  ];
  for (const [words, why] of wrong) {
    const { status, stdout, stderr } = await folder.run([...amix, ...words]);
    assert.deepEqual([status, stdout], [2, ""], words.join(" "));
    assert.match(stderr, /^ringside: [^\n]+\n$/);
    assert.match(stderr, why);
  }
  const ours = await folder.run(["run", "--machine", "a4000", "--boards", "a4091", "a.img"]);
  assert.deepEqual([ours.status, ours.stderr], [2, "ringside: --boards is for an Amiga with Amix: say --os amix\n"]);
  const words = ["--machine", "a3000", "--chipset", "0x30", "--profile", "strict", "a.img"];
  const ntsc = await folder.run([...amix, ...words]);
  assert.deepEqual([ntsc.status, ntsc.stdout], [1, ""]);
  assert.match(
    ntsc.stderr,
    /^ringside: a.img is behind the controller at 0xdd0000, which has no card number[^\n]*panic\n$/,
  );
});
