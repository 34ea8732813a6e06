/** Requests under way against stores that answer late: order, barriers, durability, resets. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Scatter } from "../../memory/index.js";
import type { BlockFault, FaultHook } from "../../observe/index.js";
import { MemoryStore, type Store } from "../../storage/index.js";
import { BareQueues, blkRangeBytes, blkRequestBytes, PowerLossStore, SlowStore } from "../../testing/index.js";
import { featureSet, ringFeatures } from "../../transport/index.js";
import { BlkStatus, BlkType, barrierFlag, blkFeatures, VirtioBlkDevice, type VirtioBlkOptions } from "./index.js";

const { Ok, IoError } = BlkStatus;
const { In, Out, Flush } = BlkType;

function bare(store: Store, options: VirtioBlkOptions = {}, endianness: "little" | "big" = "little") {
  const device = new VirtioBlkDevice(store, options);
  return { device, queues: new BareQueues(device, { endianness, queueSize: 64 }) };
}

function write(sector: number, value: number, flag = 0, endianness: "little" | "big" = "little"): Uint8Array {
  return blkRequestBytes(endianness, Out + flag, sector, new Uint8Array(512).fill(value));
}

function sectorOf(store: MemoryStore, sector: number): Uint8Array {
  const bytes = new Uint8Array(512);
  void store.read(sector * 512, Scatter.of(bytes), 512);
  return bytes;
}

test("requests end when their store answers, in its order, each with an interrupt", async () => {
  const memory = MemoryStore.of(Uint8Array.from({ length: 32 * 512 }, (_, index) => index >> 9));
  const store = new SlowStore(memory, { isHeld: true });
  const { device, queues } = bare(store);
  const reads = Array.from({ length: 16 }, (_, sector) => queues.submit(0, blkRequestBytes("little", In, sector), 513));
  queues.notify(0);
  assert.deepEqual([device.running.size, store.heldRequests], [16, 16]);
  assert.ok(reads.every(({ done }) => !done));
  await store.releaseAll();
  queues.poll();
  for (const [sector, { done, written, answer }] of reads.entries()) {
    assert.deepEqual([done, written, answer[512]], [true, 513, Ok]);
    assert.ok(answer.slice(0, 512).every((byte) => byte === sector));
  }
  assert.equal(device.running.size, 0);
  assert.ok(queues.signals[0] >= 1);
});

test("R-807: what came before a barrier ends before it, what follows starts after it", async () => {
  const memory = new MemoryStore(64 * 512);
  const store = new SlowStore(memory, { isHeld: true });
  const { device, queues } = bare(store, { barrier: true }, "big");
  const order: string[] = [];
  const before = [1, 2, 3].map((sector) => queues.submit(0, write(sector, sector, 0, "big"), 1));
  const barrier = queues.submit(0, write(0, 0xbb, barrierFlag, "big"), 1);
  const after = [4, 5].map((sector) => queues.submit(0, write(sector, sector, 0, "big"), 1));
  queues.notify(0);
  assert.equal(store.heldRequests, 3, "the barrier waits, and what follows too");
  while (!after.every(({ done }) => done)) {
    assert.ok(store.heldRequests > 0, "nothing is left to wait for");
    store.releaseOne();
    await new Promise((resolve) => setTimeout(resolve, 0));
    for (const submission of queues.poll()) {
      if (submission === barrier) order.push("barrier");
      else order.push(before.includes(submission) ? "before" : "after");
    }
    if (order.length < 3) assert.ok(store.heldRequests <= 3 - order.length);
    else if (order.length === 3) assert.equal(store.heldRequests, 1, "the barrier alone");
  }
  assert.deepEqual(order, ["before", "before", "before", "barrier", "after", "after"]);
  assert.equal(device.running.size, 0);
});

test("R-807: barriers in a row, with stores that answer at once and late, on a ring that wraps", async () => {
  for (const store of [new MemoryStore(64 * 512), new SlowStore(new MemoryStore(64 * 512), { longestDelay: 1 })]) {
    const { queues } = bare(store, { barrier: true }, "big");
    const ends: number[] = [];
    const sent = Array.from({ length: 30 }, (_, index) =>
      queues.submit(0, write(index, index, index % 3 === 2 ? barrierFlag : 0, "big"), 1),
    );
    queues.notify(0);
    for (let turn = 0; turn < 500 && ends.length < 30; turn++) {
      for (const submission of sent)
        if (submission.done && !ends.includes(sent.indexOf(submission))) ends.push(sent.indexOf(submission));
      await new Promise((resolve) => setTimeout(resolve, 1));
      for (const submission of queues.poll()) ends.push(sent.indexOf(submission));
    }
    assert.equal(ends.length, 30);
    // Every barrier has everything before it in front of it.
    for (const [place, index] of ends.entries()) if (index % 3 === 2) assert.equal(place, index);
  }
});

test("a reset with requests in flight: nothing late is written to memory or pushed", async () => {
  const store = new SlowStore(MemoryStore.of(new Uint8Array(32 * 512).fill(0x33)), { isHeld: true });
  const { device, queues } = bare(store);
  const read = queues.submit(0, blkRequestBytes("little", In, 0), 513);
  read.answer.fill(0xaa);
  const zeroes = blkRangeBytes("little", [
    { sector: 1, sectors: 1 },
    { sector: 2, sectors: 1 },
  ]);
  queues.submit(0, blkRequestBytes("little", BlkType.WriteZeroes, 0, zeroes), 1);
  queues.notify(0);
  assert.equal(store.heldRequests, 2);
  device.reset();
  assert.equal(device.running.size, 0);
  await store.releaseAll();
  assert.equal(store.heldRequests, 0, "the second range is not begun");
  assert.deepEqual(queues.poll(), []);
  assert.ok(read.answer.every((byte) => byte === 0xaa));
});

test("a reset forgets a barrier that waits", async () => {
  const store = new SlowStore(new MemoryStore(32 * 512), { isHeld: true });
  const { device, queues } = bare(store, { barrier: true }, "big");
  queues.submit(0, write(0, 1, 0, "big"), 1);
  queues.submit(0, write(1, 1, barrierFlag, "big"), 1);
  queues.notify(0);
  device.reset();
  await store.releaseAll();
  const next = queues.submit(0, write(2, 1, 0, "big"), 1);
  queues.notify(0);
  assert.equal(store.heldRequests, 1, "requests are served again");
  await store.releaseAll();
  queues.poll();
  assert.equal(next.done, true);
});

const ringBits = featureSet(ringFeatures.INDIRECT_DESC, ringFeatures.EVENT_IDX);
const { FLUSH, CONFIG_WCE } = blkFeatures;

/** What survives when the power goes right after a write was answered. */
async function survives(options: VirtioBlkOptions, features: bigint, prepare?: (device: VirtioBlkDevice) => void) {
  const kept: boolean[] = [];
  for (const type of ["out", "zeroes"] as const) {
    const store = new PowerLossStore(32 * 512, { survival: 0 });
    await store.write(0, Scatter.of(new Uint8Array(512).fill(1)), 512);
    await store.flush();
    const device = new VirtioBlkDevice(store, options);
    const queues = new BareQueues(device, { features: features | ringBits });
    prepare?.(device);
    const zero = blkRequestBytes(
      "little",
      BlkType.WriteZeroes,
      0,
      blkRangeBytes("little", [{ sector: 0, sectors: 1 }]),
    );
    const sent = queues.send(0, type === "out" ? write(0, 0) : zero, 1);
    assert.deepEqual([sent.done, sent.answer[0]], [true, Ok]);
    store.powerCut(1);
    const bytes = new Uint8Array(1);
    await store.read(0, Scatter.of(bytes), 1);
    kept.push(bytes[0] === 0);
  }
  assert.equal(kept[0], kept[1], "writes and zeroes are alike");
  return kept[0];
}

const zeroBit = featureSet(blkFeatures.WRITE_ZEROES);

test("virtio 1.2 §5.2.6.2: with FLUSH a write may be lost until a flush; without it every write is durable", async () => {
  assert.equal(await survives({}, featureSet(FLUSH, CONFIG_WCE) | zeroBit), false);
  assert.equal(await survives({}, featureSet(FLUSH) | zeroBit), false);
  assert.equal(await survives({}, zeroBit), true, "neither FLUSH nor CONFIG_WCE was taken");
  assert.equal(await survives({ cache: "through" }, zeroBit), true);
  assert.equal(await survives({ cache: "back" }, featureSet(FLUSH) | zeroBit), false);
});

test("virtio 1.2 §5.2.5.2: CONFIG_WCE without FLUSH starts write-through; writing the field switches", async () => {
  assert.equal(await survives({}, featureSet(CONFIG_WCE) | zeroBit), true);
  const set = (value: number) => (device: VirtioBlkDevice) => {
    const view = new DataView(new ArrayBuffer(device.configSize));
    device.readConfig(view, "little");
    view.setUint8(32, value);
    device.writeConfig(view);
    device.readConfig(view, "little");
    assert.equal(view.getUint8(32), value === 0 ? 0 : 1);
  };
  const both = featureSet(FLUSH, CONFIG_WCE) | zeroBit;
  assert.equal(await survives({}, both, set(0)), true);
  assert.equal(await survives({}, both, set(1)), false);
});

test("virtio 1.2 §5.2.6: a flush makes what ended before it durable, also over a store that answers late", async () => {
  const power = new PowerLossStore(32 * 512, { survival: 0 });
  const { queues } = bare(new SlowStore(power, { longestDelay: 1 }));
  const wait = async (submission: { done: boolean }) => {
    while (!submission.done) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      queues.poll();
    }
  };
  await wait(queues.send(0, write(3, 0x77), 1));
  await wait(queues.send(0, blkRequestBytes("little", Flush, 0), 1));
  power.powerCut(1);
  const bytes = new Uint8Array(512);
  await power.read(3 * 512, Scatter.of(bytes), 512);
  assert.ok(bytes.every((byte) => byte === 0x77));
});

test("faults on demand: a status, a delay, and no answer at all", async () => {
  const plan: (BlockFault | undefined)[] = [
    { kind: "status", status: 2 },
    { kind: "delay", milliseconds: 2 },
    { kind: "never" },
    undefined,
  ];
  const faults: FaultHook = {
    blockRequest(point) {
      assert.deepEqual(point, { type: Out, sector: 4, byteLength: 512, queue: 0 });
      return plan.shift();
    },
  };
  const memory = new MemoryStore(32 * 512);
  const { device, queues } = bare(memory, { faults });
  const sent = Array.from({ length: 4 }, () => queues.submit(0, write(4, 0x55), 1));
  queues.notify(0);
  assert.deepEqual(
    sent.map(({ done }) => done),
    [true, false, false, true],
  );
  assert.equal(sent[0].answer[0], 2);
  await new Promise((resolve) => setTimeout(resolve, 10));
  queues.poll();
  assert.deepEqual([sent[1].done, sent[1].answer[0]], [true, Ok]);
  assert.equal(sent[2].done, false);
  assert.ok(sectorOf(memory, 4).every((byte) => byte === 0x55));
  device.reset();
  assert.equal(device.running.size, 0);
});

test("a store that throws something unexpected fails the request and nobody else", () => {
  const memory = new MemoryStore(32 * 512);
  const broken: Store = Object.assign(Object.create(memory) as MemoryStore, {
    byteLength: 32 * 512,
    isReadOnly: false,
    description: "broken",
    read() {
      throw new TypeError("a bug in a store");
    },
  });
  const { queues } = bare(broken);
  assert.equal(queues.send(0, blkRequestBytes("little", In, 0), 513).answer[512], IoError);
});
