/** Task management, virtio 1.2 §5.6.6.2, through both halves and with exact bytes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { FaultHook } from "../../observe/index.js";
import { cdb, parseSense, ScsiBus, unitAddress } from "../../scsi/index.js";
import { BareQueues, createLoopback, type LoopbackOptions, memoryDisk } from "../../testing/index.js";
import {
  CommandAborted,
  ControlType,
  requestHeader,
  ScsiResponse,
  TaskManagement,
  taskManagementRequest,
  VirtioScsiDevice,
} from "./index.js";

const unit = unitAddress(0, 0);
const other = unitAddress(0, 1);
const far = unitAddress(1, 0);

/** Units that never answer a TEST UNIT READY. */
const silent: FaultHook = { command: ({ cdb: bytes }) => (bytes[0] === 0 ? { kind: "never" } : undefined) };

function loopback(options: LoopbackOptions = {}) {
  const units = [memoryDisk(0, 0), memoryDisk(0, 1), memoryDisk(1, 0)];
  return createLoopback({ units, faults: silent, startIndex: 65_530, ...options });
}

/** A command that stays in the device. */
function hang(loop: Awaited<ReturnType<typeof loopback>>, address: number) {
  return loop.driver.execute(address, cdb.testUnitReady(), { timeout: 0 });
}

async function responsesOf(commands: readonly Promise<{ response: number }>[]): Promise<number[]> {
  return (await Promise.all(commands)).map(({ response }) => response);
}

const { Aborted, Reset, Ok, BadTarget, IncorrectLun, FunctionRejected, FunctionSucceeded } = ScsiResponse;

for (const transport of ["legacy-be", "modern"] as const) {
  test(`R-1324 ${transport}: ABORT TASK SET and CLEAR TASK SET end the unit's commands with ABORTED, and only those`, async () => {
    const loop = await loopback({ transport });
    for (const subtype of [TaskManagement.AbortTaskSet, TaskManagement.ClearTaskSet]) {
      const ended = [hang(loop, unit), hang(loop, unit)];
      const kept = hang(loop, other);
      assert.equal(loop.device.running.size, 3);
      assert.equal(await loop.driver.manageTasks(subtype, unit), Ok);
      assert.deepEqual(await responsesOf(ended), [Aborted, Aborted]);
      assert.equal(loop.device.running.size, 1);
      assert.equal(await loop.driver.manageTasks(subtype, other), Ok);
      assert.equal((await kept).response, Aborted);
    }
    await loop.close();
  });

  test(`R-1324 ${transport}: LOGICAL UNIT RESET ends with RESET, then the unit tells of it`, async () => {
    const loop = await loopback({ transport });
    // A unit tells those of its resets who have spoken to it.
    await loop.driver.execute(unit, cdb.inquiry(36), { dataIn: new Uint8Array(36) });
    const ended = [hang(loop, unit), hang(loop, unit)];
    const kept = hang(loop, other);
    assert.equal(await loop.driver.manageTasks(TaskManagement.LogicalUnitReset, unit), Ok);
    assert.deepEqual(await responsesOf(ended), [Reset, Reset]);
    const after = await loop.driver.execute(unit, cdb.read10(0, 1), { dataIn: new Uint8Array(512) });
    assert.equal(parseSense(after.sense)?.asc, 0x29);
    assert.equal(loop.device.running.size, 1);
    await loop.driver.manageTasks(TaskManagement.AbortTaskSet, other);
    await kept;
    await loop.close();
  });

  test(`R-1323 ${transport}: I_T NEXUS RESET ends the commands of every unit of the target, whatever the LUN`, async () => {
    const loop = await loopback({ transport });
    const ended = [hang(loop, unit), hang(loop, other)];
    const kept = hang(loop, far);
    assert.equal(await loop.driver.manageTasks(TaskManagement.NexusReset, unitAddress(0, 77)), Ok);
    assert.deepEqual(await responsesOf(ended), [Reset, Reset]);
    assert.equal(loop.device.running.size, 1);
    await loop.driver.manageTasks(TaskManagement.NexusReset, far);
    assert.equal((await kept).response, Reset);
    await loop.close();
  });
}

test("R-1321: QUERY TASK SET tells whether there is a command, QUERY TASK whether there is this one, CLEAR ACA is rejected", async () => {
  const loop = await loopback();
  const query = (subtype: number, tag?: bigint) => loop.driver.manageTasks(subtype, unit, tag);
  assert.equal(await query(TaskManagement.QueryTaskSet), Ok);
  const kept = hang(loop, unit);
  assert.equal(await query(TaskManagement.QueryTaskSet), FunctionSucceeded);
  const [running] = loop.device.running;
  const tag = BigInt(running.task.tagLow);
  assert.equal(await query(TaskManagement.QueryTask, tag), FunctionSucceeded);
  assert.equal(await query(TaskManagement.QueryTask, tag + 1n), Ok);
  assert.equal(await query(TaskManagement.QueryTask, tag + (1n << 32n)), Ok, "all 64 bits of the tag count");
  assert.equal(await query(TaskManagement.ClearAca), FunctionRejected);
  assert.equal(await query(8), FunctionRejected);
  assert.equal(await query(0xffff_ffff), FunctionRejected);
  assert.equal(await query(TaskManagement.AbortTask, tag + 1n), Ok);
  assert.equal(loop.device.running.size, 1, "a tag that is not there aborts nothing");
  assert.equal(await query(TaskManagement.AbortTask, tag), Ok);
  assert.equal((await kept).response, Aborted);
  await loop.close();
});

test("R-1319: functions for places that do not exist say BAD TARGET or INCORRECT LUN", async () => {
  const loop = await loopback();
  for (let subtype = 0; subtype < 8; subtype++) {
    assert.equal(await loop.driver.manageTasks(subtype, unitAddress(9, 0)), BadTarget);
    const expected = subtype === TaskManagement.NexusReset ? Ok : IncorrectLun;
    assert.equal(await loop.driver.manageTasks(subtype, unitAddress(0, 9)), expected);
  }
  await loop.close();
});

/** R-1309 and R-1320, byte by byte. */
function testUnitReady(device: BareQueues, tag: bigint, target = 0): Uint8Array {
  const bytes = new Uint8Array(requestHeader.size + 32);
  const view = new DataView(bytes.buffer);
  bytes.set([1, target, 0x40, 0]);
  view.setBigUint64(8, tag, device.endianness === "little");
  return bytes;
}

function abortTask(device: BareQueues, tag: bigint): Uint8Array {
  const bytes = new Uint8Array(24);
  const view = new DataView(bytes.buffer);
  bytes.set([1, 0, 0x40, 0], 8);
  view.setBigUint64(16, tag, device.endianness === "little");
  return bytes;
}

for (const endianness of ["big", "little"] as const) {
  test(`stray-scsi-device-5, A-22 (${endianness}): cancelled requests are completed before the function that cancels them`, () => {
    const bus = new ScsiBus();
    bus.attach(0, 0, memoryDisk(0, 0).unit);
    const queues = new BareQueues(new VirtioScsiDevice(bus, { faults: silent }), { endianness });
    const tag = 0x1122_3344_5566_7788n;
    const kept = queues.send(2, testUnitReady(queues, 1n), 108);
    const cancelled = queues.send(2, testUnitReady(queues, tag), 108);
    assert.equal(kept.done || cancelled.done, false);
    const before = queues.signals[2];
    const order: string[] = [];
    const spy = (index: number, name: string) => {
      const queue = queues.queue(index);
      assert.ok(queue !== undefined);
      const publish = queue.publish.bind(queue);
      queue.publish = () => {
        order.push(name);
        return publish();
      };
    };
    spy(0, "function");
    spy(2, "request");
    const abort = queues.send(0, abortTask(queues, tag), 1);
    assert.deepEqual(order.slice(0, 2), ["request", "function"]);
    assert.equal(queues.signals[2], before + 1, "the driver is told of the cancelled request");
    assert.equal(abort.answer[0], Ok);
    assert.equal(cancelled.done, true);
    assert.equal(cancelled.answer[11], Aborted);
    assert.equal(kept.done, false);
  });
}

test("R-1320: the request is 24 bytes and its answer 1; shorter ones go back empty and are named", () => {
  assert.equal(taskManagementRequest.size, 24);
  const bus = new ScsiBus();
  bus.attach(0, 0, memoryDisk(0, 0).unit);
  const queues = new BareQueues(new VirtioScsiDevice(bus));
  const whole = abortTask(queues, 1n);
  for (const length of [0, 3, 4, 23]) {
    if (length === 0) continue;
    const short = queues.send(0, whole.subarray(0, length), 1);
    assert.deepEqual([short.done, short.written], [true, 0], `${length} bytes`);
    assert.equal(queues.violations.pop(), "request-header-short");
  }
  assert.equal(queues.send(0, whole, 0).written, 0);
  assert.equal(queues.violations.pop(), "response-space-short");
  const unknown = whole.slice();
  unknown[0] = 3;
  assert.equal(queues.send(0, unknown, 8).written, 0);
  assert.equal(queues.violations.pop(), "control-type-unknown");
  assert.equal(queues.failures.length, 0, "one bad request does not end the device");
  assert.equal(queues.send(0, whole, 1).written, 1);
  // nobody derives a header from descriptor boundaries.
  assert.equal(queues.send(0, whole, 1, [1, 4, 9, 23]).written, 1);
});

test("a command that runs out of time is aborted, and its memory comes back", async () => {
  const loop = await loopback();
  const started = performance.now();
  await assert.rejects(loop.driver.execute(unit, cdb.testUnitReady(), { timeout: 20 }), CommandAborted);
  assert.ok(performance.now() - started < 2000);
  const controller = new AbortController();
  const called = loop.driver.execute(unit, cdb.testUnitReady(), { signal: controller.signal, timeout: 0 });
  controller.abort();
  await assert.rejects(called, CommandAborted);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(loop.device.running.size, 0);
  assert.equal(loop.driver.failure, undefined);
  loop.dma?.assertNothingShared();
  await loop.close();
});

test("a delayed command that is aborted never writes to memory that was given back", async () => {
  const faults: FaultHook = { command: () => ({ kind: "delay", milliseconds: 30 }) };
  const loop = await createLoopback({ faults });
  const data = new Uint8Array(4096);
  await assert.rejects(loop.driver.execute(unit, cdb.read10(0, 8), { dataIn: data, timeout: 5 }), CommandAborted);
  await new Promise((resolve) => setTimeout(resolve, 60));
  loop.dma?.assertNothingShared();
  await loop.close();
});

test("control requests wait when the queue is full, none is lost", async () => {
  const loop = await loopback({ indirect: false, device: { queueSize: 8 } });
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, index) =>
      loop.driver.manageTasks(TaskManagement.QueryTaskSet, unitAddress(index, 0)),
    ),
  );
  assert.equal(answers.filter((answer) => answer === BadTarget).length, 98);
  assert.equal(ControlType.TaskManagement, 0);
  await loop.close();
});
