/** Rules of 0.9.5 appendix I for drivers: what they send, how much of it at a time, and what they give first. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { FaultHook } from "../../observe/index.js";
import { cdb, unitAddress } from "../../scsi/index.js";
import { createLoopback, type LoopbackOptions, memoryDisk, plugLoopback } from "../../testing/index.js";
import { DeviceStatus } from "../../transport/index.js";
import { requestHeader, ScsiQueue, scsiConfig } from "./index.js";

const unit = unitAddress(0, 0);

/** An adapter whose configuration has other values, and the queues that are notified. */
function plug(options: LoopbackOptions, change: (view: DataView) => void) {
  const plugged = plugLoopback({ transport: "legacy-le", ...options });
  const { device } = plugged;
  const readConfig = device.readConfig.bind(device);
  device.readConfig = (view, endianness) => {
    readConfig(view, endianness);
    change(view);
  };
  const notified: number[] = [];
  const { core } = plugged.adapter;
  const notify = core.notify.bind(core);
  core.notify = (index) => {
    notified.push(index);
    notify(index);
  };
  return { ...plugged, notified };
}

test("R-1306: a unit has cmd_per_lun commands at most, other units go on, and nothing is lost", async (context) => {
  for (const commandsPerUnit of [1, 3]) {
    const units = [memoryDisk(0, 0), memoryDisk(0, 1)];
    const faults: FaultHook = { command: () => ({ kind: "delay", milliseconds: 2 }) };
    const loop = await createLoopback({ units, faults, device: { commandsPerUnit, queueSize: 64 } });
    const has = (address: number) => [...loop.device.running].filter((running) => running.address === address).length;
    const most = [0, 0];
    const commands = Array.from({ length: 24 }, async (_, index) => {
      const lun = index < 16 ? 0 : 1;
      const data = new Uint8Array(512).fill(index);
      const result = await loop.driver.execute(unitAddress(0, lun), cdb.write10(index, 1), { dataOut: data });
      assert.equal(result.status, 0);
    });
    const watch = setInterval(() => {
      for (const lun of [0, 1]) most[lun] = Math.max(most[lun], has(unitAddress(0, lun)));
    }, 1);
    context.after(() => clearInterval(watch));
    assert.deepEqual([has(unit), has(unitAddress(0, 1))], [commandsPerUnit, commandsPerUnit], "at once, both units");
    await Promise.all(commands);
    assert.ok(most[0] <= commandsPerUnit && most[1] <= commandsPerUnit, `${most}`);
    for (let index = 0; index < 24; index++) {
      const dataIn = new Uint8Array(512);
      await loop.driver.execute(unitAddress(0, index < 16 ? 0 : 1), cdb.read10(index, 1), { dataIn });
      assert.ok(dataIn.every((byte) => byte === index));
    }
    await loop.close();
  }
});

test("R-1306: a command that waits for its unit can be called off or run out of time, and a removal ends all, each once", async () => {
  let isSilent = false;
  const silent: FaultHook = { command: () => (isSilent ? { kind: "never" } : undefined) };
  const loop = await createLoopback({ faults: silent, device: { commandsPerUnit: 1 } });
  const stop = new AbortController();
  const ends: string[] = [];
  const send = (name: string, options: { signal?: AbortSignal; timeout: number }) =>
    loop.driver.execute(unit, cdb.testUnitReady(), options).then(
      () => ends.push(`${name} ended`),
      () => ends.push(`${name} failed`),
    );
  // Requests that were used before are used again.
  await Promise.all(Array.from({ length: 5 }, () => loop.driver.execute(unit, cdb.testUnitReady())));
  isSilent = true;
  const all = [
    send("first", { timeout: 0 }),
    send("second", { timeout: 0, signal: stop.signal }),
    send("third", { timeout: 20 }),
    send("fourth", { timeout: 0 }),
  ];
  assert.equal(loop.driver.inFlight, 1);
  stop.abort();
  await all[1];
  await all[2];
  assert.deepEqual(ends, ["second failed", "third failed"]);
  all.push(send("fifth", { timeout: 0 }));
  assert.equal(loop.driver.inFlight, 1);
  await loop.close();
  await Promise.all(all);
  assert.deepEqual(ends.slice(2).sort(), ["fifth failed", "first failed", "fourth failed"]);
});

test("R-1306: a device whose cmd_per_lun is 0 gets commands all the same", async () => {
  const loop = await createLoopback({ device: { commandsPerUnit: 0 } });
  assert.equal((await loop.driver.execute(unit, cdb.testUnitReady())).status, 0);
  await loop.close();
});

test("R-1307: event buffers are as long as event_info_size says, and never shorter than an event", async () => {
  for (const [size, expected] of [
    [16, 16],
    [64, 64],
    [4, 16],
  ]) {
    const plugged = plug({}, (view) => view.setUint32(scsiConfig.offset.eventInfoSize, size, true));
    // The buffers stay where they are.
    plugged.device.notified = () => {};
    const driver = await plugged.openDriver({ eventBuffers: 3 });
    const queue = plugged.adapter.core.queue(ScsiQueue.Event);
    const lengths = [queue?.pop(), queue?.pop(), queue?.pop()].map((chain) => chain?.writable.byteLength);
    assert.deepEqual([...lengths, queue?.pop()], [expected, expected, expected, undefined]);
    await driver.close();
    await plugged.unplug();
  }
});

test("R-105: a driver adds no buffer before DRIVER_OK", async () => {
  for (const transport of ["legacy-be", "legacy-le", "modern"] as const) {
    const plugged = plugLoopback({ transport });
    const { core } = plugged.adapter;
    const added: string[] = [];
    const writeStatus = core.writeStatus.bind(core);
    core.writeStatus = (value, legacy) => {
      if ((value & DeviceStatus.DriverOk) !== 0) {
        for (const { addresses } of core.queues) {
          const index = plugged.machine.memory.findRange(addresses.available + 2, 2);
          assert.ok(index !== undefined);
          added.push(`${index.view.getUint16(addresses.available + 2 - index.base, true)}`);
        }
      }
      writeStatus(value, legacy);
    };
    const driver = await plugged.openDriver();
    assert.deepEqual(added, ["0", "0", "0"]);
    assert.equal(core.queue(ScsiQueue.Event)?.inFlight, 8);
    await driver.close();
    await plugged.unplug();
  }
});

test("R-1308: event buffers are there before the first request", async () => {
  const plugged = plug({}, () => {});
  const driver = await plugged.openDriver();
  assert.deepEqual(plugged.notified, [ScsiQueue.Event]);
  assert.equal(plugged.adapter.core.queue(ScsiQueue.Event)?.inFlight, 8);
  await driver.execute(unit, cdb.testUnitReady());
  assert.deepEqual(plugged.notified, [ScsiQueue.Event, ScsiQueue.FirstRequest]);
  await driver.close();
  await plugged.unplug();
});

test("R-1313: each request has a tag of its own; task attribute, priority and crn are 0", async () => {
  const loop = await createLoopback();
  const { offset } = requestHeader;
  const tags = new Set<bigint>();
  const requests = Array.from({ length: 8 }, () => loop.driver.acquireRequest());
  for (const request of requests) {
    loop.driver.address(request, unit);
    request.seal();
    const { region, offset: at } = request.slot;
    for (const field of [offset.taskAttribute, offset.priority, offset.crn])
      assert.equal(region.view.getUint8(at + field), 0);
    assert.equal(region.view.getBigUint64(at + offset.id, true), request.tag);
    tags.add(request.tag);
  }
  assert.equal(tags.size, 8);
  for (const request of requests) loop.driver.releaseRequest(request);
  await loop.close();
});
