import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { blockReaderOf } from "../testing/block-reader-of.js";
import { crc32 } from "./crc32.js";
import { readPartitions } from "./index.js";

const linux = "AF3DC60F838472478E793D69D8477DE4";

interface GptSpec {
  blockSize?: number;
  blocks?: number;
  entrySize?: number;
  entryCount?: number;
  withMbr?: boolean;
}

/** A disk with a GPT of one partition at blocks 100 to 199, and the way to change a header and seal it again. */
function gptDisk({ blockSize = 512, blocks = 1000, entrySize = 128, entryCount = 128, withMbr = true }: GptSpec = {}) {
  const bytes = new Uint8Array(blocks * blockSize);
  const view = new DataView(bytes.buffer);
  const arrayBlocks = Math.ceil((entrySize * entryCount) / blockSize);
  const last = blocks - 1;
  const seal = (lba: number) => {
    const at = lba * blockSize;
    const array = view.getUint32(at + 72, true) * blockSize;
    const length = view.getUint32(at + 80, true) * view.getUint32(at + 84, true);
    view.setUint32(at + 88, crc32(bytes.subarray(array, array + length)), true);
    view.setUint32(at + 16, 0, true);
    view.setUint32(at + 16, crc32(bytes.subarray(at, at + view.getUint32(at + 12, true))), true);
  };
  const arrays: Record<number, number> = { 1: 2, [last]: last - arrayBlocks };
  for (const lba of [1, last]) {
    const at = lba * blockSize;
    bytes.set(new TextEncoder().encode("EFI PART"), at);
    for (const [offset, value] of [
      [8, 0x10000],
      [12, 92],
      [24, lba],
      [32, lba === 1 ? last : 1],
      [40, 2 + arrayBlocks],
      [48, last - arrayBlocks - 1],
      [72, arrays[lba]],
      [80, entryCount],
      [84, entrySize],
    ]) {
      view.setUint32(at + offset, value, true);
    }
    const entry = arrays[lba] * blockSize;
    bytes.set(
      Uint8Array.from(linux.match(/../g) as string[], (pair) => Number.parseInt(pair, 16)),
      entry,
    );
    view.setUint32(entry + 32, 100, true);
    view.setUint32(entry + 40, 199, true);
    view.setUint16(entry + 56, 0x58, true);
    seal(lba);
  }
  if (withMbr) {
    bytes[446 + 4] = 0xee;
    view.setUint32(446 + 8, 1, true);
    view.setUint32(446 + 12, blocks - 1, true);
    view.setUint16(510, 0xaa55, true);
  }
  return { bytes, view, seal, last, blockSize, read: () => readPartitions(blockReaderOf(bytes, blockSize)) };
}

const isFound = ({ partitions }: Awaited<ReturnType<typeof readPartitions>>) =>
  partitions.length === 1 && partitions[0].firstBlock === 100 && partitions[0].blocks === 100;

describe("GPT (UEFI 2.10 §5.3)", () => {
  for (const spec of [{}, { blockSize: 4096 }, { entrySize: 256 }, { entrySize: 512, entryCount: 5 }]) {
    test(`is read with ${JSON.stringify(spec)}`, async () => {
      const table = await gptDisk(spec).read();
      assert.ok(isFound(table));
      assert.deepEqual(table.notes, []);
      assert.equal(table.partitions[0].type, "Linux");
      assert.equal(table.partitions[0].name, "X");
    });
  }

  test("a wrong CRC of the primary header: the backup counts, and the notes say so", async () => {
    const disk = gptDisk();
    disk.bytes[512 + 56] ^= 1;
    const table = await disk.read();
    assert.ok(isFound(table));
    assert.deepEqual(table.notes, [
      "the primary GPT is not used: the CRC of its header is wrong",
      "the partitions are those of the backup GPT",
    ]);
  });

  test("a wrong CRC of the primary entries: the backup counts", async () => {
    const disk = gptDisk();
    disk.bytes[1024 + 32] ^= 1;
    const table = await disk.read();
    assert.ok(isFound(table));
    assert.match(table.notes[0], /primary GPT is not used: the CRC of its entries is wrong/);
  });

  test("no primary header at all: the backup in the last block counts", async () => {
    const disk = gptDisk();
    disk.bytes.fill(0, 512, 1024);
    assert.ok(isFound(await disk.read()));
  });

  test("a damaged backup is noted, and the primary counts", async () => {
    const disk = gptDisk();
    disk.bytes.fill(0, disk.last * 512);
    const table = await disk.read();
    assert.ok(isFound(table));
    assert.match(table.notes.join(), /backup GPT is not usable: block 999 has no "EFI PART"/);
  });

  test("both damaged: a GPT without partitions, and both reasons", async () => {
    const disk = gptDisk();
    disk.bytes[512 + 56] ^= 1;
    disk.bytes[disk.last * 512 + 56] ^= 1;
    const table = await disk.read();
    assert.deepEqual([table.scheme, table.partitions.length, table.notes.length], ["gpt", 0, 2]);
  });

  test("a backup that is not at the disk's end (the disk has grown) is used from where it is, with a note", async () => {
    const disk = gptDisk();
    const reader = blockReaderOf(disk.bytes, 512, 5000);
    const table = await readPartitions(reader);
    assert.ok(isFound(table));
    assert.deepEqual(table.notes, ["the backup GPT is in block 999, not at the disk's end"]);
  });

  test("two whole copies that differ are named", async () => {
    const disk = gptDisk();
    disk.bytes[disk.last * 512 + 56] ^= 1;
    disk.view.setUint32(disk.view.getUint32(disk.last * 512 + 72, true) * 512 + 40, 150, true);
    disk.seal(disk.last);
    const table = await disk.read();
    assert.ok(isFound(table));
    assert.deepEqual(table.notes, ["the two GPTs differ in the disk's GUID, the entries; the primary one is used"]);
  });

  for (const [what, offset, value, reason] of [
    ["a header size below 92", 12, 91, /size of 91/],
    ["a header size above the block", 12, 513, /size of 513/],
    ["revision 2", 8, 0x20000, /revision is 0x20000/],
    ["another place than its own", 24, 7, /says that it is in block 7/],
    ["entries of 64 bytes", 84, 64, /size of 64/],
    ["entries of 200 bytes", 84, 200, /size of 200/],
    ["4 billion entries", 80, 0xffffffff, /4294967295 entries/],
    ["entries past the disk", 72, 990, /block 990 lie past/],
  ] as const) {
    test(`${what}: the backup counts`, async () => {
      const disk = gptDisk();
      disk.view.setUint32(512 + offset, value, true);
      disk.view.setUint32(512 + 16, 0, true);
      const size = Math.min(512, disk.view.getUint32(512 + 12, true));
      disk.view.setUint32(512 + 16, crc32(disk.bytes.subarray(512, 512 + size)), true);
      const table = await disk.read();
      assert.ok(isFound(table));
      assert.match(table.notes[0], reason);
    });
  }

  test("an entry that ends before it begins or lies at 2^63 is left out", async () => {
    for (const [offset, value] of [
      [1024 + 40, 99],
      [1024 + 44, 0x80000000],
    ]) {
      const disk = gptDisk();
      disk.view.setUint32(offset, value, true);
      disk.seal(1);
      const table = await disk.read();
      assert.equal(table.partitions.length, 0);
      assert.match(table.notes.join(), /X is left out/);
    }
  });
});

test("names are UTF-16: pairs are kept, halves of pairs and control characters are not passed on", async () => {
  const disk = gptDisk();
  for (const [index, unit] of [0x41, 0xd83d, 0xde00, 0xd83d, 0x1b, 0xde00].entries()) {
    disk.view.setUint16(1024 + 56 + index * 2, unit, true);
  }
  disk.seal(1);
  assert.equal((await disk.read()).partitions[0].name, "A\u{1f600}\ufffd?\ufffd");
});

describe("protective MBR (UEFI 2.10 §5.2.3)", () => {
  test("a GPT without one is read, with a note", async () => {
    const table = await gptDisk({ withMbr: false }).read();
    assert.ok(isFound(table));
    assert.deepEqual(table.notes, ["the GPT has no protective MBR"]);
  });

  test("an MBR with partitions that does not announce the GPT counts; the GPT is remains", async () => {
    const disk = gptDisk();
    disk.bytes[446 + 4] = 0x83;
    const table = await disk.read();
    assert.deepEqual([table.scheme, table.partitions.length], ["mbr", 1]);
    assert.match(table.notes[0], /remains of a GPT/);
  });

  test("entries beside the protective one (hybrid) do not count", async () => {
    const disk = gptDisk();
    disk.bytes[446 + 16 + 4] = 0x83;
    disk.view.setUint32(446 + 16 + 8, 100, true);
    disk.view.setUint32(446 + 16 + 12, 100, true);
    const table = await disk.read();
    assert.deepEqual([table.scheme, isFound(table)], ["gpt", true]);
    assert.match(table.notes[0], /hybrid/);
  });

  test("a protective MBR without a GPT is an MBR with a note", async () => {
    const disk = gptDisk();
    disk.bytes.fill(0, 512);
    const table = await disk.read();
    assert.deepEqual([table.scheme, table.partitions[0].type], ["mbr", "GPT protective"]);
    assert.match(table.notes[0], /announces a GPT, but there is none/);
  });
});

test("CRC-32 of the usual check text", () => {
  assert.equal(crc32(new TextEncoder().encode("123456789")), 0xcbf43926);
});
