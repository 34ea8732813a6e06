/** `run --os amigaos` as a user types it: an .hdf with an RDB, one without, files, and calls that are wrong. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { makeAffsVolume } from "../../src/filesystem/affs/make-volume.js";
import { makeRdb } from "../../src/partition/make-rdb.js";
import { sha256Of } from "./cli-images.js";
import { CliFolder } from "./cli-process.js";

const cylinder = 128 * 512;
const root = new Map<string, string | Map<string, string>>([
  ["Disk.info", "icon"],
  ["S", new Map([["Startup-Sequence", "SetPatch QUIET\n"]])],
]);

/** An .hdf with an RDB, and one that is a volume. */
function images(context: TestContext): { folder: CliFolder; rdb: string; bare: string } {
  const folder = new CliFolder(context);
  const [rdb, bare] = [folder.file("rdb.hdf"), folder.file("bare.hdf")];
  const disk = new Uint8Array(40 * cylinder);
  const partitions = [
    { name: "DH0", dosType: 0x444f5303, lowCylinder: 2, highCylinder: 29, bootable: true, bootPriority: 2 },
    { name: "DH1", dosType: 0x53465300, lowCylinder: 30, highCylinder: 39 },
  ];
  disk.set(makeRdb({ cylinders: 40, partitions }));
  disk.set(makeAffsVolume({ dosType: 0x444f5303, name: "Workbench", blocks: 28 * 128, root }), 2 * cylinder);
  writeFileSync(rdb, disk);
  writeFileSync(bare, makeAffsVolume({ dosType: 0x444f5301, name: "Data", blocks: 4000, root }));
  return { folder, rdb, bare };
}

for (const machine of ["pegasos2", "amigaone"]) {
  for (const profile of ["strict", "extended"]) {
    test(`run --os amigaos on ${machine}, ${profile}: nodes, blocks read and written, nothing changed`, async (context) => {
      const { folder, rdb, bare } = images(context);
      const before = [sha256Of(rdb), sha256Of(bare)];
      const words = [
        "run",
        "--os",
        "amigaos",
        "--machine",
        machine,
        "--profile",
        profile,
        rdb,
        bare,
        "--hash",
        "--json",
      ];
      const { status, stdout, stderr } = await folder.run(words);
      assert.equal(stderr, "");
      assert.equal(status, 0);
      const report = JSON.parse(stdout);
      assert.deepEqual([report.os, report.profile, report.machine], ["amigaos", profile, machine]);
      const [adapter] = report.adapters;
      assert.equal(adapter.transport, machine === "amigaone" && profile === "strict" ? "pci-legacy" : "pci-modern");
      assert.deepEqual(
        adapter.units.map(({ sha256 }: { sha256: string }) => sha256),
        before,
      );
      assert.deepEqual(
        report.boot.nodes.map((node: Record<string, unknown>) => [
          node["name"],
          node["unit"],
          node["type"],
          node["volume"],
        ]),
        [
          ["DH0", 0, "DOS\\3", "Workbench"],
          ["DH2", 1, "DOS\\1", "Data"],
          ["DH1", 0, "SFS\\0", undefined],
        ],
      );
      assert.deepEqual([sha256Of(rdb), sha256Of(bare)], before);
    });
  }
}

test("--ls and --cat by device, by volume and by SYS:", async (context) => {
  const { folder, rdb, bare } = images(context);
  const amiga = (...words: string[]) => folder.run(["run", "--os", "amigaos", ...words]);
  const list = await amiga(rdb, "--ls", "DH0:");
  assert.equal(list.status, 0);
  assert.match(list.stdout, /^directory +\d+ +0 {2}S$/m);
  assert.match(list.stdout, /^file +\d+ +4 {2}Disk\.info$/m);
  for (const path of ["DH0:S/Startup-Sequence", "workbench:s/startup-sequence", "SYS:S/Startup-Sequence"]) {
    assert.deepEqual(await amiga(rdb, "--cat", path), { status: 0, stdout: "SetPatch QUIET\n", stderr: "" });
  }
  assert.equal((await amiga(bare, "--cat", "Data:Disk.info")).stdout, "icon");
  assert.equal((await amiga(rdb, bare, "--cat", "DH2:Disk.info")).stdout, "icon");
});

test("what is wrong is one line that says what there is", async (context) => {
  const { folder, rdb } = images(context);
  const empty = folder.file("empty.hdf");
  writeFileSync(empty, new Uint8Array(1 << 20));
  for (const [words, status, said] of [
    [[rdb, "--ls", "DH1:"], 1, /^ringside: SFS\\0 is no file system that can be read here\n$/],
    [[rdb, "--ls", "DH9:"], 1, /^ringside: there is no volume DH9: there are DH0: \(Workbench\), DH1:\n$/],
    [[rdb, "--cat", "DH0:nothing"], 1, /^ringside: .*nothing.*\n$/],
    [[rdb, "--cat", "DH0:S"], 1, /^ringside: .*\n$/],
    [[empty, "--ls", "DH0:"], 1, /^ringside: there is no volume DH0: nothing is mounted\n$/],
    [["--machine", "pc", rdb], 2, /^ringside: --os amigaos does not fit pc, which has no big-endian processor/],
    [["--machine", "riscv-virt", rdb], 2, /^ringside: --os amigaos does not fit riscv-virt/],
    [["--profile", "strict", `${rdb},target=9`], 2, /^ringside: .* the strict profile looks at targets 0 to 7/],
    [
      ["--profile", "strict", "--interrupts", "none", rdb],
      2,
      /^ringside: version 1\.5 never looks at reads and writes/,
    ],
    [["--device", "blk", rdb], 2, /^ringside: --os amigaos drives virtio-scsi: leave out --device\n$/],
  ] as const) {
    const result = await folder.run(["run", "--os", "amigaos", ...words]);
    assert.deepEqual([result.status, result.stdout], [status, ""], words.join(" "));
    assert.match(result.stderr, said);
  }
});

test("an empty disk is verified all the same, and says that nothing is mounted", async (context) => {
  const folder = new CliFolder(context);
  const empty = folder.file("empty.hdf");
  writeFileSync(empty, new Uint8Array(1 << 20));
  const { status, stdout } = await folder.run(["run", "--os", "amigaos", empty]);
  assert.equal(status, 0);
  assert.match(stdout, /^Nothing is mounted\.$/m);
});
