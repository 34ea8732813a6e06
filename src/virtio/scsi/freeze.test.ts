/** What of an adapter is the same after a freeze: its events, its task management, the sizes of CDBs and sense. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { UnsupportedError } from "../../errors/index.js";
import { cdb, unitAddress } from "../../scsi/index.js";
import { createLoopback, memoryDisk } from "../../testing/index.js";
import { type ScsiEventReport, ScsiResponse, scsiConfig, TaskManagement } from "./index.js";

const unit = unitAddress(0, 0);

for (const packed of [false, true]) {
  test(`${packed ? "packed" : "split"}: after a restore the event queue is filled again, and says that events may be missing`, async () => {
    const loop = await createLoopback({ packed, driver: { eventBuffers: 2 } });
    const { driver, bus, machine } = loop;
    const events: ScsiEventReport[] = [];
    driver.onEvent((event) => events.push(event));
    for (let time = 0; time < 3; time++) {
      await driver.freeze();
      assert.equal(events.length, 0);
      const { target, lun, unit: disk } = memoryDisk(1, time);
      bus.attach(target, lun, disk); // Nobody is told of this one.
      await driver.restore();
      assert.deepEqual(
        events.splice(0).map(({ kind, missed }) => [kind, missed]),
        [["none", true]],
      );
      // More than there are buffers: they are given again and again.
      for (let more = 0; more < 5; more++) {
        const plugged = memoryDisk(2 + more, time);
        bus.attach(plugged.target, plugged.lun, plugged.unit);
        await machine.idle(2);
      }
      assert.deepEqual(
        events.splice(0).map(({ kind, target: at, lun: number }) => [kind, at, number]),
        [2, 3, 4, 5, 6].map((at) => ["rescan", at, time]),
      );
      const found = await driver.execute(unitAddress(1, time), cdb.testUnitReady());
      assert.equal(found.response, ScsiResponse.Ok);
    }
    await loop.close();
  });
}

test("task management that is sent to a frozen driver waits for the restore; a removal fails it once", async () => {
  const loop = await createLoopback();
  const { driver } = loop;
  await driver.freeze();
  let isAnswered = false;
  const reset = driver.manageTasks(TaskManagement.LogicalUnitReset, unit).finally(() => {
    isAnswered = true;
  });
  await loop.machine.idle(5);
  assert.equal(isAnswered, false);
  await driver.restore();
  assert.equal(await reset, ScsiResponse.Ok);
  await driver.freeze();
  const waiting = driver.manageTasks(TaskManagement.QueryTaskSet, unit);
  await driver.close(new Error("pulled out"));
  await assert.rejects(waiting, /pulled out/);
  await loop.close();
});

test("task management that the device has is waited for by a freeze, no longer than the driver's time", async () => {
  const loop = await createLoopback({ driver: { timeout: 20 } });
  const { driver, device } = loop;
  const notified = device.notified.bind(device);
  device.notified = () => {}; // Nothing is answered any more.
  const query = driver.manageTasks(TaskManagement.QueryTaskSet, unit);
  const started = performance.now();
  await Promise.all([assert.rejects(query, /the driver is frozen/), driver.freeze()]);
  assert.ok(performance.now() - started >= 19);
  device.notified = notified;
  await driver.restore();
  assert.equal(await driver.manageTasks(TaskManagement.QueryTaskSet, unit), ScsiResponse.Ok);
  await loop.close();
});

test("an abort that the device does not answer ends with the freeze's reset: the driver is frozen, not given up", async () => {
  const faults = { command: () => ({ kind: "never" }) as const };
  const loop = await createLoopback({ faults, driver: { timeout: 20 } });
  const { driver, device } = loop;
  const notified = device.notified.bind(device);
  device.notified = (queue) => {
    if (queue !== 0) notified(queue);
  };
  const controller = new AbortController();
  const command = driver.execute(unit, cdb.testUnitReady(), { timeout: 0, signal: controller.signal });
  controller.abort();
  await assert.rejects(command, /called off/);
  await driver.freeze();
  await loop.machine.idle(5);
  assert.deepEqual([driver.state, driver.failure], ["frozen", undefined]);
  await driver.restore();
  await loop.close();
});

test("sizes that the driver asked for are asked for again", async () => {
  const loop = await createLoopback({ driver: { cdbSize: 64, senseSize: 40 } });
  const { driver } = loop;
  await driver.freeze();
  const waiting = driver.execute(unit, new Uint8Array(64).fill(0));
  await driver.restore();
  assert.deepEqual([driver.config.cdbSize, driver.config.senseSize], [64, 40]);
  assert.equal((await waiting).response, ScsiResponse.Ok);
  await loop.close();
});

test("an adapter that comes back with another cdb_size: requests that wait were not laid out for it, each fails once", async () => {
  const loop = await createLoopback();
  const { driver } = loop;
  await driver.freeze();
  const waiting = [1, 2, 3].map(() => driver.execute(unit, cdb.testUnitReady()));
  const readConfig = driver.transport.readConfig.bind(driver.transport);
  driver.transport.readConfig = (at, width) => (at === scsiConfig.offset.cdbSize ? 48 : readConfig(at, width));
  const isReason = (error: Error) => error instanceof UnsupportedError && /cdbSize 48, it had 32/.test(error.message);
  await assert.rejects(driver.restore(), isReason);
  for (const one of waiting) await assert.rejects(one, isReason);
  await loop.close();
});

test("cmd_per_lun counts from nothing after a restore, and as the device says then", async () => {
  let isStuck = true;
  const faults = { command: () => (isStuck ? ({ kind: "never" } as const) : undefined) };
  const loop = await createLoopback({ faults, device: { commandsPerUnit: 3 }, driver: { timeout: 20 } });
  const { driver } = loop;
  const send = () => driver.execute(unit, cdb.testUnitReady(), { timeout: 0 });
  const commands = Array.from({ length: 6 }, send);
  assert.equal(driver.inFlight, 3);
  const all = Promise.allSettled(commands);
  await driver.freeze();
  const readConfig = driver.transport.readConfig.bind(driver.transport);
  driver.transport.readConfig = (at, width) => (at === scsiConfig.offset.cmdPerLun ? 1 : readConfig(at, width));
  isStuck = false;
  await driver.restore();
  assert.deepEqual(
    (await all).map(({ status }) => status),
    ["rejected", "rejected", "rejected", "fulfilled", "fulfilled", "fulfilled"],
  );
  isStuck = true;
  const last = Promise.allSettled([send(), send()]);
  assert.equal(driver.inFlight, 1);
  await loop.close();
  await last;
});
