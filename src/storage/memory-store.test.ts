import assert from "node:assert/strict";
import { test } from "node:test";
import { Scatter } from "../memory/index.js";
import { MemoryStore, StoreError } from "./index.js";

const tebi = 2 ** 40;

test("a store of 3 TiB costs what was written to it", () => {
  const store = new MemoryStore(3 * tebi);
  const last = 3 * tebi - 512;
  const sector = Scatter.of(new Uint8Array(512).fill(7));
  store.write(last, sector, 512);
  store.write(2 * tebi + 123 * 512, sector, 512);
  assert.equal(store.allocatedBytes, 2 * 1024 * 1024);
  const back = Scatter.of(new Uint8Array(1024).fill(1));
  store.read(last - 512, back, 1024);
  assert.deepEqual([back.toBytes()[511], back.toBytes()[512], back.toBytes()[1023]], [0, 7, 7]);
  assert.deepEqual(store.extentAt(0), { allocated: false, length: 2 * tebi });
  assert.deepEqual(store.extentAt(2 * tebi), { allocated: true, length: 1024 * 1024 });
});

test("discard gives whole chunks back, and a discard of 3 TiB takes no time", () => {
  const store = new MemoryStore(3 * tebi);
  const chunk = Scatter.of(new Uint8Array(2 * 1024 * 1024).fill(9));
  store.write(tebi, chunk, chunk.byteLength);
  store.discard(tebi + 1024 * 1024, 1024 * 1024);
  assert.equal(store.allocatedBytes, 1024 * 1024);
  store.discard(0, 3 * tebi);
  assert.equal(store.allocatedBytes, 0);
});

test("zeros take no memory, also where space shall be kept", () => {
  const store = new MemoryStore(3 * tebi, { maxAllocatedBytes: 0 });
  store.writeZeroes(0, 3 * tebi, true);
  assert.equal(store.allocatedBytes, 0);
});

test("the limit of memory is a no-space error, and what was there stays", () => {
  const store = new MemoryStore(tebi, { maxAllocatedBytes: 1024 * 1024 });
  const sector = Scatter.of(new Uint8Array(512).fill(3));
  store.write(0, sector, 512);
  assert.throws(
    () => store.write(1024 * 1024, sector, 512),
    (error) => error instanceof StoreError && error.code === "no-space",
  );
  store.write(512, sector, 512);
  const back = Scatter.of(new Uint8Array(512));
  store.read(512, back, 512);
  assert.equal(back.toBytes()[0], 3);
});

test("a read-only store refuses writes by name", () => {
  const store = MemoryStore.of(new Uint8Array(512).fill(5), { isReadOnly: true });
  const refused = (error: unknown) => error instanceof StoreError && error.code === "read-only";
  assert.throws(() => store.write(0, Scatter.of(new Uint8Array(512)), 512), refused);
  assert.throws(() => store.discard(0, 512), refused);
  assert.throws(() => store.writeZeroes(0, 512, false), refused);
});
