import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { blockReaderOf } from "../testing/block-reader-of.js";
import { dosTypeName, readPartitions } from "./index.js";
import { makeRdb, type RdbSpec, sealRdbBlock } from "./make-rdb.js";

const spec: RdbSpec = {
  cylinders: 100,
  partitions: [
    { name: "DH0", dosType: 0x444f5303, lowCylinder: 2, highCylinder: 40, bootable: true, bootPriority: -5 },
    { name: "Work", dosType: 0x53465300, lowCylinder: 41, highCylinder: 60, noMount: true },
    { name: "Amix", dosType: 0x554e4901, lowCylinder: 61, highCylinder: 99, bootPriority: 127 },
  ],
  fileSystems: [
    { dosType: 0x53465300, version: 1, revision: 293, code: new Uint8Array(1500).fill(1) },
    { dosType: 0x50465303, version: 19, revision: 2 },
  ],
};
/** What the builder leaves 0 in a file system's block. */
const patched = { patchFlags: 0, stackSize: 0, priority: 0, globalVector: 0 };
const diskBlocks = 100 * 128;

/** Changes a long in a block and makes its sum right again. */
function patch(bytes: Uint8Array, block: number, long: number, value: number): Uint8Array {
  const view = new DataView(bytes.buffer);
  view.setUint32(block * 512 + long * 4, value);
  sealRdbBlock(view, block * 512);
  return bytes;
}

/** What a node is made from, as the builder writes it. */
function mountOf(low: number, high: number, priority: number, dosType: number, noMount = false) {
  const environment = [16, 128, 0, 4, 1, 32, 2, 0, 0, low, high, 30, 0, 0x1fe00, 0x7ffffffe, priority >>> 0, dosType];
  return { environment, deviceFlags: 0, noMount };
}

const read = (bytes: Uint8Array) => readPartitions(blockReaderOf(bytes, 512, diskBlocks));

describe("RDB", () => {
  test("names, DosTypes, cylinders, boot flags and priorities, drive and file systems", async () => {
    const table = await read(makeRdb(spec));
    assert.deepEqual(table, {
      scheme: "rdb",
      drive: "RINGSIDE TEST DISK 1.0",
      notes: ["Work is not to be mounted automatically"],
      partitions: [
        {
          index: 1,
          name: "DH0",
          type: "DOS\\3",
          typeCode: "0x444f5303",
          firstBlock: 256,
          blocks: 39 * 128,
          bootable: true,
          bootPriority: -5,
          mount: mountOf(2, 40, -5, 0x444f5303),
        },
        {
          index: 2,
          name: "Work",
          type: "SFS\\0",
          typeCode: "0x53465300",
          firstBlock: 41 * 128,
          blocks: 20 * 128,
          bootable: false,
          bootPriority: 0,
          mount: mountOf(41, 60, 0, 0x53465300, true),
        },
        {
          index: 3,
          name: "Amix",
          type: "UNI\\1",
          typeCode: "0x554e4901",
          firstBlock: 61 * 128,
          blocks: 39 * 128,
          bootable: false,
          bootPriority: 127,
          mount: mountOf(61, 99, 127, 0x554e4901),
        },
      ],
      fileSystems: [
        { type: "SFS\\0", version: 1, revision: 293, dosType: 0x53465300, ...patched },
        { type: "PFS\\3", version: 19, revision: 2, dosType: 0x50465303, ...patched },
      ],
    });
  });

  test("the RDSK block is found in each of the blocks 0 to 15, and not in block 16", async () => {
    for (let rdbBlock = 0; rdbBlock < 17; rdbBlock++) {
      const { scheme, partitions } = await read(makeRdb({ ...spec, rdbBlock }));
      assert.equal(scheme, rdbBlock < 16 ? "rdb" : "none");
      assert.equal(partitions.length, rdbBlock < 16 ? 3 : 0);
    }
  });

  test("blocks of 4096 bytes", async () => {
    const reader = blockReaderOf(makeRdb({ ...spec, blockSize: 4096 }), 4096, diskBlocks);
    const { partitions, notes } = await readPartitions(reader);
    assert.deepEqual(notes, ["Work is not to be mounted automatically"]);
    assert.equal(partitions[0].firstBlock, 256);
  });

  test("a table for 4096-byte blocks on a disk of 512: numbers are scaled, and a note says so", async () => {
    const reader = blockReaderOf(makeRdb({ ...spec, blockSize: 4096, rdbBlock: 1 }), 512, diskBlocks * 8);
    const { partitions, notes } = await readPartitions(reader);
    assert.deepEqual([partitions[0].firstBlock, partitions[0].blocks], [256 * 8, 39 * 128 * 8]);
    assert.match(notes[0], /blocks of 4096 bytes.*512/);
  });

  test("the partition's own geometry counts where it differs from the drive's CylBlocks", async () => {
    const { partitions, notes } = await read(patch(makeRdb(spec), 1, 32 + 3, 2));
    assert.equal(partitions[0].firstBlock, 2 * 2 * 32);
    assert.ok(notes.includes("DH0 has 64 blocks in a cylinder where the drive has CylBlocks 128"));
  });

  test("a stale RDSK with a wrong checksum is not believed (B30)", async () => {
    const bytes = makeRdb(spec);
    bytes[100] ^= 1;
    const { scheme, notes } = await read(bytes);
    assert.equal(scheme, "none");
    assert.deepEqual(notes, ["the rigid disk block in block 0 is not used: its checksum is wrong"]);
  });

  for (const longs of [0, 129, 0xffffffff]) {
    test(`SummedLongs of ${longs} is not believed in a block of 512 bytes`, async () => {
      const bytes = makeRdb(spec);
      new DataView(bytes.buffer).setUint32(4, longs);
      const { notes } = await read(bytes);
      assert.deepEqual(notes, [`the rigid disk block in block 0 is not used: its SummedLongs is ${longs}`]);
    });
  }

  test("after a damaged RDSK the search goes on", async () => {
    const bytes = makeRdb({ ...spec, rdbBlock: 3 });
    bytes.set(bytes.slice(3 * 512, 4 * 512), 0);
    bytes[200] ^= 1;
    const { scheme, partitions, notes } = await read(bytes);
    assert.deepEqual([scheme, partitions.length], ["rdb", 3]);
    assert.match(notes[0], /block 0 is not used/);
  });

  test("a list that comes back to itself ends", async () => {
    const { partitions, notes } = await read(patch(makeRdb(spec), 3, 4, 1));
    assert.equal(partitions.length, 3);
    assert.ok(notes.includes("the PART list comes back to block 1"));
  });

  test("a list in another order than its blocks is read in its own order", async () => {
    const bytes = makeRdb(spec);
    patch(bytes, 0, 7, 3);
    patch(bytes, 3, 4, 1);
    patch(bytes, 1, 4, 2);
    patch(bytes, 2, 4, 0xffffffff);
    const { partitions } = await read(bytes);
    assert.deepEqual(
      partitions.map(({ name, index }) => `${index} ${name}`),
      ["1 Amix", "2 DH0", "3 Work"],
    );
  });

  test("a list of more than 128 blocks is cut, with a note", async () => {
    const many = Array.from({ length: 140 }, (_, n) => ({
      name: `DH${n}`,
      dosType: 0x444f5301,
      lowCylinder: n,
      highCylinder: n,
    }));
    const reader = blockReaderOf(makeRdb({ cylinders: 200, partitions: many }), 512, 200 * 128);
    const { partitions, notes } = await readPartitions(reader);
    assert.equal(partitions.length, 128);
    assert.match(notes.join(), /more than 128 blocks/);
  });

  test("damage in the list: what came before it stays, and the note names the block", async () => {
    const bytes = makeRdb(spec);
    bytes[2 * 512 + 40] ^= 1;
    const damaged = await read(bytes);
    assert.deepEqual(
      damaged.partitions.map(({ name }) => name),
      ["DH0"],
    );
    assert.ok(damaged.notes.includes("the PART list ends early: block 2 is damaged: its checksum is wrong"));
    const far = await read(patch(makeRdb(spec), 1, 4, 0xfffffffe));
    assert.ok(far.notes.includes("the PART list ends early: block 4294967294 lies past the disk's end"));
    const other = await read(patch(makeRdb(spec), 1, 4, 4));
    assert.ok(other.notes.includes("the PART list ends early: block 4 is no PART block"));
  });

  test("cylinders that make no range leave a partition out; one past the end or over another is noted", async () => {
    const backwards = await read(patch(makeRdb(spec), 1, 32 + 10, 1));
    assert.deepEqual(
      backwards.partitions.map(({ name }) => name),
      ["Work", "Amix"],
    );
    const long = await read(patch(makeRdb(spec), 1, 32 + 10, 200));
    assert.match(long.notes.join(), /DH0 ends at block 25728, past the disk's 12800 blocks/);
    assert.match(long.notes.join(), /DH0 and Work overlap/);
    const huge = await read(patch(patch(makeRdb(spec), 1, 32 + 3, 0xffffffff), 1, 32 + 5, 0xffffffff));
    assert.match(huge.notes.join(), /DH0 is left out/);
  });

  test("an environment that ends before the DosType means type 0, one that ends before HighCyl no partition", async () => {
    const short = await read(patch(makeRdb(spec), 1, 32, 11));
    assert.deepEqual([short.partitions[0].type, short.partitions[0].bootPriority], ["unknown", 0]);
    const shorter = await read(patch(makeRdb(spec), 1, 32, 9));
    assert.match(shorter.notes.join(), /DH0 is left out: its environment has 9 entries/);
  });

  test("DosType 0 is unknown, and the boot block says what is there", async () => {
    for (const [code, content] of [
      [0x444f5307, "DOS\\7"],
      [0x53465300, "SFS\\0"],
      [0x50465301, "PFS\\1"],
      [0x12345678, undefined],
      [0, undefined],
    ] as const) {
      const partitions = [{ name: "DH0", dosType: 0, lowCylinder: 2, highCylinder: 9 }];
      const disk = new Uint8Array(300 * 512);
      disk.set(makeRdb({ cylinders: 100, partitions }));
      new DataView(disk.buffer).setUint32(256 * 512, code);
      const table = await read(disk);
      assert.equal(table.partitions[0].type, "unknown");
      assert.equal(table.partitions[0].typeCode, "0x00000000");
      assert.equal(table.partitions[0].content, content);
    }
  });

  test("a name of an impossible length or with control characters is printable", async () => {
    const bytes = makeRdb(spec);
    bytes[512 + 36] = 255;
    bytes[512 + 38] = 0x1b;
    const { partitions } = await read(patch(bytes, 1, 3, 7));
    assert.equal(partitions[0].name, "D?0");
  });
});

test("DosTypes are written as Amiga users know them", () => {
  assert.equal(dosTypeName(0x444f5300), "DOS\\0");
  assert.equal(dosTypeName(0x6d754653), "muFS");
  assert.equal(dosTypeName(0x444f53ff), "DOS\\255");
  assert.equal(dosTypeName(0x12345678), "0x12345678");
  assert.equal(dosTypeName(0xffffffff), "0xffffffff");
});

test("an Amiga floppy or hardfile without a table is none, and the note says what it is", async () => {
  const bytes = new Uint8Array(1760 * 512);
  bytes.set([0x44, 0x4f, 0x53, 1]);
  const { scheme, notes } = await readPartitions(blockReaderOf(bytes, 512));
  assert.equal(scheme, "none");
  assert.deepEqual(notes, ["there is no partition table; a DOS\\1 file system begins in block 0"]);
});
