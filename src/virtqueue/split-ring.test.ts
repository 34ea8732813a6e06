/** Both halves of the split queue against each other and against bytes; virtio 1.2 §2.7, rules R-5xx and R-6xx. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Endianness } from "../bytes/index.js";
import { DmaAllocator, GuestDma, GuestMemory, MemoryRegion } from "../memory/index.js";
import { chainOf, makeSplitPair, pairBase, pairData, type SplitPair } from "../testing/split-pair.js";
import { compactLayout, layoutAt, legacyLayout, type QueueOptions, SplitDevice, SplitDriver } from "./index.js";

/** One chain there and back. */
function roundTrip({ driver, device }: SplitPair, cookie: number): void {
  assert.ok(driver.add(chainOf([[pairData, 4]], [[pairData + 16, 8]]), cookie));
  driver.publish();
  const got = device.pop();
  assert.ok(got !== undefined);
  assert.deepEqual([got.readable.byteLength, got.writable.byteLength], [4, 8]);
  device.push(got, 5);
  device.publish();
  assert.equal(driver.reap(), cookie);
  assert.equal(driver.usedLength, 5);
  assert.equal(driver.reap(), undefined);
}

const bothOrders: readonly Endianness[] = ["little", "big"];

for (const endianness of bothOrders) {
  test(`R-506, R-510 (${endianness}): descriptors as they lie: address, length, flags, next`, () => {
    const { driver, view, at, addresses, little } = makeSplitPair({ endianness });
    driver.add(
      chainOf(
        [
          [pairData, 3],
          [pairData + 8, 5],
        ],
        [[pairData + 16, 7]],
      ),
      1,
    );
    driver.publish();
    const read = (index: number) => {
      const offset = at(addresses.descriptors) + 16 * index;
      return [
        Number(view.getBigUint64(offset, little)),
        view.getUint32(offset + 8, little),
        view.getUint16(offset + 12, little),
      ];
    };
    assert.deepEqual(read(0), [pairData, 3, 1]);
    assert.deepEqual(read(1), [pairData + 8, 5, 1]);
    assert.deepEqual(read(2), [pairData + 16, 7, 2]);
    assert.equal(view.getUint16(at(addresses.descriptors) + 14, little), 1);
    assert.equal(view.getUint16(at(addresses.available) + 2, little), 1, "idx");
    assert.equal(view.getUint16(at(addresses.available) + 4, little), 0, "ring[0] is the head");
  });

  test(`R-608 (${endianness}): a used element as it lies: id and length, then idx`, () => {
    const { driver, device, view, at, addresses, little } = makeSplitPair({ endianness });
    driver.add(chainOf([], [[pairData, 99]]), 1);
    driver.publish();
    const got = device.pop();
    assert.ok(got !== undefined);
    device.push(got, 77);
    const used = at(addresses.used);
    assert.equal(view.getUint16(used + 2, little), 0, "idx moves with publish");
    device.publish();
    assert.deepEqual([view.getUint32(used + 4, little), view.getUint32(used + 8, little)], [0, 77]);
    assert.equal(view.getUint16(used + 2, little), 1);
  });

  test(`R-509 (${endianness}): an indirect table: one descriptor, len / 16 entries chained from 0, no flag but INDIRECT`, () => {
    const { driver, device, view, at, addresses, little, memory } = makeSplitPair({ endianness, indirect: true });
    driver.add(
      chainOf(
        [
          [pairData, 1],
          [pairData + 1, 2],
        ],
        [[pairData + 3, 3]],
      ),
      1,
    );
    driver.publish();
    const head = at(addresses.descriptors);
    const table = Number(view.getBigUint64(head, little));
    assert.deepEqual([view.getUint32(head + 8, little), view.getUint16(head + 12, little)], [48, 4]);
    assert.ok(memory.findRange(table, 48) !== undefined);
    const flags = [0, 1, 2].map((entry) => view.getUint16(at(table) + 16 * entry + 12, little));
    const next = [0, 1].map((entry) => view.getUint16(at(table) + 16 * entry + 14, little));
    assert.deepEqual(
      [flags, next],
      [
        [1, 1, 2],
        [1, 2],
      ],
    );
    const got = device.pop();
    assert.deepEqual([got?.readable.byteLength, got?.writable.byteLength], [3, 3]);
    assert.equal(driver.free, 7, "one descriptor is taken");
  });

  test(`addresses above 2^32 (${endianness}) survive both halves, direct and indirect`, () => {
    for (const indirect of [false, true]) {
      const high = 0x12_3456_7000;
      const ring = new MemoryRegion(pairBase, new Uint8Array(0x10000));
      const far = new MemoryRegion(high, new Uint8Array(4096));
      const memory = new GuestMemory([ring, far]);
      const dma = new GuestDma(memory, new DmaAllocator(memory, pairBase + 0x8000, 0x8000));
      const addresses = layoutAt(legacyLayout(4), pairBase);
      const common = { index: 0, size: 4, addresses, endianness, indirect, eventIndex: false };
      const driver = new SplitDriver<number>(memory, { ...common, dma });
      const device = new SplitDevice(memory, common);
      far.bytes.set([1, 2, 3], 100);
      driver.add(chainOf([[high + 100, 3]], [[high + 200, 4]]), 1);
      driver.publish();
      const got = device.pop();
      assert.deepEqual([...(got?.readable.toBytes() ?? [])], [1, 2, 3]);
      got?.writable.write(Uint8Array.of(9, 8, 7, 6));
      assert.deepEqual([...far.bytes.subarray(200, 204)], [9, 8, 7, 6]);
    }
  });
}

for (const endianness of bothOrders) {
  for (const eventIndex of [false, true]) {
    test(`R-508, R-603 (${endianness}, ${eventIndex ? "event index" : "flags"}): sizes 1…32768, from 0 and across the wrap`, () => {
      for (let size = 1; size <= 32768; size *= 2) {
        for (const startIndex of [0, 65_533]) {
          for (const indirect of [false, true]) {
            const pair = makeSplitPair({ size, endianness, eventIndex, startIndex, indirect });
            if (size >= 2 || indirect) for (let cookie = 0; cookie < 8; cookie++) roundTrip(pair, cookie);
            else assert.equal(pair.driver.add(chainOf([[pairData, 4]], [[pairData, 4]]), 1), false);
          }
        }
      }
    });
  }
}

test("R-603: 70000 chains through a ring of 4, both indices wrap with it", () => {
  const pair = makeSplitPair({ size: 4, eventIndex: true });
  for (let cookie = 0; cookie < 70_000; cookie++) roundTrip(pair, cookie);
  assert.equal(pair.device.nextAvailable, 70_000 % 65_536);
});

test("chains come back in the order in which the device finished them; free descriptors do not get lost", () => {
  const { driver, device } = makeSplitPair({ size: 16, startIndex: 65_530 });
  for (let round = 0; round < 50; round++) {
    for (let cookie = 0; cookie < 4; cookie++) {
      assert.ok(
        driver.add(
          chainOf(
            [
              [pairData, 1],
              [pairData, 1],
            ],
            [[pairData, 1]],
          ),
          4 * round + cookie,
        ),
      );
    }
    driver.publish();
    const chains = Array.from({ length: 4 }, () => device.pop());
    for (const index of [2, 0, 3, 1]) device.push(chains[index] as never, 1);
    device.publish();
    const back = Array.from({ length: 4 }, () => driver.reap());
    assert.deepEqual(
      back,
      [2, 0, 3, 1].map((index) => 4 * round + index),
    );
    assert.equal(driver.free, 16);
  }
});

test("R-602: nothing is seen before publish, then everything", () => {
  const { driver, device } = makeSplitPair();
  driver.add(chainOf([[pairData, 1]]), 1);
  driver.add(chainOf([[pairData, 2]]), 2);
  assert.equal(device.pop(), undefined);
  assert.equal(driver.publish(), true);
  assert.equal(driver.publish(), false, "nothing new");
  assert.deepEqual([device.pop()?.readable.byteLength, device.pop()?.readable.byteLength], [1, 2]);
  assert.equal(device.pop(), undefined);
});

test("a chain that crosses regions that touch is two pieces; where they do not touch it is outside", () => {
  const low = new MemoryRegion(0x1000, new Uint8Array(0x1000));
  const high = new MemoryRegion(0x2000, new Uint8Array(0x1000));
  const memory = new GuestMemory([low, high]);
  const common = { index: 0, size: 4, endianness: "little" as const, indirect: false, eventIndex: false };
  const addresses = layoutAt(compactLayout(4), 0x1000);
  const dma = new GuestDma(memory, new DmaAllocator(memory, 0x1800, 0x100));
  const driver = new SplitDriver<number>(memory, { ...common, addresses, dma });
  const device = new SplitDevice(memory, { ...common, addresses });
  driver.add(chainOf([], [[0x1ff0, 0x20]]), 1);
  driver.publish();
  const got = device.pop();
  assert.equal(got?.writable.write(new Uint8Array(0x20).fill(7)), 0x20);
  assert.deepEqual([low.bytes[0xfff], high.bytes[0], high.bytes[0xf], high.bytes[0x10]], [7, 7, 7, 0]);
  driver.add(chainOf([], [[0x2ff0, 0x20]]), 2);
  driver.publish();
  assert.throws(() => device.pop(), { code: "address-outside-memory" });
});

test("retire: the chain is emptied and not used again, the head is", () => {
  const { driver, device } = makeSplitPair({ size: 2 });
  driver.add(chainOf([[pairData, 4]], [[pairData, 4]]), 1);
  driver.publish();
  const got = device.pop();
  assert.ok(got !== undefined);
  device.retire(got, 3);
  device.publish();
  assert.deepEqual([driver.reap(), driver.usedLength], [1, 3]);
  assert.deepEqual([got.readable.byteLength, got.writable.write(Uint8Array.of(1))], [0, 0]);
  driver.add(chainOf([[pairData, 4]], [[pairData, 4]]), 2);
  driver.publish();
  const next = device.pop();
  assert.equal(next?.head, got.head);
  assert.notEqual(next, got);
});

test("indirect tables grow when longer chains come, and are used again", () => {
  const { driver, device, allocator } = makeSplitPair({ indirect: true, size: 4 });
  const pieces = (count: number) => chainOf(Array.from({ length: count }, (_, index) => [pairData + index, 1]));
  let stable = 0;
  for (const count of [2, 8, 9, 60, 3, 60]) {
    assert.ok(driver.add(pieces(count), count));
    driver.publish();
    const got = device.pop();
    assert.equal(got?.readable.byteLength, count);
    device.push(got as never, 0);
    device.publish();
    assert.equal(driver.reap(), count);
    if (count === 60) {
      if (stable > 0) assert.equal(allocator.allocatedBytes, stable);
      stable = allocator.allocatedBytes;
    }
  }
});

test("shared memory, which goes through Atomics, behaves the same", () => {
  for (const endianness of bothOrders) {
    for (const eventIndex of [false, true]) {
      const pair = makeSplitPair({ shared: true, endianness, eventIndex, startIndex: 65_535 });
      for (let cookie = 0; cookie < 5; cookie++) roundTrip(pair, cookie);
    }
  }
});

test("a ring that is misplaced or of a bad size is named by the device and is the caller's error in the driver", () => {
  const memory = GuestMemory.ofSize(0x10000, pairBase);
  const good = layoutAt(compactLayout(8), pairBase);
  const make = (change: Partial<QueueOptions>) => {
    const options = { index: 5, size: 8, addresses: good, endianness: "little" as const, indirect: false };
    return new SplitDevice(memory, { ...options, eventIndex: false, ...change });
  };
  make({});
  for (const size of [0, 3, 65536, -8, 2.5])
    assert.throws(() => make({ size }), { code: "ring-size-invalid", queue: 5 });
  for (const part of ["descriptors", "available", "used"] as const) {
    assert.throws(() => make({ addresses: { ...good, [part]: good[part] + 1 } }), { code: "ring-misaligned" });
    for (const address of [0, pairBase - 16, pairBase + 0x10000 - 16, 2 ** 52, 2 ** 64]) {
      assert.throws(() => make({ addresses: { ...good, [part]: address } }), { code: "ring-outside-memory" });
    }
  }
  const dma = new GuestDma(memory, new DmaAllocator(memory, pairBase, 0x1000));
  const options = { index: 5, addresses: good, endianness: "little" as const, indirect: false, eventIndex: false, dma };
  assert.throws(() => new SplitDriver(memory, { ...options, size: 3 }), RangeError);
});
