import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { blockReaderOf } from "../testing/block-reader-of.js";
import { readPartitions } from "./index.js";

type Entry = [status: number, type: number, start: number, size: number];

/** A disk of 1000 blocks with tables in these blocks. */
function disk(tables: Record<number, Entry[]>, change?: (bytes: Uint8Array) => void) {
  const bytes = new Uint8Array(1000 * 512);
  const view = new DataView(bytes.buffer);
  for (const [lba, entries] of Object.entries(tables)) {
    const block = Number(lba) * 512;
    view.setUint16(block + 510, 0xaa55, true);
    for (const [index, [status, type, start, size]] of entries.entries()) {
      const at = block + 446 + index * 16;
      bytes[at] = status;
      bytes[at + 4] = type;
      view.setUint32(at + 8, start, true);
      view.setUint32(at + 12, size, true);
    }
  }
  change?.(bytes);
  return readPartitions(blockReaderOf(bytes, 512));
}

describe("what is an MBR", () => {
  test("boot code where the entries would be is none", async () => {
    const table = await disk({ 0: [] }, (bytes) => bytes.fill(0x41, 400, 510));
    assert.deepEqual([table.scheme, table.partitions.length], ["none", 0]);
    assert.deepEqual(table.notes, ["block 0 ends as an MBR does, but its entries make no sense"]);
  });

  test("entries that all begin past the disk or at block 0 are none", async () => {
    assert.equal((await disk({ 0: [[0, 0x83, 5000, 10]] })).scheme, "none");
    assert.equal((await disk({ 0: [[0x80, 0x0c, 0, 1000]] })).scheme, "none");
  });

  for (const [name, oem, jump] of [
    ["NTFS", "NTFS    ", 0x52],
    ["exFAT", "EXFAT   ", 0x76],
    ["FAT", "MSDOS5.0", 0x3c],
  ] as const) {
    test(`a boot sector of ${name} is none, with zeros or with text where the entries would be`, async () => {
      for (const filler of [0, 0x20]) {
        const table = await disk({ 0: [] }, (bytes) => {
          bytes.set([0xeb, jump, 0x90, ...new TextEncoder().encode(oem), 0, 2, 4, 1, 0, 2, 0, 2, 0, 8, 0xf8], 0);
          bytes.fill(filler, 446, 510);
        });
        assert.deepEqual([table.scheme, table.notes], ["none", [`there is no partition table; block 0 is ${name}'s`]]);
      }
    });
  }

  test("a boot manager's code before the entries changes nothing (GRUB begins as FAT does)", async () => {
    const table = await disk({ 0: [[0x80, 0x83, 100, 100]] }, (bytes) => bytes.set([0xeb, 0x63, 0x90, 0x10, 0x8e], 0));
    assert.deepEqual([table.scheme, table.partitions.length], ["mbr", 1]);
  });

  test("an ext file system, with zeros in block 0, is none and has nothing to note", async () => {
    const table = await disk({}, (bytes) => bytes.set([0x53, 0xef], 1024 + 56));
    assert.deepEqual(table, { scheme: "none", partitions: [], notes: [] });
  });

  test("an RDB beside an MBR counts", async () => {
    const { makeRdb } = await import("./make-rdb.js");
    const rdb = makeRdb({ cylinders: 7, rdbBlock: 1, partitions: [] });
    const table = await disk({ 0: [[0, 0x76, 1, 999]] }, (bytes) => bytes.set(rdb.subarray(512), 512));
    assert.equal(table.scheme, "rdb");
    assert.match(table.notes[0], /MBR too/);
  });
});

describe("partitions of an MBR", () => {
  test("past the end and overlapping ones are listed and noted", async () => {
    const table = await disk({
      0: [
        [0, 0x83, 100, 200],
        [0x80, 7, 250, 900],
      ],
    });
    assert.equal(table.partitions.length, 2);
    assert.deepEqual(table.notes, [
      "partition 2 ends at block 1150, past the disk's 1000 blocks",
      "partition 1 and partition 2 overlap",
    ]);
  });
});

describe("logical partitions", () => {
  const box: Entry = [0, 5, 100, 800];

  test("a chain: the data entry counts from its own block, the link from the first", async () => {
    const table = await disk({
      0: [box],
      100: [
        [0, 0x83, 10, 50],
        [0, 5, 200, 100],
      ],
      300: [[0, 0x82, 20, 60]],
    });
    assert.deepEqual(table.notes, []);
    assert.deepEqual(
      table.partitions.map((p) => [p.index, p.firstBlock, p.blocks]),
      [
        [1, 100, 800],
        [5, 110, 50],
        [6, 320, 60],
      ],
    );
  });

  test("a chain that comes back to itself ends", async () => {
    const table = await disk({
      0: [box],
      100: [
        [0, 0x83, 10, 50],
        [0, 5, 200, 100],
      ],
      300: [
        [0, 0x83, 20, 60],
        [0, 5, 0, 100],
      ],
    });
    assert.equal(table.partitions.length, 3);
    assert.deepEqual(table.notes, ["the chain of logical partitions comes back to block 100"]);
  });

  test("a chain of more than 128 links is cut, with a note", async () => {
    const tables: Record<number, Entry[]> = { 0: [box] };
    for (let link = 0; link < 200; link++) {
      tables[100 + link * 4] = [
        [0, 0x83, 1, 2],
        [0, 5, (link + 1) * 4, 4],
      ];
    }
    const table = await disk(tables);
    assert.equal(table.partitions.length, 129);
    assert.match(table.notes.join(), /more than 128 links/);
  });

  test("a link past the disk, to a block without signature, or of another type ends the chain with a note", async () => {
    for (const [link, text] of [
      [[0, 5, 5000, 10], /block 5100 lies past the disk's end/],
      [[0, 5, 300, 10], /block 400 has no signature/],
      [[0, 0x83, 300, 10], /block 100 links to type 0x83/],
    ] as [Entry, RegExp][]) {
      const table = await disk({ 0: [box], 100: [[0, 0x83, 10, 50], link] });
      assert.equal(table.partitions.length, 2);
      assert.match(table.notes.join(), text);
    }
  });

  test("one that leaves its box is listed and noted", async () => {
    const table = await disk({ 0: [[0, 5, 100, 200]], 100: [[0, 0x83, 10, 300]] });
    assert.equal(table.partitions[1].blocks, 300);
    assert.deepEqual(table.notes, ["logical partition 5 leaves its extended partition"]);
  });
});
