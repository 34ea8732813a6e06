/** virtio-balloon, both halves against each other (0.9.5 appendix G, virtio 1.2 §5.5). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DeviceError } from "../../errors/index.js";
import { type LoopbackMachineOptions, type LoopbackTransport, loopDevice } from "../../testing/index.js";
import { hasFeature } from "../../transport/index.js";
import {
  type BalloonDriverOptions,
  BalloonQueue,
  BalloonTag,
  balloonConfig,
  balloonFeatures,
  balloonStatistic,
  balloonTagName,
  VirtioBalloonDevice,
  VirtioBalloonDriver,
  type VirtioBalloonOptions,
} from "./index.js";

const transports: readonly LoopbackTransport[] = ["legacy-be", "legacy-le", "modern"];

interface Setting extends LoopbackMachineOptions {
  readonly device?: VirtioBalloonOptions;
  readonly driver?: BalloonDriverOptions;
}

async function loop({ device, driver, ...machine }: Setting = {}) {
  const half = new VirtioBalloonDevice(device);
  const open = loopDevice(half, (transport) => VirtioBalloonDriver.open(transport, driver), machine);
  const found = await open;
  const reach = async (pages: number) => {
    half.setTarget(pages);
    await found.until(() => half.actual === pages && found.driver.pages === pages);
    await found.driver.settled();
  };
  return { ...found, device: half, reach };
}

/** Pages from a list, and what became of each. */
function listed(count: number) {
  const free = Array.from({ length: count }, (_, page) => 1000 + page);
  return { free, take: () => free.pop(), give: (page: number) => void free.push(page) };
}

for (const transport of transports) {
  test(`R-1102 ${transport}: pages come and go until there are as many as wanted, and actual says so`, async () => {
    const memory = listed(1000);
    const { device, driver, reach, close } = await loop({ transport, driver: { memory } });
    for (const pages of [1, 300, 1000, 999, 257, 600, 0]) {
      await reach(pages);
      assert.deepEqual([device.pages, driver.target, memory.free.length], [pages, pages, 1000 - pages]);
      for (const page of memory.free) assert.ok(!device.holds(page));
    }
    await close();
  });

  test(`R-1103 ${transport}: page numbers are addresses in units of 4096 bytes, of memory that nobody uses`, async () => {
    const inflated = new Set<number>();
    const device: VirtioBalloonOptions = {
      inflated: (page) => inflated.add(page),
      deflated: (page) => inflated.delete(page),
    };
    const { reach, close, machine } = await loop({ transport, device, poison: false });
    await reach(40);
    assert.equal(inflated.size, 40);
    for (const page of inflated) assert.ok(machine.memory.findRange(page * 4096, 4096) !== undefined, `${page}`);
    const others = machine.dma.allocate(4096 * 100, 4096);
    for (const page of inflated) {
      assert.ok(page * 4096 >= others.address + others.size || page * 4096 + 4096 <= others.address);
    }
    machine.dma.free(others);
    await reach(0);
    assert.equal(inflated.size, 0);
    await close();
  });

  test(`R-1104 ${transport}: num_pages at 0 and actual at 4 are little-endian, whatever the guest is`, async () => {
    const { adapter, reach, close, device } = await loop({ transport, driver: { memory: listed(1000) } });
    await reach(0x0102 + 100);
    // `readConfig` of the core composes the bytes as they lie, the lowest address lowest.
    assert.equal(adapter.core.readConfig(0, 4), 0x0102 + 100);
    assert.equal(adapter.core.readConfig(4, 4), 0x0102 + 100);
    assert.equal(adapter.core.readConfig(0, 1), 0x66);
    assert.equal(device.configSize, 8);
    await close();
  });

  test(`R-1107 ${transport}: a statistic is 10 packed bytes in the order of the queues; unknown tags pass, others are left out`, async () => {
    const numbers = new Map([
      [BalloonTag.SwapIn, 0x0102_0304_0506_0708n],
      [BalloonTag.TotalMemory, 2n ** 64n - 1n],
      [4711, 5n],
    ]);
    const { device, close, until } = await loop({ transport, driver: { statistics: () => numbers } });
    await until(() => device.statistics.size > 0);
    assert.deepEqual(await device.askStatistics(), numbers);
    await close();
  });
}

test("a device that is never content does not keep timers from their turn", { timeout: 10_000 }, async () => {
  let swaps = 0;
  // Bounded, so that without the rule the test fails and does not hang.
  const swap = (pages: number) => () => void (++swaps < 100_000 && half.setTarget(pages));
  const { device: half, close } = await loop({ device: { inflated: swap(0), deflated: swap(1) } });
  half.setTarget(1);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(swaps > 0 && swaps < 100_000, `${swaps} swaps`);
  await close();
});

test("R-1101: queues inflate, deflate, statistics; features MUST_TELL_HOST 0 and STATS_VQ 1", () => {
  assert.deepEqual({ ...BalloonQueue }, { Inflate: 0, Deflate: 1, Statistics: 2 });
  const whole = new VirtioBalloonDevice({ mustTellHost: true });
  assert.deepEqual([whole.features, whole.queueSizes.length], [3n, 3]);
  const bare = new VirtioBalloonDevice({ statistics: false });
  assert.deepEqual([bare.features, bare.queueSizes.length], [0n, 2]);
});

test("R-1101: the statistics queue is used only with STATS_VQ, and by who has something to tell", async () => {
  const statistics = () => new Map([[BalloonTag.FreeMemory, 1n]]);
  for (const [device, driver] of [
    [{ statistics: false }, { statistics }],
    [{ statistics: true }, {}],
  ] as const) {
    const found = await loop({ device, driver });
    assert.equal(hasFeature(found.driver.link.features, balloonFeatures.STATS_VQ), false);
    await found.reach(3);
    await assert.rejects(found.device.askStatistics(), DeviceError);
    await found.close();
  }
});

test("R-1105: with MUST_TELL_HOST a page is used again only after the device knows, without it it may be before", async () => {
  for (const mustTellHost of [true, false]) {
    const order: string[] = [];
    const memory = listed(10);
    const give = (page: number) => {
      order.push(`driver ${page}`);
      memory.give(page);
    };
    const device: VirtioBalloonOptions = { mustTellHost, deflated: (page) => order.push(`device ${page}`) };
    const found = await loop({ device, driver: { memory: { take: memory.take, give } } });
    await found.reach(4);
    await found.reach(0);
    assert.equal(order.length, 8);
    const first = order.slice(0, 4).map((line) => line.split(" ")[0]);
    assert.deepEqual(first, new Array(4).fill(mustTellHost ? "device" : "driver"));
    await found.close();
  }
});

test("R-1106: one buffer at the start, a new one each time that the device asks, kept in between", async () => {
  let told = 0;
  const statistics = () => new Map([[BalloonTag.MajorFaults, BigInt(++told)]]);
  const { device, adapter, close, until } = await loop({ driver: { statistics } });
  await until(() => device.statistics.get(BalloonTag.MajorFaults) === 1n);
  for (let round = 2; round < 6; round++) {
    const [first, second] = await Promise.all([device.askStatistics(), device.askStatistics()]);
    assert.equal(first.get(BalloonTag.MajorFaults), BigInt(round));
    assert.equal(first, second, "those who ask together get the same");
  }
  assert.equal(told, 5);
  assert.equal(adapter.core.queue(BalloonQueue.Statistics)?.inFlight, 1);
  assert.equal(adapter.core.requestsInFlight, 0, "what is kept for later is no request");
  await close();
});

test("R-1108: the tags of 0.9.5", () => {
  const names = ["SwapIn", "SwapOut", "MajorFaults", "MinorFaults", "FreeMemory", "TotalMemory"];
  assert.deepEqual(
    names.map((_, tag) => balloonTagName(tag)),
    names,
  );
  assert.equal(balloonStatistic.size, 10);
  assert.deepEqual([balloonConfig.offset.numPages, balloonConfig.offset.actual], [0, 4]);
});

test("memory that runs out: as many as there are, and more as soon as there are", async () => {
  const memory = listed(10);
  const { device, driver, close, until } = await loop({ driver: { memory, retryDelay: 5 } });
  device.setTarget(50);
  await until(() => device.actual === 10);
  await driver.settled();
  assert.equal(driver.pages, 10);
  for (let page = 0; page < 5; page++) memory.give(5000 + page);
  await until(() => device.actual === 15);
  await close();
});

test("mostPages: a device that wants everything does not get it", async () => {
  const { device, driver, close, until } = await loop({ driver: { memory: listed(100), mostPages: 20 } });
  device.setTarget(2 ** 32 - 1);
  await until(() => device.actual === 20);
  await driver.settled();
  assert.equal(driver.pages, 20);
  await close();
});

for (const mustTellHost of [false, true]) {
  test(`freeze brings all pages home and tells the device${mustTellHost ? " (MUST_TELL_HOST)" : ""}; restore gives them again`, async () => {
    const memory = listed(700);
    let deflated = 0;
    const device: VirtioBalloonOptions = { mustTellHost, deflated: () => deflated++ };
    const found = await loop({ device, driver: { memory } });
    await found.reach(600);
    await found.driver.freeze();
    assert.deepEqual([memory.free.length, found.driver.pages, deflated], [700, 0, 600]);
    assert.deepEqual([found.device.pages, found.device.actual, found.device.target], [0, 0, 600]);
    found.device.setTarget(300);
    await found.driver.restore();
    await found.until(() => found.device.actual === 300);
    assert.equal(found.device.pages, 300);
    await found.close();
    assert.equal(memory.free.length, 700);
  });
}

test("removal in the middle of an inflation: every page comes home once", async () => {
  const memory = listed(5000);
  const { device, driver, close } = await loop({ driver: { memory } });
  device.setTarget(5000);
  await new Promise((resolve) => setImmediate(resolve));
  await driver.close(new DeviceError("pulled out"));
  await driver.settled();
  assert.equal(new Set(memory.free).size, 5000);
  assert.equal(memory.free.length, 5000);
  assert.deepEqual([device.pages, device.actual], [0, 0]);
  await close();
});

test("statistics that somebody waits for end with the driver", async () => {
  const statistics = () => new Map([[BalloonTag.FreeMemory, 1n]]);
  const { device, driver, close, until } = await loop({ driver: { statistics }, interrupts: "intx" });
  await until(() => device.statistics.size > 0);
  const asked = device.askStatistics();
  const closing = driver.close();
  await assert.rejects(asked, /reset/);
  await closing;
  await assert.rejects(device.askStatistics(), /no driver/);
  await close();
});

test("a source of statistics that throws gives the driver up, not the program", async () => {
  const failures: string[] = [];
  let calls = 0;
  const statistics = () => {
    if (++calls > 1) throw new Error("no numbers today");
    return new Map([[BalloonTag.FreeMemory, 1n]]);
  };
  const { device, driver, close, until } = await loop({ driver: { statistics } });
  driver.onFailure((error) => failures.push(error.message));
  await until(() => device.statistics.size > 0);
  await assert.rejects(device.askStatistics());
  assert.deepEqual(failures, ["no numbers today"]);
  await close();
});
