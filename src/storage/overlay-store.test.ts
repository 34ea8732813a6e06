import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Scatter } from "../memory/index.js";
import { FailingStore, failRange } from "../testing/failing-store.js";
import { seededRandom } from "../testing/seeded-random.js";
import { SlowStore } from "../testing/slow-store.js";
import { MemoryStore, OverlayStore, StoreError } from "./index.js";

const size = 10 * 4096 + 1024;
const content = Uint8Array.from({ length: size }, (_, index) => (index * 13) & 0xff);
const isReadFailure = (error: unknown) => error instanceof StoreError && error.code === "read";

async function bytesOf(store: OverlayStore, slow?: SlowStore): Promise<Uint8Array> {
  const all = Scatter.of(new Uint8Array(size));
  const answer = store.read(0, all, size);
  await slow?.releaseAll();
  await answer;
  return all.toBytes();
}

describe("overlay", () => {
  test("the base is never written", () => {
    const base = new FailingStore(MemoryStore.of(content), ({ kind }) =>
      kind === "read" ? undefined : new StoreError("write", `the base got a ${kind}`),
    );
    const store = new OverlayStore(base);
    store.write(100, Scatter.of(new Uint8Array(9000)), 9000);
    store.discard(20_000, 9000);
    store.writeZeroes(1, 3, true);
    store.flush();
    const below = Scatter.of(new Uint8Array(size));
    base.read(0, below, size);
    assert.deepEqual(below.toBytes(), content);
  });

  test("a page that is written whole is not read from the base", () => {
    const base = new FailingStore(MemoryStore.of(content), () => new StoreError("read", "no"));
    const store = new OverlayStore(base);
    store.write(4096, Scatter.of(new Uint8Array(8192)), 8192);
    store.write(10 * 4096, Scatter.of(new Uint8Array(1024)), 1024);
    store.discard(8192, 4096);
    store.write(4096 + 100, Scatter.of(new Uint8Array(10)), 10);
  });

  test("dirtyBytes counts the pages that differ, and the last one as far as it goes", () => {
    const store = new OverlayStore(MemoryStore.of(content));
    assert.equal(store.dirtyBytes, 0);
    store.write(5000, Scatter.of(new Uint8Array(1)), 1);
    assert.equal(store.dirtyBytes, 4096);
    store.write(5001, Scatter.of(new Uint8Array(1)), 1);
    assert.equal(store.dirtyBytes, 4096);
    store.discard(0, size);
    assert.equal(store.dirtyBytes, size);
    assert.equal(store.allocatedBytes, 0);
  });

  test("a discard of everything on a base of 3 TiB takes no memory", () => {
    const store = new OverlayStore(new MemoryStore(3 * 2 ** 40));
    store.discard(0, store.byteLength);
    assert.equal(store.dirtyBytes, 3 * 2 ** 40);
    assert.deepEqual(store.extentAt(0), { allocated: false, length: 3 * 2 ** 40 });
  });

  test("two partial writes of one page with a base that answers late share one fill", async () => {
    const slow = new SlowStore(MemoryStore.of(content), { isHeld: true });
    const store = new OverlayStore(slow);
    const first = store.write(0, Scatter.of(new Uint8Array(100).fill(1)), 100);
    const second = store.write(50, Scatter.of(new Uint8Array(100).fill(2)), 100);
    assert.equal(slow.heldRequests, 1);
    await slow.releaseAll();
    await Promise.all([first, second]);
    const expected = content.slice();
    expected.fill(1, 0, 50).fill(2, 50, 150);
    assert.deepEqual((await bytesOf(store, slow)).slice(0, 4096), expected.slice(0, 4096));
  });

  test("a whole-page write that overtakes a fill is not undone by it", async () => {
    const slow = new SlowStore(MemoryStore.of(content), { isHeld: true });
    const store = new OverlayStore(slow);
    const partial = store.write(10, Scatter.of(new Uint8Array(10).fill(1)), 10);
    assert.equal(store.write(0, Scatter.of(new Uint8Array(4096).fill(9)), 4096), undefined);
    await slow.releaseAll();
    await partial;
    const expected = new Uint8Array(4096).fill(9).fill(1, 10, 20);
    assert.deepEqual((await bytesOf(store, slow)).slice(0, 4096), expected);
  });

  test("overlapping writes and discards at once: the result is that of the order in which they answered", async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const random = seededRandom(seed);
      const slow = new SlowStore(MemoryStore.of(content), { isHeld: true, seed });
      const store = new OverlayStore(slow);
      const model = content.slice();
      const answers: Promise<void>[] = [];
      for (let number = 1; number <= 30; number++) {
        const position = random.below(size);
        const length = 1 + random.below(Math.min(9000, size - position));
        const isDiscard = random.chance(0.2);
        const answer = isDiscard
          ? store.discard(position, length)
          : store.write(position, Scatter.of(new Uint8Array(length).fill(number)), length);
        const note = () => void model.fill(isDiscard ? 0 : number, position, position + length);
        if (answer === undefined) note();
        else answers.push(answer.then(note));
        if (random.chance(0.5)) {
          slow.releaseOne();
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
      await slow.releaseAll();
      await Promise.all(answers);
      assert.deepEqual(await bytesOf(store, slow), model, `seed ${seed}`);
    }
  });

  for (const by of ["throw", "reject"] as const) {
    test(`a base that fails (${by}) fails the request, and the overlay stays usable`, async () => {
      const rule = failRange(["read"], 8192, 100, "read");
      const base = new FailingStore(MemoryStore.of(content), rule, { by });
      const store = new OverlayStore(base);
      const one = Scatter.of(new Uint8Array(10));
      await assert.rejects(async () => store.write(8200, one, 10), isReadFailure);
      await assert.rejects(async () => store.read(8192, one, 10), isReadFailure);
      store.write(0, Scatter.of(new Uint8Array(4096)), 4096);
      await assert.rejects(() => bytesOf(store), isReadFailure);
      base.rule = () => undefined;
      await store.write(8200, one, 10);
      const expected = content.slice().fill(0, 0, 4096).fill(0, 8200, 8210);
      assert.deepEqual(await bytesOf(store), expected);
    });
  }

  test("a read that fails answers only when all its parts have", async () => {
    const slow = new SlowStore(MemoryStore.of(content), { isHeld: true });
    const failing = new FailingStore(slow, failRange(["read"], 8192, 1, "read"));
    const store = new OverlayStore(failing);
    store.write(4096, Scatter.of(new Uint8Array(4096)), 4096);
    let hasAnswered = false;
    const read = bytesOf(store).finally(() => {
      hasAnswered = true;
    });
    read.catch(() => {});
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([slow.heldRequests, hasAnswered], [1, false]);
    await slow.releaseAll();
    await assert.rejects(read, isReadFailure);
  });
});
