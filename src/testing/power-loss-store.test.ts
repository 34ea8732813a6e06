import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Scatter } from "../memory/index.js";
import { MemoryStore, StoreError } from "../storage/index.js";
import { FailingStore } from "./failing-store.js";
import { PowerLossStore } from "./power-loss-store.js";
import { SlowStore } from "./slow-store.js";

const sectors = 64;
const size = sectors * 512;

function write(store: PowerLossStore, position: number, length: number, value: number): void {
  store.write(position, Scatter.of(new Uint8Array(length).fill(value)), length);
}

function contentOf(store: PowerLossStore): Uint8Array {
  const all = Scatter.of(new Uint8Array(size));
  store.read(0, all, size);
  return all.toBytes();
}

describe("a store that loses power", () => {
  test("what was flushed survives every power cut", () => {
    for (let seed = 0; seed < 50; seed++) {
      const store = new PowerLossStore(size);
      write(store, 0, size, 1);
      store.flush();
      write(store, 4096, 4096, 2);
      store.powerCut(seed);
      const content = contentOf(store);
      assert.ok(content.subarray(0, 4096).every((byte) => byte === 1));
      assert.ok(content.subarray(8192).every((byte) => byte === 1));
    }
  });

  test("unflushed writes are lost, kept or torn between sectors, never inside one", () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 200; seed++) {
      const store = new PowerLossStore(size);
      write(store, 0, 1024, 1);
      store.powerCut(seed);
      const content = contentOf(store);
      for (let sector = 0; sector < 2; sector++) {
        const bytes = content.subarray(sector * 512, sector * 512 + 512);
        assert.ok(bytes.every((byte) => byte === bytes[0]));
      }
      seen.add(`${content[0]}${content[512]}`);
    }
    assert.deepEqual([...seen].sort(), ["00", "01", "10", "11"]);
  });

  test("a later write can survive where an earlier one is lost", () => {
    let reordered = 0;
    for (let seed = 0; seed < 50; seed++) {
      const store = new PowerLossStore(size);
      write(store, 0, 512, 1);
      write(store, 8192, 512, 2);
      store.powerCut(seed);
      const content = contentOf(store);
      if (content[0] === 0 && content[8192] === 2) reordered++;
    }
    assert.ok(reordered > 0);
  });

  test("a discard can be lost as a write can", () => {
    const seen = new Set<number>();
    for (let seed = 0; seed < 50; seed++) {
      const store = new PowerLossStore(size);
      write(store, 0, 512, 1);
      store.flush();
      store.discard(0, 512);
      assert.equal(contentOf(store)[0], 0);
      store.powerCut(seed);
      seen.add(contentOf(store)[0]);
    }
    assert.deepEqual([...seen].sort(), [0, 1]);
  });

  test("the same seed gives the same loss, and after it the store works on", () => {
    const cut = () => {
      const store = new PowerLossStore(size);
      write(store, 0, size, 3);
      const figures = store.powerCut(5);
      assert.equal(figures.survived + figures.lost, sectors);
      assert.equal(store.unflushedChanges, 0);
      return contentOf(store);
    };
    assert.deepEqual(cut(), cut());
  });
});

test("a slow store answers out of order", async () => {
  const store = new SlowStore(MemoryStore.of(new Uint8Array(4096)), { isHeld: true, seed: 3 });
  const order: number[] = [];
  const answers = [0, 1, 2, 3, 4].map((number) =>
    Promise.resolve(store.read(0, Scatter.of(new Uint8Array(1)), 1)).then(() => order.push(number)),
  );
  assert.equal(store.heldRequests, 5);
  await store.releaseAll();
  await Promise.all(answers);
  assert.equal(new Set(order).size, 5);
  assert.notDeepEqual(order, [0, 1, 2, 3, 4]);
});

test("a slow store with delays answers everything, and failures by rejecting", async () => {
  const failing = new FailingStore(MemoryStore.of(new Uint8Array(4096)), ({ number }) =>
    number === 1 ? new StoreError("read", "second") : undefined,
  );
  const store = new SlowStore(failing, { longestDelay: 0 });
  const target = Scatter.of(new Uint8Array(1));
  await store.read(0, target, 1);
  await assert.rejects(Promise.resolve(store.read(0, target, 1)), StoreError);
  await store.flush();
});

test("an image after a cut is what a cut with that seed leaves, and changes nothing", () => {
  const store = new PowerLossStore(16 * 512);
  store.write(0, Scatter.of(new Uint8Array(8 * 512).fill(1)), 8 * 512);
  store.flush();
  store.write(512, Scatter.of(new Uint8Array(12 * 512).fill(2)), 12 * 512);
  store.discard(0, 1024);
  const images = [1, 2, 3].map((seed) => store.imageAfterCut(seed));
  assert.deepEqual(store.imageAfterCut(1), images[0]);
  assert.notDeepEqual(images[0], images[1]);
  assert.equal(store.unflushedChanges, 2);
  store.powerCut(3);
  const left = new Uint8Array(16 * 512);
  store.read(0, Scatter.of(left), left.length);
  assert.deepEqual(left, images[2]);
});

test("a store that ignores flushes loses what was flushed", () => {
  const store = new PowerLossStore(512, { ignoresFlush: true, survival: 0 });
  store.write(0, Scatter.of(new Uint8Array(512).fill(1)), 512);
  store.flush();
  store.powerCut(1);
  const left = new Uint8Array(512);
  store.read(0, Scatter.of(left), left.length);
  assert.deepEqual(left, new Uint8Array(512));
});
