import assert from "node:assert/strict";
import { test } from "node:test";
import { chainOf, makeSplitPair, pairData } from "../../testing/split-pair.js";
import type { Chain } from "../../virtqueue/index.js";
import { PacedRing } from "./paced-ring.js";

function pacedPair(options: { size?: number; spin?: number; eventIndex?: boolean } = {}) {
  const { spin = 0, ...pair } = options;
  const { driver, device } = makeSplitPair({ size: 64, ...pair });
  const told = { signals: 0, laters: 0 };
  const maker = { signal: () => void told.signals++, continueLater: () => void told.laters++, longestTurn: 512 };
  return { driver, ring: new PacedRing(device, maker, spin), told };
}

function add(driver: ReturnType<typeof pacedPair>["driver"], count: number): void {
  for (let cookie = 0; cookie < count; cookie++) driver.add(chainOf([[pairData, 1]]), cookie);
  driver.publish();
}

function reapAll(driver: ReturnType<typeof pacedPair>["driver"]): number {
  let count = 0;
  while (driver.reap() !== undefined) count++;
  return count;
}

test("the driver hears of a long batch before all of it is done", () => {
  const { driver, ring, told } = pacedPair();
  driver.enableInterrupts();
  add(driver, 40);
  let early = 0;
  for (let chain = ring.pop(); chain !== undefined; chain = ring.pop()) {
    ring.push(chain, 0);
    if (told.signals === 1 && early === 0) early = reapAll(driver);
  }
  assert.equal(early, 4);
  ring.publish();
  assert.equal(reapAll(driver), 36, "nothing is lost and nothing told twice");
});

test("a large request is told of on its own", () => {
  const { driver, ring, told } = pacedPair();
  driver.enableInterrupts();
  add(driver, 3);
  const chain = ring.pop() as Chain;
  chain.readable.byteLength = 1 << 20;
  ring.push(chain, 0);
  assert.equal(told.signals, 1);
  assert.equal(reapAll(driver), 1);
});

test("a driver that always has more does not keep the loop: the rest comes after everything else had its turn", () => {
  const { driver, ring, told } = pacedPair();
  let served = 0;
  const turn = () => {
    do {
      for (let chain = ring.pop(); chain !== undefined; chain = ring.pop()) {
        ring.push(chain, 0);
        served++;
        reapAll(driver);
        add(driver, 1);
      }
    } while (!ring.enableNotifications());
  };
  add(driver, 32);
  turn();
  assert.equal(told.laters, 1);
  assert.ok(served >= 512 && served < 600, `${served} in one turn`);
  turn();
  assert.equal(told.laters, 2);
});

test("with a spin a request that comes soon is found without a notification, and looking ends", () => {
  const { driver, ring } = pacedPair({ spin: 20, eventIndex: true });
  add(driver, 1);
  ring.push(ring.pop() as Chain, 0);
  add(driver, 1);
  assert.equal(ring.enableNotifications(), false, "found while looking");
  const chain = ring.pop() as Chain;
  assert.equal(ring.inFlight, 1);
  ring.push(chain, 0);
  const start = performance.now();
  assert.equal(ring.enableNotifications(), true);
  assert.ok(performance.now() - start >= 0.02, "looked for 20 µs");
  assert.equal(reapAll(driver), 2, "what was done was told before looking");
});

test("with requests under way elsewhere the ring is not looked at again: their end would have to wait", () => {
  const { driver, ring } = pacedPair({ spin: 1000 });
  add(driver, 2);
  ring.push(ring.pop() as Chain, 0);
  const late = ring.pop() as Chain;
  const took = timeOf(() => assert.ok(ring.enableNotifications()));
  ring.push(late, 0);
  const spun = timeOf(() => assert.ok(ring.enableNotifications()));
  assert.ok(took < 0.9 && spun >= 0.9, `${took} ms with one under way, ${spun} ms with none`);
});

/** Milliseconds. */
function timeOf(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

test("looking that finds nothing again and again becomes rare, and usual again when it finds something", () => {
  const { driver, ring } = pacedPair({ spin: 1000, size: 256 });
  const turn = () => {
    add(driver, 1);
    for (let chain = ring.pop(); chain !== undefined; chain = ring.pop()) ring.push(chain, 0);
    const took = timeOf(() => void ring.enableNotifications());
    ring.publish();
    reapAll(driver);
    return took >= 0.9;
  };
  const looks = Array.from({ length: 120 }, turn).filter((looked) => looked).length;
  assert.ok(looks >= 4 && looks < 14, `looked ${looks} of 120 times`);
});
