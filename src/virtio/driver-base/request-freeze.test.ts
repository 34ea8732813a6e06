/** Freeze and restore of drivers of request queues, by virtio-blk and virtio-scsi: what is in flight ends, what comes waits. */
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { plugBlkLoopback } from "../../testing/index.js";
import { DeviceStatus, ringFeatures } from "../../transport/index.js";
import { BlkType, RequestAborted, VirtioBlkDriver } from "../index.js";
import { blockSize, endings, kinds, pause, type SubjectOptions, subjects, unit } from "./freeze-subjects.test.js";

const rings: readonly (readonly [string, SubjectOptions])[] = [
  ["legacy big-endian", { transport: "legacy-be", startIndex: 65_500 }],
  ["legacy little-endian, direct", { transport: "legacy-le", indirect: false }],
  ["modern, INTx", { interrupts: "intx", startIndex: 65_530 }],
  ["modern, direct", { indirect: false, eventIndex: false }],
  ["packed", { packed: true, startIndex: 65_500 }],
  ["packed, in order", { packed: true, furtherRingFeatures: 1n << BigInt(ringFeatures.IN_ORDER) }],
];

const filled = (value: number) => new Uint8Array(blockSize * 2).fill(value);

test("a driver without interrupts looks for the ends of its requests while it waits to freeze", async () => {
  const faults = { blockRequest: () => ({ kind: "delay", milliseconds: 5 }) as const };
  const plugged = plugBlkLoopback({ faults });
  const driver = await VirtioBlkDriver.open(plugged.openTransport({ prefer: "none" }), { timeout: 0 });
  assert.equal(driver.link.interruptMode, "none");
  const read = driver.readSectors(0, new Uint8Array(blockSize));
  await driver.freeze();
  await read;
  await driver.close();
  await plugged.unplug();
});

for (const [name, open] of subjects) {
  for (const [ring, options] of rings) {
    test(`${name}, ${ring}: frozen under load what the device has ends, the rest waits for the restore; data is right`, async () => {
      const subject = await open({ ...options, manner: "late" });
      const { loop } = subject;
      const { driver } = loop;
      // More than the rings take: some are in flight, some wait for room.
      const before = Array.from({ length: 60 }, (_, index) =>
        subject.write(2 * index, filled(index), { queue: index % 2 }),
      );
      let ended = 0;
      for (const one of before) one.finally(() => ended++).catch(() => {});
      const freezing = driver.freeze();
      const has = driver.inFlight;
      assert.ok(has > 0 && has < 60, `${has} in flight`);
      const during = subject.write(200, filled(200));
      await freezing;
      assert.equal(driver.state, "frozen");
      assert.equal(loop.adapter.core.status, 0, "the device was reset");
      assert.deepEqual([driver.inFlight, ended], [0, has], "what the device had ended, nothing else did");
      const atRest = subject.seen;
      const after = Array.from({ length: 20 }, (_, index) =>
        subject.write(300 + 2 * index, filled(100 + index), { queue: index % 2 }),
      );
      await pause(20);
      assert.equal(subject.seen, atRest, "nothing reaches the device");
      assert.throws(() => driver.link, /the driver is frozen/);
      subject.manner = "answers";
      await driver.restore();
      assert.equal(driver.state, "up");
      assert.ok((loop.adapter.core.status & DeviceStatus.DriverOk) !== 0);
      assert.deepEqual(kinds(await endings([...before, during, ...after])), ["fulfilled"]);
      assert.equal(subject.seen, 81, "each request reached the device once");
      const back = new Uint8Array(blockSize * 2);
      for (let index = 0; index < 60; index++) {
        await subject.read(2 * index, back, { queue: index % 2 });
        assert.deepEqual(back, filled(index));
      }
      for (let index = 0; index < 20; index++) {
        await subject.read(300 + 2 * index, back);
        assert.deepEqual(back, filled(100 + index));
      }
      assert.deepEqual([...loop.adapter.core.violations], []);
      await loop.close();
    });
  }

  test(`${name}: a freeze gives rings, tables and requests back; a hundred freezes lose nothing`, async () => {
    const subject = await open({});
    const { driver, dma } = subject.loop;
    for (let time = 0; time < 100; time++) {
      await subject.write(time, new Uint8Array(blockSize).fill(time));
      await driver.freeze();
      dma?.assertNothingAllocated();
      await driver.restore();
    }
    const back = new Uint8Array(blockSize * 100);
    await subject.read(0, back);
    for (let time = 0; time < 100; time++) assert.equal(back[time * blockSize], time);
    await subject.loop.close();
  });

  test(`${name}: time-outs and signals go on while the driver is frozen`, async () => {
    const subject = await open({});
    const { driver, dma } = subject.loop;
    await driver.freeze();
    const controller = new AbortController();
    const { signal } = controller;
    const late = subject.read(0, new Uint8Array(blockSize), { timeout: 10 });
    const called = subject.read(0, new Uint8Array(blockSize), { signal });
    const patient = subject.read(0, new Uint8Array(blockSize), { timeout: 0 });
    await assert.rejects(late, (error) => error instanceof RequestAborted && /no answer in 10 ms/.test(error.message));
    controller.abort();
    await assert.rejects(called, (error) => error instanceof RequestAborted && /called off/.test(error.message));
    assert.equal(getEventListeners(signal, "abort").length, 0);
    assert.equal(dma?.sharedBuffers, 1, "what is called off gives its buffer back at once");
    await driver.restore();
    await patient;
    assert.equal(subject.seen, 1, "what was called off was never sent");
    await subject.loop.close();
  });

  test(`${name}: a freeze waits no longer than requests do: a device that keeps one is given up`, async () => {
    const subject = await open({ manner: "never", timeout: 20 });
    const { driver } = subject.loop;
    const failures: Error[] = [];
    driver.onFailure((error) => failures.push(error));
    if ("manageTasks" in driver) driver.manageTasks = () => new Promise(() => {});
    const read = subject.read(0, new Uint8Array(blockSize));
    const freezing = driver.freeze();
    const waiting = subject.read(1, new Uint8Array(blockSize), { timeout: 0 });
    await assert.rejects(read, RequestAborted);
    await assert.rejects(freezing, RequestAborted);
    await assert.rejects(waiting, RequestAborted);
    assert.deepEqual([driver.state, failures.length], ["closed", 1]);
    await subject.loop.close();
  });

  test(`${name}: without limits of their own requests have the driver's time at a freeze, then fail once with the reset`, async () => {
    const subject = await open({ manner: "never", timeout: 30 });
    const { driver } = subject.loop;
    const reads = Array.from({ length: 30 }, () => subject.read(0, new Uint8Array(blockSize), { timeout: 0 }));
    const has = driver.inFlight;
    await driver.freeze();
    assert.equal(driver.state, "frozen");
    subject.manner = "answers";
    await driver.restore();
    const all = await endings(reads);
    assert.deepEqual(kinds(all).sort(), ["fulfilled", "the driver is frozen"]);
    assert.equal(
      all.filter((one) => one !== "fulfilled").length,
      has,
      "those that the device had, not those that waited",
    );
    await subject.loop.close();
  });

  test(`${name}: a freeze while it is closed, twice, and a restore of what is up are refused and change nothing`, async () => {
    const subject = await open({ manner: "late" });
    const { driver } = subject.loop;
    await assert.rejects(driver.restore(), /the driver is up/);
    const read = subject.read(0, new Uint8Array(blockSize));
    const first = driver.freeze();
    await assert.rejects(driver.freeze(), /about to be frozen/);
    await Promise.all([first, read]);
    await assert.rejects(driver.freeze(), /the driver is frozen/);
    const restoring = driver.restore();
    await assert.rejects(driver.restore(), /about to be/);
    await restoring;
    await subject.read(0, new Uint8Array(blockSize));
    const closing = driver.close();
    await assert.rejects(driver.freeze(), /the driver is closed/);
    await closing;
    await subject.loop.close();
  });

  test(`${name}: nothing more than before is agreed on at a restore`, async () => {
    const subject = await open({ eventIndex: false });
    const { driver } = subject.loop;
    const { features } = driver.link;
    await driver.freeze();
    const offered = driver.transport.readFeatures.bind(driver.transport);
    driver.transport.readFeatures = () => offered() | (1n << BigInt(ringFeatures.EVENT_IDX));
    await driver.restore();
    assert.equal(driver.link.features, features);
    await subject.loop.close();
  });

  test(`${name}: at ring level a freeze lets requests end, and takes no new ones until the restore`, async () => {
    const subject = await open({ manner: "late" });
    const { loop } = subject;
    const { driver } = loop;
    let ended = 0;
    const prepare = () => {
      if ("manageTasks" in driver) {
        const request = driver.acquireRequest();
        driver.address(request, unit);
        request.cdb.fill(0);
        return { request, submit: () => driver.submit(request), release: () => driver.releaseRequest(request) };
      }
      const request = driver.acquireRequest();
      request.setHeader(BlkType.Flush, 0);
      return { request, submit: () => driver.submit(request), release: () => driver.releaseRequest(request) };
    };
    const some = Array.from({ length: 5 }, prepare);
    for (const { request, submit } of some) {
      request.onEnd = () => {
        ended++;
        assert.equal(request.outcome, "done");
        assert.equal(submit(), false, "there is no room while a freeze is under way");
      };
      assert.ok(submit());
    }
    driver.flush();
    await driver.freeze();
    assert.equal(ended, 5);
    assert.equal(some[0].submit(), false);
    driver.flush();
    assert.equal(driver.poll(), 0);
    subject.manner = "answers";
    await driver.restore();
    for (const { request, submit } of some) {
      request.onEnd = () => void ended++;
      assert.ok(submit());
    }
    driver.flush();
    while (ended < 10) await loop.machine.idle(1);
    for (const { release } of some) release();
    await loop.close();
  });
}
