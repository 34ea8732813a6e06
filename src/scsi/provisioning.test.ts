/** UNMAP, WRITE SAME, GET LBA STATUS: what is announced is what is enforced, and what is given back is gone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseHexBytes } from "../bytes/index.js";
import { Scatter } from "../memory/index.js";
import { MemoryStore, type Store } from "../storage/index.js";
import { SlowStore } from "../testing/slow-store.js";
import { writeU16, writeU32, writeU64 } from "./big-endian.js";
import { parseCapacity16 } from "./capacity.js";
import * as cdb from "./cdb.js";
import { commandOutcome } from "./command-outcome.js";
import { Disk } from "./disk.js";
import type { DiskOptions } from "./disk-options.js";
import { parseLbaStatus } from "./lba-status.js";
import { Nexus } from "./nexus.js";
import { type CommandResult, runCommand } from "./run-command.js";
import { buildUnmap, type UnmapRange } from "./unmap.js";
import { parseBlockLimits, parseProvisioning } from "./vpd-block.js";

const nexus = new Nexus("test");
const blocks = 4096;

function diskOf(options: DiskOptions = {}, store: Store = filled()): Disk {
  return new Disk(store, { powerOnAttention: false, ...options });
}

/** Every byte is set. */
function filled(): MemoryStore {
  return MemoryStore.of(new Uint8Array(blocks * 512).fill(0xee), { chunkSize: 4096 });
}

const run = (disk: Disk, bytes: Uint8Array, dataOut: Uint8Array = new Uint8Array(0)): Promise<CommandResult> =>
  runCommand(disk, bytes, { nexus, dataOut });

async function outcome(disk: Disk, bytes: Uint8Array, dataOut?: Uint8Array): Promise<string> {
  return commandOutcome(await run(disk, bytes, dataOut));
}

function unmap(disk: Disk, ranges: readonly UnmapRange[], list = buildUnmap(ranges)): Promise<CommandResult> {
  const bytes = new Uint8Array(10);
  bytes[0] = 0x42;
  writeU16(bytes, 7, list.length);
  return run(disk, bytes, list);
}

function writeSame(lba: number, count: number, flags = 0, is16 = true): Uint8Array {
  const bytes = new Uint8Array(is16 ? 16 : 10);
  bytes[0] = is16 ? 0x93 : 0x41;
  bytes[1] = flags;
  if (is16) {
    writeU64(bytes, 2, lba);
    writeU32(bytes, 10, count);
  } else {
    writeU32(bytes, 2, lba);
    writeU16(bytes, 7, count);
  }
  return bytes;
}

/** The first byte of each block of a range, for reading patterns. */
async function firsts(disk: Disk, lba: number, count: number): Promise<number[]> {
  const { data } = await run(disk, cdb.read10(lba, count));
  return Array.from({ length: count }, (_, index) => data[index * 512]);
}

const page = async (disk: Disk, code: number) => (await run(disk, cdb.inquiry(255, code))).data;

for (const [name, make] of [
  ["at once", filled],
  ["late", () => new SlowStore(filled())],
] as const) {
  test(`UNMAP: blocks read as zeros, their neighbours stay; the store answers ${name}`, async () => {
    const disk = diskOf({}, make());
    const result = await unmap(disk, [
      { lba: 1, blocks: 2 },
      { lba: 5, blocks: 0 },
      { lba: blocks - 1, blocks: 1 },
      { lba: blocks, blocks: 0 },
    ]);
    assert.equal(commandOutcome(result), "GOOD");
    assert.equal(result.taken, 72);
    assert.deepEqual(await firsts(disk, 0, 6), [0xee, 0, 0, 0xee, 0xee, 0xee]);
    assert.deepEqual(await firsts(disk, blocks - 2, 2), [0xee, 0]);
  });

  test(`WRITE SAME(10) and (16): a pattern, zeros, UNMAP, NDOB; the store answers ${name}`, async () => {
    const disk = diskOf({}, make());
    const block = Uint8Array.from({ length: 512 }, (_, index) => index);
    block[0] = 7;
    assert.equal(await outcome(disk, writeSame(1, 2, 0, false), block), "GOOD");
    assert.equal(await outcome(disk, writeSame(3, 1100), block), "GOOD", "more than is written at a time");
    assert.deepEqual((await run(disk, cdb.read10(1102, 1))).data, block);
    assert.deepEqual(await firsts(disk, 0, 5), [0xee, 7, 7, 7, 7]);
    assert.deepEqual(await firsts(disk, 1101, 3), [7, 7, 0xee]);
    assert.equal(await outcome(disk, writeSame(0, 1), new Uint8Array(512)), "GOOD");
    assert.equal(await outcome(disk, writeSame(2, 1, 0x08), new Uint8Array(512)), "GOOD");
    assert.equal(await outcome(disk, writeSame(4, 1, 0x09)), "GOOD", "NDOB with UNMAP");
    assert.equal(await outcome(disk, writeSame(6, 1, 0x01)), "GOOD", "NDOB alone");
    assert.equal(await outcome(disk, writeSame(7, 1, 0x08), block.fill(9)), "GOOD");
    assert.deepEqual(await firsts(disk, 0, 9), [0, 7, 0, 7, 0, 7, 0, 9, 7], "UNMAP with other data is a write");
  });
}

test("the ends of the disk: the last block, one too many, no block, 2^63", async () => {
  const disk = diskOf();
  const block = new Uint8Array(512);
  for (const is16 of [false, true]) {
    assert.equal(await outcome(disk, writeSame(blocks - 1, 1, 0, is16), block), "GOOD");
    assert.equal(await outcome(disk, writeSame(blocks - 1, 2, 0, is16), block), "5/21/0");
    assert.equal(await outcome(disk, writeSame(blocks, 1, 8, is16), block), "5/21/0");
    assert.equal(await outcome(disk, writeSame(0, 0, 0, is16), block), "5/24/0", "WSNZ");
    assert.equal(await outcome(disk, writeSame(0, 1, 0x10, is16), block), "5/24/0", "ANCHOR");
    assert.equal(await outcome(disk, writeSame(0, 1, 0x20, is16), block), "5/24/0", "WRPROTECT");
    assert.equal(await outcome(disk, writeSame(0, 1, 0x02, is16), block), "5/24/0", "LBDATA");
    assert.equal(await outcome(disk, writeSame(0, 1, 0, is16), block.subarray(1)), "5/e/3", "less than a block");
  }
  assert.equal(commandOutcome(await unmap(disk, [{ lba: blocks, blocks: 1 }])), "5/21/0");
  assert.equal(commandOutcome(await unmap(disk, [{ lba: 0, blocks: blocks + 1 }])), "5/21/0");
  const far = buildUnmap([{ lba: 0, blocks: 1 }]);
  far[8] = 0x80;
  assert.equal(commandOutcome(await unmap(disk, [], far)), "5/21/0");
});

test("UNMAP checks its list before it gives anything back", async () => {
  const disk = diskOf();
  const bad = await unmap(disk, [
    { lba: 0, blocks: 8 },
    { lba: blocks, blocks: 1 },
  ]);
  assert.equal(commandOutcome(bad), "5/21/0");
  assert.deepEqual(await firsts(disk, 0, 1), [0xee]);
  const list = buildUnmap([{ lba: 0, blocks: 1 }]);
  for (const length of [1, 4, 7]) {
    assert.equal(commandOutcome(await unmap(disk, [], list.slice(0, length))), "5/1a/0", `${length} bytes`);
  }
  assert.equal(commandOutcome(await unmap(disk, [], new Uint8Array(0))), "GOOD", "no list, nothing to do");
  const long = list.slice();
  writeU16(long, 2, 32);
  assert.equal(commandOutcome(await unmap(disk, [], long)), "5/1a/0", "more descriptors than bytes");
  const cut = list.slice();
  writeU16(cut, 2, 15);
  assert.equal(commandOutcome(await unmap(disk, [], cut)), "GOOD", "a descriptor that is not whole is ignored");
  assert.deepEqual(await firsts(disk, 0, 1), [0xee]);
  assert.equal(await outcome(disk, parseHexBytes("42 01 00 00 00 00 00 00 18 00"), list), "5/24/0", "ANCHOR");
  assert.equal(await outcome(disk, parseHexBytes("42 00 00 00 00 00 00 00 19 00"), list), "5/e/3");
});

test("page B0h: every limit that is announced is enforced, at it and one past it", async () => {
  const disk = diskOf({
    maximumTransferBlocks: 64,
    maximumCompareAndWriteBlocks: 3,
    maximumWriteSameBlocks: 100,
    maximumUnmapBlocks: 50,
    maximumUnmapDescriptors: 2,
  });
  const limits = parseBlockLimits(await page(disk, 0xb0));
  assert.ok(limits);
  assert.equal(limits.writeSameNonZero, true);
  const accepts = async (bytes: Uint8Array, dataOut?: Uint8Array) => {
    const result = await outcome(disk, bytes, dataOut);
    assert.ok(["GOOD", "CONDITION MET", "5/24/0", "5/26/0", "e/1d/0"].includes(result), result);
    return !result.startsWith("5");
  };
  const block = new Uint8Array(512);
  const same = (count: number) => accepts(writeSame(0, count), block);
  assert.deepEqual([await same(limits.maximumWriteSame), await same(limits.maximumWriteSame + 1)], [true, false]);
  const transfer = limits.maximumTransfer;
  const data = new Uint8Array((transfer + 1) * 512);
  for (const build of [cdb.read10, cdb.read16, cdb.write10, cdb.write16]) {
    assert.deepEqual(
      [await accepts(build(0, transfer), data), await accepts(build(0, transfer + 1), data)],
      [true, false],
    );
  }
  for (const opcode of [0x2f, 0x2e]) {
    const sized = (count: number) => parseHexBytes(`${opcode.toString(16)} 00 00000000 00 00 ${count.toString(16)} 00`);
    assert.deepEqual([await accepts(sized(transfer), data), await accepts(sized(transfer + 1), data)], [true, false]);
  }
  const prefetch = (count: number) => accepts(parseHexBytes(`34 00 00000000 00 00 ${count.toString(16)} 00`));
  assert.deepEqual([await prefetch(limits.maximumPrefetch), await prefetch(limits.maximumPrefetch + 1)], [true, false]);
  const compare = (count: number) =>
    accepts(parseHexBytes(`89 00 0000000000000000 000000 0${count} 00 00`), new Uint8Array(8 * 512));
  assert.deepEqual(
    [await compare(limits.maximumCompareAndWrite), await compare(limits.maximumCompareAndWrite + 1)],
    [true, false],
  );
  const give = async (ranges: UnmapRange[]) => commandOutcome(await unmap(disk, ranges));
  const one = { lba: 0, blocks: 1 };
  assert.equal(await give(new Array(limits.maximumUnmapDescriptors).fill(one)), "GOOD");
  assert.equal(await give(new Array(limits.maximumUnmapDescriptors + 1).fill(one)), "5/26/0");
  assert.equal(await give([{ lba: 0, blocks: limits.maximumUnmapBlocks }]), "GOOD");
  assert.equal(await give([one, { lba: 0, blocks: limits.maximumUnmapBlocks }]), "5/26/0");
});

test("thin or not: READ CAPACITY(16), page B2h, the list of commands and the commands agree", async () => {
  for (const [options, isThin] of [
    [{}, true],
    [{ thinProvisioning: false }, false],
    [{ readOnly: true }, false],
  ] as const) {
    const disk = diskOf(options);
    const capacity = parseCapacity16((await run(disk, cdb.readCapacity16())).data);
    assert.deepEqual([capacity?.thinProvisioned, capacity?.unmappedReadZero], [isThin, isThin]);
    assert.deepEqual(parseProvisioning(await page(disk, 0xb2)), {
      unmap: isThin,
      writeSame16: isThin,
      writeSame10: isThin,
      readZeros: isThin,
      type: isThin ? 2 : 0,
    });
    const unmapped = commandOutcome(await unmap(disk, [{ lba: 0, blocks: 1 }]));
    assert.equal(unmapped, isThin ? "GOOD" : "5/20/0");
    const refusal = disk.isReadOnly ? "7/27/0" : "5/24/0";
    assert.equal(await outcome(disk, writeSame(0, 1, 8), new Uint8Array(512)), isThin ? "GOOD" : refusal);
    assert.equal(parseBlockLimits(await page(disk, 0xb0))?.maximumUnmapBlocks === 0, !isThin);
    assert.equal(
      await outcome(disk, parseHexBytes("9e 12 0000000000000000 00000100 00 00")),
      isThin ? "GOOD" : "5/24/0",
    );
  }
});

test("GET LBA STATUS tells what UNMAP made, joins neighbours, and counts as many as there is room for", async () => {
  const disk = diskOf();
  await unmap(disk, [
    { lba: 8, blocks: 16 },
    { lba: 1024, blocks: blocks - 1024 },
  ]);
  const ask = async (lba: number, room: number) => {
    const bytes = new Uint8Array(16);
    bytes.set([0x9e, 0x12]);
    writeU64(bytes, 2, lba);
    writeU32(bytes, 10, room);
    return run(disk, bytes);
  };
  const all = [
    { lba: 0, blocks: 8, status: 0 },
    { lba: 8, blocks: 16, status: 1 },
    { lba: 24, blocks: 1000, status: 0 },
    { lba: 1024, blocks: blocks - 1024, status: 1 },
  ];
  assert.deepEqual(parseLbaStatus((await ask(0, 1000)).data), all);
  assert.deepEqual(parseLbaStatus((await ask(0, 24)).data), all.slice(0, 1));
  assert.deepEqual(parseLbaStatus((await ask(10, 40)).data), [{ lba: 10, blocks: 14, status: 1 }, all[2]]);
  assert.deepEqual(parseLbaStatus((await ask(blocks - 1, 24)).data), [{ lba: blocks - 1, blocks: 1, status: 1 }]);
  assert.equal(commandOutcome(await ask(blocks, 24)), "5/21/0");
  assert.equal((await ask(0, 4)).data.length, 4);
});

test("GET LBA STATUS of a large empty disk is one range of as many blocks as fit 32 bits", async () => {
  const disk = new Disk(new MemoryStore(2 ** 33 * 512, { chunkSize: 2 ** 20 }), { powerOnAttention: false });
  const { data } = await run(disk, parseHexBytes("9e 12 0000000000000000 00000100 00 00"));
  const ranges = parseLbaStatus(data) ?? [];
  assert.equal(
    ranges.reduce((sum, range) => sum + range.blocks, 0),
    2 ** 33,
  );
  assert.ok(ranges.every(({ status }) => status === 1));
});

test("a failing medium in the middle of WRITE SAME is a write error; what was not allowed to grow says so", async () => {
  const store = new MemoryStore(blocks * 512, { chunkSize: 4096, maxAllocatedBytes: 4096 });
  const disk = diskOf({}, store);
  assert.equal(await outcome(disk, writeSame(0, 64), new Uint8Array(512).fill(1)), "7/27/7");
  const all = Scatter.of(new Uint8Array(512));
  await store.read(0, all, 512);
});
