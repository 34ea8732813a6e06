/** `ringside boot` as a process: on pipes, with wrong input, called off, and images that stay as they were. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, test } from "./limited-test.js";
import { bootDisk, echoDisk } from "./v86-boot-sector.js";
import { kernelFolder, whyNoV86, whyNoV86Linux } from "./v86-guest.js";

const command = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "src", "cli", "main.js");
const skip = whyNoV86();
const folder = mkdtempSync(join(tmpdir(), "ringside-boot-"));
after(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  readonly status: number | null;
  readonly output: string;
  readonly errors: string;
}

function start(words: readonly string[]): { child: ChildProcess; said: () => string; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [command, "boot", "--timeout", "150", ...words], { stdio: "pipe" });
  let output = "";
  let errors = "";
  child.stdout?.on("data", (text: Buffer) => {
    output += text;
  });
  child.stderr?.on("data", (text: Buffer) => {
    errors += text;
  });
  const ended = new Promise<Ended>((resolve) => {
    child.on("close", (status) => resolve({ status, output, errors }));
  });
  return { child, said: () => output, ended };
}

async function waitFor(isSo: () => boolean, seconds: number, what: () => string): Promise<void> {
  for (const end = Date.now() + seconds * 1000; !isSo(); ) {
    if (Date.now() > end) assert.fail(what());
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function image(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

test("boot: a disk that halts ends with status 0, and the screen's lines are printed", { skip }, async () => {
  const disk = image("halts.img", bootDisk("this is the second sector"));
  const { status, output, errors } = await start([disk, "--device", "scsi"]).ended;
  assert.equal(status, 0, errors);
  assert.equal(errors, "");
  assert.match(output, /SeaBIOS[\s\S]*Booting from Hard Disk/);
  assert.match(output, /this is the second sector/);
});

test("boot: what cannot be is one line and status 2", { skip }, async () => {
  const disk = image("some.img", bootDisk("x"));
  const wrong: [words: string[], message: RegExp][] = [
    [[], /^ringside: boot needs a Linux kernel or a disk image\n$/],
    [[join(folder, "none.img")], /^ringside: .*none\.img does not exist.*\n$/],
    [[disk, "--bios", "/nowhere"], /^ringside: no firmware at \/nowhere: there is no such file\n$/],
    [[disk, "--initrd", disk], /^ringside: --initrd goes with a Linux kernel\n$/],
    [[`${disk},cd`], /^ringside: .*virtio-blk has no CD-ROM drives: leave out cd, or say --device scsi\n$/],
    [[disk, "--registers", "odd"], /^ringside: .*--registers.*\n$/],
    [[disk, "--page", "0"], /^ringside: with --page the files are picked in the browser: leave them out\n$/],
    [[disk, "--memory", "7K"], /^ringside: .*--memory.*whole MiB.*\n$/],
  ];
  const results = await Promise.all(wrong.map(([words]) => start(words).ended));
  for (const [index, { status, output, errors }] of results.entries()) {
    assert.equal(status, 2, errors);
    assert.equal(output, "");
    assert.match(errors, wrong[index][1]);
  }
});

test("boot: SIGINT ends a PC that runs, with status 130", { skip }, async () => {
  const endless = bootDisk("running");
  // jmp to itself instead of cli; hlt
  endless.set([0xeb, 0xfe], 42);
  const { child, said, ended } = start([image("endless.img", endless)]);
  await waitFor(() => said().includes("running"), 60, said);
  child.kill("SIGINT");
  const { status, errors } = await ended;
  assert.equal(status, 130);
  assert.equal(errors, "");
});

test("boot: writes go to a scratch overlay, and to the image with --write", { skip }, async () => {
  const bytes = bootDisk("written by the firmware", true);
  const disk = image("written.img", bytes);
  const runs = await start([disk]).ended;
  assert.equal(runs.status, 0, runs.errors);
  assert.match(runs.output, /written by the firmware/);
  assert.equal(Buffer.compare(readFileSync(disk), bytes), 0, "the image is as it was");
  assert.equal((await start([disk, "--write"]).ended).status, 0);
  assert.equal(readFileSync(disk).subarray(1024, 1047).toString(), "written by the firmware");
});

test("boot: what is typed on a pipe reaches the guest, and what it answers the other one", { skip }, async () => {
  const { child, said, ended } = start([image("echo.img", echoDisk())]);
  await waitFor(() => said().includes(">"), 60, said);
  child.stdin?.write("typed\n");
  const { status, output, errors } = await ended;
  assert.equal(status, 0, `${errors}\n${output}`);
  assert.match(output, />typed\r?\n/);
});

test("boot: a Linux kernel gets its command line and its first file system", { skip: whyNoV86Linux() }, async () => {
  // Only its first words are waited for: the page and the platform have tests that go on from there.
  const early = "earlyprintk=serial,ttyS0 console=ttyS0 said.to=kernel";
  const words = [
    join(kernelFolder, "vmlinuz"),
    "--initrd",
    image("initrd", new Uint8Array(100_000)),
    "--append",
    early,
  ];
  const { child, said, ended } = start(words);
  await waitFor(() => /RAMDISK: \[mem/.test(said()) && said().includes(early), 140, said);
  child.kill("SIGINT");
  assert.equal((await ended).status, 130);
});
