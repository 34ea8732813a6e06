/** What both ring formats do alike, from one table: every row runs on split and packed rings. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeRingPair, type RingPair } from "../testing/ring-pair.js";
import { chainOf, pairData } from "../testing/split-pair.js";
import { isRingSize, type RingFormat, ringFormats } from "./index.js";

const onOff = [false, true];

/** One chain of a readable and a writable piece, there and back. */
function roundTrip({ driver, device }: RingPair, cookie: number): void {
  assert.ok(driver.add(chainOf([[pairData, 4]], [[pairData + 16, 8]]), cookie));
  driver.publish();
  const got = device.pop();
  assert.ok(got !== undefined);
  assert.deepEqual([got.readable.byteLength, got.writable.byteLength], [4, 8]);
  assert.deepEqual([got.readable.offsets[0], got.writable.offsets[0]], [0x16_0000, 0x16_0010]);
  assert.equal(device.pop(), undefined);
  device.push(got, 5);
  assert.equal(driver.reap(), undefined, "not yet published");
  device.publish();
  assert.equal(driver.reap(), cookie);
  assert.equal(driver.usedLength, 5);
  assert.equal(driver.reap(), undefined);
}

/** Sizes of every kind: all small ones, powers of two and their neighbours. */
function sizesOf(format: RingFormat): number[] {
  const sizes = Array.from({ length: 40 }, (_, index) => index + 1);
  for (let power = 64; power <= 32768; power *= 2) sizes.push(power - 1, power, power + 1);
  return sizes.filter((size) => isRingSize(format, size));
}

for (const format of ringFormats) {
  for (const eventIndex of onOff) {
    test(`${format}, ${eventIndex ? "event index" : "flags"}: every size 1…32768, from the start and across the wrap`, () => {
      for (const size of sizesOf(format)) {
        for (const past of [0, 65_533, 2 * size - 1]) {
          for (const indirect of onOff) {
            for (const inOrder of onOff) {
              const pair = makeRingPair({ format, size, eventIndex, past, indirect, inOrder });
              if (size >= 2 || indirect) for (let cookie = 0; cookie < 6; cookie++) roundTrip(pair, cookie);
              else assert.equal(pair.driver.add(chainOf([[pairData, 4]], [[pairData, 4]]), 1), false);
            }
          }
        }
      }
    });
  }

  test(`${format}: shared memory, where places are published with Atomics`, () => {
    for (const eventIndex of onOff) {
      const pair = makeRingPair({ format, eventIndex, shared: true, past: 65_535 });
      for (let cookie = 0; cookie < 100; cookie++) roundTrip(pair, cookie);
    }
  });

  test(`${format}: 70000 chains through a ring of ${format === "packed" ? 5 : 4}`, () => {
    const pair = makeRingPair({ format, size: format === "packed" ? 5 : 4, eventIndex: true });
    for (let cookie = 0; cookie < 70_000; cookie++) roundTrip(pair, cookie);
  });

  test(`${format}: chains of 1 to 4 descriptors come back in any order, each once, with its own length`, () => {
    for (const indirect of onOff) {
      for (const size of [16, ...(format === "packed" ? [13] : [])]) {
        const { driver, device } = makeRingPair({ format, size, indirect, past: 65_530 });
        const held: { chain: NonNullable<ReturnType<typeof device.pop>>; written: number }[] = [];
        const expected = new Map<number, number>();
        let next = 0;
        let seed = 1;
        const random = (below: number) => (seed = (seed * 48_271) % 0x7fff_ffff) % below;
        for (let step = 0; step < 5000; step++) {
          const pieces = 1 + random(4);
          const readable = random(pieces);
          const readables = Array.from({ length: readable }, (_, at): [number, number] => [pairData + at, 1 + at]);
          const writables = Array.from({ length: pieces - readable }, (): [number, number] => [pairData, 8]);
          if (driver.add(chainOf(readables, writables), next)) {
            const inTable = indirect && pieces > 1;
            expected.set(next, 8 * (pieces - readable));
            next++;
            assert.ok(driver.free >= 0 && (inTable || driver.free <= size - pieces));
          }
          if (random(2) === 0) driver.publish();
          for (let chain = device.pop(); chain !== undefined; chain = device.pop()) {
            held.push({ chain, written: random(chain.writable.byteLength + 1) });
          }
          while (held.length > random(6)) {
            const [{ chain, written }] = held.splice(random(held.length), 1);
            device.push(chain, written);
          }
          if (random(2) === 0) device.publish();
          for (let cookie = driver.reap(); cookie !== undefined; cookie = driver.reap()) {
            const room = expected.get(cookie);
            assert.ok(room !== undefined && driver.usedLength <= room, `chain ${cookie} came back`);
            expected.delete(cookie);
          }
        }
        assert.equal(driver.inFlight, expected.size);
        assert.ok(next > 2000);
      }
    }
  });

  test(`${format}: a full ring takes nothing and is not changed by it; when a chain comes back there is room again`, () => {
    const { driver, device } = makeRingPair({ format, size: 4 });
    for (let cookie = 0; cookie < 4; cookie++) assert.ok(driver.add(chainOf([[pairData, 1]]), cookie));
    assert.equal(driver.free, 0);
    assert.equal(driver.add(chainOf([[pairData, 1]]), 9), false);
    assert.equal(driver.inFlight, 4);
    driver.publish();
    const got = device.pop();
    assert.ok(got !== undefined);
    device.push(got, 0);
    device.publish();
    assert.equal(driver.reap(), 0);
    assert.equal(driver.add(chainOf([[pairData, 1]], [[pairData, 1]]), 10), false, "one is not enough for two");
    assert.ok(driver.add(chainOf([[pairData, 1]]), 11));
  });

  test(`${format}: detachAll gives back every cookie and all tables; the queue is quiet then`, () => {
    const { driver, allocator } = makeRingPair({ format, indirect: true });
    const before = allocator.allocatedBytes;
    for (let cookie = 0; cookie < 3; cookie++) driver.add(chainOf([[pairData, 1]], [[pairData, 1]]), cookie);
    assert.ok(allocator.allocatedBytes > before);
    assert.deepEqual(driver.detachAll().sort(), [0, 1, 2]);
    assert.equal(allocator.allocatedBytes, before);
    assert.deepEqual([driver.inFlight, driver.reap(), driver.enableInterrupts()], [0, undefined, true]);
    assert.equal(driver.add(chainOf([[pairData, 1]]), 4), false);
    assert.deepEqual(driver.detachAll(), [], "everything comes back once");
  });

  test(`${format}: a retired chain is answered, and its object holds no memory any more`, () => {
    for (const inOrder of onOff) {
      const { driver, device } = makeRingPair({ format, inOrder });
      driver.add(chainOf([], [[pairData, 8]]), 1);
      driver.publish();
      const chain = device.pop();
      assert.ok(chain !== undefined);
      device.retire(chain, 3);
      device.publish();
      assert.equal(chain.writable.byteLength, 0);
      assert.deepEqual([driver.reap(), driver.usedLength], [1, 3]);
      for (let cookie = 2; cookie < 20; cookie++) roundTrip({ driver, device } as RingPair, cookie);
    }
  });

  test(`${format}: a ring that is abandoned is neither read nor written; one that is moved goes on where it stood`, () => {
    const { driver, device, memory, addresses, view } = makeRingPair({ format, past: 5 });
    for (let cookie = 0; cookie < 3; cookie++) driver.add(chainOf([], [[pairData, 8]]), cookie);
    driver.publish();
    const first = device.pop();
    const second = device.pop();
    assert.ok(first !== undefined && second !== undefined);
    device.push(second, 2);
    device.move(memory, addresses);
    device.publish();
    assert.deepEqual([driver.reap(), driver.usedLength], [1, 2]);
    const bytes = new Uint8Array(view.buffer).slice();
    device.abandon();
    device.push(first, 1);
    device.publish();
    assert.equal(device.pop(), undefined);
    assert.equal(device.enableNotifications(), true);
    assert.deepEqual(new Uint8Array(view.buffer), bytes);
  });

  test(`${format}: notifications and interrupts: on, off, and looking again after turning on`, () => {
    for (const eventIndex of onOff) {
      for (const past of [0, 65_534, 6]) {
        const { driver, device } = makeRingPair({ format, eventIndex, past });
        const add = (cookie: number) => {
          assert.ok(driver.add(chainOf([[pairData, 1]]), cookie));
          return driver.publish();
        };
        assert.equal(device.enableNotifications(), true);
        assert.equal(add(1), true);
        assert.equal(device.enableNotifications(), false, "one is there already");
        device.disableNotifications();
        const one = device.pop();
        assert.ok(one !== undefined);
        assert.equal(add(2), false);
        const two = device.pop();
        assert.ok(two !== undefined);
        assert.equal(driver.enableInterrupts(), true);
        device.push(one, 0);
        assert.equal(device.publish(), true);
        assert.equal(driver.enableInterrupts(), false, "one is there already");
        assert.equal(driver.reap(), 1);
        driver.disableInterrupts();
        device.push(two, 0);
        assert.equal(device.publish(), false);
        assert.equal(device.publish(), false, "nothing was used");
        assert.equal(driver.reap(), 2);
      }
    }
  });

  test(`${format}: with EVENT_IDX one interrupt comes for many chains, where it was asked for`, () => {
    for (const indirect of onOff) {
      for (const past of [0, 65_533, 3]) {
        const { driver, device } = makeRingPair({ format, size: 16, eventIndex: true, past, indirect });
        const add = (count: number) => {
          for (let cookie = 0; cookie < count; cookie++) driver.add(chainOf([[pairData, 1]], [[pairData, 1]]), cookie);
          driver.publish();
        };
        const use = (count: number) => {
          return Array.from({ length: count }, () => {
            device.push(device.pop() as never, 0);
            return device.publish();
          });
        };
        for (let round = 0; round < 9; round++) {
          add(4);
          assert.equal(driver.enableInterruptsAfter(3), true);
          assert.deepEqual(use(4), [false, false, true, false]);
          assert.equal(driver.enableInterruptsAfter(5), true, "four are there");
          assert.equal(driver.enableInterruptsAfter(4), false);
          while (driver.reap() !== undefined);
          assert.equal(driver.enableInterruptsAfter(3), true);
          add(4);
          assert.ok(use(3).includes(true), "at the third at the latest, though none was there when it was asked for");
          use(1);
          while (driver.reap() !== undefined);
        }
      }
    }
  });

  test(`${format}: wherever a ring starts, chains that are added behind others and not published look used to nobody`, () => {
    for (let past = 0; past < 16; past++) {
      const { driver, device } = makeRingPair({ format, size: 8, past });
      const one = chainOf([], [[pairData, 8]]);
      for (let round = 0; round < 6; round++) {
        for (let cookie = 0; cookie < 4; cookie++) assert.ok(driver.add(one, cookie));
        driver.publish();
        for (let chain = device.pop(); chain !== undefined; chain = device.pop()) device.push(chain, 8);
        device.publish();
        // Each is added again as it comes back, and all are published together.
        for (let count = 0; count < 4; count++) {
          const cookie = driver.reap();
          assert.ok(cookie !== undefined && driver.add(one, cookie));
        }
        assert.equal(driver.reap(), undefined, `past ${past}, round ${round}`);
        driver.publish();
        for (let chain = device.pop(); chain !== undefined; chain = device.pop()) device.push(chain, 8);
        device.publish();
        while (driver.reap() !== undefined);
      }
    }
  });

  test(`${format}, IN_ORDER: in-order-device-1: answers are given back in the order of the requests, late or early`, () => {
    const { driver, device } = makeRingPair({ format, inOrder: true, past: 65_531 });
    for (let round = 0; round < 50; round++) {
      for (let cookie = 0; cookie < 4; cookie++) {
        assert.ok(driver.add(chainOf([[pairData, 1]], [[pairData, 10]]), 10 * round + cookie));
      }
      driver.publish();
      const chains = Array.from({ length: 4 }, () => device.pop());
      for (const at of [2, 0, 3]) {
        const chain = chains[at];
        assert.ok(chain !== undefined);
        if (at === 3) device.retire(chain, at);
        else device.push(chain, at);
      }
      device.publish();
      assert.deepEqual([driver.reap(), driver.usedLength], [10 * round, 0]);
      assert.equal(driver.reap(), undefined, "the next one is not answered yet");
      device.push(chains[1] as never, 1);
      device.publish();
      for (const at of [1, 2, 3]) assert.deepEqual([driver.reap(), driver.usedLength], [10 * round + at, at]);
    }
  });
}
