/** The driver half of virtio-blk: errors, limits, devices that fail or never answer, and removal under load. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DeviceError, ProtocolError, UnsupportedError } from "../../errors/index.js";
import type { FaultHook } from "../../observe/index.js";
import { MemoryStore } from "../../storage/index.js";
import {
  createBlkLoopback,
  FailingStore,
  failRange,
  type LoopbackTransport,
  plugBlkLoopback,
  SlowStore,
} from "../../testing/index.js";
import {
  BlkBlocks,
  BlkRequestError,
  BlkStatus,
  BlkType,
  blkFeatures,
  knownBlkFeatures,
  RequestAborted,
} from "./index.js";

const transports: readonly LoopbackTransport[] = ["legacy-be", "legacy-le", "modern"];
const never: FaultHook = { blockRequest: () => ({ kind: "never" }) };

function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 11 + (index >> 9)) & 0xff);
}

for (const transport of transports) {
  for (const indirect of [false, true]) {
    const name = `${transport}, ${indirect ? "indirect" : "direct"}`;

    test(`${name}: transfers are cut to seg_max, size_max and the ring`, async () => {
      for (const [segMax, sizeMax, queueSize] of [
        [1, 512, 4],
        [1, 4096, 16],
        [3, 1000, 8],
        [2, undefined, 4],
        [100, 777, 16],
      ] as const) {
        const loop = await createBlkLoopback({
          ...{ transport, indirect, startIndex: 65_500 },
          device: { segMax, queueSize, ...(sizeMax === undefined ? {} : { sizeMax }) },
          poison: { pieceLength: (left) => Math.min(left, segMax === 1 ? 1536 : 900) },
        });
        const data = pattern(60 * 512);
        await loop.driver.writeSectors(7, data);
        const back = new Uint8Array(data.length);
        await loop.driver.readSectors(7, back);
        assert.ok(Buffer.compare(back, data) === 0, `seg_max ${segMax}, size_max ${sizeMax}`);
        assert.deepEqual([...loop.adapter.core.violations], []);
        await loop.close();
      }
    });

    test(`${name}: removal under load fails each request once, memory comes back`, async () => {
      const loop = await createBlkLoopback({ transport, indirect, faults: never, startIndex: 65_500 });
      let ended = 0;
      const reads = Array.from({ length: 300 }, () =>
        loop.driver.readSectors(0, new Uint8Array(1024), { timeout: 0 }).finally(() => ended++),
      );
      await loop.driver.close(new DeviceError("pulled out"));
      const all = await Promise.allSettled(reads);
      for (const one of all) {
        assert.ok(one.status === "rejected" && (one.reason as Error).message === "pulled out");
      }
      assert.equal(ended, 300);
      await assert.rejects(loop.driver.readSectors(0, new Uint8Array(512)), /pulled out/);
      assert.equal(loop.adapter.core.status, 0, "reset comes first");
      assert.equal(loop.device.running.size, 0);
      loop.dma?.assertNothingAllocated();
      await loop.unplug();
    });
  }
}

test("a transfer of many windows and requests, against a store that answers late and out of order", async () => {
  const store = new SlowStore(new MemoryStore(4 << 20), { longestDelay: 2 });
  const loop = await createBlkLoopback({
    ...{ store, ramSize: 16 << 20, device: { queues: 2 } },
    driver: { queues: 2, requestBytes: 20_000, windowBytes: 300_000 },
  });
  const data = pattern(3 << 20);
  await loop.driver.writeSectors(100, data, { queue: 1 });
  const back = new Uint8Array(data.length);
  await loop.driver.readSectors(100, back, { queue: 0 });
  assert.ok(Buffer.compare(back, data) === 0);
  await loop.close();
});

test("errors name the request and carry its status; the other requests of the transfer end first", async () => {
  const store = new FailingStore(new MemoryStore(1 << 20), failRange(["read", "flush"], 5000, 1, "read"), {
    by: "reject",
  });
  const loop = await createBlkLoopback({ store, driver: { requestBytes: 4096 } });
  await assert.rejects(loop.driver.readSectors(0, new Uint8Array(65536)), (error: unknown) => {
    assert.ok(error instanceof BlkRequestError);
    assert.deepEqual([error.status, error.type], [BlkStatus.IoError, BlkType.In]);
    assert.equal(error.message, "read of 8 sectors at 8: IoError");
    return true;
  });
  assert.equal(loop.driver.inFlight, 0);
  await loop.close();
});

test("R-803: nothing past the capacity or between sectors is sent", async () => {
  const loop = await createBlkLoopback();
  const { driver } = loop;
  const bad: (() => Promise<unknown>)[] = [
    () => driver.readSectors(2048, new Uint8Array(512)),
    () => driver.readSectors(2047, new Uint8Array(1024)),
    () => driver.readSectors(-1, new Uint8Array(512)),
    () => driver.readSectors(0.5, new Uint8Array(512)),
    () => driver.readSectors(2 ** 53, new Uint8Array(512)),
    () => driver.writeSectors(0, new Uint8Array(513)),
    () => driver.discard([{ sector: 2048, sectors: 1 }]),
    () => driver.writeZeroes([{ sector: 0, sectors: 2049 }]),
    () => new BlkBlocks(driver).readBlocks(2048, 1),
    () => new BlkBlocks(driver).write(0, new Uint8Array(100)),
  ];
  for (const call of bad) await assert.rejects(async () => call(), RangeError);
  assert.deepEqual([...loop.adapter.core.violations], []);
  await loop.close();
});

test("what was not negotiated is not sent", async () => {
  const without = (...bits: number[]) => bits.reduce((set, bit) => set & ~(1n << BigInt(bit)), knownBlkFeatures);
  const seen: number[] = [];
  const faults: FaultHook = {
    blockRequest: ({ type }) => {
      seen.push(type);
      return undefined;
    },
  };
  const { FLUSH, DISCARD, WRITE_ZEROES, CONFIG_WCE } = blkFeatures;
  const features = without(FLUSH, DISCARD, WRITE_ZEROES, CONFIG_WCE);
  const loop = await createBlkLoopback({ faults, driver: { features } });
  await loop.driver.flushCache();
  await assert.rejects(loop.driver.discard([{ sector: 0, sectors: 1 }]), UnsupportedError);
  await assert.rejects(loop.driver.writeZeroes([{ sector: 0, sectors: 1 }]), UnsupportedError);
  assert.throws(() => loop.driver.setWriteCache(true), UnsupportedError);
  assert.deepEqual(seen, []);
  await loop.close();
});

test("a request without an answer: the promise ends in time, the memory stays lent, then the device is given up", async () => {
  const loop = await createBlkLoopback({ faults: never, driver: { timeout: 10, grace: 30 } });
  const failures: Error[] = [];
  loop.driver.onFailure((error) => failures.push(error));
  await assert.rejects(loop.driver.readSectors(0, new Uint8Array(512)), (error: unknown) => {
    assert.ok(error instanceof RequestAborted);
    assert.match(error.message, /^read of 1 sectors at 0: no answer in 10 ms$/);
    return true;
  });
  assert.equal(loop.dma?.sharedBuffers, 1, "the device may still write to it");
  for (let turn = 0; turn < 100 && failures.length === 0; turn++) await new Promise((r) => setTimeout(r, 5));
  assert.equal(failures.length, 1);
  await loop.driver.close();
  loop.dma?.assertNothingAllocated();
  const again = await loop.openDriver();
  assert.equal(again.info.capacity, 2048, "another driver can start");
  await again.close();
  await loop.unplug();
});

test("a signal stops the waiting; a device that answers late keeps its driver", async () => {
  const store = new SlowStore(new MemoryStore(1 << 20), { isHeld: true });
  const loop = await createBlkLoopback({ store, driver: { grace: 1000 } });
  const controller = new AbortController();
  const read = loop.driver.readSectors(0, new Uint8Array(512), { signal: controller.signal });
  setTimeout(() => controller.abort(), 5);
  await assert.rejects(read, /called off/);
  assert.equal(loop.driver.inFlight, 1);
  await store.releaseAll();
  await loop.machine.idle(20);
  assert.deepEqual([loop.driver.inFlight, loop.dma?.sharedBuffers, loop.driver.failure], [0, 0, undefined]);
  await assert.rejects(
    loop.driver.readSectors(0, new Uint8Array(512), { signal: AbortSignal.abort() }),
    /called off/,
    "called off before it was sent",
  );
  assert.equal(loop.driver.inFlight, 0);
  await loop.close();
});

test("a request that waits for room is called off without being sent", async () => {
  const store = new SlowStore(new MemoryStore(1 << 20), { isHeld: true });
  const loop = await createBlkLoopback({ store, indirect: false, device: { queueSize: 4 } });
  const first = loop.driver.readSectors(0, new Uint8Array(512));
  const controller = new AbortController();
  const second = loop.driver.readSectors(1, new Uint8Array(512), { signal: controller.signal });
  controller.abort();
  await assert.rejects(second, RequestAborted);
  await store.releaseAll();
  await first;
  await loop.close();
});

for (const transport of transports) {
  test(`${transport}: an interrupt that is lost costs time only`, async () => {
    let lose = false;
    const loop = await createBlkLoopback({ transport, faults: { loseInterrupt: () => lose } });
    const data = pattern(512);
    await loop.driver.writeSectors(3, data);
    lose = true;
    const back = new Uint8Array(512);
    await loop.driver.readSectors(3, back, { timeout: 20 });
    assert.deepEqual(back, data);
    lose = false;
    await loop.close();
  });
}

test("a device that needs a reset is given up, each request fails once", async () => {
  const loop = await createBlkLoopback({ faults: never });
  const read = loop.driver.readSectors(0, new Uint8Array(512), { timeout: 0 });
  loop.adapter.core.fail(new ProtocolError("chain-too-long"));
  await assert.rejects(read, { code: "device-needs-reset" });
  await loop.driver.close();
  await loop.unplug();
});

test("a device that uses a request without writing its status", async () => {
  const plugged = plugBlkLoopback();
  const driver = await plugged.openDriver();
  const queue = plugged.adapter.core.queue(0);
  assert.ok(queue !== undefined);
  plugged.device.notified = () => {
    do {
      for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) queue.push(chain, 0);
    } while (!queue.enableNotifications());
    if (queue.publish()) plugged.adapter.core.signal(0);
  };
  await assert.rejects(driver.readSectors(0, new Uint8Array(512)), { code: "response-short" });
  await assert.rejects(driver.identify(), { code: "response-short" });
  await driver.close();
  await plugged.unplug();
});

test("a request at ring level: its status comes last, whatever is added", async () => {
  const loop = await createBlkLoopback();
  const request = loop.driver.acquireRequest();
  request.setHeader(BlkType.In, 0);
  request.seal();
  assert.throws(() => request.addIn(0x1000, 512), RangeError);
  loop.driver.releaseRequest(request);
  await loop.close();
});

test("a device that does not reset keeps what it was lent: it is not used again", async () => {
  const loop = await createBlkLoopback({ faults: never });
  const read = loop.driver.readSectors(0, new Uint8Array(512), { timeout: 0 });
  loop.adapter.core.writeStatus = () => {}; // A reset that never ends.
  const clock = Date.now;
  let now = 0;
  Date.now = () => (now += 1000);
  try {
    await assert.rejects(loop.driver.close(), { code: "reset-never-ends" });
  } finally {
    Date.now = clock;
  }
  await assert.rejects(read, DeviceError);
  assert.equal(loop.dma?.sharedBuffers, 1);
  assert.throws(() => loop.dma?.assertNothingAllocated());
  await loop.unplug();
});
