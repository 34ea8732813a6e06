/** Requests of virtio-blk, 0.9.5 appendix D and virtio 1.2 §5.2.6, by hand-made bytes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Scatter } from "../../memory/index.js";
import { MemoryStore } from "../../storage/index.js";
import { BareQueues, blkRangeBytes, blkRequestBytes, FailingStore, failRange } from "../../testing/index.js";
import { BlkStatus, BlkType, barrierFlag, VirtioBlkDevice, type VirtioBlkOptions } from "./index.js";

const { Ok, IoError, Unsupported } = BlkStatus;

function numbered(sectors: number): Uint8Array {
  const bytes = new Uint8Array(sectors * 512);
  for (let index = 0; index < bytes.length; index++) bytes[index] = (index >> 9) * 3 + index;
  return bytes;
}

const content = numbered(64);

function bare(
  endianness: "little" | "big" = "little",
  options: VirtioBlkOptions = {},
  store = MemoryStore.of(content),
) {
  const device = new VirtioBlkDevice(store, options);
  return { device, store, queues: new BareQueues(device, { endianness }) };
}

function contentOf(store: MemoryStore, sector: number, sectors: number): Uint8Array {
  const bytes = new Uint8Array(sectors * 512);
  void store.read(sector * 512, Scatter.of(bytes), bytes.length);
  return bytes;
}

for (const endianness of ["little", "big"] as const) {
  test(`R-609, R-805, R-806 (${endianness}): IN reads sectors; the last byte is the status, used length counts both`, () => {
    const { queues } = bare(endianness);
    // Header by hand: type 0, ioprio 7, sector 5.
    const header = new Uint8Array(16);
    new DataView(header.buffer).setUint32(4, 7, endianness === "little");
    header[endianness === "little" ? 8 : 15] = 5;
    const { answer, written } = queues.send(0, header, 1025);
    assert.equal(written, 1025);
    assert.equal(answer[1024], Ok);
    assert.deepEqual(answer.slice(0, 1024), content.slice(5 * 512, 7 * 512));
    assert.deepEqual(queues.violations, []);
  });

  test(`R-609, R-805, R-806 (${endianness}): OUT writes sectors; used length is the status alone`, () => {
    const { queues, store } = bare(endianness);
    const data = new Uint8Array(1024).fill(0xee);
    const { answer, written } = queues.send(0, blkRequestBytes(endianness, BlkType.Out, 9, data), 1);
    assert.deepEqual([written, ...answer], [1, Ok]);
    assert.deepEqual(contentOf(store, 9, 2), data);
    assert.deepEqual(contentOf(store, 8, 1), content.subarray(8 * 512, 9 * 512));
    assert.deepEqual(contentOf(store, 11, 1), content.subarray(11 * 512, 12 * 512));
  });

  test(`virtio 1.2 §5.2.6 (${endianness}): DISCARD and WRITE_ZEROES take their ranges in the transport's byte order`, () => {
    const { queues, store } = bare(endianness);
    const ranges = blkRangeBytes(endianness, [
      { sector: 3, sectors: 2 },
      { sector: 60, sectors: 4 },
    ]);
    const zeroed = queues.send(0, blkRequestBytes(endianness, BlkType.WriteZeroes, 0, ranges), 1);
    assert.deepEqual([zeroed.written, ...zeroed.answer], [1, Ok]);
    assert.ok([...contentOf(store, 3, 2), ...contentOf(store, 60, 4)].every((byte) => byte === 0));
    assert.deepEqual(contentOf(store, 5, 1), content.subarray(5 * 512, 6 * 512));
    const one = blkRangeBytes(endianness, [{ sector: 10, sectors: 1 }]);
    assert.equal(queues.send(0, blkRequestBytes(endianness, BlkType.Discard, 0, one), 1).answer[0], Ok);
  });
}

test("R-803: sectors are 512 bytes whatever blk_size is, for the capacity and for every request", () => {
  const { queues, device } = bare("little", { blockSize: 4096 });
  assert.equal(device.capacity, 64);
  const { answer } = queues.send(0, blkRequestBytes("little", BlkType.In, 7), 513);
  assert.equal(answer[512], Ok);
  assert.deepEqual(answer.slice(0, 512), content.slice(7 * 512, 8 * 512));
});

test("R-804: a read-only device fails everything that writes, and reads", () => {
  const { queues, store } = bare("little", { readOnly: true });
  const range = blkRangeBytes("little", [{ sector: 0, sectors: 1 }]);
  const writes: [number, Uint8Array][] = [
    [BlkType.Out, new Uint8Array(512)],
    [BlkType.Discard, range],
    [BlkType.WriteZeroes, range],
  ];
  for (const [type, data] of writes) {
    assert.deepEqual(
      [...queues.send(0, blkRequestBytes("little", type, 0, data), 1).answer],
      [IoError],
      `type ${type}`,
    );
  }
  assert.deepEqual(contentOf(store, 0, 64), content);
  assert.equal(queues.send(0, blkRequestBytes("little", BlkType.In, 0), 513).answer[512], Ok);
  assert.equal(queues.send(0, blkRequestBytes("little", BlkType.Flush, 0), 1).answer[0], Ok);
});

test("R-806: FLUSH_OUT is FLUSH; barriers, SCSI commands and what nobody knows are UNSUPP where not negotiated", () => {
  const { queues } = bare();
  const status = (type: number) => queues.send(0, blkRequestBytes("little", type, 0), 1).answer[0];
  assert.equal(status(BlkType.Flush), Ok);
  assert.equal(status(BlkType.FlushOut), Ok);
  const unknown = [2, 3, 6, 7, 9, 10, 12, 14, 15, 16, 17, 24, 26, 0x100, 0x8000_0000, barrierFlag + 4, 0xffff_ffff];
  for (const type of unknown) assert.equal(status(type), Unsupported, `type ${type}`);
  assert.deepEqual(queues.violations, [], "asking for what a device lacks breaks no rule");
});

test("R-807: the barrier flag is taken off the type where BARRIER was negotiated", () => {
  const { queues } = bare("big", { barrier: true });
  const { answer } = queues.send(0, blkRequestBytes("big", barrierFlag + BlkType.In, 2), 513);
  assert.equal(answer[512], Ok);
  assert.deepEqual(answer.slice(0, 512), content.slice(1024, 1536));
  assert.equal(queues.send(0, blkRequestBytes("big", barrierFlag + 99, 0), 1).answer[0], Unsupported);
});

test("R-808: a store that fails is IOERR, at once or late, and the device goes on", async () => {
  for (const by of ["throw", "reject"] as const) {
    const store = new FailingStore(MemoryStore.of(content), failRange(["read", "write"], 10 * 512, 512, "read"), {
      by,
    });
    const queues = new BareQueues(new VirtioBlkDevice(store));
    const bad = queues.send(0, blkRequestBytes("little", BlkType.In, 8), 4 * 512 + 1);
    await new Promise((resolve) => setTimeout(resolve, 1));
    queues.poll();
    assert.deepEqual([bad.done, bad.written, bad.answer[4 * 512]], [true, 1, IoError], by);
    assert.equal(queues.send(0, blkRequestBytes("little", BlkType.In, 11), 513).answer[512], Ok);
  }
});

test("virtio 1.2 §5.2.6: GET_ID gives 20 bytes, zero-padded, without a terminator when all are used", () => {
  const short = bare("little", { serial: "disk 7" }).queues;
  const { answer, written } = short.send(0, blkRequestBytes("little", BlkType.GetId, 0), 21);
  assert.deepEqual([written, answer[20]], [21, Ok]);
  assert.equal(Buffer.from(answer.slice(0, 20)).toString("latin1"), "disk 7".padEnd(20, "\0"));
  const long = bare("little", { serial: "abcdefghijklmnopqrst" }).queues;
  const whole = long.send(0, blkRequestBytes("little", BlkType.GetId, 0), 33);
  assert.equal(Buffer.from(whole.answer.slice(0, 20)).toString("latin1"), "abcdefghijklmnopqrst");
  assert.deepEqual([whole.written, whole.answer[32]], [21, Ok], "more room than the name needs");
  assert.throws(() => bare("little", { serial: "abcdefghijklmnopqrstu" }), RangeError);
});

test("R-616, R-810: descriptor boundaries carry no meaning", () => {
  const write = blkRequestBytes("little", BlkType.Out, 4, new Uint8Array(1024).fill(0x77));
  for (const cuts of [
    [],
    [16],
    [1],
    [15],
    [3, 8, 16, 17, 100],
    [16, 528],
    [8, 700],
    Array.from({ length: 40 }, (_, i) => i + 1),
  ]) {
    const { queues, store } = bareOf(64);
    assert.deepEqual([...queues.send(0, write, 1, cuts).answer], [Ok], `readable cut at ${cuts}`);
    assert.ok(contentOf(store, 4, 2).every((byte) => byte === 0x77));
  }
  for (const cuts of [[], [512], [1], [511], [100, 300, 512], [2, 3, 5, 7]]) {
    const { queues } = bareOf(64);
    const { answer, written } = queues.send(0, blkRequestBytes("little", BlkType.In, 6), 513, [5], cuts);
    assert.deepEqual([written, answer[512]], [513, Ok], `writable cut at ${cuts}`);
    assert.deepEqual(answer.slice(0, 512), content.slice(6 * 512, 7 * 512));
  }
});

function bareOf(queueSize: number) {
  const store = MemoryStore.of(content);
  const device = new VirtioBlkDevice(store, { queueSize });
  return { store, queues: new BareQueues(device, { queueSize }) };
}

test("R-811, R-1506: xv6's three descriptors: header, data, one byte of status", () => {
  const { queues } = bare();
  const { answer, written } = queues.send(0, blkRequestBytes("little", BlkType.In, 2), 1025, [], [1024]);
  assert.deepEqual([written, answer[1024]], [1025, Ok]);
});

test("requests are served on every queue of a device with several", () => {
  const { queues } = bare("little", { queues: 3 });
  for (const queue of [2, 0, 1]) {
    const { answer } = queues.send(queue, blkRequestBytes("little", BlkType.In, queue), 513);
    assert.deepEqual(answer.slice(0, 512), content.slice(queue * 512, queue * 512 + 512));
  }
  assert.deepEqual(queues.signals, [1, 1, 1]);
});

test("virtio 1.2 §5.2.6.2: WRITE_ZEROES keeps the space unless unmap is set, in every range on its own", () => {
  class Recorder extends MemoryStore {
    readonly calls: [position: number, length: number, keepSpace: boolean][] = [];
    override writeZeroes(position: number, length: number, keepSpace: boolean) {
      this.calls.push([position, length, keepSpace]);
      return super.writeZeroes(position, length, keepSpace);
    }
  }
  const store = new Recorder(64 * 512);
  const queues = new BareQueues(new VirtioBlkDevice(store));
  const ranges = blkRangeBytes("little", [
    { sector: 1, sectors: 2, flags: 1 },
    { sector: 5, sectors: 1, flags: 0 },
  ]);
  assert.equal(queues.send(0, blkRequestBytes("little", BlkType.WriteZeroes, 0, ranges), 1).answer[0], Ok);
  assert.deepEqual(store.calls, [
    [512, 1024, false],
    [2560, 512, true],
  ]);
});
