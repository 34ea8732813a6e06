/** `--packed` and `--no-packed` of the command line on QEMU's devices and on qemu-storage-daemon. */
import assert from "node:assert/strict";
import { boards } from "../../src/machine/index.js";
import { findQemu } from "../../src/platform/qemu/index.js";
import { missing, sha256Of, writeNoise } from "../quick/cli-images.js";
import { CliFolder } from "../quick/cli-process.js";
import { test } from "./limited-test.js";
import { startStorageDaemon } from "./vhost-processes.js";

const mebibyte = 1 << 20;

function lacking(machine: string): string | false {
  try {
    findQemu(boards[machine]);
    return false;
  } catch (error) {
    return (error as Error).message;
  }
}

for (const [machine, device] of [
  ["pc", "scsi"],
  ["pegasos2", "scsi"],
  ["riscv-virt", "blk"],
] as const) {
  test(`run on QEMU's ${machine}: virtio-${device} has packed rings with --packed only`, {
    skip: lacking(machine),
  }, async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), mebibyte);
    for (const [words, isPacked] of [
      [["--packed"], true],
      [[], false],
    ] as const) {
      const run = ["run", "--platform", "qemu", "--machine", machine, "--device", device, "--json", "--hash"];
      const { status, stdout, stderr } = await folder.run([...run, ...words, "a.img"]);
      assert.equal(status, 0, stderr);
      const [adapter] = JSON.parse(stdout).adapters;
      assert.equal(adapter.features.includes("RING_PACKED"), isPacked);
      assert.deepEqual([adapter.units[0].verified, adapter.units[0].sha256], [true, sha256Of(folder.file("a.img"))]);
    }
  });
}

test("run --packed on QEMU with --registers legacy: refused in one line, as on our own devices", async (t) => {
  const folder = new CliFolder(t);
  writeNoise(folder.file("a.img"), mebibyte);
  const words = ["run", "--platform", "qemu", "--machine", "pc", "--packed", "--registers", "legacy", "a.img"];
  assert.deepEqual(await folder.run(words), {
    status: 2,
    stdout: "",
    stderr: "ringside: legacy registers have no packed rings: leave out --packed, or leave out --registers legacy\n",
  });
});

test("attach on qemu-storage-daemon, which has split rings only: --packed is refused in one line", {
  skip: missing("qemu-storage-daemon"),
}, async (t) => {
  const folder = new CliFolder(t);
  writeNoise(folder.file("a.img"), mebibyte);
  const daemon = await startStorageDaemon(folder.file("s"), folder.file("a.img"));
  t.after(() => daemon.stop());
  assert.deepEqual(await folder.run(["attach", "info", "--socket", "s", "--packed"]), {
    status: 1,
    stdout: "",
    stderr: "ringside: the back end at s does not offer packed rings: leave out --packed\n",
  });
  for (const words of [[], ["--no-packed"]]) {
    const read = await folder.run(["attach", "read", "--socket", "s", "-o", "out", ...words]);
    assert.deepEqual([read.status, read.stderr], [0, ""]);
    assert.equal(sha256Of(folder.file("out")), sha256Of(folder.file("a.img")));
  }
});
