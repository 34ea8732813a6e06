import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../testing/index.js";
import { blockBytes, DmaAllocator, GuestDma, GuestMemory, MemoryRegion, PageViews, Scatter } from "./index.js";

test("regions: any byte of a region is found, none outside; a range must lie in one region", () => {
  const low = new MemoryRegion(0x1000, new Uint8Array(0x100));
  const high = new MemoryRegion(0x1_0000_0000, new Uint8Array(0x100));
  const memory = new GuestMemory([high, low]);
  assert.deepEqual(memory.regions, [low, high]);
  for (const region of [low, high]) {
    assert.equal(memory.find(region.base), region);
    assert.equal(memory.find(region.end - 1), region);
    assert.equal(memory.find(region.end), undefined);
    assert.equal(memory.find(region.base - 1), undefined);
    assert.equal(memory.findRange(region.base, 0x100), region);
    assert.equal(memory.findRange(region.base, 0x101), undefined);
    assert.equal(memory.findRange(region.end - 1, 2), undefined);
  }
  for (const address of [-1, Number.NaN, 2 ** 53, 2 ** 64, Number.POSITIVE_INFINITY]) {
    assert.equal(memory.find(address), undefined);
    assert.equal(memory.findRange(address, 1), undefined);
  }
});

test("regions that overlap, are empty or start where none can be are refused", () => {
  const region = (base: number, size = 16) => new MemoryRegion(base, new Uint8Array(size));
  assert.throws(() => new GuestMemory([]), RangeError);
  assert.throws(() => new GuestMemory([region(0, 32), region(16)]), RangeError);
  for (const base of [-2, 1, 0.5, 2 ** 53]) assert.throws(() => region(base), RangeError);
  assert.throws(() => region(0, 0), RangeError);
  assert.throws(() => new MemoryRegion(Number.MAX_SAFE_INTEGER - 1, new Uint8Array(16)), RangeError);
});

test("read and write cross regions that touch; outside they are violations and nothing is written", () => {
  const one = new MemoryRegion(0x1000, new Uint8Array(16));
  const two = new MemoryRegion(0x1010, new Uint8Array(16));
  const memory = new GuestMemory([one, two]);
  memory.write(
    0x1008,
    Uint8Array.from({ length: 16 }, (_, index) => index + 1),
  );
  assert.deepEqual([...memory.read(0x1008, 16)], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
  assert.equal(two.bytes[0], 9);
  assert.throws(() => memory.write(0x1018, new Uint8Array(9).fill(77)), { code: "address-outside-memory" });
  assert.equal(two.bytes.includes(77), false);
  assert.throws(() => memory.read(0xfff, 2), { code: "address-outside-memory" });
});

test("a region over a part of a buffer sees that part only; words need an even start", () => {
  const all = new Uint8Array(64).fill(1);
  const region = new MemoryRegion(0, all.subarray(8, 24));
  region.bytes.fill(2);
  assert.deepEqual([region.view.byteLength, region.words.length, region.words32.length], [16, 8, 4]);
  assert.equal(all[7] + all[24], 2);
  assert.throws(() => region.view.getUint8(16), RangeError);
  const odd = new MemoryRegion(0, all.subarray(1, 17));
  assert.deepEqual([odd.words.length, odd.words32.length], [0, 0]);
});

function allocator(size = 1 << 16, base = 0x1000) {
  const memory = GuestMemory.ofSize(size, base);
  return { memory, allocator: new DmaAllocator(memory, base, size) };
}

test("the allocator: aligned, zeroed, apart from each other, and everything comes back, in any order (property)", () => {
  const request = fc.record({ size: fc.integer({ min: 1, max: 3000 }), power: fc.nat(12), free: fc.boolean() });
  fc.assert(
    fc.property(fc.array(request, { maxLength: 60 }), fc.nat(), (requests, seed) => {
      const { allocator: dma } = allocator();
      const live = new Set<ReturnType<DmaAllocator["allocate"]>>();
      const random = seededRandom(seed);
      for (const { size, power, free } of requests) {
        if (free && live.size > 0) {
          const block = random.shuffle([...live])[0];
          live.delete(block);
          dma.free(block);
        }
        let block: ReturnType<DmaAllocator["allocate"]>;
        try {
          block = dma.allocate(size, 2 ** power);
        } catch (error) {
          assert.ok(error instanceof RangeError);
          continue;
        }
        assert.equal(block.address % 2 ** power, 0);
        assert.equal(block.offset, block.address - block.region.base);
        assert.ok(
          blockBytes(block).every((byte) => byte === 0),
          "zeroed",
        );
        for (const other of live) {
          assert.ok(block.address >= other.address + other.size || other.address >= block.address + size, "apart");
        }
        blockBytes(block).fill(0xff);
        live.add(block);
      }
      for (const block of random.shuffle([...live])) dma.free(block);
      assert.equal(dma.allocatedBytes, 0);
      dma.free(dma.allocate(1 << 16, 4096));
    }),
    { numRuns: 100 },
  );
});

test("the allocator: free pieces join again in every order", () => {
  for (const order of [
    [0, 1, 2],
    [2, 1, 0],
    [0, 2, 1],
    [1, 0, 2],
  ]) {
    const { allocator: dma } = allocator(3 * 4096);
    const blocks = [0, 1, 2].map(() => dma.allocate(4096, 4096));
    for (const index of order) dma.free(blocks[index]);
    assert.ok(dma.allocate(3 * 4096, 4096));
  }
});

test("the allocator refuses what cannot be: sizes, alignments, more than there is, freeing twice", () => {
  const { allocator: dma, memory } = allocator();
  for (const size of [0, -1, 1.5, Number.NaN]) assert.throws(() => dma.allocate(size), RangeError);
  for (const alignment of [0, 3, -4]) assert.throws(() => dma.allocate(16, alignment), RangeError);
  assert.throws(() => dma.allocate((1 << 16) + 1), RangeError);
  const block = dma.allocate(16);
  dma.free(block);
  assert.throws(() => dma.free(block), RangeError);
  assert.throws(() => new DmaAllocator(memory, 0, 16), RangeError);
});

test("share: a buffer in guest memory is lent where it is, another is copied, both ways", () => {
  const { memory, allocator: area } = allocator();
  const dma = new GuestDma(memory, area);
  const block = dma.allocate(64);
  const inside = blockBytes(block);
  const lent = dma.share(inside, "both");
  assert.deepEqual(lent.segments, [{ address: block.address, length: 64 }]);
  dma.unshare(lent);
  const outside = Uint8Array.from([1, 2, 3]);
  const copied = dma.share(outside, "both");
  const [{ address }] = copied.segments;
  assert.deepEqual([...memory.read(address, 3)], [1, 2, 3]);
  memory.write(address, Uint8Array.of(7, 8, 9));
  assert.deepEqual([...outside], [1, 2, 3], "nothing comes back before unshare");
  dma.unshare(copied);
  assert.deepEqual([...outside], [7, 8, 9]);
  const toDevice = dma.share(outside, "to-device");
  memory.write(toDevice.segments[0].address, Uint8Array.of(0, 0, 0));
  dma.unshare(toDevice);
  assert.deepEqual([...outside], [7, 8, 9], "what the device may only read does not come back");
  assert.deepEqual(dma.share(new Uint8Array(0), "both").segments, []);
  const all = new GuestDma(memory, area, { bounceAll: true });
  const bounced = all.share(inside, "both");
  assert.notEqual(bounced.segments[0].address, block.address);
  all.unshare(bounced);
  dma.free(block);
  assert.equal(area.allocatedBytes, 0);
});

test("a scatter is its bytes: copying in and out, splitting, dropping, filling, for any pieces (property)", () => {
  const lengths = fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(lengths, fc.nat(), fc.nat(), fc.nat(), (pieces, a, b, seed) => {
      const random = seededRandom(seed);
      const memory = new MemoryRegion(0, new Uint8Array(pieces.reduce((sum, length) => sum + length + 7, 0)));
      const scatter = new Scatter();
      let offset = 3;
      for (const length of pieces) {
        scatter.push(memory, offset, length);
        offset += length + 7;
      }
      const total = scatter.byteLength;
      const model = new Uint8Array(total);
      for (let index = 0; index < total; index++) model[index] = random.below(256);
      assert.equal(scatter.copyIn(new PageViews(model), 0, total), total);
      assert.ok(Buffer.compare(scatter.toBytes(), model) === 0);
      const skip = a % (total + 1);
      const length = b % (total + 10);
      const part = new Uint8Array(length + 2).fill(0xee);
      const copied = scatter.copyOut(part, 1, length, skip);
      assert.equal(copied, Math.min(length, total - skip));
      assert.ok(Buffer.compare(part.subarray(1, 1 + copied), model.subarray(skip, skip + copied)) === 0);
      assert.deepEqual([part[0], part[1 + copied]], [0xee, 0xee]);
      scatter.fill(9, length, skip);
      model.fill(9, skip, skip + length);
      assert.ok(Buffer.compare(scatter.toBytes(), model) === 0);
      assert.equal(scatter.write(Uint8Array.of(1, 2, 3), total), 0, "behind the end nothing fits");
      const head = new Scatter();
      scatter.splitFront(skip, head);
      assert.ok(Buffer.compare(head.toBytes(), model.subarray(0, skip)) === 0);
      assert.ok(Buffer.compare(scatter.toBytes(), model.subarray(skip)) === 0);
      scatter.dropFront(length);
      assert.ok(Buffer.compare(scatter.toBytes(), model.subarray(Math.min(total, skip + length))) === 0);
    }),
    { numRuns: 150 },
  );
});

test("a header is copied whole from any pieces, and nothing behind it", () => {
  for (const cuts of [[51], [1, 50], [20, 1, 30], [17, 17, 17]]) {
    for (const length of [4, 17, 50, 51]) {
      const region = new MemoryRegion(
        0,
        Uint8Array.from({ length: 256 }, (_, index) => index),
      );
      const scatter = new Scatter();
      let at = 1;
      for (const cut of cuts) {
        scatter.push(region, at, cut);
        at += cut + 9;
      }
      const bytes = new Uint8Array(64).fill(0xaa);
      scatter.copyHeader(new DataView(bytes.buffer), bytes, length);
      assert.deepEqual(bytes.subarray(0, length), scatter.toBytes().subarray(0, length));
      assert.ok(bytes.subarray(length).every((byte) => byte === 0xaa));
    }
  }
});

test("page views copy every range right: small, sectors, pages, large, from any offset (property)", () => {
  const source = Uint8Array.from({ length: 3 * 4096 + 40_000 }, (_, index) => (index * 31) >> 3);
  const views = new PageViews(source);
  fc.assert(
    fc.property(fc.nat(source.length), fc.nat(source.length), fc.nat(100), (a, b, at) => {
      const offset = Math.min(a, source.length);
      const length = Math.min(b, source.length - offset);
      const target = new Uint8Array(at + length + 5).fill(0xee);
      views.copyTo(offset, target, at, length);
      assert.ok(Buffer.compare(target.subarray(at, at + length), source.subarray(offset, offset + length)) === 0);
      assert.ok(target.subarray(0, at).every((byte) => byte === 0xee));
      assert.ok(target.subarray(at + length).every((byte) => byte === 0xee));
    }),
    { numRuns: 200 },
  );
});
