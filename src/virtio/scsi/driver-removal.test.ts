/** The driver half against devices that fail, and its removal under load: each request ends once, none hangs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DeviceError, ProtocolError } from "../../errors/index.js";
import type { FaultHook } from "../../observe/index.js";
import { cdb, unitAddress } from "../../scsi/index.js";
import { createLoopback, type LoopbackTransport, plugLoopback } from "../../testing/index.js";
import { DeviceStatus } from "../../transport/index.js";
import { CommandAborted, type ScsiRequest, TaskManagement } from "./index.js";

const unit = unitAddress(0, 0);
const transports: readonly LoopbackTransport[] = ["legacy-be", "legacy-le", "modern"];
const never: FaultHook = { command: () => ({ kind: "never" }) };

/** How often each promise was settled, and how. */
async function outcomes(commands: readonly Promise<unknown>[]): Promise<string[]> {
  const settled = await Promise.allSettled(commands);
  return settled.map((one) => (one.status === "fulfilled" ? "fulfilled" : (one.reason as Error).message));
}

for (const transport of transports) {
  for (const indirect of [false, true]) {
    test(`${transport}, ${indirect ? "indirect" : "direct"}: removal under load fails each request once, memory comes back`, async () => {
      const loop = await createLoopback({ transport, indirect, faults: never, startIndex: 65_500 });
      const data = Array.from({ length: 300 }, () => new Uint8Array(1024));
      let ended = 0;
      const commands = data.map((dataIn) => {
        const command = loop.driver.execute(unit, cdb.read10(0, 2), { dataIn, timeout: 0 });
        return command.finally(() => ended++);
      });
      const functions = [loop.driver.manageTasks(TaskManagement.QueryTaskSet, unit)];
      await loop.driver.close(new DeviceError("pulled out"));
      const all = await outcomes(commands);
      assert.ok(all.every((outcome) => outcome === "pulled out"));
      assert.equal(ended, 300);
      await Promise.allSettled(functions);
      await assert.rejects(loop.driver.execute(unit, cdb.testUnitReady()), /pulled out/);
      await assert.rejects(loop.driver.manageTasks(0, unit), /pulled out/);
      assert.equal(loop.adapter.core.status, 0, "reset comes first");
      assert.equal(loop.device.running.size, 0);
      loop.dma?.assertNothingAllocated();
      await loop.unplug();
    });
  }
}

test("removal of a driver whose requests are used at ring level: each ends once, as failed", async () => {
  const loop = await createLoopback({ faults: never });
  const ends = new Map<ScsiRequest, number>();
  for (let index = 0; index < 20; index++) {
    const request = loop.driver.acquireRequest();
    loop.driver.address(request, unit);
    request.onEnd = () => ends.set(request, (ends.get(request) ?? 0) + 1);
    assert.ok(loop.driver.submit(request));
  }
  loop.driver.flush();
  await loop.driver.close();
  assert.equal(ends.size, 20);
  for (const [request, times] of ends) assert.deepEqual([request.outcome, times], ["failed", 1]);
  const [request] = ends.keys();
  assert.throws(() => loop.driver.submit(request), DeviceError);
  assert.throws(() => loop.driver.acquireRequest(), DeviceError);
  await loop.unplug();
});

test("removal twice is removal once", async () => {
  const loop = await createLoopback();
  const first = loop.driver.close();
  assert.equal(loop.driver.close(), first);
  await first;
  await loop.close();
});

test("a device that keeps its memory after a removal keeps it: what it was lent is not used again", async () => {
  const loop = await createLoopback({ faults: never });
  const command = loop.driver.execute(unit, cdb.testUnitReady(), { timeout: 0 });
  const { core } = loop.adapter;
  core.writeStatus = () => {}; // A reset that never ends.
  const resetTimeout = Date.now;
  let now = 0;
  Date.now = () => (now += 1000);
  try {
    await assert.rejects(loop.driver.close(), (error: ProtocolError) => error.code === "reset-never-ends");
  } finally {
    Date.now = resetTimeout;
  }
  await assert.rejects(command, DeviceError);
  assert.throws(() => loop.dma?.assertNothingAllocated());
  await loop.unplug();
});

for (const transport of transports) {
  test(`${transport}: an interrupt that is lost: the command is not lost for ever`, async () => {
    let lose = false;
    const loop = await createLoopback({ transport, faults: { loseInterrupt: () => lose } });
    lose = true;
    const started = performance.now();
    const command = loop.driver.execute(unit, cdb.testUnitReady(), { timeout: 30 });
    await Promise.allSettled([command]);
    assert.ok(performance.now() - started < 5000);
    lose = false;
    // Polling finds what no interrupt told of.
    loop.driver.interrupt(2);
    loop.driver.interrupt(0);
    await loop.close();
  });
}

test("DEVICE_NEEDS_RESET: the driver gives its device up, each request fails once, and a new driver can start", async () => {
  const loop = await createLoopback({ faults: never });
  const failures: Error[] = [];
  loop.driver.onFailure((error) => failures.push(error));
  const commands = Array.from({ length: 10 }, () => loop.driver.execute(unit, cdb.testUnitReady(), { timeout: 0 }));
  loop.adapter.core.fail(new ProtocolError("chain-too-long"));
  const all = await outcomes(commands);
  assert.ok(all.every((outcome) => outcome.startsWith("device-needs-reset")));
  assert.equal(failures.length, 1);
  await assert.rejects(loop.driver.execute(unit, cdb.testUnitReady()), { code: "device-needs-reset" });
  await loop.driver.close();
  assert.equal(loop.adapter.core.status, 0);
  const again = await loop.openDriver();
  assert.equal(loop.adapter.core.status & DeviceStatus.DriverOk, DeviceStatus.DriverOk);
  await again.close();
  loop.dma?.assertNothingAllocated();
  await loop.unplug();
});

test("a device that is pulled out reads all ones: every request fails, nothing waits for a reset", async () => {
  const plugged = plugLoopback({ interrupts: "intx" });
  const driver = await plugged.openDriver();
  plugged.fn.writeConfig(0x04, 2, 0); // Decoding off: every register reads all ones.
  const started = performance.now();
  driver.checkHealth();
  assert.equal((driver.failure as ProtocolError).code, "device-gone");
  await assert.rejects(driver.execute(unit, cdb.testUnitReady()), { code: "device-gone" });
  await assert.rejects(driver.close(), { code: "device-gone" });
  assert.ok(performance.now() - started < 1000);
  await plugged.unplug();
});

test("a device that breaks the ring's rules is given up with the rule's name", async () => {
  const loop = await createLoopback({ faults: never });
  const command = loop.driver.execute(unit, cdb.testUnitReady(), { timeout: 0 });
  const queue = loop.adapter.core.queue(2);
  const { used } = loop.adapter.core.queues[2].addresses;
  assert.ok(queue !== undefined);
  loop.machine.memory.write(used + 4, Uint8Array.of(255, 255, 0, 0));
  loop.machine.memory.write(used + 2, Uint8Array.of(1, 0));
  loop.driver.interrupt(2);
  await assert.rejects(command, { code: "used-id-out-of-range" });
  await loop.driver.close();
  loop.dma?.assertNothingShared();
  await loop.unplug();
});

test("a device that writes less than a response header: the command fails and says so", async () => {
  const loop = await createLoopback({ faults: never });
  const command = loop.driver.execute(unit, cdb.testUnitReady(), { timeout: 0 });
  const [running] = loop.device.running;
  loop.device.running.delete(running);
  running.queue.push(running.chain, 4);
  running.queue.publish();
  loop.driver.interrupt(2);
  await assert.rejects(command, { code: "response-short" });
  await loop.close();
});

test("a scattered buffer with more pieces than the ring holds is refused, not waited for", async () => {
  const loop = await createLoopback({
    indirect: false,
    device: { queueSize: 16 },
    poison: { pieceLength: () => 16 },
  });
  const command = loop.driver.execute(unit, cdb.read10(0, 1), { dataIn: new Uint8Array(512), timeout: 200 });
  await assert.rejects(command, (error) => !(error instanceof CommandAborted));
  loop.dma?.assertNothingShared();
  await loop.close();
});

test("memory that runs out fails the command, and what was lent before comes back", async () => {
  const loop = await createLoopback({ ramSize: 1 << 20 });
  const huge = new Uint8Array(4 << 20);
  await assert.rejects(async () => loop.driver.execute(unit, cdb.read10(0, 1), { dataIn: huge }), RangeError);
  const result = await loop.driver.execute(unit, cdb.testUnitReady());
  assert.equal(result.response, 0);
  loop.dma?.assertNothingShared();
  await loop.close();
});

test("a command that is called off before it starts is not sent, and its request can be used again", async () => {
  const loop = await createLoopback();
  const called = loop.driver.execute(unit, cdb.testUnitReady(), { signal: AbortSignal.abort() });
  await assert.rejects(called, CommandAborted);
  for (let again = 0; again < 3; again++) {
    assert.equal((await loop.driver.execute(unit, cdb.testUnitReady(), { timeout: 1000 })).response, 0);
  }
  loop.dma?.assertNothingShared();
  await loop.close();
});

test("a message interrupt that is lost: the answer is found when the time is over, and counts", async () => {
  let lose = false;
  const loop = await createLoopback({ faults: { loseInterrupt: () => lose } });
  lose = true;
  const result = await loop.driver.execute(unit, cdb.testUnitReady(), { timeout: 30 });
  assert.equal(result.response, 0);
  lose = false;
  await loop.close();
});
