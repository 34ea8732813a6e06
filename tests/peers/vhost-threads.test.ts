/** Queues in threads: what concerns all reaches all, and nothing of a front end or a thread that went is held. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { clearEvent, signalEvent } from "../../src/linux/index.js";
import { configHeader, featureSet, wire } from "../../src/transport/index.js";
import { test } from "./limited-test.js";
import { heldResources, serveBlkInThreads, untilGone } from "./vhost-in-process.js";
import { connectQueues } from "./vhost-queues.js";
import { numberOf, q, stateOf } from "./vhost-raw-front-end.js";

const options = process.platform === "linux" ? {} : { skip: "vhost-user needs Linux" };

function configOf(offset: number, data: readonly number[]): Uint8Array {
  const payload = new Uint8Array(configHeader.size + data.length);
  configHeader.write(new DataView(payload.buffer), 0, wire, { offset, size: data.length, flags: 0 });
  payload.set(data, configHeader.size);
  return payload;
}

// The first in this process: nobody else has guarded memory yet.
test("a thread maps its image under guard though the main thread guards nothing", options, async (t) => {
  if (process.arch !== "x64") return t.skip("memory is guarded on x86-64 only");
  const folder = mkdtempSync(join(tmpdir(), "ringside-threads-"));
  const image = join(folder, "disk.img");
  writeFileSync(image, new Uint8Array(1 << 20));
  const server = await serveBlkInThreads({ image, queues: 1 }, 1);
  try {
    const mapping = readFileSync("/proc/self/maps", "latin1")
      .split("\n")
      .find((line) => line.endsWith(image));
    assert.match(mapping ?? "no mapping", / r--s /);
  } finally {
    await server.close();
    rmSync(folder, { recursive: true });
  }
});

test("each queue is served by its thread, also after a stop, a reset and another memory table", options, async () => {
  const server = await serveBlkInThreads();
  try {
    const { fe, rings } = await connectQueues(server);
    for (const ring of rings) await ring.verify(1 + ring.index);
    // The same memory under another user address is another mapping.
    assert.equal(await fe.acknowledged(q.SetMemoryTable, fe.table()), 0n);
    for (const ring of rings) await ring.verify(5 + ring.index);
    const stopped = await fe.ask(q.GetVringBase, { payload: stateOf(1, 0) });
    assert.equal(stopped.payload.getUint32(4, true), 4, "after two writes and two reads");
    await rings[0].verify(9);
    fe.close();
    await untilGone(server, 1);
    const again = await connectQueues(server);
    for (const ring of again.rings) await ring.verify(20 + ring.index);
    again.fe.close();
    await untilGone(server, 2);
    assert.deepEqual(server.gone, [undefined, undefined]);
  } finally {
    await server.close();
  }
});

test("front ends leave no descriptor and no mapping behind", options, async () => {
  const server = await serveBlkInThreads();
  try {
    let held: ReturnType<typeof heldResources> | undefined;
    for (let round = 0; round < 8; round++) {
      const { fe, rings } = await connectQueues(server);
      await Promise.all(rings.map((ring) => ring.verify(round)));
      fe.close();
      await untilGone(server, round + 1);
      await new Promise((resolve) => setTimeout(resolve, 5));
      held ??= heldResources();
      assert.deepEqual(heldResources(), held);
    }
  } finally {
    await server.close();
  }
});

test("the write cache that the driver chooses counts in every thread before the answer", options, async () => {
  const flushes = new SharedArrayBuffer(4);
  const server = await serveBlkInThreads({ flushes });
  const flushed = () => Atomics.exchange(new Int32Array(flushes), 0, 0);
  try {
    // FLUSH and CONFIG_WCE.
    const withCache = featureSet(30, 32, 9, 11);
    const { fe, rings } = await connectQueues(server, withCache);
    for (const writeback of [0, 1, 0]) {
      assert.equal(await fe.acknowledged(q.SetConfig, { payload: configOf(32, [writeback]) }), 0n);
      const config = await fe.ask(q.GetConfig, { payload: configOf(32, [7]) });
      assert.equal(config.payload.getUint8(12), writeback);
      for (const ring of rings) {
        await ring.verify(1 + writeback);
        assert.equal(flushed(), 1 - writeback, "without a cache a write is flushed before it is answered");
      }
    }
    fe.close();
    await untilGone(server, 1);
    const next = await connectQueues(server, withCache);
    for (const ring of next.rings) await ring.verify(5);
    assert.equal(flushed(), 0, "the next front end finds the cache as it is after a reset");
    next.fe.close();
    await untilGone(server, 2);
    const last = await connectQueues(server, withCache, async (fe) => {
      assert.equal(await fe.acknowledged(q.SetConfig, { payload: configOf(32, [0]) }), 0n);
    });
    await last.rings[1].verify(6);
    assert.equal(flushed(), 1, "chosen before a queue starts, it counts for that queue too");
    last.fe.close();
  } finally {
    await server.close();
  }
});

test("a thread that is held up does not hold the other queue up", options, async () => {
  const gate = new SharedArrayBuffer(4);
  const server = await serveBlkInThreads({ gate, heldPosition: 512 * 7 });
  try {
    const { fe, rings } = await connectQueues(server);
    const held = new Uint8Array(512);
    rings[0].submit(0, 7, held);
    signalEvent(rings[0].kick);
    for (const seed of [1, 2, 3]) await rings[1].verify(seed);
    Atomics.store(new Int32Array(gate), 0, 1);
    Atomics.notify(new Int32Array(gate), 0);
    assert.equal(await rings[0].finish(held), 0);
    fe.close();
  } finally {
    await server.close();
  }
});

test("a ring that breaks is told through the session, and the other queue goes on", options, async () => {
  const server = await serveBlkInThreads();
  try {
    const { fe, rings } = await connectQueues(server);
    const error = fe.event();
    assert.equal(await fe.acknowledged(q.SetVringError, { payload: numberOf(0), descriptors: [error] }), 0n);
    // More available than the ring has places.
    fe.memory.write(rings[0].addresses.available + 2, Uint8Array.of(0xff, 0x7f));
    signalEvent(rings[0].kick);
    for (const deadline = Date.now() + 5000; !clearEvent(error); ) {
      assert.ok(Date.now() < deadline, "the error descriptor is signalled");
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await rings[1].verify(3);
    fe.close();
  } finally {
    await server.close();
  }
});

test("a thread that throws fails the runner with one line; closing does not wait for it", options, async () => {
  const server = await serveBlkInThreads({ fatalPosition: 512 * 7 });
  assert.ok("failure" in server.runner);
  const failure = assert.rejects(server.runner.failure, {
    message: "a thread that serves queues ended: nobody catches this",
  });
  const { fe, rings } = await connectQueues(server);
  await rings[1].verify(1);
  rings[0].submit(0, 7, new Uint8Array(512));
  signalEvent(rings[0].kick);
  await failure;
  // The rest can still be let go of.
  await server.close();
  assert.equal(server.gone.length, 1);
  fe.close();
});

test("a device that a thread cannot open is said in its words", options, async () => {
  await assert.rejects(serveBlkInThreads({ unfit: "the disk is on holiday" }), { message: "the disk is on holiday" });
});
