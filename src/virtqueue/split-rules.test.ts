/** Rules of split rings that are about one half against bytes: what is ignored, what is never left out, in which order. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../testing/seeded-random.js";
import { chainOf, makeSplitPair, pairData, type SplitPair } from "../testing/split-pair.js";
import { ChainPieces, DescriptorFlag, noInterruptFlag, noNotifyFlag } from "./index.js";

const one = () => chainOf([[pairData, 1]]);

/** Writes a field of 16 bits of the available ring (`driver`) or of the used ring (`device`). */
function fields({ view, at, addresses, driver }: SplitPair) {
  const set = (address: number) => (value: number) => view.setUint16(at(address), value, true);
  return {
    availableFlags: set(addresses.available),
    usedEvent: set(addresses.available + 4 + 2 * driver.size),
    usedFlags: set(addresses.used),
    availEvent: set(addresses.used + 4 + 8 * driver.size),
  };
}

/** One chain there and back; whether the driver notified and whether the device interrupted. */
function once({ driver, device }: SplitPair): [notified: boolean, interrupted: boolean] {
  driver.add(one(), 1);
  const notified = driver.publish();
  device.push(device.pop() as never, 0);
  const interrupted = device.publish();
  assert.equal(driver.reap(), 1);
  return [notified, interrupted];
}

test("R-208: a driver writes the INDIRECT flag only after negotiation", () => {
  for (const indirect of [false, true]) {
    const { driver, view, at, addresses } = makeSplitPair({ indirect });
    const pieces = [0, 1, 2].map((piece): [number, number] => [pairData + 16 * piece, 8]);
    driver.add(chainOf(pieces), 1);
    driver.add(one(), 2);
    driver.publish();
    const flags = [0, 1, 2, 3].map((descriptor) =>
      view.getUint16(at(addresses.descriptors) + 16 * descriptor + 12, true),
    );
    assert.equal(
      flags.some((flag) => (flag & DescriptorFlag.Indirect) !== 0),
      indirect,
    );
    assert.equal(driver.free, indirect ? 6 : 4);
  }
});

test("R-209: without EVENT_IDX the flags count, whatever both event fields say; with it the other way round", () => {
  for (const event of [0, 1, 0x7fff, 0x8000, 0xffff]) {
    const byFlags = makeSplitPair({ startIndex: 65_534 });
    const flags = fields(byFlags);
    for (const suppressed of [false, true, false, true]) {
      flags.usedEvent(event);
      flags.availEvent(event);
      flags.availableFlags(suppressed ? noInterruptFlag : 0);
      flags.usedFlags(suppressed ? noNotifyFlag : 0);
      assert.deepEqual(once(byFlags), [!suppressed, !suppressed], `event fields ${event}`);
    }
  }
  for (const flag of [0, 1]) {
    const byEvents = makeSplitPair({ eventIndex: true, startIndex: 65_534 });
    const events = fields(byEvents);
    for (let index = 65_534; index < 65_540; index++) {
      const wanted = index % 2 === 0;
      events.availableFlags(flag);
      events.usedFlags(flag);
      events.usedEvent(wanted ? index : index - 1);
      events.availEvent(wanted ? index : index - 1);
      assert.deepEqual(once(byEvents), [wanted, wanted], `flags ${flag}, index ${index}`);
    }
  }
});

test("R-601, R-603: a chain's head is the entry in the available ring, and the same number comes back in the used ring", () => {
  for (const startIndex of [0, 65_533]) {
    const { driver, device, view, at, addresses } = makeSplitPair({ startIndex });
    const heads: number[] = [];
    for (let chain = 0; chain < 3; chain++) {
      driver.add(chainOf([[pairData, 1]], [[pairData + 1, 2]]), chain);
      const slot = (startIndex + chain) % 8;
      heads.push(view.getUint16(at(addresses.available) + 4 + 2 * slot, true));
    }
    assert.equal(new Set(heads).size, 3);
    driver.publish();
    const chains = heads.map(() => device.pop());
    assert.deepEqual(
      chains.map((chain) => chain?.head),
      heads,
    );
    for (const chain of [...chains].reverse()) device.push(chain as never, 0);
    device.publish();
    const used = heads.map((_, chain) => view.getUint32(at(addresses.used) + 4 + 8 * ((startIndex + chain) % 8), true));
    assert.deepEqual(used, [...heads].reverse());
    assert.deepEqual([driver.reap(), driver.reap(), driver.reap(), driver.reap()], [2, 1, 0, undefined]);
  }
});

test("R-602, R-608: memory that is shared: entries are written before the index, the index before suppression is looked at", (context) => {
  const order: string[] = [];
  const pair = makeSplitPair({ shared: true, eventIndex: true });
  const { addresses, at, view, driver, device } = pair;
  const places = new Map([
    [at(addresses.available) + 2, "available index"],
    [at(addresses.available) + 4 + 16, "used_event"],
    [at(addresses.used) + 2, "used index"],
    [at(addresses.used) + 4 + 64, "avail_event"],
  ]);
  const told = (kind: string, array: Int8Array, index: number) => {
    const place = places.get(array.byteOffset + index * array.BYTES_PER_ELEMENT);
    if (place !== undefined) order.push(`${kind} ${place}`);
  };
  for (const kind of ["load", "store"] as const) {
    const original = Atomics[kind] as (...values: unknown[]) => number;
    context.mock.method(Atomics, kind, (array: Int8Array, index: number, ...rest: unknown[]) => {
      if (kind === "store" && places.get(array.byteOffset + index * array.BYTES_PER_ELEMENT)?.endsWith("index")) {
        order.push(
          `entries ${view.getUint16(at(addresses.available) + 4, true)}, ${view.getUint32(at(addresses.used) + 8, true)}`,
        );
      }
      told(kind, array, index);
      return original(array, index, ...rest);
    });
  }
  driver.add(chainOf([], [[pairData, 9]]), 1);
  assert.deepEqual(order, [], "nothing is published yet");
  driver.publish();
  assert.deepEqual(order.splice(0), ["entries 0, 0", "store available index", "load avail_event"]);
  const chain = device.pop();
  order.length = 0;
  device.push(chain as never, 7);
  device.publish();
  assert.deepEqual(order, ["entries 0, 7", "store used index", "load used_event"]);
});

test("R-604 to R-606, R-610, R-611, R-615: no needed notification and no needed interrupt is left out, in random turns of both halves", () => {
  for (const eventIndex of [false, true]) {
    const { driver, device } = makeSplitPair({ eventIndex, startIndex: 65_500, size: 4 });
    const random = seededRandom(8);
    // Each sleeps until the other wakes it, in two steps: it finds nothing, and later asks to be woken. Who is awake
    // takes one step at a time, so that the other's steps fall between those two.
    let [driverSleeps, driverFoundNothing] = [false, false];
    let [deviceSleeps, deviceFoundNothing] = [false, false];
    let [sent, done] = [0, 0];
    for (let turn = 0; turn < 60_000; turn++) {
      if (random.chance(0.5)) {
        if (driverSleeps) continue;
        if (driverFoundNothing) {
          driverFoundNothing = false;
          driverSleeps = driver.enableInterrupts();
        } else if (random.chance(0.3) && driver.add(one(), sent)) {
          sent++;
          if (driver.publish()) deviceSleeps = false;
        } else if (driver.reap() !== undefined) done++;
        else {
          driver.disableInterrupts();
          driverFoundNothing = driver.inFlight === 4;
        }
      } else if (!deviceSleeps) {
        const chain = deviceFoundNothing ? undefined : device.pop();
        if (deviceFoundNothing) {
          deviceFoundNothing = false;
          deviceSleeps = device.enableNotifications();
        } else if (chain !== undefined) {
          device.push(chain, 0);
          if (device.publish()) driverSleeps = false;
        } else {
          device.disableNotifications();
          deviceFoundNothing = true;
        }
      }
      assert.ok(!(driverSleeps && deviceSleeps), `both sleep in turn ${turn}, ${sent} sent, ${done} done`);
    }
    assert.ok(done > 5000);
  }
});

test("R-507, A-07: a driver's chain holds 2^32 - 1 bytes, not one more", () => {
  const pieces = new ChainPieces();
  pieces.addReadable(0, 0x8000_0000);
  pieces.addWritable(0x8000_0000, 0x7fff_ffff);
  assert.throws(() => pieces.addWritable(0, 1), RangeError);
  assert.equal(pieces.count, 2);
  pieces.clear();
  pieces.addReadable(0, 0xffff_ffff);
  assert.throws(() => pieces.addReadable(0, 1), RangeError);
  pieces.clear();
  for (let piece = 0; piece < 100; piece++) pieces.addReadable(0, 4096);
  pieces.addReadable(0, 0xffff_ffff - 100 * 4096);
  assert.throws(() => pieces.addWritable(0, 1), RangeError);
});
