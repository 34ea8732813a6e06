/** Reads and writes of a disk: the patterns of conformance suites, by their rules. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hexBytes, parseHexBytes } from "../bytes/index.js";
import type { Scatter } from "../memory/index.js";
import { type Answer, MemoryStore, type Store, StoreError } from "../storage/index.js";
import * as cdb from "./cdb.js";
import { Disk } from "./disk.js";
import type { DiskOptions } from "./disk-options.js";
import { Nexus } from "./nexus.js";
import { type CommandResult, type RunOptions, runCommand } from "./run-command.js";
import { describeSense, parseSense } from "./sense.js";
import { statusName } from "./status-name.js";
import { ScsiStatus } from "./task.js";

const nexus = new Nexus("test");

function diskOf(blocks: number, options: DiskOptions = {}, store?: Store): Disk {
  const blockSize = options.blockSize ?? 512;
  return new Disk(store ?? new MemoryStore(blocks * blockSize), { powerOnAttention: false, ...options });
}

function run(disk: Disk, bytes: Uint8Array, options: RunOptions = {}): Promise<CommandResult> {
  return runCommand(disk, bytes, { nexus, ...options });
}

/** Status and sense in one word: `GOOD`, `5/21/0`. */
function outcome(result: CommandResult): string {
  if (result.status !== ScsiStatus.CheckCondition) return statusName(result.status);
  const sense = parseSense(result.sense);
  return [sense?.key, sense?.asc, sense?.ascq].map((value) => value?.toString(16)).join("/");
}

function pattern(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_value, index) => (index * 31 + seed + (index >>> 8)) & 0xff);
}

for (const [blockSize, physicalBlockSize] of [
  [512, 512],
  [512, 4096],
  [4096, 4096],
] as const) {
  test(`Simple: 1 to 256 blocks at both ends, ${blockSize}/${physicalBlockSize}`, async () => {
    const blocks = 1000;
    const disk = diskOf(blocks, { blockSize, physicalBlockSize });
    for (const count of [1, 2, 3, 7, 8, 64, 255, 256]) {
      for (const lba of [0, blocks - count]) {
        for (const [write, read] of [
          [cdb.write10, cdb.read10],
          [cdb.write16, cdb.read16],
        ] as const) {
          const data = pattern(count * blockSize, count + lba);
          const wrote = await run(disk, write(lba, count), { dataOut: data });
          assert.equal(outcome(wrote), "GOOD");
          assert.equal(wrote.taken, data.length);
          const got = await run(disk, read(lba, count));
          assert.equal(outcome(got), "GOOD");
          assert.deepEqual(got.data, data);
        }
      }
    }
  });
}

test("READ(6), READ(12) and their writes reach the same blocks; 0 blocks of READ(6) are 256", async () => {
  const disk = diskOf(400);
  const data = pattern(256 * 512, 9);
  const write6 = parseHexBytes("0a 00 00 05 00 00");
  assert.equal((await run(disk, write6, { dataOut: data })).taken, data.length);
  assert.deepEqual((await run(disk, parseHexBytes("08 00 00 05 00 00"))).data, data);
  assert.deepEqual((await run(disk, parseHexBytes("a8 00 00 00 00 05 00 00 01 00 00 00"))).data, data);
  const one = pattern(512, 77);
  assert.equal(
    outcome(await run(disk, parseHexBytes("aa 00 00 00 00 06 00 00 00 01 00 00"), { dataOut: one })),
    "GOOD",
  );
  assert.deepEqual((await run(disk, cdb.read10(6, 1))).data, one);
  assert.equal(
    outcome(await run(disk, parseHexBytes("08 e0 00 05 01 00"))),
    "GOOD",
    "the LUN bits of SCSI-2 are no address",
  );
});

test("BeyondEol: 21h/00h at the end, across it, at 2^31 and at -1", async () => {
  const disk = diskOf(100);
  const dataOut = new Uint8Array(16 * 512);
  for (const [lba, count] of [
    [100, 1],
    [99, 2],
    [90, 11],
    [2 ** 31, 1],
    [2 ** 32 - 1, 1],
  ] as const) {
    assert.equal(outcome(await run(disk, cdb.read10(lba, count))), "5/21/0");
    assert.equal(outcome(await run(disk, cdb.write10(lba, count), { dataOut })), "5/21/0");
    assert.equal(outcome(await run(disk, cdb.read16(lba, count))), "5/21/0");
    assert.equal(outcome(await run(disk, cdb.synchronizeCache10(lba, count))), "5/21/0");
  }
  const minusOne = parseHexBytes("88 00 ffffffffffffffff 00000001 00 00");
  assert.equal(outcome(await run(disk, minusOne)), "5/21/0");
  minusOne[13] = 2;
  assert.equal(outcome(await run(disk, minusOne)), "5/21/0", "an address that wraps");
});

test("ZeroBlocks: valid inside and at the end, 21h/00h past it", async () => {
  const disk = diskOf(100);
  for (const build of [cdb.read10, cdb.read16, cdb.write10, cdb.write16]) {
    assert.equal(outcome(await run(disk, build(0, 0))), "GOOD");
    assert.equal(outcome(await run(disk, build(100, 0))), "GOOD");
    assert.equal(outcome(await run(disk, build(101, 0))), "5/21/0");
    assert.equal(outcome(await run(disk, build(2 ** 31, 0))), "5/21/0");
  }
});

test("Protect: RDPROTECT and WRPROTECT 1 to 7 are refused with 24h/00h and the field named", async () => {
  const disk = diskOf(100);
  for (const build of [cdb.read10, cdb.read16, cdb.write10, cdb.write16]) {
    for (let protect = 1; protect < 8; protect++) {
      const bytes = build(0, 1);
      bytes[1] = protect << 5;
      const result = await run(disk, bytes, { dataOut: new Uint8Array(512) });
      assert.equal(outcome(result), "5/24/0");
      assert.equal(result.taken, 0);
      assert.match(describeSense(result.sense), /byte 1 bit 7/);
    }
  }
});

test("SAM-5 §5.2 NACA is refused, the other control bits are not looked at", async () => {
  const disk = diskOf(100);
  const bytes = cdb.read10(0, 1);
  bytes[9] = 0x04;
  assert.equal(outcome(await run(disk, bytes)), "5/24/0");
  bytes[9] = 0xc0;
  assert.equal(outcome(await run(disk, bytes)), "GOOD");
});

test("a short buffer takes the whole blocks that fit, and nothing is touched past it", async () => {
  const disk = diskOf(100);
  await run(disk, cdb.write10(0, 4), { dataOut: pattern(2048, 1) });
  for (const [room, came] of [
    [0, 0],
    [511, 0],
    [512, 512],
    [1500, 1024],
    [5000, 2048],
  ] as const) {
    const result = await run(disk, cdb.read10(0, 4), { room });
    assert.equal(outcome(result), "GOOD");
    assert.equal(result.expectedIn, 2048);
    assert.deepEqual(result.data, pattern(2048, 1).subarray(0, came));
  }
  const wrote = await run(disk, cdb.write10(10, 4), { dataOut: pattern(1500, 2) });
  assert.equal(wrote.expectedOut, 2048);
  assert.equal(wrote.taken, 1024);
  assert.deepEqual((await run(disk, cdb.read10(12, 1))).data, new Uint8Array(512));
});

test("> 2 TiB: the last block is reached with READ(16), and one further is not", async () => {
  const blocks = 6 * 2 ** 30;
  const disk = diskOf(blocks);
  const data = pattern(512, 3);
  assert.equal(outcome(await run(disk, cdb.write(blocks - 1, 1), { dataOut: data })), "GOOD");
  assert.deepEqual((await run(disk, cdb.read(blocks - 1, 1))).data, data);
  assert.equal(outcome(await run(disk, cdb.read(blocks, 1))), "5/21/0");
  assert.equal(hexBytes((await run(disk, cdb.readCapacity10())).data), "ff ff ff ff 00 00 02 00");
});

test("ReadOnly: 27h/00h for writes, whichever of store and option says so; flushing stays GOOD", async () => {
  const store = MemoryStore.of(new Uint8Array(512 * 10), { isReadOnly: true });
  for (const disk of [diskOf(10, {}, store), diskOf(10, { readOnly: true })]) {
    assert.equal(outcome(await run(disk, cdb.write10(0, 1), { dataOut: new Uint8Array(512) })), "7/27/0");
    assert.equal(outcome(await run(disk, cdb.read10(0, 1, { forceUnitAccess: true }))), "GOOD");
    assert.equal(outcome(await run(disk, cdb.synchronizeCache10())), "GOOD");
    assert.equal((await run(disk, cdb.modeSense6(0x3f))).data[2], 0x90);
    assert.equal((await run(disk, cdb.modeSense6(8, { noBlockDescriptors: true }))).data[6], 0, "no cache to write");
  }
});

test("B0 agrees with enforcement: the announced longest transfer works, one block more is 24h/00h", async () => {
  const disk = diskOf(1000, { maximumTransferBlocks: 64 });
  const page = (await run(disk, cdb.inquiry(255, 0xb0))).data;
  const limit = new DataView(page.buffer, page.byteOffset).getUint32(8);
  assert.equal(limit, 64);
  assert.equal(outcome(await run(disk, cdb.read10(0, limit))), "GOOD");
  for (const [bytes, field] of [
    [cdb.read10(0, limit + 1), 7],
    [cdb.read16(0, limit + 1), 10],
    [cdb.write10(0, limit + 1), 7],
    [parseHexBytes("a8 00 00000000 00000041 00 00"), 6],
    [parseHexBytes("08 00 00 00 41 00"), 4],
  ] as const) {
    const result = await run(disk, bytes);
    assert.equal(outcome(result), "5/24/0");
    assert.equal(parseSense(result.sense)?.fieldPointer?.byte, field);
  }
});

/** A store that notes what it was asked for and answers with promises. */
class SlowStore extends MemoryStore {
  readonly calls: string[] = [];
  failure: unknown;

  async #answer(call: string, work: () => Answer): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.calls.push(call);
    if (this.failure !== undefined) throw this.failure;
    await work();
  }
  override read(position: number, target: Scatter, length: number): Answer {
    return this.#answer("read", () => super.read(position, target, length));
  }
  override write(position: number, source: Scatter, length: number): Answer {
    return this.#answer("write", () => super.write(position, source, length));
  }
  override flush(): Answer {
    return this.#answer("flush", () => super.flush());
  }
}

/** The same, at once. */
class QuickStore extends MemoryStore {
  readonly calls: string[] = [];
  failure: unknown;

  #note(call: string): void {
    this.calls.push(call);
    if (this.failure !== undefined) throw this.failure;
  }
  override read(position: number, target: Scatter, length: number): Answer {
    this.#note("read");
    return super.read(position, target, length);
  }
  override write(position: number, source: Scatter, length: number): Answer {
    this.#note("write");
    return super.write(position, source, length);
  }
  override flush(): Answer {
    this.#note("flush");
    return super.flush();
  }
}

for (const [name, make] of [
  ["at once", () => new QuickStore(51200)],
  ["with promises", () => new SlowStore(51200)],
] as const) {
  test(`FUA: the flush comes after the write and before GOOD, store answers ${name}`, async () => {
    const store = make();
    const disk = diskOf(100, {}, store);
    const dataOut = pattern(512, 5);
    const expect = async (bytes: Uint8Array, calls: string[]) => {
      store.calls.length = 0;
      const result = await run(disk, bytes, { dataOut });
      assert.equal(outcome(result), "GOOD");
      assert.deepEqual(store.calls, calls);
      return result;
    };
    assert.equal((await expect(cdb.write10(1, 1), ["write"])).taken, 512);
    assert.equal((await expect(cdb.write10(1, 1, { forceUnitAccess: true }), ["write", "flush"])).taken, 512);
    assert.equal((await expect(cdb.write16(1, 1, { disablePageOut: true }), ["write"])).taken, 512);
    assert.deepEqual((await expect(cdb.read16(1, 1, { forceUnitAccess: true }), ["flush", "read"])).data, dataOut);
    assert.deepEqual((await expect(cdb.read10(1, 1), ["read"])).data, dataOut);
    await expect(cdb.write10(1, 0, { forceUnitAccess: true }), []);
    await expect(cdb.synchronizeCache16(), ["flush"]);
    await expect(cdb.startStopUnit(false), ["flush"]);
    await expect(cdb.startStopUnit(true), []);
  });

  test(`without a write cache every write is flushed and WCE is 0, store answers ${name}`, async () => {
    const store = make();
    const disk = diskOf(100, { writeCache: false }, store);
    await run(disk, cdb.write10(0, 1), { dataOut: new Uint8Array(512) });
    assert.deepEqual(store.calls, ["write", "flush"]);
    assert.equal((await run(disk, cdb.modeSense6(8, { noBlockDescriptors: true }))).data[6], 0);
    assert.equal((await run(disk, cdb.inquiry(64, 0x86))).data[6], 1, "V_SUP: it can be switched on");
  });

  test(`a failing store becomes sense, store answers ${name}`, async () => {
    const store = make();
    const disk = diskOf(100, {}, store);
    const dataOut = new Uint8Array(1024);
    for (const [failure, sense] of [
      [new StoreError("read", "x"), "3/11/0"],
      [new StoreError("write", "x"), "3/c/0"],
      [new StoreError("no-space", "x"), "7/27/7"],
      [new StoreError("read-only", "x"), "7/27/0"],
      [new StoreError("changed-size", "x"), "4/44/0"],
      [new Error("bug"), "4/44/0"],
      ["not even an error", "4/44/0"],
    ] as const) {
      store.failure = failure;
      for (const bytes of [
        cdb.read10(4, 2),
        cdb.read10(4, 2, { forceUnitAccess: true }),
        cdb.write10(4, 2),
        cdb.write16(4, 2, { forceUnitAccess: true }),
        cdb.synchronizeCache10(),
      ]) {
        const result = await run(disk, bytes, { dataOut });
        assert.equal(outcome(result), sense);
        assert.equal(result.taken + result.data.length, 0);
      }
    }
  });

  test(`the sense of a single bad block has its address, store answers ${name}`, async () => {
    const store = make();
    const disk = diskOf(100, {}, store);
    store.failure = new StoreError("read", "x");
    assert.equal(parseSense((await run(disk, cdb.read10(42, 1))).sense)?.information, 42n);
    assert.equal(parseSense((await run(disk, cdb.read10(42, 2))).sense)?.information, undefined);
  });
}

test("READ(6) and WRITE(6) have address bits where others have FUA", async () => {
  const store = new QuickStore(2 ** 20 * 512);
  const disk = diskOf(2 ** 20, {}, store);
  const data = pattern(512, 8);
  await run(disk, parseHexBytes("0a 08 00 01 01 00"), { dataOut: data });
  assert.deepEqual((await run(disk, parseHexBytes("08 08 00 01 01 00"))).data, data);
  assert.deepEqual(store.calls, ["write", "read"]);
  assert.deepEqual((await run(disk, cdb.read10(0x80001, 1))).data, data);
});

test("a write that fails only in its flush is not GOOD", async () => {
  class FlushFails extends MemoryStore {
    override flush(): Answer {
      throw new StoreError("write", "no flush");
    }
  }
  const disk = diskOf(100, {}, new FlushFails(51200));
  const dataOut = new Uint8Array(512);
  assert.equal(outcome(await run(disk, cdb.write10(0, 1, { forceUnitAccess: true }), { dataOut })), "3/c/0");
  assert.equal(outcome(await run(disk, cdb.write10(0, 1), { dataOut })), "GOOD");
});
