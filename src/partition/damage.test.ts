/** Any damage: the answer comes, with a bounded number of reads, none of them outside the disk. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { blockReaderOf } from "../testing/block-reader-of.js";
import { crc32 } from "./crc32.js";
import { readPartitions } from "./index.js";
import { makeRdb, sealRdbBlock } from "./make-rdb.js";

const blocks = 400;
const mostReads = 16 + 2 * 128 + 128 + 16;

/** A disk with an RDB of four partitions and two file systems. */
function rdbDisk(): Uint8Array {
  const bytes = new Uint8Array(blocks * 512);
  const partitions = [0, 1, 2, 3].map((n) => ({
    name: `DH${n}`,
    dosType: n === 1 ? 0 : 0x444f5300 + n,
    lowCylinder: 1 + n * 2,
    highCylinder: 2 + n * 2,
  }));
  const fileSystems = [1, 2].map((revision) => ({ dosType: 0x50465303, version: 19, revision }));
  bytes.set(makeRdb({ cylinders: 12, surfaces: 2, blocksPerTrack: 16, partitions, fileSystems }));
  return bytes;
}

/** A disk with two primary partitions and a chain of four logical ones. */
function mbrDisk(): Uint8Array {
  const bytes = new Uint8Array(blocks * 512);
  const view = new DataView(bytes.buffer);
  const put = (lba: number, index: number, type: number, start: number, size: number) => {
    view.setUint16(lba * 512 + 510, 0xaa55, true);
    const at = lba * 512 + 446 + index * 16;
    bytes[at + 4] = type;
    view.setUint32(at + 8, start, true);
    view.setUint32(at + 12, size, true);
  };
  put(0, 0, 0x83, 10, 50);
  put(0, 1, 5, 100, 200);
  for (let link = 0; link < 4; link++) {
    put(100 + link * 40, 0, 0x83, 1, 30);
    if (link < 3) put(100 + link * 40, 1, 5, (link + 1) * 40, 40);
  }
  return bytes;
}

/** A disk with both copies of a GPT of three partitions. */
function gptDisk(): Uint8Array {
  const bytes = new Uint8Array(blocks * 512);
  const view = new DataView(bytes.buffer);
  for (const [lba, other, array] of [
    [1, blocks - 1, 2],
    [blocks - 1, 1, blocks - 33],
  ]) {
    const at = lba * 512;
    bytes.set(new TextEncoder().encode("EFI PART"), at);
    for (const [offset, value] of [
      [8, 0x10000],
      [12, 92],
      [24, lba],
      [32, other],
      [40, 34],
      [48, blocks - 34],
      [72, array],
      [80, 128],
      [84, 128],
    ]) {
      view.setUint32(at + offset, value, true);
    }
    for (let index = 0; index < 3; index++) {
      const entry = array * 512 + index * 128;
      bytes.fill(index + 1, entry, entry + 32);
      view.setUint32(entry + 32, 40 + index * 50, true);
      view.setUint32(entry + 40, 80 + index * 50, true);
    }
    sealGpt(bytes, at);
  }
  view.setUint16(510, 0xaa55, true);
  bytes[446 + 4] = 0xee;
  view.setUint32(446 + 8, 1, true);
  view.setUint32(446 + 12, blocks - 1, true);
  return bytes;
}

/** Makes both CRCs right where the header's numbers allow. */
function sealGpt(bytes: Uint8Array, at: number): void {
  const view = new DataView(bytes.buffer);
  const array = view.getUint32(at + 72, true) * 512;
  const length = view.getUint32(at + 80, true) * view.getUint32(at + 84, true);
  if (array + length <= bytes.length) {
    view.setUint32(at + 88, crc32(bytes.subarray(array, array + length)), true);
  }
  view.setUint32(at + 16, 0, true);
  const size = Math.min(512, view.getUint32(at + 12, true));
  view.setUint32(at + 16, crc32(bytes.subarray(at, at + size)), true);
}

/** Makes the sum of each RDB block right again where its SummedLongs allows. */
function sealRdb(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer);
  for (let block = 0; block < 16; block++) {
    const longs = view.getUint32(block * 512 + 4);
    if (longs >= 3 && longs <= 128) sealRdbBlock(view, block * 512);
  }
}

const interesting = fc.constantFrom(0, 1, 2, 3, 5, 0x7f, 0x80, 0xee, 0xff);
const word = fc.oneof(
  fc.nat(0xffffffff),
  fc.nat(blocks + 2),
  fc.constantFrom(0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff),
);

/** Changes of a byte or of a 32-bit field in a block that matters to the table. */
function changes(places: number[]) {
  const place = fc.tuple(fc.constantFrom(...places), fc.nat(127)).map(([block, long]) => block * 512 + long * 4);
  return fc.array(
    fc.oneof(
      fc.record({ at: place, byte: interesting, offset: fc.nat(3) }),
      fc.record({ at: place, word, little: fc.boolean() }),
    ),
    { minLength: 1, maxLength: 12 },
  );
}

describe("damaged tables", () => {
  const kinds: [string, () => Uint8Array, number[], (bytes: Uint8Array) => void][] = [
    ["RDB", rdbDisk, [0, 1, 2, 3, 4, 5, 6], sealRdb],
    ["MBR", mbrDisk, [0, 100, 140, 180, 220], () => {}],
    [
      "GPT",
      gptDisk,
      [0, 1, 2, blocks - 33, blocks - 1],
      (bytes) => {
        sealGpt(bytes, 512);
        sealGpt(bytes, (blocks - 1) * 512);
      },
    ],
  ];
  for (const [name, make, places, seal] of kinds) {
    const whole = make();
    test(`${name}: the whole one is read without a note`, async () => {
      const table = await readPartitions(blockReaderOf(whole, 512));
      assert.equal(table.scheme, name.toLowerCase());
      assert.ok(table.partitions.length >= 3);
      assert.deepEqual(table.notes, []);
    });

    test(`${name}: any damage, with sums and CRCs made right again or not`, async () => {
      await fc.assert(
        fc.asyncProperty(
          changes(places),
          fc.boolean(),
          fc.integer({ min: 1, max: blocks }),
          async (list, fix, size) => {
            const bytes = whole.slice();
            const view = new DataView(bytes.buffer);
            for (const change of list) {
              if ("byte" in change) bytes[change.at + change.offset] = change.byte;
              else view.setUint32(change.at, change.word, change.little);
            }
            if (fix) seal(bytes);
            const reader = blockReaderOf(bytes, 512, size % 3 === 0 ? size : blocks);
            const table = await readPartitions(reader);
            assert.ok(reader.calls <= mostReads, `${reader.calls} reads`);
            for (const partition of table.partitions) {
              assert.ok(Number.isSafeInteger(partition.firstBlock) && partition.firstBlock >= 0);
              assert.ok(Number.isSafeInteger(partition.blocks) && partition.blocks > 0);
              assert.match(partition.name, /^[^\p{Cc}]+$/u);
            }
            assert.ok(table.notes.every((note) => !note.includes("\n")));
          },
        ),
        { numRuns: 1500 },
      );
    });
  }

  test("an I/O error is the caller's, whatever block it hits", async () => {
    for (const [, make] of kinds) {
      const count = blockReaderOf(make(), 512);
      await readPartitions(count);
      for (let failing = 0; failing < count.calls; failing++) {
        const good = blockReaderOf(make(), 512);
        const reader = {
          blockSize: 512,
          blocks,
          readBlocks: (lba: number, length: number) =>
            good.calls === failing ? Promise.reject(new Error("medium error")) : good.readBlocks(lba, length),
        };
        await assert.rejects(readPartitions(reader), /medium error/);
      }
    }
  });

  test("disks of 0, 1 and 2 blocks, and block sizes that make no sense", async () => {
    for (const size of [0, 1, 2]) {
      assert.equal((await readPartitions(blockReaderOf(new Uint8Array(1024), 512, size))).scheme, "none");
    }
    await assert.rejects(readPartitions(blockReaderOf(new Uint8Array(1024), 100, 5)), RangeError);
  });
});
