/** Each rule that a peer can break on a packed ring, one by one, by hand-written bytes; and fields that change while read. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtocolError, type ViolationCode } from "../errors/index.js";
import { DmaAllocator, GuestDma, GuestMemory, MemoryRegion } from "../memory/index.js";
import type { TraceEvent } from "../observe/index.js";
import { RestlessRegion } from "../testing/index.js";
import { ChainPieces, layoutAt, PackedDevice, PackedDriver, packedLayout, packedPlace } from "./index.js";

const Next = 1;
const Write = 2;
const Indirect = 4;
const Avail = 1 << 7;
const Used = 1 << 15;

const base = 0x1_0000;
const size = 5;
const addresses = layoutAt(packedLayout(size), base);
const data = base + 0x4000;
const tableAt = base + 0x5000;
const end = base + 0x8000;

class Hand {
  readonly region: MemoryRegion;
  readonly memory: GuestMemory;
  readonly events: TraceEvent[] = [];
  readonly observer = { emit: (event: TraceEvent) => void this.events.push(event) };

  constructor(region: MemoryRegion = new MemoryRegion(base, new Uint8Array(0x8000))) {
    this.region = region;
    // A large region that is never touched: chains of 2^32 bytes need one.
    this.memory = new GuestMemory([region, new MemoryRegion(0x1_0000_0000, new Uint8Array(2 ** 30))]);
  }

  write(table: number, slot: number, address: number, length: number, id: number, flags: number): void {
    const view = new DataView(this.region.bytes.buffer);
    const at = table - base + 16 * slot;
    view.setBigUint64(at, BigInt(address), true);
    view.setUint32(at + 8, length, true);
    view.setUint16(at + 12, id, true);
    view.setUint16(at + 14, flags, true);
  }

  broke(code: ViolationCode, work: () => unknown): void {
    assert.throws(work, (error) => {
      assert.ok(error instanceof ProtocolError);
      assert.equal(error.code, code);
      assert.equal(error.queue, 2);
      return true;
    });
    const told = this.events.filter(({ category }) => category === "violation").map(({ name }) => name);
    assert.deepEqual(told, [code]);
  }
}

/** A device whose ring is written by hand, from a place on. */
class HandDriven extends Hand {
  readonly device: PackedDevice;
  #slot: number;
  #owner: number;

  constructor(options: { past?: number; indirect?: boolean; region?: MemoryRegion } = {}) {
    super(options.region);
    const startIndex = packedPlace(options.past ?? 0, size);
    this.#slot = startIndex & 0x7fff;
    this.#owner = (startIndex & 0x8000) === 0 ? Used : Avail;
    this.device = new PackedDevice(this.memory, {
      ...{ index: 2, size, addresses, endianness: "little", indirect: options.indirect ?? true, eventIndex: false },
      startIndex,
      observer: this.observer,
    });
  }

  /** The next descriptor of the ring; `foreign` for the flags of the other lap. */
  put(address: number, length: number, flags: number, id = 0, foreign = false): this {
    const owner = foreign ? this.#owner ^ (Avail | Used) : this.#owner;
    this.write(addresses.descriptors, this.#slot, address, length, id, flags | owner);
    this.#slot = (this.#slot + 1) % size;
    if (this.#slot === 0) this.#owner ^= Avail | Used;
    return this;
  }

  table(entries: readonly [address: number, length: number, flags: number][], flags = 0): this {
    for (const [index, entry] of entries.entries()) this.write(tableAt, index, entry[0], entry[1], 0xeeee, entry[2]);
    return this.put(tableAt, 16 * entries.length, Indirect | flags);
  }

  breaks(code: ViolationCode): void {
    const { device } = this;
    this.broke(code, () => {
      for (let chain = device.pop(); chain !== undefined; chain = device.pop());
    });
    assert.equal(device.broken, code);
    assert.equal(device.pop(), undefined, "thrown once, then silent");
    assert.equal(device.enableNotifications(), true, "a broken queue is not polled for ever");
  }
}

for (const past of [0, 4, 5, 9]) {
  const make = (indirect = true) => new HandDriven({ past, indirect });
  const named = (rule: string) => `${rule} (${past} descriptors on)`;

  test(named("§2.8.17 chain-too-long, ring-overrun: a list longer than the ring, and a lap too many"), () => {
    const loop = make();
    for (let slot = 0; slot < size; slot++) loop.put(data, 4, Next);
    loop.breaks("chain-too-long");
    const mixed = make().put(data, 4, 0);
    assert.ok(mixed.device.pop() !== undefined);
    for (let slot = 0; slot < size; slot++) mixed.put(data, 4, Next, 1);
    mixed.breaks("ring-overrun");
    const lap = make();
    for (let slot = 0; slot < size; slot++) lap.put(data, 4, 0, slot);
    while (lap.device.pop() !== undefined);
    lap.put(data, 4, 0, size).breaks("ring-overrun");
  });

  test(named("packed-driver-11 chain-not-available: the first descriptor before the others"), () => {
    make().put(data, 4, Next).put(data, 4, 0, 0, true).breaks("chain-not-available");
    make().put(data, 4, Next).breaks("chain-not-available");
  });

  test(named("head-in-flight: an id again before it was used; ids may be any number of 16 bits"), () => {
    make().put(data, 4, 0, 7).put(data, 4, 0, 7).breaks("head-in-flight");
    const odd = make().put(data, 4, 0, 0xffff).put(data, 4, 0, 0x8000);
    assert.deepEqual([odd.device.pop()?.head, odd.device.pop()?.head], [0xffff, 0x8000]);
  });

  test(named("chain-too-large: 2^32 bytes are refused, one less is taken"), () => {
    const vast = 0x1_0000_0000;
    for (const flags of [0, Write]) {
      const parts = (last: number): [number, number, number][] => [
        ...Array.from({ length: 4 }, (_, part): [number, number, number] => [
          vast,
          2 ** 30 - (part === 3 ? 1 : 0),
          flags,
        ]),
        ...(last === 0 ? [] : [[vast, last, flags] as [number, number, number]]),
      ];
      make().table(parts(1)).breaks("chain-too-large");
      const fits = make().table(parts(0));
      const chain = fits.device.pop();
      assert.equal((flags === 0 ? chain?.readable : chain?.writable)?.byteLength, 2 ** 32 - 1);
    }
  });

  test(named("descriptor-empty, readable-after-writable"), () => {
    make().put(data, 0, 0).breaks("descriptor-empty");
    make()
      .table([[data, 0, 0]])
      .breaks("descriptor-empty");
    make()
      .put(data, 4, Write | Next)
      .put(data, 4, 0)
      .breaks("readable-after-writable");
    make()
      .table([
        [data, 4, Write],
        [data, 4, 0],
      ])
      .breaks("readable-after-writable");
  });

  test(named("address-outside-memory"), () => {
    for (const [address, length] of [
      [0, 4],
      [base - 4, 8],
      [end, 1],
      [end - 4, 5],
      [2 ** 53, 4],
      [2 ** 63, 4],
      [0x1_4000_0000, 1],
    ]) {
      make().put(address, length, Write).breaks("address-outside-memory");
      make()
        .table([[address, length, 0]])
        .breaks("address-outside-memory");
    }
  });

  test(named("indirect-driver-6, indirect-driver-8, indirect-driver-9: what tables may not be"), () => {
    make(false)
      .table([[data, 4, 0]])
      .breaks("indirect-not-negotiated");
    make()
      .table([[data, 4, 0]], Next)
      .breaks("indirect-with-next");
    make()
      .put(data, 4, Next)
      .table([[data, 4, 0]])
      .breaks("indirect-with-next");
    for (const length of [0, 8, 17]) make().put(tableAt, length, Indirect).breaks("indirect-length");
    for (const address of [0, end, end - 16, 2 ** 60]) {
      make().put(address, 32, Indirect).breaks("indirect-outside-memory");
    }
    const wide = make();
    wide.put(0x1_0000_0000, 16 * 32_769, Indirect).breaks("chain-too-long");
  });

  test(named("§2.8.7: in tables ids and flags other than WRITE mean nothing; a table may lie anywhere"), () => {
    const noise = 0xffff & ~Write;
    const ring = make().table([
      [data, 4, noise],
      [data + 8, 6, noise | Write],
    ]);
    const chain = ring.device.pop();
    assert.deepEqual([chain?.readable.byteLength, chain?.writable.byteLength], [4, 6]);
    const odd = make();
    odd.write(tableAt + 2, 0, data, 5, 0, 0);
    assert.equal(odd.put(tableAt + 2, 16, Indirect).device.pop()?.readable.byteLength, 5);
  });
}

test("available-descriptor-changed: what was seen available and is not any more is named, and nobody polls for ever", () => {
  const ring = new HandDriven().put(data, 4, 0);
  assert.equal(ring.device.enableNotifications(), false);
  ring.write(addresses.descriptors, 0, data, 4, 0, 0);
  ring.breaks("available-descriptor-changed");
});

test("a ring whose parts lie on each other ends in a violation or in silence, not in a loop", () => {
  for (let device = base; device < base + 16 * size; device += 4) {
    const memory = new GuestMemory([new MemoryRegion(base, new Uint8Array(0x8000))]);
    const queue = new PackedDevice(memory, {
      ...{ index: 2, size, endianness: "little", indirect: false, eventIndex: true },
      addresses: { descriptors: base, available: base + 0x100, used: device },
    });
    const view = new DataView(memory.regions[0].bytes.buffer);
    for (let slot = 0; slot < size; slot++) {
      view.setBigUint64(16 * slot, BigInt(data), true);
      view.setUint32(16 * slot + 8, 4, true);
      view.setUint32(16 * slot + 12, ((Avail << 16) | slot) >>> 0, true);
    }
    let passes = 0;
    try {
      do {
        assert.ok(passes++ < 100, "it goes round for ever");
        queue.disableNotifications();
        for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) queue.push(chain, 0);
      } while (!queue.enableNotifications());
    } catch (error) {
      assert.ok(error instanceof ProtocolError);
    }
  }
});

test("read once: each field of a chain is read at most once, and what changes after it was read is not seen", () => {
  const region = new RestlessRegion(base, new Uint8Array(0x8000));
  const ring = new HandDriven({ region, past: 4 });
  ring.put(data, 16, Next, 3).put(data + 64, 8, Write, 3);
  ring.table([
    [data, 4, 0],
    [data + 8, 2, Write],
  ]);
  const reads = new Map<number, number>();
  region.onRead = (offset, width) => {
    for (let byte = 0; byte < width; byte++) reads.set(offset + byte, (reads.get(offset + byte) ?? 0) + 1);
    region.bytes.fill(0xee, offset, offset + width);
  };
  const [first, second] = [ring.device.pop(), ring.device.pop()];
  region.onRead = undefined;
  assert.deepEqual([first?.head, first?.readable.byteLength, first?.writable.byteLength], [3, 16, 8]);
  assert.deepEqual([second?.readable.byteLength, second?.writable.byteLength], [4, 2]);
  assert.equal(first?.writable.offsets[0], data + 64 - base);
  assert.ok(reads.size >= 5 * 14, "the reads were seen");
  for (const [offset, count] of reads) assert.equal(count, 1, `byte 0x${offset.toString(16)} was read ${count} times`);
});

test("a ring that cannot stand where it should, or whose size cannot be, is refused", () => {
  const memory = new GuestMemory([new MemoryRegion(base, new Uint8Array(0x8000))]);
  const make = (change: object) =>
    new PackedDevice(memory, {
      ...{ index: 2, size, addresses, endianness: "little", indirect: false, eventIndex: false },
      ...change,
    });
  for (const wrong of [0, 32_769, 1.5, -1])
    assert.throws(() => make({ size: wrong }), { code: "packed-ring-size-invalid" });
  assert.throws(() => make({ startIndex: size }), { code: "ring-overrun" });
  assert.throws(() => make({ startIndex: 0x8001, startUsedIndex: 0x8003 }), { code: "ring-overrun" });
  assert.throws(() => make({ startIndex: 3, startUsedIndex: 0x8001 }), { code: "ring-overrun" });
  make({ startIndex: 1, startUsedIndex: 0x8001 });
});

/** A driver whose used descriptors are written by hand. */
class HandUsed extends Hand {
  readonly driver: PackedDriver<string>;
  constructor(excess?: "cut") {
    super();
    this.driver = new PackedDriver<string>(this.memory, {
      ...{ index: 2, size, addresses, endianness: "little", indirect: false, eventIndex: false },
      dma: new GuestDma(this.memory, new DmaAllocator(this.memory, tableAt, 0x1000)),
      observer: this.observer,
      ...(excess === undefined ? {} : { excessUsedLength: excess }),
    });
    for (const cookie of ["a", "b"]) {
      const pieces = new ChainPieces();
      pieces.addReadable(data, 4);
      pieces.addWritable(data, 8);
      assert.ok(this.driver.add(pieces, cookie));
    }
    this.driver.publish();
  }

  used(slot: number, id: number, length: number, flags = Avail | Used | Write): this {
    this.write(addresses.descriptors, slot, 0, length, id, flags);
    return this;
  }

  breaks(code: ViolationCode): void {
    const { driver } = this;
    this.broke(code, () => {
      while (driver.reap() !== undefined);
    });
    assert.equal(driver.reap(), undefined);
    assert.equal(driver.enableInterrupts(), true);
    const pieces = new ChainPieces();
    pieces.addReadable(data, 1);
    assert.equal(driver.add(pieces, "more"), false);
  }
}

test("what a device can do wrong on a packed ring, each by its name", () => {
  for (const id of [size, 0x7fff, 0xffff]) new HandUsed().used(0, id, 0).breaks("used-id-out-of-range");
  new HandUsed().used(0, 3, 0).breaks("used-id-not-in-flight");
  const twice = new HandUsed().used(0, 0, 8).used(2, 0, 8);
  twice.breaks("used-id-not-in-flight");
  assert.deepEqual(twice.driver.detachAll(), ["b"]);
  for (const length of [9, 0xffff_ffff]) new HandUsed().used(0, 1, length).breaks("used-length-too-large");
  const back = new HandUsed().used(0, 0, 8);
  assert.equal(back.driver.enableInterrupts(), false);
  back.used(0, 0, 8, Avail).breaks("used-descriptor-changed");
});

test("§2.8.5: a length without WRITE is not bound by the room; where a device may say anything, it is cut", () => {
  const without = new HandUsed().used(0, 0, 4711, Avail | Used);
  assert.deepEqual([without.driver.reap(), without.driver.usedLength], ["a", 8]);
  const cut = new HandUsed("cut").used(0, 1, 4711);
  assert.deepEqual([cut.driver.reap(), cut.driver.usedLength], ["b", 8]);
});

test("a device that scribbles over descriptors that are the driver's does no harm: what is under way is private", () => {
  const hand = new HandUsed();
  hand.region.bytes.fill(0xff, 16, 16 * size);
  hand.used(0, 1, 3).used(2, 0, 8);
  assert.deepEqual([hand.driver.reap(), hand.driver.usedLength], ["b", 3]);
  assert.deepEqual([hand.driver.reap(), hand.driver.usedLength], ["a", 8]);
  assert.equal(hand.driver.free, size);
});
