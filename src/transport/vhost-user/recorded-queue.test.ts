/** What an earlier server left in flight, as its successor serves it: rings of both formats behave alike. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeRingPair } from "../../testing/ring-pair.js";
import { chainOf, pairData } from "../../testing/split-pair.js";
import type { Chain, RingFormat } from "../../virtqueue/index.js";
import { featureSet, ringFeatures } from "../features.js";
import { inflightRegionSize } from "./inflight.js";
import { openRing } from "./open-ring.js";
import { packedInflightRegionSize } from "./packed-inflight.js";
import type { RingSetup } from "./queue-runner.js";
import type { DeviceRing } from "./recorded-queue.js";

const size = 8;
const regionSizes = { split: inflightRegionSize(size), packed: packedInflightRegionSize(size) };
/** Where a fresh ring starts: a packed one in the first lap on both sides. */
const starts = { split: 0, packed: 0x8000_8000 };
const formatFeatures = { split: 0n, packed: featureSet(ringFeatures.RING_PACKED) };

/** A driver, and servers that follow each other on its ring. */
function ringWithRecord(format: RingFormat, bytes = new Uint8Array(regionSizes[format])) {
  const { driver, memory, addresses } = makeRingPair({ format, size });
  const add = (...lengths: number[]) => {
    for (const length of lengths) assert.ok(driver.add(chainOf([[pairData, length]]), length));
    driver.publish();
  };
  const serve = (base = starts[format]): DeviceRing => {
    const setup: RingSetup = {
      ...{ memory, regions: [], addresses, index: 0, size, features: formatFeatures[format], endianness: "little" },
      ...{ base, kick: undefined, call: undefined, inflight: { bytes, address: 0 } },
    };
    return openRing(setup);
  };
  return { driver, add, serve, bytes };
}

/** Chains are known by their lengths. */
function popAll(ring: DeviceRing): Chain[] {
  const chains: Chain[] = [];
  for (let chain = ring.pop(); chain !== undefined; chain = ring.pop()) chains.push(chain);
  return chains;
}
const lengths = (chains: readonly Chain[]) => chains.map(({ readable }) => readable.byteLength);

for (const format of ["split", "packed"] as const) {
  test(`${format}: what was popped and not pushed is served first, in its order, then what is new`, () => {
    const { driver, add, serve } = ringWithRecord(format);
    add(1, 2, 3, 4);
    const first = serve();
    const chains = popAll(first);
    first.push(chains[1], 0);
    assert.equal(first.publish(), true);
    assert.equal(driver.reap(), 2);
    const second = serve();
    assert.equal(second.enableNotifications(), false, "nobody waits while there is something to serve");
    add(5);
    const again = popAll(second);
    assert.deepEqual(lengths(again), [1, 3, 4, 5]);
    assert.equal(second.enableNotifications(), true);
    for (const chain of again) second.push(chain, 0);
    second.publish();
    const reaped = [driver.reap(), driver.reap(), driver.reap(), driver.reap(), driver.reap()];
    assert.deepEqual(reaped, [1, 3, 4, 5, undefined]);
    assert.deepEqual(popAll(serve()), [], "all is done");
  });

  test(`${format}: a ring that is abandoned answers nothing any more, and all that it had is served again`, () => {
    const { driver, add, serve } = ringWithRecord(format);
    add(1, 2, 3);
    const first = serve();
    const [one, two] = popAll(first);
    first.abandon();
    first.push(one, 0);
    first.retire(two, 0);
    first.publish();
    assert.equal(driver.reap(), undefined);
    const second = serve();
    second.abandon();
    assert.equal(second.pop(), undefined, "not what is served again either");
    assert.equal(second.enableNotifications(), true, "nothing is looked for any more");
    assert.deepEqual(lengths(popAll(serve())), [1, 2, 3]);
  });

  test(`${format}: what is given back is not served again on a ring that begins anew`, () => {
    const { add, serve, bytes } = ringWithRecord(format);
    add(1, 2);
    const first = serve();
    popAll(first);
    first.giveBack?.();
    const next = ringWithRecord(format, bytes);
    next.add(3);
    assert.deepEqual(lengths(popAll(next.serve())), [3]);
  });

  test(`${format}: where a ring goes on without a record is before what was not served again yet`, () => {
    const { add, serve } = ringWithRecord(format);
    add(1, 2, 3);
    const first = serve();
    const { nextAvailable, base } = first;
    popAll(first);
    const second = serve();
    assert.deepEqual([second.nextAvailable, second.base], [nextAvailable, base]);
    second.pop();
    assert.deepEqual([second.nextAvailable, second.base], [nextAvailable + 1, base]);
  });
}
