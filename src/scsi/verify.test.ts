/** VERIFY, WRITE AND VERIFY, COMPARE AND WRITE, PRE-FETCH, SEEK; and that COMPARE AND WRITE is one step to others. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseHexBytes } from "../bytes/index.js";
import { Scatter } from "../memory/index.js";
import { MemoryStore, type Store, StoreError } from "../storage/index.js";
import { FailingStore } from "../testing/failing-store.js";
import { seededRandom } from "../testing/seeded-random.js";
import { SlowStore } from "../testing/slow-store.js";
import { writeU64 } from "./big-endian.js";
import * as cdb from "./cdb.js";
import { commandOutcome } from "./command-outcome.js";
import { Disk } from "./disk.js";
import type { DiskOptions } from "./disk-options.js";
import { Nexus } from "./nexus.js";
import { type CommandResult, runCommand } from "./run-command.js";
import { parseSense } from "./sense.js";
import { ScsiTask } from "./task.js";

const nexus = new Nexus("test");
const blocks = 2000;
const content = Uint8Array.from({ length: blocks * 512 }, (_, index) => (index * 7 + (index >>> 9)) & 0xff);

const stores = [
  ["at once", () => MemoryStore.of(content)],
  ["late", () => new SlowStore(MemoryStore.of(content), { longestDelay: 1 })],
] as const;

function diskOf(store: Store, options: DiskOptions = {}): Disk {
  return new Disk(store, { powerOnAttention: false, ...options });
}

const run = (disk: Disk, bytes: Uint8Array, dataOut: Uint8Array = new Uint8Array(0)): Promise<CommandResult> =>
  runCommand(disk, bytes, { nexus, dataOut });

const outcome = async (disk: Disk, bytes: Uint8Array, dataOut?: Uint8Array) =>
  commandOutcome(await run(disk, bytes, dataOut));

const hex = (value: number, digits: number) => value.toString(16).padStart(digits, "0");
const flags = (byteCheck: number) => hex(byteCheck << 1, 2);
/** VERIFY of each length, and WRITE AND VERIFY. */
const verifies = [
  (lba: number, count: number, check = 0) => parseHexBytes(`2f ${flags(check)} ${hex(lba, 8)} 00 ${hex(count, 4)} 00`),
  (lba: number, count: number, check = 0) => parseHexBytes(`af ${flags(check)} ${hex(lba, 8)} ${hex(count, 8)} 00 00`),
  (lba: number, count: number, check = 0) => parseHexBytes(`8f ${flags(check)} ${hex(lba, 16)} ${hex(count, 8)} 00 00`),
];
const writeVerifies = [
  (lba: number, count: number, check = 0) => parseHexBytes(`2e ${flags(check)} ${hex(lba, 8)} 00 ${hex(count, 4)} 00`),
  (lba: number, count: number, check = 0) => parseHexBytes(`ae ${flags(check)} ${hex(lba, 8)} ${hex(count, 8)} 00 00`),
  (lba: number, count: number, check = 0) => parseHexBytes(`8e ${flags(check)} ${hex(lba, 16)} ${hex(count, 8)} 00 00`),
];

function compareAndWrite(lba: number, count: number, flag = 0): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes[0] = 0x89;
  bytes[1] = flag;
  writeU64(bytes, 2, lba);
  bytes[13] = count;
  return bytes;
}

for (const [name, make] of stores) {
  test(`VERIFY: BYTCHK 0, 1 and 3; a difference is told by its place; the store answers ${name}`, async () => {
    const disk = diskOf(make());
    const same = new Uint8Array(512).fill(0x5c);
    for (const lba of [10, 11, 12]) await run(disk, cdb.write10(lba, 1), same);
    for (const verify of verifies) {
      assert.equal(await outcome(disk, verify(0, blocks)), "GOOD", "BYTCHK 0");
      const data = content.slice(100 * 512, 900 * 512);
      const good = await run(disk, verify(100, 800, 1), data);
      assert.equal(commandOutcome(good), "GOOD");
      assert.equal(good.taken, data.length);
      data[777 * 512 + 3] ^= 1;
      const bad = await run(disk, verify(100, 800, 1), data);
      assert.equal(commandOutcome(bad), "e/1d/0");
      assert.equal(parseSense(bad.sense)?.information, BigInt(777 * 512 + 3));
      assert.equal(await outcome(disk, verify(10, 3, 3), same), "GOOD", "BYTCHK 3: one block for all");
      const other = await run(disk, verify(10, 4, 3), same);
      assert.equal(commandOutcome(other), "e/1d/0");
      assert.ok(Number(parseSense(other.sense)?.information) < 512);
    }
  });

  test(`WRITE AND VERIFY writes, and compares when asked; the store answers ${name}`, async () => {
    const disk = diskOf(make());
    for (const [index, verify] of writeVerifies.entries()) {
      const data = new Uint8Array(3 * 512).fill(index + 1);
      for (const check of [0, 1]) {
        const result = await run(disk, verify(20, 3, check), data);
        assert.equal(commandOutcome(result), "GOOD");
        assert.equal(result.taken, data.length);
      }
      assert.deepEqual((await run(disk, cdb.read10(20, 3))).data, data);
      assert.equal(await outcome(disk, verify(20, 3, 3), data), "5/24/0");
      assert.equal(await outcome(disk, verify(20, 3), data.subarray(1)), "5/e/3");
    }
  });

  test(`COMPARE AND WRITE: equal writes, different does not and tells where; the store answers ${name}`, async () => {
    const disk = diskOf(make());
    for (const count of [1, 2, 255]) {
      const old = (await run(disk, cdb.read10(0, count))).data.slice();
      const fresh = new Uint8Array(count * 512).fill(count);
      const sent = Uint8Array.from([...old, ...fresh]);
      const good = await run(disk, compareAndWrite(0, count), sent);
      assert.equal(commandOutcome(good), "GOOD");
      assert.equal(good.taken, sent.length);
      assert.deepEqual((await run(disk, cdb.read10(0, count))).data, fresh);
      for (const offset of [0, 1, 27, count * 512 - 1]) {
        const wrong = Uint8Array.from([...fresh, ...old]);
        wrong[offset] ^= 0x80;
        const bad = await run(disk, compareAndWrite(0, count, 0x08), wrong);
        assert.equal(commandOutcome(bad), "e/1d/0");
        assert.equal(parseSense(bad.sense)?.information, BigInt(offset));
        assert.equal(bad.taken, 0);
      }
      assert.deepEqual((await run(disk, cdb.read10(0, count))).data, fresh, "nothing was written");
    }
  });

  test(`PRE-FETCH and SEEK; the store answers ${name}`, async () => {
    const disk = diskOf(make(), { maximumTransferBlocks: 500 });
    assert.equal(await outcome(disk, parseHexBytes("34 00 00000000 00 0010 00")), "CONDITION MET");
    assert.equal(await outcome(disk, parseHexBytes("90 02 00000000000007c0 00000010 00 00")), "CONDITION MET");
    assert.equal(await outcome(disk, parseHexBytes("34 00 00000000 00 0000 00")), "GOOD", "to the end is too much");
    assert.equal(await outcome(disk, parseHexBytes("34 00 00000700 00 0000 00")), "CONDITION MET");
    assert.equal(await outcome(disk, parseHexBytes("34 00 000007d0 00 0001 00")), "5/21/0");
    assert.equal(await outcome(disk, parseHexBytes("2b 00 000007cf 00 00 00 00")), "GOOD");
    assert.equal(await outcome(disk, parseHexBytes("2b 00 000007d0 00 00 00 00")), "5/21/0");
  });
}

test("ends of the disk, no blocks, protect fields, read-only, for every command that verifies", async () => {
  const disk = diskOf(MemoryStore.of(content));
  const data = new Uint8Array(4 * 512);
  for (const build of [...verifies, ...writeVerifies]) {
    assert.equal(await outcome(disk, build(blocks, 0), data), "GOOD", "no blocks at the end");
    assert.equal(await outcome(disk, build(blocks + 1, 0), data), "5/21/0");
    assert.equal(await outcome(disk, build(blocks, 1), data), "5/21/0");
    assert.equal(await outcome(disk, build(blocks - 1, 2), data), "5/21/0");
    assert.equal(await outcome(disk, build(0, 1, 2), data), "5/24/0", "BYTCHK 2");
    for (let protect = 1; protect < 8; protect++) {
      const bytes = build(0, 1);
      bytes[1] |= protect << 5;
      assert.equal(await outcome(disk, bytes, data), "5/24/0", `protect ${protect}`);
    }
  }
  assert.equal(await outcome(disk, compareAndWrite(blocks - 1, 2), data), "5/21/0");
  assert.equal(await outcome(disk, compareAndWrite(blocks, 0), data), "GOOD");
  assert.equal(await outcome(disk, compareAndWrite(0, 2), data.subarray(1)), "5/e/3");
  const fixed = diskOf(MemoryStore.of(content), { readOnly: true });
  for (const build of [...writeVerifies, compareAndWrite])
    assert.equal(await outcome(fixed, build(0, 1), data), "7/27/0");
  assert.equal(await outcome(fixed, verifies[0](0, 8)), "GOOD");
});

test("a bad block that the store names stands in INFORMATION, also in the middle of a long command", async () => {
  for (const by of ["throw", "reject"] as const) {
    for (const descriptorSense of [false, true]) {
      const store = new FailingStore(
        MemoryStore.of(content),
        ({ kind, position, length }) =>
          kind === "read" && position <= 1500 * 512 && position + length > 1500 * 512
            ? new StoreError("read", "bad block", { position: 1500 * 512 + 17 })
            : undefined,
        { by },
      );
      const disk = diskOf(store, { descriptorSense });
      for (const command of [cdb.read10(1000, 800), verifies[2](0, blocks), cdb.read10(1500, 1)]) {
        const result = await run(disk, command);
        assert.equal(commandOutcome(result), "3/11/0");
        assert.equal(parseSense(result.sense)?.information, 1500n);
        assert.equal(result.data.length, 0);
      }
      assert.equal(await outcome(disk, cdb.read10(1501, 100)), "GOOD");
    }
  }
});

test("COMPARE AND WRITE as a lock: of many at once with the same old value exactly one wins, writes in order", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const held = new SlowStore(MemoryStore.of(new Uint8Array(64 * 512)), { seed, isHeld: true });
    const disk = diskOf(held);
    const value = (fill: number) => new Uint8Array(512).fill(fill);
    const tries = Array.from({ length: 8 }, (_, index) =>
      outcome(disk, compareAndWrite(3, 1), Uint8Array.from([...value(0), ...value(index + 1)])),
    );
    const drained = drain(held, tries);
    const outcomes = await Promise.all(tries);
    await drained;
    assert.equal(outcomes.filter((one) => one === "GOOD").length, 1, outcomes.join(", "));
    assert.equal(outcomes.filter((one) => one === "e/1d/0").length, 7);
    const winner = outcomes.indexOf("GOOD") + 1;
    const check = outcome(disk, verifies[0](3, 1, 1), value(winner));
    await drain(held, [check]);
    assert.equal(await check, "GOOD");
  }
});

/** Lets held requests go, in random order, until `tasks` have ended. */
async function drain(store: SlowStore, tasks: readonly Promise<unknown>[]): Promise<void> {
  let ended = false;
  const all = Promise.all(tasks).then(() => {
    ended = true;
  });
  while (!ended) {
    await store.releaseAll();
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  await all;
}

test("no write gets between the two halves of COMPARE AND WRITE: additions are never lost", async () => {
  const random = seededRandom(5);
  const store = new SlowStore(MemoryStore.of(new Uint8Array(64 * 512)), { longestDelay: 2, seed: 3 });
  const disk = diskOf(store);
  const word = (bytes: Uint8Array) => bytes[0] | (bytes[1] << 8);
  const blockOf = (value: number) => {
    const bytes = new Uint8Array(512).fill(value & 0xff);
    bytes.set([value & 0xff, value >>> 8]);
    return bytes;
  };
  let done = 0;
  const adder = async () => {
    while (done < 60) {
      const old = (await run(disk, cdb.read10(5, 1))).data.slice();
      const sent = Uint8Array.from([...old, ...blockOf(word(old) + 1)]);
      if ((await outcome(disk, compareAndWrite(5, 1), sent)) === "GOOD") done++;
    }
  };
  // Somebody rewrites the neighbours, and blocks that overlap with what is compared, with what is there.
  const disturber = async () => {
    while (done < 60) {
      const lba = 6 + random.below(4);
      await run(disk, cdb.write10(lba, 2), new Uint8Array(1024).fill(random.below(256)));
    }
  };
  await Promise.all([adder(), adder(), adder(), adder(), disturber()]);
  const { data } = await run(disk, cdb.read10(5, 1));
  assert.equal(word(data), done);
});

test("a write that waits for its turn and is called off is not carried out", async () => {
  const held = new SlowStore(MemoryStore.of(new Uint8Array(64 * 512)), { isHeld: true });
  const disk = diskOf(held);
  const compare = outcome(
    disk,
    compareAndWrite(0, 1),
    Uint8Array.from({ length: 1024 }, (_, at) => (at < 512 ? 0 : 1)),
  );
  const task = new ScsiTask();
  task.cdb.set(cdb.write10(0, 1));
  task.begin(nexus, Scatter.of(new Uint8Array(512).fill(0xbad)), new Scatter());
  disk.prepare(task);
  const waiting = disk.execute(task);
  assert.ok(waiting, "it waits");
  task.isAborted = true;
  await drain(held, [compare, waiting]);
  assert.equal(await compare, "GOOD");
  const check = run(disk, cdb.read10(0, 1));
  await drain(held, [check]);
  assert.deepEqual([...new Set((await check).data)], [1]);
});
