/** Slices, by labels that `parted` (a real peer) and our builder made. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { makeRdb, sealRdbBlock } from "../../partition/make-rdb.js";
import { amixRig, patterned, request, storeWith } from "./amix-rig.test.js";
import { Errno, findSlice, type SlicePlace } from "./index.js";

const env = { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin`, LC_ALL: "C.UTF-8" };
const lacksParted = spawnSync("parted", ["--version"], { env }).error !== undefined && "parted is not installed";

const at = (unit: number, slice: number) => ({ card: 0, unit, slice });

/** A disk of 4096 blocks whose first bytes are these. */
function diskWith(label: Uint8Array): Uint8Array {
  const disk = patterned(4096);
  disk.fill(0, 0, 64 * 512);
  disk.set(label);
  return disk;
}

async function openOn(disk: Uint8Array, slices: readonly number[], profile: "strict" | "extended" = "extended") {
  const rig = await amixRig({ board: "a3000", onboard: { 6: await storeWith(disk) }, profile });
  const found: (SlicePlace | number)[] = [];
  for (const slice of slices) {
    const errno = await rig.kernel.disks.open(at(6, slice));
    found.push(errno === Errno.None ? (rig.kernel.disks.placeOf(at(6, slice)) as SlicePlace) : errno);
  }
  return { rig, found };
}

describe("parted", { skip: lacksParted }, () => {
  const folder = mkdtempSync(join(tmpdir(), "ringside-amix-"));
  after(() => rmSync(folder, { recursive: true }));

  for (const profile of ["strict", "extended"] as const) {
    test(`check 30, 5.8: the label that parted wrote: slice 1 is the first PART, slice 2 the second (${profile})`, async () => {
      const path = join(folder, `${profile}.img`);
      writeFileSync(path, "");
      truncateSync(path, 4 << 20);
      const run = (...args: string[]) => {
        const { status, stdout, stderr } = spawnSync("parted", ["-s", path, ...args], { env, encoding: "utf8" });
        assert.equal(status, 0, stderr);
        return stdout;
      };
      run("mklabel", "amiga");
      run("mkpart", "ROOT", "affs1", "1024s", "2047s");
      run("mkpart", "SWAP", "affs1", "3072s", "8063s");
      const listed = run("-m", "unit", "s", "print").trim().split("\n").slice(2);
      const places = listed.map((line) => {
        const [, start, , size] = line.split(":").map((word) => Number.parseInt(word, 10));
        return { start, blocks: size };
      });
      assert.equal(places.length, 2);
      const disk = new Uint8Array(readFileSync(path));
      const { rig, found } = await openOn(disk, [1, 2, 3], profile);
      assert.deepEqual(found, [...places, Errno.NoDevice], "the list ends with ENXIO");
      await rig.close();
    });
  }
});

test("check 30, 5.8: slice n is the n-th entry of the list whatever its type, in cylinders of rdb_CylBlocks", async () => {
  const partitions = [
    { name: "ROOT", dosType: 0x554e_4901, lowCylinder: 2, highCylinder: 9 },
    { name: "SWAP", dosType: 0x7265_7376, lowCylinder: 10, highCylinder: 19 },
    { name: "BOOT", dosType: 0x554e_4900, lowCylinder: 20, highCylinder: 29 },
  ];
  const label = makeRdb({ rdbBlock: 2, cylinders: 32, partitions });
  // The partitions' own geometry (surfaces, blocks in a track) is wrong, and not what counts.
  const view = new DataView(label.buffer);
  for (const block of [3, 4, 5]) {
    view.setUint32(block * 512 + 128 + 3 * 4, 7);
    view.setUint32(block * 512 + 128 + 5 * 4, 11);
    sealRdbBlock(view, block * 512);
  }
  const { rig, found } = await openOn(diskWith(label), [1, 2, 3, 4, 0]);
  const cylinder = view.getUint32(2 * 512 + 144);
  assert.deepEqual(found, [
    { start: 2 * cylinder, blocks: 8 * cylinder },
    { start: 10 * cylinder, blocks: 10 * cylinder },
    { start: 20 * cylinder, blocks: 10 * cylinder },
    Errno.NoDevice,
    { start: 0, blocks: 4096 },
  ]);
  const read = request(rig, { ...at(6, 2), block: 1, bcount: 512 });
  rig.kernel.disks.strategy(read.buf);
  assert.equal((await read.done).error, false);
  assert.deepEqual(read.bytes, patterned(4096).subarray((10 * cylinder + 1) * 512, (10 * cylinder + 2) * 512));
  await rig.close();
});

test("check 30, 5.8: a wrong checksum is ENXIO, no label too, and slice 0 needs none", async () => {
  const partitions = [{ name: "ROOT", dosType: 1, lowCylinder: 2, highCylinder: 9 }];
  const damaged = makeRdb({ cylinders: 32, partitions });
  damaged[200] ^= 1;
  const wrong = await openOn(diskWith(damaged), [1, 0]);
  assert.deepEqual(wrong.found, [Errno.NoDevice, { start: 0, blocks: 4096 }]);
  await wrong.rig.close();
  const entry = makeRdb({ cylinders: 32, partitions });
  entry[512 + 200] ^= 1;
  const wrongEntry = await openOn(diskWith(entry), [1]);
  assert.deepEqual(wrongEntry.found, [Errno.NoDevice]);
  await wrongEntry.rig.close();
  const bare = await openOn(diskWith(new Uint8Array(512)), [1, 0]);
  assert.deepEqual(bare.found, [Errno.NoDevice, { start: 0, blocks: 4096 }]);
  await bare.rig.close();
});

test("5.8: a disk that is not there, and a card that is not there", async () => {
  const { rig } = await openOn(diskWith(new Uint8Array(512)), []);
  assert.equal(await rig.kernel.disks.open(at(3, 1)), Errno.Io);
  assert.equal(await rig.kernel.disks.open({ card: 1, unit: 0, slice: 0 }), Errno.NoDevice);
  await rig.close();
});

test("5.8: a list that comes back to itself, or leaves the disk, ends", async () => {
  const partitions = [{ name: "A", dosType: 1, lowCylinder: 2, highCylinder: 9 }];
  const label = makeRdb({ cylinders: 32, partitions });
  const view = new DataView(label.buffer);
  // PART's next is PART itself: the sum is kept by taking from the checksum what is added.
  const old = view.getUint32(512 + 16);
  view.setUint32(512 + 16, 1);
  view.setUint32(512 + 8, (view.getUint32(512 + 8) + old - 1) >>> 0);
  const reads: number[] = [];
  const reader = async (block: number) => {
    reads.push(block);
    const bytes = new Uint8Array(512);
    bytes.set(label.subarray(block * 512, block * 512 + 512));
    return bytes;
  };
  assert.deepEqual(await findSlice(reader, 7), { start: 256, blocks: 1024 });
  assert.ok(reads.length <= 8);
  assert.equal(await findSlice(async () => undefined, 1), "unreadable");
});
