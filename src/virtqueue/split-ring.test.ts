/** Both halves of the split queue against each other and against bytes; virtio 1.2 §2.7, rules R-5xx and R-6xx. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Endianness } from "../bytes/index.js";
import { DmaAllocator, GuestDma, GuestMemory, MemoryRegion } from "../memory/index.js";
import {
  ChainPieces,
  compactLayout,
  layoutAt,
  legacyLayout,
  type QueueOptions,
  type RingAddresses,
  SplitDevice,
  SplitDriver,
} from "./index.js";

const base = 0x4000;

interface Pair {
  readonly memory: GuestMemory;
  readonly view: DataView;
  readonly little: boolean;
  readonly addresses: RingAddresses;
  readonly driver: SplitDriver<number>;
  readonly device: SplitDevice;
  readonly allocator: DmaAllocator;
  /** Byte offset of an address in `view`. */
  at(address: number): number;
}

type PairOptions = Partial<QueueOptions> & {
  notifyOnEmpty?: boolean;
  shared?: boolean;
  excessUsedLength?: "cut" | "violation";
};

function makePair(options: PairOptions = {}): Pair {
  const { size = 8, endianness = "little", indirect = false, eventIndex = false, startIndex = 0 } = options;
  const layout = endianness === "big" ? legacyLayout(size) : compactLayout(size);
  const bytes = new Uint8Array(layout.byteLength + 0x4_0000);
  const region = new MemoryRegion(base, bytes, { shared: options.shared ?? false });
  const memory = new GuestMemory([region]);
  const allocator = new DmaAllocator(memory, base, bytes.length);
  const addresses = layoutAt(layout, allocator.allocate(layout.byteLength, layout.alignment).address);
  const common = { index: 3, size, addresses, endianness, indirect, eventIndex, startIndex };
  const { excessUsedLength = "violation", notifyOnEmpty = false } = options;
  const driver = new SplitDriver<number>(memory, { ...common, dma: new GuestDma(memory, allocator), excessUsedLength });
  const device = new SplitDevice(memory, { ...common, notifyOnEmpty });
  const little = endianness === "little";
  return { memory, view: region.view, little, addresses, driver, device, allocator, at: (address) => address - base };
}

function chain(readable: readonly [number, number][], writable: readonly [number, number][] = []): ChainPieces {
  const pieces = new ChainPieces();
  for (const [address, length] of readable) pieces.addReadable(address, length);
  for (const [address, length] of writable) pieces.addWritable(address, length);
  return pieces;
}

const data = base + 0x2_0000;

/** One chain there and back. */
function roundTrip({ driver, device }: Pair, cookie: number): void {
  assert.ok(driver.add(chain([[data, 4]], [[data + 16, 8]]), cookie));
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
    const { driver, view, at, addresses, little } = makePair({ endianness });
    driver.add(
      chain(
        [
          [data, 3],
          [data + 8, 5],
        ],
        [[data + 16, 7]],
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
    assert.deepEqual(read(0), [data, 3, 1]);
    assert.deepEqual(read(1), [data + 8, 5, 1]);
    assert.deepEqual(read(2), [data + 16, 7, 2]);
    assert.equal(view.getUint16(at(addresses.descriptors) + 14, little), 1);
    assert.equal(view.getUint16(at(addresses.available) + 2, little), 1, "idx");
    assert.equal(view.getUint16(at(addresses.available) + 4, little), 0, "ring[0] is the head");
  });

  test(`R-608 (${endianness}): a used element as it lies: id and length, then idx`, () => {
    const { driver, device, view, at, addresses, little } = makePair({ endianness });
    driver.add(chain([], [[data, 99]]), 1);
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
    const { driver, device, view, at, addresses, little, memory } = makePair({ endianness, indirect: true });
    driver.add(
      chain(
        [
          [data, 1],
          [data + 1, 2],
        ],
        [[data + 3, 3]],
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
      const ring = new MemoryRegion(base, new Uint8Array(0x10000));
      const far = new MemoryRegion(high, new Uint8Array(4096));
      const memory = new GuestMemory([ring, far]);
      const dma = new GuestDma(memory, new DmaAllocator(memory, base + 0x8000, 0x8000));
      const addresses = layoutAt(legacyLayout(4), base);
      const common = { index: 0, size: 4, addresses, endianness, indirect, eventIndex: false };
      const driver = new SplitDriver<number>(memory, { ...common, dma });
      const device = new SplitDevice(memory, common);
      far.bytes.set([1, 2, 3], 100);
      driver.add(chain([[high + 100, 3]], [[high + 200, 4]]), 1);
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
            const pair = makePair({ size, endianness, eventIndex, startIndex, indirect });
            if (size >= 2 || indirect) for (let cookie = 0; cookie < 8; cookie++) roundTrip(pair, cookie);
            else assert.equal(pair.driver.add(chain([[data, 4]], [[data, 4]]), 1), false);
          }
        }
      }
    });
  }
}

test("R-603: 70000 chains through a ring of 4, both indices wrap with it", () => {
  const pair = makePair({ size: 4, eventIndex: true });
  for (let cookie = 0; cookie < 70_000; cookie++) roundTrip(pair, cookie);
  assert.equal(pair.device.nextAvailable, 70_000 % 65_536);
});

test("a full ring takes nothing and is not changed by it; when a chain comes back there is room again", () => {
  const { driver, device } = makePair({ size: 4 });
  for (let cookie = 0; cookie < 4; cookie++) assert.ok(driver.add(chain([[data, 1]]), cookie));
  assert.equal(driver.free, 0);
  assert.equal(driver.add(chain([[data, 1]]), 9), false);
  assert.equal(driver.inFlight, 4);
  driver.publish();
  const got = device.pop();
  assert.ok(got !== undefined);
  device.push(got, 0);
  device.publish();
  assert.equal(driver.reap(), 0);
  assert.equal(driver.add(chain([[data, 1]], [[data, 1]]), 10), false, "one descriptor is not enough for two");
  assert.ok(driver.add(chain([[data, 1]]), 11));
});

test("chains come back in the order in which the device finished them; free descriptors do not get lost", () => {
  const { driver, device } = makePair({ size: 16, startIndex: 65_530 });
  for (let round = 0; round < 50; round++) {
    for (let cookie = 0; cookie < 4; cookie++) {
      assert.ok(
        driver.add(
          chain(
            [
              [data, 1],
              [data, 1],
            ],
            [[data, 1]],
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
  const { driver, device } = makePair();
  driver.add(chain([[data, 1]]), 1);
  driver.add(chain([[data, 2]]), 2);
  assert.equal(device.pop(), undefined);
  assert.equal(driver.publish(), true);
  assert.equal(driver.publish(), false, "nothing new");
  assert.deepEqual([device.pop()?.readable.byteLength, device.pop()?.readable.byteLength], [1, 2]);
  assert.equal(device.pop(), undefined);
});

test("R-604, A-08: without EVENT_IDX the driver notifies unless NO_NOTIFY is set, whatever avail_event says", () => {
  const { driver, device, view, at, addresses } = makePair({ size: 8 });
  view.setUint16(at(addresses.used) + 4 + 8 * 8, 1234, true);
  driver.add(chain([[data, 1]]), 1);
  assert.equal(driver.publish(), true);
  device.disableNotifications();
  driver.add(chain([[data, 1]]), 2);
  assert.equal(driver.publish(), false);
  assert.equal(device.enableNotifications(), false, "two are there: look again");
  device.pop();
  device.pop();
  assert.equal(device.enableNotifications(), true);
  driver.add(chain([[data, 1]]), 3);
  assert.equal(driver.publish(), true);
});

test("R-605, A-09: with EVENT_IDX the flag is ignored and avail_event, behind the used ring, counts, also at the wrap", () => {
  for (const startIndex of [0, 65_534]) {
    const { driver, device, view, at, addresses } = makePair({ eventIndex: true, startIndex });
    view.setUint16(at(addresses.used), 1, true);
    assert.equal(device.enableNotifications(), true);
    assert.equal(view.getUint16(at(addresses.used) + 4 + 8 * 8, true), startIndex);
    driver.add(chain([[data, 1]]), 1);
    assert.equal(driver.publish(), true);
    for (let cookie = 2; cookie < 6; cookie++) {
      driver.add(chain([[data, 1]]), cookie);
      assert.equal(driver.publish(), false, "the event was passed");
    }
    while (device.pop() !== undefined);
    assert.equal(device.enableNotifications(), true);
    driver.add(chain([[data, 1]]), 6);
    driver.add(chain([[data, 1]]), 7);
    assert.equal(driver.publish(), true, "the event lies among the two");
  }
});

test("R-610: without EVENT_IDX the device interrupts unless NO_INTERRUPT is set", () => {
  const { driver, device } = makePair();
  for (const wanted of [true, false, true]) {
    if (wanted) driver.enableInterrupts();
    else driver.disableInterrupts();
    driver.add(chain([[data, 1]]), 1);
    driver.publish();
    device.push(device.pop() as never, 0);
    assert.equal(device.publish(), wanted);
    assert.equal(driver.reap(), 1);
  }
  assert.equal(device.publish(), false, "nothing was used");
});

test("R-611: with EVENT_IDX the device interrupts at used_event, at the wrap too; R-615: enabling tells when one is there", () => {
  for (const startIndex of [0, 65_533]) {
    const { driver, device } = makePair({ eventIndex: true, startIndex });
    const use = (count: number) => {
      for (let cookie = 0; cookie < count; cookie++) driver.add(chain([[data, 1]]), cookie);
      driver.publish();
      for (let cookie = 0; cookie < count; cookie++) device.push(device.pop() as never, 0);
      return device.publish();
    };
    assert.equal(use(1), true, "used_event starts at the first");
    assert.equal(use(1), false, "it was passed");
    assert.equal(driver.enableInterrupts(), false, "two are there already");
    while (driver.reap() !== undefined);
    assert.equal(driver.enableInterrupts(), true);
    assert.equal(use(3), true);
    while (driver.reap() !== undefined);
    driver.disableInterrupts();
    assert.equal(use(3), false);
    while (driver.reap() !== undefined);
    assert.equal(driver.enableInterruptsAfter(3), true);
    assert.equal(use(1), false);
    assert.equal(use(1), false);
    assert.equal(use(1), true, "the third");
  }
});

test("R-207: NOTIFY_ON_EMPTY: the device interrupts when everything is used, also suppressed; not before", () => {
  for (const eventIndex of [false, true]) {
    const { driver, device } = makePair({ notifyOnEmpty: true, eventIndex, startIndex: 65_535 });
    driver.disableInterrupts();
    driver.add(chain([[data, 1]]), 1);
    driver.add(chain([[data, 1]]), 2);
    driver.publish();
    device.push(device.pop() as never, 0);
    assert.equal(device.publish(), false, "one is still available");
    device.push(device.pop() as never, 0);
    assert.equal(device.publish(), true);
  }
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
  driver.add(chain([], [[0x1ff0, 0x20]]), 1);
  driver.publish();
  const got = device.pop();
  assert.equal(got?.writable.write(new Uint8Array(0x20).fill(7)), 0x20);
  assert.deepEqual([low.bytes[0xfff], high.bytes[0], high.bytes[0xf], high.bytes[0x10]], [7, 7, 7, 0]);
  driver.add(chain([], [[0x2ff0, 0x20]]), 2);
  driver.publish();
  assert.throws(() => device.pop(), { code: "address-outside-memory" });
});

test("retire: the chain is emptied and not used again, the head is", () => {
  const { driver, device } = makePair({ size: 2 });
  driver.add(chain([[data, 4]], [[data, 4]]), 1);
  driver.publish();
  const got = device.pop();
  assert.ok(got !== undefined);
  device.retire(got, 3);
  device.publish();
  assert.deepEqual([driver.reap(), driver.usedLength], [1, 3]);
  assert.deepEqual([got.readable.byteLength, got.writable.write(Uint8Array.of(1))], [0, 0]);
  driver.add(chain([[data, 4]], [[data, 4]]), 2);
  driver.publish();
  const next = device.pop();
  assert.equal(next?.head, got.head);
  assert.notEqual(next, got);
});

test("detachAll gives back everything once, with the memory of indirect tables", () => {
  const { driver, allocator } = makePair({ indirect: true, size: 8 });
  const before = allocator.allocatedBytes;
  for (let cookie = 0; cookie < 5; cookie++)
    driver.add(
      chain([
        [data, 1],
        [data, 1],
      ]),
      cookie,
    );
  assert.ok(allocator.allocatedBytes > before);
  assert.deepEqual(driver.detachAll().sort(), [0, 1, 2, 3, 4]);
  assert.equal(allocator.allocatedBytes, before);
  assert.deepEqual(driver.detachAll(), []);
  assert.equal(driver.add(chain([[data, 1]]), 9), false);
  assert.equal(driver.reap(), undefined);
});

test("indirect tables grow when longer chains come, and are used again", () => {
  const { driver, device, allocator } = makePair({ indirect: true, size: 4 });
  const pieces = (count: number) => chain(Array.from({ length: count }, (_, index) => [data + index, 1]));
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
      const pair = makePair({ shared: true, endianness, eventIndex, startIndex: 65_535 });
      for (let cookie = 0; cookie < 5; cookie++) roundTrip(pair, cookie);
    }
  }
});

test("a ring that is misplaced or of a bad size is named by the device and is the caller's error in the driver", () => {
  const memory = GuestMemory.ofSize(0x10000, base);
  const good = layoutAt(compactLayout(8), base);
  const make = (change: Partial<QueueOptions>) => {
    const options = { index: 5, size: 8, addresses: good, endianness: "little" as const, indirect: false };
    return new SplitDevice(memory, { ...options, eventIndex: false, ...change });
  };
  make({});
  for (const size of [0, 3, 65536, -8, 2.5])
    assert.throws(() => make({ size }), { code: "ring-size-invalid", queue: 5 });
  for (const part of ["descriptors", "available", "used"] as const) {
    assert.throws(() => make({ addresses: { ...good, [part]: good[part] + 1 } }), { code: "ring-misaligned" });
    for (const address of [0, base - 16, base + 0x10000 - 16, 2 ** 52, 2 ** 64]) {
      assert.throws(() => make({ addresses: { ...good, [part]: address } }), { code: "ring-outside-memory" });
    }
  }
  const dma = new GuestDma(memory, new DmaAllocator(memory, base, 0x1000));
  const options = { index: 5, addresses: good, endianness: "little" as const, indirect: false, eventIndex: false, dma };
  assert.throws(() => new SplitDriver(memory, { ...options, size: 3 }), RangeError);
});
