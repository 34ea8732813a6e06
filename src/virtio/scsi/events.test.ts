/** The event queue and asynchronous notifications, virtio 1.2 §5.6.6.2 and §5.6.6.3. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cdb, Disk, parseSense, ScsiBus, unitAddress } from "../../scsi/index.js";
import { MemoryStore } from "../../storage/index.js";
import { BareQueues, createLoopback, memoryDisk } from "../../testing/index.js";
import { featureSet } from "../../transport/index.js";
import {
  AsyncEvent,
  asyncRequest,
  eventsMissed,
  type ScsiEventReport,
  ScsiResponse,
  scsiFeatures,
  VirtioScsiDevice,
  type VirtioScsiOptions,
} from "./index.js";

const eventQueue = 1;

function bare(options: VirtioScsiOptions = {}, features?: bigint) {
  const bus = new ScsiBus();
  const { unit } = memoryDisk(0, 0);
  bus.attach(0, 0, unit);
  const device = new VirtioScsiDevice(bus, options);
  const queues = new BareQueues(device, features === undefined ? {} : { features });
  return { bus, device, queues, unit: unit as Disk };
}

/** Event, LUN bytes and reason of an answer. */
function decode(answer: Uint8Array): [event: number, lun: string, reason: number] {
  const view = new DataView(answer.buffer, answer.byteOffset, answer.byteLength);
  return [view.getUint32(0, true), Buffer.from(answer.subarray(4, 12)).toString("hex"), view.getUint32(12, true)];
}

for (const transport of ["legacy-be", "legacy-le", "modern"] as const) {
  for (const interrupts of ["intx", "msix"] as const) {
    test(`R-1331 ${transport}, ${interrupts}: units that come and go, resets and changes are told, each once`, async () => {
      const loop = await createLoopback({ transport, interrupts, startIndex: 65_534 });
      const seen: ScsiEventReport[] = [];
      loop.driver.onEvent((event) => seen.push(event));
      const disk = new Disk(new MemoryStore(1 << 20));
      loop.bus.attach(3, 300, disk);
      loop.bus.reset("bus-reset", { target: 3 });
      disk.resized(1 << 19);
      loop.bus.detach(3, 300);
      for (let turn = 0; turn < 20 && seen.length < 4; turn++) await loop.machine.idle(5);
      const place = { target: 3, lun: 300, missed: false };
      assert.deepEqual(seen, [
        { kind: "rescan", ...place, reason: 1 },
        { kind: "reset", ...place, reason: 0 },
        { kind: "parameter", ...place, reason: 0x092a },
        { kind: "removed", ...place, reason: 2 },
      ]);
      await loop.close();
    });
  }
}

for (const eventIndex of [false, true]) {
  for (const packed of [false, true]) {
    const rings = `${packed ? "packed" : "split"}, ${eventIndex ? "event index" : "flags"}`;
    test(`${rings}: far more events than buffers, one after the other: buffers that come back are seen, none is lost`, async () => {
      const loop = await createLoopback({ eventIndex, packed, driver: { eventBuffers: 3 } });
      const seen: ScsiEventReport[] = [];
      loop.driver.onEvent((event) => seen.push(event));
      for (let target = 1; target <= 30; target++) {
        loop.bus.attach(target, 0, new Disk(new MemoryStore(1 << 12)));
        for (let turn = 0; turn < 40 && seen.length < target; turn++) await loop.machine.idle(5);
        assert.deepEqual(seen[target - 1], { kind: "rescan", target, lun: 0, reason: 1, missed: false });
      }
      await loop.close();
    });
  }
}

test("R-1332, A-23: RESCAN and REMOVED need HOTPLUG, changes need CHANGE, HARD needs neither", () => {
  const { bus, queues, unit } = bare({}, 0n);
  for (let buffer = 0; buffer < 4; buffer++) queues.submit(eventQueue, new Uint8Array(0), 16);
  queues.notify(eventQueue);
  bus.attach(1, 0, memoryDisk(1, 0).unit);
  bus.detach(1, 0);
  unit.resized(1 << 19);
  assert.equal(queues.poll().length, 0);
  bus.reset("bus-reset");
  const [reset, ...rest] = queues.poll();
  assert.equal(rest.length, 0);
  assert.deepEqual(decode(reset.answer), [1, "0100400000000000", 0]);
  const { CHANGE } = scsiFeatures;
  const changes = bare({}, featureSet(CHANGE));
  changes.queues.send(eventQueue, new Uint8Array(0), 16);
  changes.unit.resized(1 << 19);
  assert.deepEqual(decode(changes.queues.poll()[0].answer), [3, "0100400000000000", 0x092a]);
});

test("R-1330: a buffer that is too short comes back at once with NO_EVENT", () => {
  const { queues } = bare();
  for (const length of [15, 8, 4, 1]) {
    const short = queues.send(eventQueue, new Uint8Array(0), length);
    assert.equal(short.done, true);
    assert.equal(short.written, length);
    assert.ok(short.answer.every((byte) => byte === 0));
  }
  assert.equal(queues.violations.length, 0);
});

test("R-1328, R-1329: an event without a buffer is lost, and the next buffer says so at once", () => {
  const { bus, queues } = bare();
  bus.reset("bus-reset");
  const told = queues.send(eventQueue, new Uint8Array(0), 16);
  assert.equal(told.done, true);
  assert.deepEqual(decode(told.answer), [eventsMissed, "0000000000000000", 0]);
  const next = queues.send(eventQueue, new Uint8Array(0), 16);
  assert.equal(next.done, false, "the loss is told once");
  bus.reset("bus-reset");
  queues.poll();
  assert.deepEqual(decode(next.answer), [1, "0100400000000000", 0]);
});

test("R-1329: a loss is told with a short buffer too, if the word fits", () => {
  const { bus, queues } = bare();
  bus.reset("bus-reset");
  const tiny = queues.send(eventQueue, new Uint8Array(0), 3);
  assert.deepEqual([...tiny.answer], [0, 0, 0]);
  const short = queues.send(eventQueue, new Uint8Array(0), 4);
  assert.deepEqual([...short.answer], [0, 0, 0, 0x80]);
});

test("R-1328: too many events at once are cut, and the cut is told", async () => {
  let now = 0;
  const { bus, queues } = bare({ eventLimit: { burst: 3, perSecond: 100, now: () => now } });
  for (let buffer = 0; buffer < 10; buffer++) queues.submit(eventQueue, new Uint8Array(0), 16);
  queues.notify(eventQueue);
  for (let event = 0; event < 10; event++) bus.reset("bus-reset");
  assert.equal(queues.poll().length, 3);
  now += 1000;
  await new Promise((resolve) => setTimeout(resolve, 30));
  const later = queues.poll();
  assert.deepEqual(
    later.map(({ answer }) => decode(answer)[0]),
    [eventsMissed],
  );
  bus.reset("bus-reset");
  assert.deepEqual(decode(queues.poll()[0].answer)[0], 1, "told once, then events come again");
});

test("an event buffer with readable bytes is named, comes back and the device wants a reset", () => {
  const { queues } = bare();
  const wrong = queues.send(eventQueue, new Uint8Array(4), 16);
  assert.deepEqual([wrong.done, wrong.written], [true, 0]);
  assert.deepEqual(
    queues.failures.map(({ code }) => code),
    ["event-buffer-readable"],
  );
});

test("R-1325 to R-1327: a query says what a unit can report, a subscription makes it report", async () => {
  const loop = await createLoopback({ device: { asyncEvents: AsyncEvent.MediaChange | AsyncEvent.OperationalChange } });
  const seen: ScsiEventReport[] = [];
  loop.driver.onEvent((event) => seen.push(event));
  const unit = unitAddress(0, 0);
  const both = AsyncEvent.MediaChange | AsyncEvent.OperationalChange;
  const ask = (events: number, query?: boolean) => loop.driver.asyncNotifications(unit, events, query);
  assert.deepEqual(await ask(0xff, true), { eventActual: both, response: 0 });
  loop.device.notifyAsync(0, 0, both);
  assert.deepEqual(await ask(AsyncEvent.MediaChange | AsyncEvent.MultiHost), {
    eventActual: AsyncEvent.MediaChange,
    response: 0,
  });
  loop.device.notifyAsync(0, 0, both);
  await loop.machine.idle(20);
  assert.deepEqual(seen, [{ kind: "async", target: 0, lun: 0, reason: AsyncEvent.MediaChange, missed: false }]);
  assert.deepEqual(await ask(0), { eventActual: 0, response: 0 });
  loop.device.notifyAsync(0, 0, both);
  await loop.machine.idle(20);
  assert.equal(seen.length, 1, "a subscription to nothing ends it");
  assert.deepEqual(await loop.driver.asyncNotifications(unitAddress(5, 0), both), {
    eventActual: 0,
    response: ScsiResponse.BadTarget,
  });
  assert.deepEqual(await loop.driver.asyncNotifications(unitAddress(0, 5), both), {
    eventActual: 0,
    response: ScsiResponse.IncorrectLun,
  });
  await loop.close();
});

test("R-1325: the request is 16 bytes, its answer 5: event_actual, then the response", () => {
  assert.equal(asyncRequest.size, 16);
  const { queues } = bare({ asyncEvents: 0x12 });
  const request = Uint8Array.from([1, 0, 0, 0, 1, 0, 0x40, 0, 0, 0, 0, 0, 0xff, 0, 0, 0]);
  const answer = queues.send(0, request, 5);
  assert.deepEqual([answer.written, ...answer.answer], [5, 0x12, 0, 0, 0, 0]);
  assert.equal(queues.send(0, request.subarray(0, 15), 5).written, 0);
  assert.equal(queues.violations.pop(), "request-header-short");
  assert.equal(queues.send(0, request, 4).written, 0);
  assert.equal(queues.violations.pop(), "response-space-short");
});

test("R-1333, R-1334: what the event queue tells, sense tells as well", async () => {
  const loop = await createLoopback();
  const senseOf = async () => {
    const result = await loop.driver.execute(unitAddress(0, 0), cdb.testUnitReady());
    const sense = parseSense(result.sense);
    return sense === undefined ? undefined : [sense.key, sense.asc];
  };
  assert.equal(await senseOf(), undefined);
  loop.bus.reset("bus-reset");
  assert.deepEqual(await senseOf(), [6, 0x29]);
  loop.bus.attach(0, 1, memoryDisk(0, 1).unit);
  assert.deepEqual(await senseOf(), [6, 0x3f]);
  loop.bus.detach(0, 1);
  assert.deepEqual(await senseOf(), [6, 0x3f]);
  const gone = await loop.driver.execute(unitAddress(0, 1), cdb.testUnitReady());
  assert.deepEqual([parseSense(gone.sense)?.key, parseSense(gone.sense)?.asc], [5, 0x25]);
  await loop.close();
});

test("a unit that goes while a command runs: the command ends, then the event comes", async () => {
  const loop = await createLoopback({ faults: { command: () => ({ kind: "never" }) } });
  const order: string[] = [];
  loop.driver.onEvent((event) => order.push(event.kind));
  const command = loop.driver.execute(unitAddress(0, 0), cdb.testUnitReady(), { timeout: 0 }).then((result) => {
    order.push(`response ${result.response}`);
  });
  loop.bus.detach(0, 0);
  await command;
  await loop.machine.idle(20);
  assert.deepEqual(order.sort(), ["removed", `response ${ScsiResponse.TargetFailure}`]);
  await loop.close();
});
