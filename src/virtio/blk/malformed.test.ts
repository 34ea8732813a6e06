/**
 * What a driver can get wrong in a request: a status where one can be written, a count in every case, and nothing read
 * or written that was not asked for.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ViolationCode } from "../../errors/index.js";
import { Scatter } from "../../memory/index.js";
import type { TraceEvent } from "../../observe/index.js";
import { MemoryStore } from "../../storage/index.js";
import { BareQueues, type BlkRangeValues, blkRangeBytes, blkRequestBytes } from "../../testing/index.js";
import { BlkStatus, BlkType, VirtioBlkDevice, type VirtioBlkOptions } from "./index.js";

const { Ok, IoError, Unsupported } = BlkStatus;
const { In, Out, GetId, Discard, WriteZeroes } = BlkType;
const sectors = 64;
const huge = (1n << 64n) - 1n;

interface Case {
  readonly name: string;
  readonly readable: Uint8Array;
  readonly writable: number;
  /** Undefined: there is no byte for a status. */
  readonly status: number | undefined;
  /** Undefined: allowed. */
  readonly violation?: ViolationCode;
  readonly options?: VirtioBlkOptions;
  readonly writableCuts?: readonly number[];
}

function request(type: number, sector: number | bigint, length = 0): Uint8Array {
  return blkRequestBytes("little", type, sector, new Uint8Array(length).fill(0xcc));
}

function ranges(type: number, ...values: BlkRangeValues[]): Uint8Array {
  return blkRequestBytes("little", type, 0, blkRangeBytes("little", values));
}

const past = "sector-past-capacity";
const length = "request-data-length";
const direction = "request-data-direction";
const limit = "request-over-limit";

const cases: readonly Case[] = [
  {
    name: "nothing writable",
    readable: request(In, 0),
    writable: 0,
    status: undefined,
    violation: "response-space-short",
  },
  {
    name: "a write without status",
    readable: request(Out, 0, 512),
    writable: 0,
    status: undefined,
    violation: "response-space-short",
  },
  {
    name: "no header at all",
    readable: new Uint8Array(0),
    writable: 513,
    status: IoError,
    violation: "request-header-short",
  },
  {
    name: "a header of 15 bytes",
    readable: new Uint8Array(15),
    writable: 513,
    status: IoError,
    violation: "request-header-short",
  },
  {
    name: "a header of 15 bytes, status alone",
    readable: new Uint8Array(15),
    writable: 1,
    status: IoError,
    violation: "request-header-short",
  },
  { name: "a read of half a sector", readable: request(In, 0), writable: 257, status: IoError, violation: length },
  {
    name: "a read whose status was forgotten",
    readable: request(In, 0),
    writable: 512,
    status: IoError,
    violation: length,
  },
  { name: "a write of 513 bytes", readable: request(Out, 0, 513), writable: 1, status: IoError, violation: length },
  { name: "a read of nothing", readable: request(In, 3), writable: 1, status: Ok },
  { name: "a write of nothing", readable: request(Out, 3), writable: 1, status: Ok },
  { name: "a read of nothing at the very end", readable: request(In, sectors), writable: 1, status: Ok },
  {
    name: "a read of nothing past the end",
    readable: request(In, sectors + 1),
    writable: 1,
    status: IoError,
    violation: past,
  },
  { name: "the last sector", readable: request(In, sectors - 1), writable: 513, status: Ok },
  { name: "one sector past the end", readable: request(In, sectors), writable: 513, status: IoError, violation: past },
  {
    name: "the last sector and one more",
    readable: request(In, sectors - 1),
    writable: 1025,
    status: IoError,
    violation: past,
  },
  {
    name: "a write across the end",
    readable: request(Out, sectors - 1, 1024),
    writable: 1,
    status: IoError,
    violation: past,
  },
  {
    name: "sector + count wraps at 2^64",
    readable: request(In, huge),
    writable: 1025,
    status: IoError,
    violation: past,
  },
  {
    name: "sector × 512 wraps at 2^64",
    readable: request(In, 1n << 55n),
    writable: 513,
    status: IoError,
    violation: past,
  },
  {
    name: "sector × 512 wraps to sector 1",
    readable: request(Out, (1n << 55n) + 1n, 512),
    writable: 1,
    status: IoError,
    violation: past,
  },
  { name: "sector 2^32", readable: request(In, 1n << 32n), writable: 513, status: IoError, violation: past },
  {
    name: "a write of more than the device has",
    readable: request(Out, 0, (sectors + 1) * 512),
    writable: 1,
    status: IoError,
    violation: past,
  },
  {
    name: "a read with readable data",
    readable: request(In, 0, 512),
    writable: 513,
    status: IoError,
    violation: direction,
  },
  {
    name: "a read whose data is not marked writable",
    readable: request(In, 0, 512),
    writable: 1,
    status: IoError,
    violation: direction,
  },
  {
    name: "a write whose data is marked writable",
    readable: request(Out, 0),
    writable: 513,
    status: IoError,
    violation: direction,
  },
  {
    name: "a write with more than a status to write",
    readable: request(Out, 0, 512),
    writable: 2,
    status: IoError,
    violation: direction,
  },
  { name: "GET_ID with room for 19", readable: request(GetId, 0), writable: 20, status: IoError, violation: length },
  { name: "GET_ID with no room", readable: request(GetId, 0), writable: 1, status: IoError, violation: length },
  { name: "DISCARD of nothing", readable: request(Discard, 0), writable: 1, status: IoError, violation: length },
  {
    name: "DISCARD of half a range",
    readable: request(Discard, 0, 8),
    writable: 1,
    status: IoError,
    violation: length,
  },
  {
    name: "WRITE_ZEROES of one and a half",
    readable: request(WriteZeroes, 0, 24),
    writable: 1,
    status: IoError,
    violation: length,
  },
  {
    name: "DISCARD with unmap",
    readable: ranges(Discard, { sector: 0, sectors: 1, flags: 1 }),
    writable: 1,
    status: Unsupported,
  },
  {
    name: "DISCARD with an unknown flag",
    readable: ranges(Discard, { sector: 0, sectors: 1, flags: 2 }),
    writable: 1,
    status: Unsupported,
  },
  {
    name: "WRITE_ZEROES with an unknown flag",
    readable: ranges(WriteZeroes, { sector: 0, sectors: 1, flags: 0x8000_0001 }),
    writable: 1,
    status: Unsupported,
  },
  {
    name: "an unknown flag behind a good range",
    readable: ranges(WriteZeroes, { sector: 0, sectors: 1 }, { sector: 1, sectors: 1, flags: 4 }),
    writable: 1,
    status: Unsupported,
  },
  {
    name: "WRITE_ZEROES across the end",
    readable: ranges(WriteZeroes, { sector: 63, sectors: 2 }),
    writable: 1,
    status: IoError,
    violation: past,
  },
  {
    name: "a good range, then one past the end",
    readable: ranges(WriteZeroes, { sector: 0, sectors: 1 }, { sector: 64, sectors: 1 }),
    writable: 1,
    status: IoError,
    violation: past,
  },
  {
    name: "DISCARD that wraps at 2^64",
    readable: ranges(Discard, { sector: huge, sectors: 2 }),
    writable: 1,
    status: IoError,
    violation: past,
  },
  { name: "DISCARD of no sectors", readable: ranges(Discard, { sector: 5, sectors: 0 }), writable: 1, status: Ok },
  {
    name: "more ranges than announced",
    readable: ranges(Discard, { sector: 0, sectors: 1 }, { sector: 1, sectors: 1 }, { sector: 2, sectors: 1 }),
    ...{ writable: 1, status: IoError, violation: limit, options: { discard: { maxRanges: 2 } } },
  },
  {
    name: "as many ranges as announced",
    readable: ranges(Discard, { sector: 40, sectors: 1 }, { sector: 41, sectors: 1 }),
    ...{ writable: 1, status: Ok, options: { discard: { maxRanges: 2 } } },
  },
  {
    name: "a longer range than announced",
    readable: ranges(WriteZeroes, { sector: 0, sectors: 9 }),
    ...{ writable: 1, status: IoError, violation: limit, options: { writeZeroes: { maxSectors: 8 } } },
  },
  {
    name: "DISCARD where it is not offered",
    readable: ranges(Discard, { sector: 0, sectors: 1 }),
    ...{ writable: 1, status: Unsupported, options: { discard: false } },
  },
  {
    name: "WRITE_ZEROES where it is not offered",
    readable: ranges(WriteZeroes, { sector: 0, sectors: 1 }),
    ...{ writable: 1, status: Unsupported, options: { writeZeroes: false } },
  },
  {
    name: "more segments than seg_max",
    readable: request(In, 0),
    ...{ writable: 1537, status: IoError, violation: limit, options: { segMax: 2 }, writableCuts: [512, 1024, 1536] },
  },
  {
    name: "as many segments as seg_max, the status in one of its own",
    readable: request(In, 0),
    ...{ writable: 1537, status: Ok, options: { segMax: 3 }, writableCuts: [512, 1024, 1536] },
  },
  {
    name: "as many segments as seg_max, the status in the last of them",
    readable: request(In, 0),
    ...{ writable: 1537, status: Ok, options: { segMax: 3 }, writableCuts: [512, 1024] },
  },
  {
    name: "a segment longer than size_max",
    readable: request(In, 0),
    ...{ writable: 1025, status: IoError, violation: limit, options: { sizeMax: 1023 }, writableCuts: [1024] },
  },
  {
    name: "a segment as long as size_max, the status behind it in the same descriptor",
    readable: request(In, 0),
    ...{ writable: 1025, status: Ok, options: { sizeMax: 1024 } },
  },
];

for (const each of cases) {
  const outcome = each.status === undefined ? "no status" : `status ${each.status}`;
  test(`${each.name}: ${outcome}${each.violation === undefined ? "" : `, ${each.violation}`}`, () => {
    const content = new Uint8Array(sectors * 512).fill(0x11);
    const store = MemoryStore.of(content);
    const events: TraceEvent[] = [];
    const observer = { emit: (event: TraceEvent) => void events.push(event) };
    const device = new VirtioBlkDevice(store, { ...each.options, observer });
    const queues = new BareQueues(device);
    const submission = queues.submit(
      0,
      each.readable,
      each.writable,
      each.readable.length > 16 ? [16] : [],
      each.writableCuts,
    );
    submission.answer.fill(0xaa);
    queues.notify(0);
    assert.equal(submission.done, true, "every chain comes back");
    assert.deepEqual(queues.violations, each.violation === undefined ? [] : [each.violation]);
    assert.equal(queues.failures.length, 0, "a bad request does not end the device");
    const told = events.filter(({ category }) => category === "violation");
    assert.deepEqual(
      told.map(({ name }) => name),
      queues.violations,
    );
    if (each.status === undefined) assert.equal(submission.written, 0);
    else assert.equal(submission.answer[each.writable - 1], each.status);
    if (each.status !== Ok) {
      const after = new Uint8Array(content.length);
      void store.read(0, Scatter.of(after), after.length);
      assert.deepEqual(after, content, "what is refused changes nothing");
      assert.ok(
        submission.answer.slice(0, -1).every((byte) => byte === 0xaa),
        "nor writes anything but the status",
      );
      assert.equal(submission.written, each.status === undefined ? 0 : 1);
    }
    const next = queues.send(0, blkRequestBytes("little", BlkType.In, 63), 513);
    assert.equal(next.answer[512], Ok, "the next request is served");
  });
}

test("limits count only where their features were negotiated", () => {
  const device = new VirtioBlkDevice(new MemoryStore(1 << 20), { segMax: 1, sizeMax: 512 });
  const queues = new BareQueues(device, { features: 0n });
  const { answer } = queues.send(0, blkRequestBytes("little", BlkType.In, 0), 2049, [], [100, 1024]);
  assert.equal(answer[2048], Ok);
});
