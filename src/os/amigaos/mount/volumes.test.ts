/** Files by AmigaDOS names, on volumes in an RDB and on a disk without a table. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeAffsVolume } from "../../../filesystem/affs/make-volume.js";
import { makeRdb } from "../../../partition/make-rdb.js";
import { blockReaderOf } from "../../../testing/block-reader-of.js";
import { Mounter } from "./mounter.js";
import { AmigaVolumes } from "./volumes.js";

const cylinder = 4 * 32;

/** A disk with an RDB: DH0 an FFS volume, DH1 named SFS. */
function rdbDisk(): Uint8Array {
  const volume = makeAffsVolume({
    dosType: 0x444f5303,
    name: "Workbench",
    blocks: 20 * cylinder,
    root: new Map<string, string | Map<string, string>>([
      ["Disk.info", "icon"],
      ["S", new Map([["Startup-Sequence", "SetPatch QUIET\n"]])],
    ]),
  });
  const disk = new Uint8Array(50 * cylinder * 512);
  disk.set(
    makeRdb({
      cylinders: 50,
      partitions: [
        { name: "DH0", dosType: 0x444f5303, lowCylinder: 2, highCylinder: 21, bootable: true },
        { name: "DH1", dosType: 0x53465300, lowCylinder: 22, highCylinder: 49 },
      ],
    }),
  );
  disk.set(volume, 2 * cylinder * 512);
  return disk;
}

function volumesOf(...disks: readonly Uint8Array[]): { mounter: Mounter; volumes: AmigaVolumes } {
  const readers = disks.map((disk) => blockReaderOf(disk, 512));
  const mounter = new Mounter(async (_device, unit) => ({
    blockSize: 512,
    blocks: readers[unit].blocks,
    readBlocks: (lba, count) => readers[unit].readBlocks(lba, count),
    close: async () => {},
  }));
  return { mounter, volumes: new AmigaVolumes(mounter, async ({ unit }) => readers[unit]) };
}

async function textOf(volumes: AmigaVolumes, path: string): Promise<string> {
  let text = "";
  for await (const piece of volumes.content(path)) text += Buffer.from(piece).toString("latin1");
  return text;
}

test("a file by its device's name, by its volume's, and by SYS:, whatever the case", async () => {
  const { mounter, volumes } = volumesOf(rdbDisk());
  await mounter.announce("virtioscsi.device", 0);
  for (const name of ["DH0:", "dh0:", "Workbench:", "WORKBENCH:", "SYS:", ":", ""]) {
    assert.equal(await textOf(volumes, `${name}S/Startup-Sequence`), "SetPatch QUIET\n", name);
  }
  const names = (await volumes.list("DH0:")).map(({ name, type }) => `${name} ${type}`).sort();
  assert.deepEqual(names, ["Disk.info file", "S directory"]);
  assert.deepEqual(
    (await volumes.list("DH0:Disk.info")).map(({ size }) => size),
    [4],
  );
});

test("a volume of another file system is named, and the others are told of", async () => {
  const { mounter, volumes } = volumesOf(rdbDisk());
  await mounter.announce("virtioscsi.device", 0);
  await assert.rejects(volumes.list("DH1:"), { name: "FileSystemError", code: "not-supported", message: /SFS/ });
  await assert.rejects(volumes.list("DH7:"), { message: "there is no volume DH7: there are DH0: (Workbench), DH1:" });
  assert.deepEqual(
    (await volumes.report()).map(({ node, name, problem }) => [node.name, name, problem === undefined]),
    [
      ["DH0", "Workbench", true],
      ["DH1", undefined, false],
    ],
  );
});

test("a hardfile without an RDB is one volume", async () => {
  const disk = makeAffsVolume({
    dosType: 0x444f5301,
    name: "Data",
    blocks: 4000,
    root: new Map([["read me", "hello"]]),
  });
  const { mounter, volumes } = volumesOf(disk);
  await mounter.announce("virtioscsi.device", 0);
  assert.equal(await textOf(volumes, "DH0:read me"), "hello");
  assert.equal(await textOf(volumes, "data:read me"), "hello");
  const { mounter: none, volumes: nothing } = volumesOf(new Uint8Array(1 << 20));
  await none.announce("virtioscsi.device", 0);
  await assert.rejects(nothing.list("DH0:"), { message: "there is no volume DH0: nothing is mounted" });
});
