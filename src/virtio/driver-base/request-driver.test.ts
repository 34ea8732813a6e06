/** What the drivers of all request queues have in common, by virtio-blk and by virtio-scsi. */
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import type { FaultHook } from "../../observe/index.js";
import { cdb, Disk, unitAddress } from "../../scsi/index.js";
import { MemoryStore } from "../../storage/index.js";
import { type BlkLoopback, createBlkLoopback, createLoopback, type Loopback } from "../../testing/index.js";
import { blkFeatures, knownBlkFeatures, RequestAborted } from "../index.js";

const unit = unitAddress(0, 0);
const sector = 512;

/** One driver, by what both can do. */
interface Subject {
  readonly name: string;
  /** Four descriptors a queue, two queues; requests on queue 0 are never answered while `isStuck`. */
  open(stuck: { isStuck: boolean }): Promise<{
    readonly loop: Loopback | BlkLoopback;
    read(options?: { queue?: number; signal?: AbortSignal; timeout?: number }, byteLength?: number): Promise<unknown>;
  }>;
}

const subjects: readonly Subject[] = [
  {
    name: "virtio-blk",
    async open(stuck) {
      const faults: FaultHook = {
        blockRequest: ({ queue }) => (stuck.isStuck && queue === 0 ? { kind: "never" } : undefined),
      };
      const device = { queues: 2, queueSize: 4 };
      const loop = await createBlkLoopback({ faults, indirect: false, device, driver: { queues: 2 } });
      const read = (options = {}, byteLength = sector) =>
        loop.driver.readSectors(0, new Uint8Array(byteLength), { timeout: 0, ...options });
      return { loop, read };
    },
  },
  {
    name: "virtio-scsi",
    async open(stuck) {
      // Only what goes over queue 0 reads block 0.
      const faults: FaultHook = {
        command: (command) => (stuck.isStuck && command.cdb[5] === 0 ? { kind: "never" } : undefined),
      };
      const device = { requestQueues: 2, queueSize: 4 };
      const loop = await createLoopback({ faults, indirect: false, device, driver: { requestQueues: 2 } });
      const read = (options: { queue?: number } = {}, byteLength = sector) => {
        const command = cdb.read10(options.queue ?? 0, byteLength / sector);
        return loop.driver.execute(unit, command, { dataIn: new Uint8Array(byteLength), timeout: 0, ...options });
      };
      return { loop, read };
    },
  },
];

for (const { name, open } of subjects) {
  test(`${name}: a full queue does not hold up requests for other queues`, async () => {
    const { loop, read } = await open({ isStuck: true });
    const stuck = [1, 2, 3].map(() => read({ queue: 0 }));
    const first = Promise.race([...stuck.map((one) => one.then(() => "queue 0")), read({ queue: 1 })]);
    assert.notEqual(await first, "queue 0");
    assert.equal(loop.driver.inFlight, 1, "one of them has the ring's descriptors, the others wait");
    await loop.driver.close(new Error("over"));
    for (const one of stuck) await assert.rejects(one, /over/);
    await loop.close();
  });

  test(`${name}: many operations put one listener on their signal, and take it off`, async () => {
    const stuck = { isStuck: true };
    const { loop, read } = await open(stuck);
    const { signal } = new AbortController();
    const several = [1, 2, 3, 4, 5].map(() => read({ signal }));
    assert.equal(getEventListeners(signal, "abort").length, 1);
    stuck.isStuck = false;
    await read({ signal, queue: 1 });
    assert.equal(getEventListeners(signal, "abort").length, 1, "others still wait");
    await loop.driver.close(new Error("over"));
    await Promise.allSettled(several);
    assert.equal(getEventListeners(signal, "abort").length, 0);
    await loop.close();
  });

  test(`${name}: a signal calls off every operation that has it, sent or not, and no other`, async () => {
    const stuck = { isStuck: true };
    const { loop, read } = await open(stuck);
    const controller = new AbortController();
    const { signal } = controller;
    const called = [1, 2, 3].map(() => read({ signal }));
    const other = read();
    controller.abort();
    for (const one of called) await assert.rejects(one, RequestAborted);
    await assert.rejects(read({ signal }), RequestAborted, "a signal stays given");
    assert.equal(getEventListeners(signal, "abort").length, 0);
    await loop.driver.close(new Error("over"));
    await assert.rejects(other, /over/);
    await loop.close();
  });

  test(`${name}: after its removal a driver touches no memory that was its requests'`, async () => {
    const { loop, read } = await open({ isStuck: false });
    await read();
    await loop.driver.close(new Error("over"));
    await assert.rejects(read(), /over/);
    assert.throws(() => loop.driver.acquireRequest(), /over/);
    loop.driver.flush();
    assert.equal(loop.driver.poll(), 0);
    // Memory that was given back is poisoned; writing to it shows here.
    await loop.close();
  });
}

for (const [what, status] of [
  ["all ones", 0xff],
  ["zeros", 0],
] as const) {
  for (const { name, open } of subjects) {
    test(`${name}: a device is pulled out and nobody tells, its registers read ${what}: the first time-out finds out for all`, async () => {
      const { loop, read } = await open({ isStuck: true });
      const patient = [read(), read({ queue: 0 })];
      const late = read({ timeout: 20 });
      loop.driver.transport.readStatus = () => status;
      for (const one of [late, ...patient]) await assert.rejects(one, { code: "device-gone" });
      assert.equal(loop.driver.state, "closed");
      await loop.unplug();
    });
  }
}

/** Closes a driver whose device never ends its reset; time flies meanwhile. */
async function closeStuck(loop: Loopback | BlkLoopback): Promise<void> {
  loop.adapter.core.writeStatus = () => {};
  const clock = Date.now;
  let now = 0;
  Date.now = () => (now += 1000);
  try {
    await assert.rejects(loop.driver.close(), { code: "reset-never-ends" });
  } finally {
    Date.now = clock;
  }
}

test("a device that does not reset keeps all that it was lent: requests, their tables, event buffers", async () => {
  for (const loop of [await createBlkLoopback(), await createLoopback()]) {
    const { dma } = loop.driver.link.transport;
    let freed = 0;
    const free = dma.free.bind(dma);
    dma.free = (block) => {
      freed++;
      free(block);
    };
    loop.device.notified = () => {}; // Nothing is answered any more.
    const pending: Promise<unknown>[] =
      "manageTasks" in loop.driver
        ? [loop.driver.manageTasks(0, unit), loop.driver.execute(unit, cdb.testUnitReady(), { timeout: 0 })]
        : [loop.driver.flushCache({ timeout: 0 })];
    await closeStuck(loop);
    for (const one of pending) await assert.rejects(one, /removed/);
    assert.equal(freed, 0);
    await loop.unplug();
  }
});

test("virtio-blk: a packet command whose buffer lies in more pieces than the ring holds is refused", async () => {
  const { SCSI } = blkFeatures;
  const scsi = new Disk(new MemoryStore(1 << 20), { powerOnAttention: false });
  const loop = await createBlkLoopback({
    transport: "legacy-le",
    indirect: false,
    device: { queueSize: 8, scsi },
    driver: { features: knownBlkFeatures | (1n << BigInt(SCSI)) },
    poison: { pieceLength: () => 16 },
  });
  const command = loop.driver.executeScsi(cdb.read10(0, 1), { dataIn: new Uint8Array(512) }, { timeout: 200 });
  await assert.rejects(command, /pieces/);
  loop.dma?.assertNothingShared();
  await loop.close();
});
