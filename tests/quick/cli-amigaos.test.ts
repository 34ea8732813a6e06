/** `run --os amigaos` as a user types it: an .hdf with an RDB, one without, files, and calls that are wrong. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
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

/** The first image of {@link images} with one thing wrong. */
function brokenImages({ folder, rdb, bare }: ReturnType<typeof images>) {
  const good = readFileSync(rdb);
  const write = (name: string, change: (bytes: Buffer) => Uint8Array) => {
    const path = folder.file(`${name}.hdf`);
    writeFileSync(path, change(Buffer.from(good)));
    return path;
  };
  const partitions = [...Array(16).keys()].filter(
    (block) => good.toString("latin1", 512 * block, 512 * block + 4) === "PART",
  );
  const [first, last] = [512 * partitions[0], 512 * partitions[partitions.length - 1]];
  return {
    cut: write("cut", (bytes) => bytes.subarray(0, 20 * cylinder)),
    odd: write("odd", (bytes) => bytes.subarray(0, 20 * cylinder + 100)),
    sum: write("sum", (bytes) => {
      bytes[0x20] ^= 1;
      return bytes;
    }),
    partition: write("partition", (bytes) => {
      bytes[first + 40] ^= 1;
      return bytes;
    }),
    // The last partition names the first as its next one, and the checksum follows.
    cyclic: write("cyclic", (bytes) => {
      const [next, sum] = [bytes.readInt32BE(last + 16), bytes.readInt32BE(last + 8)];
      bytes.writeInt32BE(partitions[0], last + 16);
      bytes.writeInt32BE((sum + next - partitions[0]) | 0, last + 8);
      return bytes;
    }),
    root: write("root", () => Buffer.concat([readFileSync(bare).subarray(0, 512), Buffer.alloc(1 << 20)])),
  };
}

test("what is wrong is one line that says what there is", async (context) => {
  const all = images(context);
  const { folder, rdb } = all;
  const broken = brokenImages(all);
  const empty = folder.file("empty.hdf");
  writeFileSync(empty, new Uint8Array(1 << 20));
  for (const [words, status, said] of [
    [[rdb, "--ls", "DH1:"], 1, /^ringside: SFS\\0 is no file system that can be read here\n$/],
    [[rdb, "--ls", "DH9:"], 1, /^ringside: there is no volume DH9: there are DH0: \(Workbench\), DH1:\n$/],
    [[rdb, "--cat", "DH0:S/nothing"], 1, /^ringside: DH0:S\/nothing: there is no such file\n$/],
    [[rdb, "--ls", "Workbench:nothing"], 1, /^ringside: Workbench:nothing: there is no such file\n$/],
    [[rdb, "--cat", "DH0:S"], 1, /^ringside: DH0:S is a directory\n$/],
    [[rdb, "--cat", "DH0:"], 1, /^ringside: DH0: is a directory\n$/],
    [
      [broken.cut, "--ls", "DH0:"],
      1,
      /nothing is mounted \(unit 0: DH0 ends at block 3840, past the disk's 2560 blocks\)\n$/,
    ],
    [
      [broken.sum, "--ls", "DH0:"],
      1,
      /nothing is mounted \(unit 0: the rigid disk block in block 0 .* checksum is wrong\)\n$/,
    ],
    [
      [broken.partition, "--ls", "DH0:"],
      1,
      /nothing is mounted \(unit 0: the PART list ends early: .* checksum is wrong\)\n$/,
    ],
    [[broken.cyclic, "--ls", "DH9:"], 1, /there are DH0: \(Workbench\), DH1:\n$/],
    [
      [broken.root, "--ls", "DH0:"],
      1,
      /^ringside: the Amiga volume is damaged: .* no root block where it should be\n$/,
    ],
    [[broken.odd, "--ls", "DH0:"], 2, /^ringside: \S+ has 1310820 bytes, which is no multiple of its block size/],
    [[folder.file("none.hdf"), "--ls", "DH0:"], 2, /^ringside: \S+ does not exist; check the path\n$/],
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

test("a floppy is a volume, and a DosType without letters is a number", async (context) => {
  const { folder, rdb } = images(context);
  const [floppy, odd] = [folder.file("floppy.adf"), folder.file("odd-type.hdf")];
  writeFileSync(floppy, makeAffsVolume({ dosType: 0x444f5300, name: "Empty", blocks: 1760, root }));
  const disk = new Uint8Array(40 * cylinder);
  disk.set(
    makeRdb({ cylinders: 40, partitions: [{ name: "ODD", dosType: 0x12345678, lowCylinder: 2, highCylinder: 9 }] }),
  );
  writeFileSync(odd, disk);
  const amiga = (...words: string[]) => folder.run(["run", "--os", "amigaos", ...words]);
  assert.equal((await amiga(floppy, "--cat", "Empty:S/Startup-Sequence")).stdout, "SetPatch QUIET\n");
  assert.match((await amiga(rdb, floppy)).stdout, /^DH2: +1 {2}DOS\\0 +0 {2}Empty$/m);
  assert.match(
    (await amiga(odd)).stdout,
    /^ODD: +0 {2}0x12345678 +- {2}\(0x12345678 is no file system that can be read/m,
  );
});

test("an empty disk is verified all the same, and says that nothing is mounted", async (context) => {
  const folder = new CliFolder(context);
  const empty = folder.file("empty.hdf");
  writeFileSync(empty, new Uint8Array(1 << 20));
  const { status, stdout } = await folder.run(["run", "--os", "amigaos", empty]);
  assert.equal(status, 0);
  assert.match(stdout, /^Nothing is mounted\.$/m);
});
