import assert from "node:assert/strict";
import { test } from "node:test";
import { blockBytes, DmaAllocator, GuestDma, GuestMemory } from "../memory/index.js";
import { DmaPoison, PoisoningDma, type PoisoningDmaOptions } from "./index.js";

function make(options: PoisoningDmaOptions = {}) {
  const memory = GuestMemory.ofSize(1 << 18, 0x1000);
  const allocator = new DmaAllocator(memory, 0x1000, 1 << 18);
  return { memory, allocator, dma: new PoisoningDma(new GuestDma(memory, allocator), options) };
}

test("what is lent holds poison for its owner, fresh poison for the device, and comes back with what was written", () => {
  const { dma, memory } = make();
  const bytes = Uint8Array.of(1, 2, 3, 4);
  const shared = dma.share(bytes, "from-device");
  assert.ok(bytes.every((byte) => byte === DmaPoison.Lent));
  const [{ address, length }] = shared.segments;
  assert.deepEqual([...memory.read(address, length)], new Array(4).fill(DmaPoison.Fresh), "old data does not leak");
  memory.write(address, Uint8Array.of(9, 8));
  dma.unshare(shared);
  assert.deepEqual([...bytes], [9, 8, DmaPoison.Fresh, DmaPoison.Fresh]);
  dma.assertNothingAllocated();
});

test("buffers are cut into pieces as asked", () => {
  const { dma, memory } = make({ pieceLength: () => 3 });
  const bytes = Uint8Array.from({ length: 10 }, (_, index) => index);
  const shared = dma.share(bytes, "to-device");
  assert.deepEqual(
    shared.segments.map(({ length }) => length),
    [3, 3, 3, 1],
  );
  assert.deepEqual(
    [...shared.segments.flatMap(({ address, length }) => [...memory.read(address, length)])],
    [...bytes],
  );
  dma.unshare(shared);
  dma.assertNothingAllocated();
});

test("it finds: unsharing twice, a loan that is left, a block that is left, freeing what is not there", () => {
  const { dma } = make();
  const shared = dma.share(new Uint8Array(4), "to-device");
  assert.throws(() => dma.assertNothingShared(), /still lent/);
  dma.unshare(shared);
  assert.throws(() => dma.unshare(shared), /not lent/);
  const block = dma.allocate(16);
  assert.throws(() => dma.assertNothingAllocated(), /still allocated/);
  dma.free(block);
  assert.throws(() => dma.free(block), RangeError);
});

test("it finds who wrote where nobody may: the owner while it is lent, the device read-only data, guards, freed memory", () => {
  const { dma, memory } = make();
  const into = new Uint8Array(8);
  const first = dma.share(into, "from-device");
  into[3] = 1;
  assert.throws(() => dma.unshare(first), /by its owner/);
  const out = new Uint8Array(8);
  const second = dma.share(out, "to-device");
  memory.write(second.segments[0].address, Uint8Array.of(5));
  assert.throws(() => dma.unshare(second), /only read/);
  const block = dma.allocate(16);
  memory.write(block.address + 16, Uint8Array.of(1));
  assert.throws(() => dma.checkPoison(), /outside the block/);
  const other = make();
  const freed = other.dma.allocate(16);
  other.dma.free(freed);
  other.memory.write(freed.address + 2, Uint8Array.of(1));
  assert.throws(() => other.dma.assertNothingShared(), /after it was given back/);
});

test("a buffer that the device may write is lent once; one that it only reads may be lent often", () => {
  const { dma } = make();
  const bytes = new Uint8Array(16);
  const reads = [dma.share(bytes, "to-device"), dma.share(bytes.subarray(4), "to-device")];
  assert.throws(() => dma.share(bytes.subarray(8, 9), "from-device"), /while it is lent/);
  for (const shared of reads) dma.unshare(shared);
  const written = dma.share(bytes, "from-device");
  assert.throws(() => dma.share(bytes, "to-device"), /while it is lent/);
  dma.unshare(written);
  dma.assertNothingAllocated();
});

test("memory goes back after its quarantine", () => {
  const { dma, allocator } = make({ quarantine: 2 });
  for (let count = 0; count < 50; count++) {
    const block = dma.allocate(100, 64);
    assert.equal(block.address % 64, 0);
    assert.ok(blockBytes(block).every((byte) => byte === 0));
    dma.free(block);
  }
  assert.ok(allocator.allocatedBytes < 1000);
});
