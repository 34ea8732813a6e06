/** Rules of 0.9.5 appendix I about numbers and bytes: queues, codes, statuses, events, segments, sense. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cdb, parseSense, ScsiBus, unitAddress } from "../../scsi/index.js";
import {
  BareQueues,
  BidirectionalUnit,
  createLoopback,
  exchangeCdb,
  exchanged,
  memoryDisk,
} from "../../testing/index.js";
import { featureSet } from "../../transport/index.js";
import {
  AsyncEvent,
  ControlType,
  eventsMissed,
  ScsiEvent,
  ScsiQueue,
  ScsiResponse,
  scsiFeatures,
  TaskManagement,
  TransportResetReason,
  VirtioScsiDevice,
  type VirtioScsiOptions,
} from "./index.js";

function bare(options: VirtioScsiOptions = {}) {
  const bus = new ScsiBus();
  bus.attach(0, 0, memoryDisk(0, 0).unit);
  const device = new VirtioScsiDevice(bus, options);
  return { bus, device, queues: new BareQueues(device, { endianness: "big" }) };
}

const here = [1, 0, 0x40, 0];

/** A request, byte by byte. */
function request(command: Uint8Array, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const bytes = new Uint8Array(51 + data.length);
  bytes.set(here);
  bytes.set(command, 19);
  bytes.set(data, 51);
  return bytes;
}

/** A control request: type, then bytes at their offsets. */
function control(size: number, type: number, ...parts: [offset: number, bytes: readonly number[]][]): Uint8Array {
  const bytes = new Uint8Array(size);
  bytes[3] = type;
  for (const [offset, part] of parts) bytes.set(part, offset);
  return bytes;
}

test("R-1301: control 0, events 1, requests from 2 on; INOUT is bit 0 and HOTPLUG bit 1, offered as asked for", () => {
  assert.deepEqual([ScsiQueue.Control, ScsiQueue.Event, ScsiQueue.FirstRequest], [0, 1, 2]);
  assert.deepEqual([scsiFeatures.INOUT, scsiFeatures.HOTPLUG], [0, 1]);
  const both = featureSet(0, 1);
  const offered = (options: VirtioScsiOptions) => new VirtioScsiDevice(new ScsiBus(), options).features & both;
  assert.deepEqual([offered({}), offered({ inout: true }), offered({ hotplug: false })], [2n, 3n, 0n]);
  const { queues } = bare({ requestQueues: 3 });
  for (const queue of [2, 3, 4]) assert.equal(queues.send(queue, request(cdb.testUnitReady()), 108).written, 108);
  assert.equal(queues.queue(5), undefined);
  assert.equal(queues.send(0, control(24, 0, [7, [6]], [8, here]), 1).written, 1);
  assert.equal(queues.send(1, new Uint8Array(0), 16).done, false, "kept for an event");
});

test("R-1317, R-1319 to R-1322: response codes and functions by their numbers", () => {
  const { Ok, Overrun, Aborted, BadTarget, Reset, Busy, TransportFailure, TargetFailure, NexusFailure } = ScsiResponse;
  assert.deepEqual(
    [Ok, Overrun, Aborted, BadTarget, Reset, Busy, TransportFailure, TargetFailure, NexusFailure],
    [0, 1, 2, 3, 4, 5, 6, 7, 8],
  );
  const { Failure, FunctionSucceeded, FunctionRejected, IncorrectLun } = ScsiResponse;
  assert.deepEqual([Failure, FunctionSucceeded, FunctionRejected, IncorrectLun], [9, 10, 11, 12]);
  assert.deepEqual(Object.values(TaskManagement), [0, 1, 2, 3, 4, 5, 6, 7]);
  assert.deepEqual(Object.keys(TaskManagement).slice(0, 5), [
    ...["AbortTask", "AbortTaskSet", "ClearAca", "ClearTaskSet", "NexusReset"],
  ]);
  const { queues } = bare();
  const ask = (subtype: number) => queues.send(0, control(24, 0, [7, [subtype]], [8, here]), 1).answer[0];
  // ABORT TASK completes, QUERY TASK SET finds nothing, CLEAR ACA and functions that do not exist are rejected.
  assert.deepEqual([ask(0), ask(1), ask(3), ask(7), ask(2), ask(8)], [0, 0, 0, 0, 11, 11]);
});

test("R-1322: FUNCTION SUCCEEDED is the answer of a query that finds a command, by its number", () => {
  const { queues } = bare({ faults: { command: () => ({ kind: "never" }) } });
  assert.equal(queues.send(2, request(cdb.testUnitReady()), 108).done, false);
  assert.equal(queues.send(0, control(24, 0, [7, [7]], [8, here]), 1).answer[0], 10);
});

test("R-1313: a device takes every task attribute, priority and crn, and gives the same answer", () => {
  const { queues } = bare();
  const command = request(cdb.inquiry(36));
  const plain = queues.send(2, command, 108 + 36).answer;
  assert.equal(plain[11], ScsiResponse.Ok);
  for (const [attribute, priority, crn] of [
    [1, 0, 0],
    [2, 15, 1],
    [3, 255, 255],
    [255, 1, 9],
  ]) {
    command.set([attribute, priority, crn], 16);
    assert.deepEqual(queues.send(2, command, 108 + 36).answer, plain);
  }
});

test("R-1310, R-1316: the status is SAM's code, and the response is OK with every one", async () => {
  const { queues, bus } = bare();
  const other = new VirtioScsiDevice(bus, { initiatorName: "other" });
  const others = new BareQueues(other, { endianness: "big" });
  const end = (command: Uint8Array, length: number) => [
    ...queues.send(2, request(command), 108 + length).answer.subarray(10, 12),
  ];
  assert.deepEqual(end(cdb.testUnitReady(), 0), [0x00, 0]);
  assert.deepEqual(end(Uint8Array.of(0xff), 0), [0x02, 0], "CHECK CONDITION");
  // RESERVE(6) by the other adapter.
  assert.equal(others.send(2, request(Uint8Array.of(0x16, 0, 0, 0, 0, 0)), 108).answer[10], 0);
  assert.deepEqual(end(cdb.read10(0, 1), 512), [0x18, 0], "RESERVATION CONFLICT");
});

test("R-1305: a command that moves data both ways has seg_max segments for each direction", () => {
  const bus = new ScsiBus();
  bus.attach(0, 0, new BidirectionalUnit());
  const segMax = 6;
  const queues = new BareQueues(new VirtioScsiDevice(bus, { inout: true, segMax }), { endianness: "big" });
  const data = Uint8Array.from({ length: 60 }, (_, index) => index);
  const cuts = (start: number) => Array.from({ length: segMax }, (_, index) => start + 10 * index);
  const { answer } = queues.send(2, request(exchangeCdb(60, 60), data), 108 + 60, cuts(51), cuts(108));
  assert.equal(answer[11], ScsiResponse.Ok);
  assert.deepEqual(answer.subarray(108), exchanged(data, 60));
  assert.equal(queues.violations.length, 0);
});

test("R-1325 to R-1327, R-1335: subscription and event, by their bytes: what happened and was asked for, no more", () => {
  const { OperationalChange, PowerManagement, ExternalRequest, MediaChange, MultiHost, DeviceBusy } = AsyncEvent;
  assert.deepEqual(
    [OperationalChange, PowerManagement, ExternalRequest, MediaChange, MultiHost, DeviceBusy],
    [2, 4, 8, 16, 32, 64],
  );
  assert.deepEqual([ControlType.TaskManagement, ControlType.AsyncQuery, ControlType.AsyncSubscribe], [0, 1, 2]);
  const { queues, device } = bare({ asyncEvents: 0x7e });
  const subscribed = queues.send(0, control(16, 2, [4, here], [12, [0, 0, 0, 0x14]]), 5);
  assert.deepEqual([...subscribed.answer], [0, 0, 0, 0x14, 0]);
  const event = queues.send(1, new Uint8Array(0), 16);
  device.notifyAsync(0, 0, 0x60);
  assert.equal(queues.poll().length, 0, "not subscribed to");
  device.notifyAsync(0, 0, 0x72);
  queues.poll();
  assert.deepEqual([...event.answer], [0, 0, 0, 2, ...here, 0, 0, 0, 0, 0, 0, 0, 0x10]);
  assert.equal(event.written, 16);
});

test("R-1329 to R-1331: events and reasons by their numbers", () => {
  assert.deepEqual([ScsiEvent.None, ScsiEvent.TransportReset, ScsiEvent.AsyncNotify, eventsMissed], [0, 1, 2, 2 ** 31]);
  assert.deepEqual([TransportResetReason.Hard, TransportResetReason.Rescan, TransportResetReason.Removed], [0, 1, 2]);
});

test("R-1333, R-1334, A-24: told both ways: REMOVED is 25h/00h, HARD is 29h, RESCAN is 3Fh/0Eh", async () => {
  const loop = await createLoopback({ units: [memoryDisk(0, 0)] });
  const events: string[] = [];
  loop.driver.onEvent(({ kind }) => events.push(kind));
  const senseOf = async (lun: number) => {
    const { sense } = await loop.driver.execute(unitAddress(0, lun), cdb.testUnitReady());
    const parsed = parseSense(sense);
    return parsed === undefined ? undefined : [parsed.key, parsed.asc, parsed.ascq];
  };
  assert.equal(await senseOf(0), undefined);
  loop.bus.attach(0, 1, memoryDisk(0, 1).unit);
  assert.deepEqual(await senseOf(0), [6, 0x3f, 0x0e]);
  loop.bus.detach(0, 1);
  assert.deepEqual(await senseOf(1), [5, 0x25, 0]);
  assert.deepEqual(await senseOf(0), [6, 0x3f, 0x0e]);
  loop.bus.reset("bus-reset");
  assert.deepEqual((await senseOf(0))?.slice(0, 2), [6, 0x29]);
  await loop.machine.idle(20);
  assert.deepEqual(events, ["rescan", "removed", "reset"]);
  await loop.close();
});
