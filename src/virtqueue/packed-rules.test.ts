/**
 * The rules of packed rings as the specification has them, by the ids of its normative statements, on bytes. What cannot
 * be seen in memory (barriers) is named where it is decided.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DmaAllocator, GuestDma, GuestMemory } from "../memory/index.js";
import { RestlessRegion } from "../testing/index.js";
import { makeRingPair, type RingPairOptions } from "../testing/ring-pair.js";
import { chainOf, pairBase, pairData } from "../testing/split-pair.js";
import { layoutAt, PackedDriver, packedLayout, packedPlace } from "./index.js";

const Next = 1;
const Write = 2;
const Indirect = 4;
const Avail = 1 << 7;
const Used = 1 << 15;

interface Seen {
  readonly address: number;
  readonly length: number;
  readonly id: number;
  readonly flags: number;
}

/** A pair, and its descriptors as they lie. */
function makePair(options: Omit<RingPairOptions, "format"> = {}) {
  const pair = makeRingPair({ format: "packed", ...options });
  const { view, at, addresses } = pair;
  const read = (slot: number, table = addresses.descriptors): Seen => {
    const offset = at(table) + 16 * slot;
    return {
      address: Number(view.getBigUint64(offset, true)),
      length: view.getUint32(offset + 8, true),
      id: view.getUint16(offset + 12, true),
      flags: view.getUint16(offset + 14, true),
    };
  };
  return { ...pair, read };
}

const three = () =>
  chainOf(
    [
      [pairData, 3],
      [pairData + 8, 5],
    ],
    [[pairData + 16, 7]],
  );

test("packed-driver-1: descriptors at multiples of 16, both areas at multiples of 4, for every size", () => {
  for (let size = 1; size <= 300; size++) {
    const layout = packedLayout(size);
    assert.deepEqual([layout.descriptors % 16, layout.available % 4, layout.used % 4], [0, 0, 0]);
    assert.ok(layout.available >= 16 * size && layout.used >= layout.available + 4);
    assert.ok(layout.byteLength >= layout.used + 4 && layout.alignment % 16 === 0);
  }
  for (const part of ["descriptors", "available", "used"] as const) {
    const addresses = { ...layoutAt(packedLayout(4), 0x1000) };
    const memory = GuestMemory.ofSize(0x4000);
    const options = { index: 0, size: 4, endianness: "little" as const, indirect: false, eventIndex: false };
    const dma = new GuestDma(memory, new DmaAllocator(memory, 0x2000, 0x1000));
    const wrong = { ...addresses, [part]: addresses[part] + 2 };
    assert.throws(() => new PackedDriver(memory, { ...options, addresses: wrong, dma }), { code: "ring-misaligned" });
  }
});

test("§2.8.1, packed-driver-8, reserved-features-driver-4: descriptors as they lie: address, length, id, flags; writable ones last", () => {
  for (const [past, owner, other] of [
    [0, Avail, Used],
    [8, Used, Avail],
  ]) {
    const { driver, read } = makePair({ past });
    driver.add(three(), 1);
    driver.publish();
    assert.deepEqual(
      [0, 1, 2].map((slot) => read(slot)),
      [
        { address: pairData, length: 3, id: read(0).id, flags: owner | Next },
        { address: pairData + 8, length: 5, id: read(0).id, flags: owner | Next },
        { address: pairData + 16, length: 7, id: read(0).id, flags: owner | Write },
      ],
    );
    assert.equal(read(3).flags & other & owner, 0);
    assert.throws(() => chainOf([], [[1, 1]]).addReadable(2, 2), RangeError);
  }
});

test("packed-driver-11, packed-driver-12: the first descriptor of all is made available last, by a store of its own", () => {
  const region = new RestlessRegion(pairBase, new Uint8Array(0x20_0000));
  const stores: number[] = [];
  // What is stored, in order: the proxy of the region's words is asked for each.
  const words = new Proxy(region.words32, {
    set(target, key, value) {
      stores.push(Number(key));
      return Reflect.set(target, key, value, target);
    },
  });
  Object.defineProperty(region, "words32", { value: words });
  const memory = new GuestMemory([region]);
  const dma = new GuestDma(memory, new DmaAllocator(memory, pairData, 0x1000));
  const addresses = layoutAt(packedLayout(8), pairBase);
  const driver = new PackedDriver<number>(memory, {
    ...{ index: 0, size: 8, addresses, endianness: "little", indirect: false, eventIndex: false, dma },
  });
  stores.length = 0;
  driver.add(three(), 1);
  driver.add(three(), 2);
  assert.ok(!stores.includes(3), "the first chain's first descriptor is not available before publish");
  assert.ok(stores.indexOf(4 * 3 + 3) > stores.indexOf(4 * 5 + 3), "a chain's first descriptor comes after its others");
  assert.equal(new DataView(region.bytes.buffer).getUint16(14, true), 0);
  driver.publish();
  assert.equal(stores.at(-1), 3, "and is the last word of all that is written");
});

test("notify-driver-1, notify-driver-2, reserved-features-driver-7: memory that is shared is published and looked at with Atomics, in this order", () => {
  const order: string[] = [];
  const { load, store } = Atomics;
  const { driver } = makePair({ shared: true, eventIndex: true });
  driver.add(three(), 1);
  Atomics.load = ((...values: Parameters<typeof load>) => {
    order.push("load");
    return load(...values);
  }) as typeof load;
  Atomics.store = ((...values: Parameters<typeof store>) => {
    order.push("store");
    return store(...values);
  }) as typeof store;
  try {
    driver.publish();
  } finally {
    Object.assign(Atomics, { load, store });
  }
  assert.deepEqual(order, ["store", "load"]);
});

test("packed-driver-6, packed-driver-7, packed-driver-9, packed-driver-10: a chain that does not fit changes nothing in the ring", () => {
  const { driver, view } = makePair({ size: 5 });
  driver.add(three(), 1);
  driver.publish();
  const before = new Uint8Array(view.buffer).slice();
  assert.equal(driver.add(three(), 2), false, "room for the whole list first");
  const long = chainOf(Array.from({ length: 6 }, (): [number, number] => [pairData, 1]));
  assert.equal(makePair({ size: 5 }).driver.add(long, 1), false, "no list is longer than the queue");
  assert.equal(driver.publish(), false);
  assert.deepEqual(new Uint8Array(view.buffer), before);
});

test("packed-driver-2, packed-driver-3: what was made available is not touched before it was used", () => {
  const { driver, device, view, read } = makePair({ size: 6, eventIndex: true });
  driver.add(three(), 1);
  driver.publish();
  const before = new Uint8Array(view.buffer).slice(0, 16 * 3);
  driver.add(three(), 2);
  driver.publish();
  driver.add(three(), 3);
  driver.enableInterrupts();
  driver.disableInterrupts();
  driver.reap();
  assert.deepEqual(new Uint8Array(view.buffer).slice(0, 16 * 3), before);
  const chain = device.pop();
  assert.ok(chain !== undefined);
  device.push(chain, 7);
  device.publish();
  assert.equal(driver.reap(), 1);
  driver.add(three(), 4);
  driver.publish();
  assert.equal(read(0).flags & (Avail | Used), Used, "the first lap is over: the second has the other flags");
});

test("indirect-driver-6, indirect-driver-7, indirect-driver-9: tables only when negotiated, one descriptor in the ring, WRITE alone in the table", () => {
  const direct = makePair();
  direct.driver.add(three(), 1);
  direct.driver.publish();
  for (let slot = 0; slot < 8; slot++) assert.equal(direct.read(slot).flags & Indirect, 0);
  const { driver, read } = makePair({ indirect: true });
  driver.add(three(), 1);
  driver.publish();
  const outer = read(0);
  assert.deepEqual([outer.length, outer.flags], [48, Indirect | Avail]);
  assert.equal(read(1).flags, 0);
  assert.deepEqual(
    [0, 1, 2].map((entry) => read(entry, outer.address)).map(({ address, length, flags }) => [address, length, flags]),
    [
      [pairData, 3, 0],
      [pairData + 8, 5, 0],
      [pairData + 16, 7, Write],
    ],
  );
});

test("packed-device-2, §2.8.6: a chain is used by one descriptor, at the next used place, with its id; the rest is skipped", () => {
  const { driver, device, read } = makePair();
  driver.add(three(), 1);
  driver.add(chainOf([[pairData, 9]]), 2);
  driver.publish();
  const [first, second] = [read(0).id, read(3).id];
  const chains = [device.pop(), device.pop()];
  assert.deepEqual([chains[0]?.descriptors, chains[1]?.descriptors], [3, 1]);
  device.push(chains[1] as never, 0);
  device.push(chains[0] as never, 7);
  device.publish();
  assert.deepEqual([read(0).id, read(0).flags], [second, Avail | Used], "nothing was written: WRITE is not set");
  assert.deepEqual([read(1).id, read(1).length, read(1).flags], [first, 7, Avail | Used | Write]);
  assert.deepEqual([driver.reap(), driver.usedLength], [2, 0]);
  assert.deepEqual([driver.reap(), driver.usedLength], [1, 7]);
  assert.equal(driver.free, 8);
});

test("packed-device-1, packed-device-7: descriptors are taken in the order in which they lie", () => {
  const { driver, device } = makePair({ past: 6 });
  for (let cookie = 0; cookie < 4; cookie++) driver.add(chainOf([[pairData + cookie, 1 + cookie]]), cookie);
  driver.publish();
  for (let cookie = 0; cookie < 4; cookie++) assert.equal(device.pop()?.readable.byteLength, 1 + cookie);
});

test("packed-device-4: nothing is written to what the driver gave to read", () => {
  const { driver, device, memory } = makePair();
  memory.write(pairData, Uint8Array.of(1, 2, 3, 4));
  driver.add(chainOf([[pairData, 4]], [[pairData + 64, 4]]), 1);
  driver.publish();
  const chain = device.pop();
  assert.ok(chain !== undefined);
  assert.equal(chain.writable.write(new Uint8Array(16).fill(9)), 4, "no more than there is room for");
  device.push(chain, 4);
  device.publish();
  assert.deepEqual([...memory.read(pairData, 4)], [1, 2, 3, 4]);
});

test("packed-device-5: a descriptor counts as available only in its own lap, whatever else lies there", () => {
  for (const past of [0, 8]) {
    const { device, view, at, addresses } = makePair({ past });
    const owner = past === 0 ? Avail : Used;
    for (const flags of [0, Avail | Used, owner ^ (Avail | Used)]) {
      view.setUint32(at(addresses.descriptors) + 8, 4, true);
      view.setUint16(at(addresses.descriptors) + 14, flags, true);
      assert.equal(device.pop(), undefined, `flags 0x${flags.toString(16)}`);
      assert.equal(device.enableNotifications(), true);
    }
  }
});

test("packed-device-6: a used descriptor is written once and left alone", () => {
  const { driver, device, view, read } = makePair();
  for (let cookie = 0; cookie < 3; cookie++) driver.add(chainOf([], [[pairData, 8]]), cookie);
  driver.publish();
  const chains = [device.pop(), device.pop(), device.pop()];
  device.push(chains[0] as never, 1);
  assert.equal(read(0).flags & Used, 0, "not before publish");
  device.publish();
  const used = new Uint8Array(view.buffer).slice(0, 16);
  device.push(chains[2] as never, 3);
  device.push(chains[1] as never, 2);
  device.publish();
  device.enableNotifications();
  device.disableNotifications();
  assert.deepEqual(new Uint8Array(view.buffer).slice(0, 16), used);
});

test("§2.8.10: event suppression as it lies: enable, disable, and a descriptor with its lap", () => {
  for (const eventIndex of [false, true]) {
    for (const past of [0, 11]) {
      const { driver, device, view, at, addresses } = makePair({ eventIndex, past });
      const words = (area: number) => [view.getUint16(at(area), true), view.getUint16(at(area) + 2, true)];
      const place = past === 0 ? 0x8000 : 3;
      driver.enableInterrupts();
      device.enableNotifications();
      for (const area of [addresses.available, addresses.used]) {
        if (eventIndex) assert.deepEqual(words(area), [place, 2]);
        else assert.equal(words(area)[1], 0);
      }
      driver.disableInterrupts();
      device.disableNotifications();
      assert.deepEqual([words(addresses.available)[1], words(addresses.used)[1]], [1, 1]);
      // A mode that does not exist, or a descriptor without EVENT_IDX: telling is never wrong.
      for (const mode of eventIndex ? [3] : [2, 3]) {
        view.setUint16(at(addresses.used), 5, true);
        view.setUint16(at(addresses.used) + 2, mode, true);
        driver.add(chainOf([[pairData, 1]]), 1);
        assert.equal(driver.publish(), true, `mode ${mode}`);
      }
    }
  }
});

test("§2.8.10: the driver notifies when the event is among what it added or behind that, not when it lies ahead", () => {
  const size = 5;
  for (let past = 0; past < 2 * size; past++) {
    for (let added = 1; added <= size; added++) {
      // The device's event is up to a lap behind the place after these, or less than a lap ahead of it.
      for (let distance = -size; distance < size; distance++) {
        const { driver, view, at, addresses } = makePair({ size, eventIndex: true, past });
        const event = past + added + distance + 2 * size;
        view.setUint16(at(addresses.used), packedPlace(event, size), true);
        view.setUint16(at(addresses.used) + 2, 2, true);
        for (let cookie = 0; cookie < added; cookie++) driver.add(chainOf([[pairData, 1]]), cookie);
        assert.equal(driver.publish(), distance < 0, `${added} after ${past}, event at ${distance}`);
      }
    }
  }
});

test("§2.8.10: a device that took chains beyond its event, and left it there, hears of the next one", () => {
  for (const past of [0, 6, 8, 13]) {
    const { driver, device } = makePair({ eventIndex: true, past });
    const add = (cookie: number) => {
      driver.add(chainOf([[pairData, 1]]), cookie);
      return driver.publish();
    };
    assert.equal(device.enableNotifications(), true);
    for (let cookie = 0; cookie < 4; cookie++) add(cookie);
    for (let cookie = 0; cookie < 4; cookie++) device.push(device.pop() as never, 0);
    device.publish();
    for (let cookie = 0; cookie < 4; cookie++) assert.equal(driver.reap(), cookie);
    assert.equal(add(4), true);
    device.disableNotifications();
    assert.equal(add(5), false, "a device at work is not told");
  }
});

test("split-driver-5: with IN_ORDER split descriptors are taken in sequence, the last one's next is 0; indirect-driver-5: so are those of tables", () => {
  const pair = makeRingPair({ format: "split", size: 4, inOrder: true });
  const { driver, device, view, at, addresses } = pair;
  const descriptor = (slot: number, table = addresses.descriptors) => {
    const offset = at(table) + 16 * slot;
    return { flags: view.getUint16(offset + 12, true), next: view.getUint16(offset + 14, true) };
  };
  let slot = 0;
  for (let round = 0; round < 10; round++) {
    driver.add(three(), round);
    driver.publish();
    for (let piece = 0; piece < 2; piece++) {
      const { flags, next } = descriptor((slot + piece) % 4);
      assert.equal(flags & Next, Next);
      assert.equal(next, (slot + piece + 1) % 4);
    }
    slot = (slot + 3) % 4;
    device.push(device.pop() as never, 0);
    device.publish();
    assert.equal(driver.reap(), round);
  }
  const table = makeRingPair({ format: "split", size: 4, inOrder: true, indirect: true });
  table.driver.add(three(), 1);
  table.driver.publish();
  const at16 = table.at(table.addresses.descriptors);
  const place = Number(table.view.getBigUint64(at16, true));
  const nexts = [0, 1].map((entry) => table.view.getUint16(table.at(place) + 16 * entry + 14, true));
  assert.deepEqual(nexts, [1, 2]);
});

test("§2.8.11, §2.7.9: with IN_ORDER one used buffer stands for all before it, which were used entirely", () => {
  for (const past of [0, 6]) {
    const { driver, device, read, view, at, addresses } = makePair({ inOrder: true, past });
    for (let cookie = 0; cookie < 3; cookie++) driver.add(chainOf([[pairData, 1]], [[pairData, 10 + cookie]]), cookie);
    driver.publish();
    device.pop();
    const slot = past % 8;
    const last = read((slot + 4) % 8);
    const offset = at(addresses.descriptors) + 16 * slot;
    view.setUint32(offset + 8, 5, true);
    view.setUint16(offset + 12, last.id, true);
    view.setUint16(offset + 14, Avail | Used | Write, true);
    const got = Array.from({ length: 4 }, () => [driver.reap(), driver.usedLength]);
    assert.deepEqual(got.slice(0, 3), [
      [0, 10],
      [1, 11],
      [2, 5],
    ]);
    assert.equal(got[3][0], undefined);
    assert.equal(driver.free, 8);
    assert.ok(driver.add(chainOf([[pairData, 1]]), 9));
  }
  const { driver, view, at, addresses } = makeRingPair({ format: "split", inOrder: true });
  for (let cookie = 0; cookie < 3; cookie++) driver.add(chainOf([], [[pairData, 10 + cookie]]), cookie);
  driver.publish();
  view.setUint32(at(addresses.used) + 4, 2, true);
  view.setUint32(at(addresses.used) + 8, 5, true);
  view.setUint16(at(addresses.used) + 2, 3, true);
  const got = Array.from({ length: 3 }, () => [driver.reap(), driver.usedLength]);
  assert.deepEqual(got, [
    [0, 10],
    [1, 11],
    [2, 5],
  ]);
  assert.equal(driver.reap(), undefined);
  view.setUint32(at(addresses.used) + 4 + 8 * 3, 1, true);
  for (let cookie = 3; cookie < 5; cookie++) driver.add(chainOf([], [[pairData, 10]]), cookie);
  driver.publish();
  view.setUint32(at(addresses.used) + 4 + 8 * 3, 4, true);
  view.setUint32(at(addresses.used) + 8 + 8 * 3, 0, true);
  view.setUint16(at(addresses.used) + 2, 4, true);
  assert.equal(driver.reap(), 3);
  assert.throws(() => driver.reap(), { code: "used-index-jump" }, "a batch that the index does not have");
});
