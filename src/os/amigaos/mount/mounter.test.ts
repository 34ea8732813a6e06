/** Mounting (7 of the reference): RDBs and bare disks become device nodes, as mounter.library makes them. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { RdbPatch } from "../../../partition/index.js";
import { makeRdb, type RdbSpec, sealRdbBlock } from "../../../partition/make-rdb.js";
import { blockReaderOf } from "../../../testing/block-reader-of.js";
import { neverBoot } from "./dos-node.js";
import { Mounter, type OpenedUnit } from "./mounter.js";

const device = "virtioscsi.device";

const spec: RdbSpec = {
  cylinders: 100,
  partitions: [
    { name: "DH0", dosType: 0x444f5303, lowCylinder: 2, highCylinder: 40, bootable: true, bootPriority: -5 },
    { name: "Hidden", dosType: 0x444f5301, lowCylinder: 41, highCylinder: 50, noMount: true },
    { name: "Work", dosType: 0x53465300, lowCylinder: 51, highCylinder: 99, bootPriority: 3 },
  ],
  fileSystems: [{ dosType: 0x53465300, version: 1, revision: 293 }],
};
const rdbBlocks = 100 * 128;

/** A mounter over disks by unit number; counts what is open. */
function mounterOf(disks: readonly (readonly [bytes: Uint8Array, blocks: number] | undefined)[]) {
  const counts = { opened: 0, open: 0 };
  const mounter = new Mounter(async (_device, unit): Promise<OpenedUnit> => {
    const disk = disks[unit];
    if (disk === undefined) throw new Error(`unit ${unit} does not open (-1)`);
    counts.opened++;
    counts.open++;
    const reader = blockReaderOf(disk[0], 512, disk[1]);
    return {
      blockSize: 512,
      blocks: disk[1],
      readBlocks: (lba, count) => reader.readBlocks(lba, count),
      close: async () => {
        counts.open--;
      },
    };
  });
  return { mounter, counts };
}

test("an RDB becomes nodes: name, DosType, boot priority, environment; a partition that shall not be mounted does not", async () => {
  const { mounter, counts } = mounterOf([[makeRdb(spec), rdbBlocks]]);
  const { nodes, notes } = await mounter.announce(device, 0);
  assert.deepEqual(
    nodes.map(({ name, type, bootPriority, firstBlock, blocks, fileSystem }) => [
      ...[name, type, bootPriority, firstBlock, blocks, fileSystem],
    ]),
    [
      ["DH0", "DOS\\3", -5, 256, 39 * 128, undefined],
      ["Work", "SFS\\0", neverBoot, 51 * 128, 49 * 128, "1.293"],
    ],
  );
  const { environment, vector } = nodes[0];
  assert.deepEqual(
    [environment.tableSize, environment.sizeBlock, environment.surfaces, environment.blocksPerTrack],
    [16, 128, 4, 32],
  );
  assert.deepEqual([environment.lowCylinder, environment.highCylinder, environment.reserved], [2, 40, 2]);
  assert.deepEqual([environment.maxTransfer, environment.mask, environment.buffers], [0x1fe00, 0x7ffffffe, 30]);
  assert.equal(environment.bootPriority, -5);
  assert.equal(vector.length, 17);
  assert.deepEqual(notes, ["Hidden is not to be mounted automatically"]);
  assert.equal(mounter.bootNode?.name, "DH0");
  assert.deepEqual(counts, { opened: 1, open: 0 });
});

test("B30: a stale RDSK block with a wrong checksum makes no nodes", async () => {
  const bytes = makeRdb(spec);
  bytes[100] ^= 1;
  const { mounter } = mounterOf([[bytes, rdbBlocks]]);
  const { nodes, notes } = await mounter.announce(device, 0);
  assert.equal(nodes.length, 0);
  assert.match(notes.join(), /checksum is wrong/);
});

test("a partition that leaves the disk is not mounted", async () => {
  const { mounter } = mounterOf([[makeRdb(spec), 60 * 128]]);
  const { nodes } = await mounter.announce(device, 0);
  assert.deepEqual(
    nodes.map(({ name }) => name),
    ["DH0"],
  );
});

test("an environment shorter than a file system wants has the oldest systems' values behind its end", async () => {
  const bytes = makeRdb(spec);
  const view = new DataView(bytes.buffer);
  view.setUint32(512 + 128, 11);
  sealRdbBlock(view, 512);
  const { nodes } = await mounterOf([[bytes, rdbBlocks]]).mounter.announce(device, 0);
  const { environment, vector } = nodes[0];
  assert.equal(vector.length, 12);
  assert.deepEqual([environment.dosType, environment.bootPriority, environment.mask], [0x444f5300, 0, 0xffffffff]);
});

test("a file system's block sets what its patch flags name in the node", async () => {
  const bytes = makeRdb(spec);
  const view = new DataView(bytes.buffer);
  const at = 512 * 4;
  assert.equal(view.getUint32(at), 0x46534844);
  view.setUint32(at + 40, RdbPatch.StackSize | RdbPatch.GlobalVector);
  view.setUint32(at + 60, 32768);
  view.setInt32(at + 64, 7);
  view.setInt32(at + 76, -1);
  sealRdbBlock(view, at);
  const { nodes } = await mounterOf([[bytes, rdbBlocks]]).mounter.announce(device, 0);
  assert.deepEqual([nodes[1].stackSize, nodes[1].priority, nodes[1].globalVector], [32768, 10, -1]);
});

test("a disk without a table is one volume when its first block begins with a DosType", async () => {
  const boot = new Uint8Array(512);
  new DataView(boot.buffer).setUint32(0, 0x444f5301);
  const { mounter } = mounterOf([
    [boot, 20_007],
    [boot, 1760],
    [new Uint8Array(512), 20_000],
  ]);
  const [hardfile, floppy, empty] = await Promise.all([0, 1, 2].map((unit) => mounter.announce(device, unit)));
  assert.equal(hardfile.nodes[0].bare, true);
  // Whole tracks of 32 blocks; the rest is unused.
  assert.equal(hardfile.nodes[0].blocks, 625 * 32);
  assert.deepEqual([floppy.nodes[0].environment.surfaces, floppy.nodes[0].blocks], [2, 1760]);
  assert.equal(empty.nodes.length, 0);
  assert.deepEqual(mounter.nodes.map(({ name }) => name).sort(), [hardfile.nodes[0].name, floppy.nodes[0].name].sort());
  assert.notEqual(hardfile.nodes[0].name, floppy.nodes[0].name);
});

test("a name that is taken gets a number; denounced nodes go and their names are free", async () => {
  const { mounter } = mounterOf([
    [makeRdb(spec), rdbBlocks],
    [makeRdb(spec), rdbBlocks],
  ]);
  await mounter.announce(device, 0);
  const second = await mounter.announce(device, 1);
  assert.deepEqual(
    second.nodes.map(({ name }) => name),
    ["DH0.1", "Work.1"],
  );
  assert.equal(mounter.find("dh0.1:")?.unit, 1);
  assert.deepEqual(
    (await mounter.denounce(device, 0)).map(({ name }) => name),
    ["DH0", "Work"],
  );
  assert.equal(mounter.find("DH0:"), undefined);
  assert.equal((await mounter.announce(device, 0)).nodes[0].name, "DH0");
});

test("names are given in the order of announcements, whichever unit is read first", async () => {
  const boot = new Uint8Array(512);
  new DataView(boot.buffer).setUint32(0, 0x444f5301);
  let release = () => {};
  const slow = new Promise<void>((resolve) => {
    release = resolve;
  });
  const disks = [makeRdb(spec), boot];
  const mounter = new Mounter(async (_device, unit) => {
    if (unit === 0) await slow;
    return { ...blockReaderOf(disks[unit], 512, rdbBlocks), close: async () => {} };
  });
  const both = [mounter.announce(device, 0), mounter.announce(device, 1)];
  setImmediate(release);
  await Promise.all(both);
  assert.deepEqual(
    mounter.nodes.map(({ name, unit }) => `${name} ${unit}`),
    ["DH1 1", "DH0 0", "Work 0"],
  );
});

test("B5: a unit that is announced twice, or while it is read, is opened once and has its nodes once", async () => {
  const { mounter, counts } = mounterOf([[makeRdb(spec), rdbBlocks]]);
  const [one, two] = await Promise.all([mounter.announce(device, 0), mounter.announce(device, 0)]);
  assert.equal(one, two);
  assert.equal(counts.opened, 1);
  assert.equal(mounter.nodes.length, 2);
});

test("a unit that is removed while it is read leaves no nodes", async () => {
  const { mounter } = mounterOf([[makeRdb(spec), rdbBlocks]]);
  const announced = mounter.announce(device, 0);
  const denounced = mounter.denounce(device, 0);
  await Promise.all([announced, denounced]);
  assert.equal(mounter.nodes.length, 0);
  assert.deepEqual(await mounter.denounce(device, 0), []);
});

test("a unit that does not open has a note and no nodes", async () => {
  const { nodes, notes } = await mounterOf([]).mounter.announce(device, 3);
  assert.equal(nodes.length, 0);
  assert.deepEqual(notes, ["it cannot be read: unit 3 does not open (-1)"]);
});

const parted = spawnSync("parted", ["--version"]).status === 0 ? {} : { skip: "parted is not installed" };

test("an RDB that parted made becomes nodes with parted's names and blocks", parted, async () => {
  const folder = mkdtempSync(join(tmpdir(), "ringside-mount-"));
  try {
    const path = join(folder, "disk.hdf");
    writeFileSync(path, "");
    truncateSync(path, 64 << 20);
    const part = (...words: string[]) => execFileSync("parted", ["-s", path, "--", ...words], { encoding: "utf8" });
    part("mklabel", "amiga");
    part("mkpart", "primary", "affs1", "2MiB", "20MiB");
    part("mkpart", "primary", "affs3", "20MiB", "60MiB");
    part("name", "1", "System");
    part("set", "1", "boot", "on");
    const { nodes } = await mounterOf([[readFileSync(path), (64 << 20) / 512]]).mounter.announce(device, 0);
    const lines = part("unit", "s", "print").match(/^ \d+ .*$/gm) ?? [];
    assert.deepEqual(
      nodes.map(({ firstBlock, blocks }) => [firstBlock, blocks]),
      lines.map((line) => {
        const [, first, , size] = line
          .trim()
          .split(/\s+/)
          .map((word) => Number.parseInt(word, 10));
        return [first, size];
      }),
    );
    assert.equal(nodes.length, 2);
    assert.equal(nodes[0].name, "System");
    assert.equal(nodes[0].bootPriority, 0);
    assert.equal(nodes[1].bootPriority, neverBoot);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
