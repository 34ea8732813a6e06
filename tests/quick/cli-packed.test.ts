/** `--packed` and `--no-packed`: what is offered and what is used, and what is said where that cannot be. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { writeNoise } from "./cli-images.js";
import { CliFolder } from "./cli-process.js";
import { CliServer } from "./cli-server.js";

const mebibyte = 1 << 20;
const inquiry = ["--", "120000002400"];

for (const [machine, device] of [
  ["pc", "scsi"],
  ["pegasos2", "scsi"],
  ["riscv-virt", "blk"],
] as const) {
  test(`run on ${machine}: our virtio-${device} offers packed rings, unless --no-packed`, async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), mebibyte);
    for (const [words, isPacked] of [
      [[], true],
      [["--no-packed"], false],
    ] as const) {
      const run = ["run", "--machine", machine, "--device", device, "--json", ...words, "a.img"];
      const { status, stdout, stderr } = await folder.run(run);
      assert.deepEqual([status, stderr], [0, ""], run.join(" "));
      const [adapter] = JSON.parse(stdout).adapters;
      assert.equal(adapter.features.includes("RING_PACKED"), isPacked, run.join(" "));
      assert.equal(adapter.units[0].verified, true);
    }
  });
}

test("scsi: the same command on both formats has the same answer", async (t) => {
  const folder = new CliFolder(t);
  writeNoise(folder.file("a.img"), mebibyte);
  const packed = await folder.run(["scsi", "a.img", "--packed", "--json", ...inquiry]);
  const split = await folder.run(["scsi", "a.img", "--no-packed", "--json", ...inquiry]);
  assert.deepEqual([packed.status, packed.stderr], [0, ""]);
  assert.deepEqual(split, packed);
});

for (const [words, says] of [
  [
    ["--registers", "legacy"],
    "legacy registers have no packed rings: leave out --packed, or leave out --registers legacy",
  ],
  [["--machine", "amigaone"], "legacy registers have no packed rings: leave out --packed, or say --registers modern"],
  [["--machine", "a4000"], "a4000 has an A4091, no virtio rings: leave out --packed"],
] as const) {
  test(`run and scsi --packed ${words.join(" ")}: refused in one line`, async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), mebibyte);
    for (const call of [
      ["run", "a.img"],
      ["scsi", "a.img", ...inquiry],
    ]) {
      const [name, ...rest] = call;
      const result = await folder.run([name, "--packed", ...words, ...rest]);
      assert.deepEqual(result, { status: 2, stdout: "", stderr: `ringside: ${says}\n` });
    }
  });
}

const skip = process.platform === "linux" ? false : "vhost-user needs Linux";

describe("serve and attach", { skip }, () => {
  for (const device of ["blk", "scsi"] as const) {
    const attach = (...words: string[]) => ["attach", ...words, "--socket", "s", "--device", device];

    test(`${device}: attach uses packed rings when they are offered, split ones with --no-packed`, async (t) => {
      const folder = new CliFolder(t);
      writeNoise(folder.file("a.img"), mebibyte);
      const server = await CliServer.start(folder, "a.img", "--socket", "s", "--device", device);
      assert.doesNotMatch(server.output, /packed=on/);
      for (const [words, isPacked] of [
        [[], true],
        [["--no-packed"], false],
      ] as const) {
        const info = await folder.run(attach("info", "--json", ...words));
        assert.deepEqual([info.status, info.stderr], [0, ""]);
        assert.equal(JSON.parse(info.stdout).features.includes("RING_PACKED"), isPacked, words.join(" "));
      }
      const verify = await folder.run(attach("verify", "--write", "--packed"));
      assert.deepEqual([verify.status, verify.stderr], [0, ""]);
      assert.equal((await server.stop()).status, 0);
    });

    test(`${device}: attach --packed on a server that does not offer them: one line, exit status 1`, async (t) => {
      const folder = new CliFolder(t);
      writeNoise(folder.file("a.img"), mebibyte);
      const server = await CliServer.start(folder, "a.img", "--socket", "s", "--device", device, "--no-packed");
      const refused = await folder.run(attach("info", "--packed"));
      assert.deepEqual(refused, {
        status: 1,
        stdout: "",
        stderr: "ringside: the back end at s does not offer packed rings: leave out --packed\n",
      });
      const info = await folder.run(attach("info", "--json"));
      assert.equal(JSON.parse(info.stdout).features.includes("RING_PACKED"), false);
      assert.equal((await server.stop()).status, 0);
    });
  }

  test("serve --packed puts packed=on into the QEMU line, of both devices", async (t) => {
    const folder = new CliFolder(t);
    for (const device of ["blk", "scsi"]) {
      const line = (word: string) => folder.run(["serve", "--print-qemu", "--socket", "s", "--device", device, word]);
      assert.match((await line("--packed")).stdout, /,num[-_]queues=1,packed=on\n$/);
      assert.match((await line("--no-packed")).stdout, /,num[-_]queues=1\n$/);
    }
  });
});
