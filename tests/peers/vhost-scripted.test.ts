/** Front ends that cannot run here, played message by message in the order in which each of them speaks. */
import assert from "node:assert/strict";
import { closeDescriptor, createSocketPair, signalEvent, UnixSocket } from "../../src/linux/index.js";
import { configHeader, featureSet, inflightDescription, ProtocolFeature, wire } from "../../src/transport/index.js";
import { after, before, describe, test } from "./limited-test.js";
import { type InProcessBackEnd, serveBlk, untilGone } from "./vhost-in-process.js";
import { numberOf, q, RawFrontEnd, RawRing, stateOf } from "./vhost-raw-front-end.js";

const f = ProtocolFeature;
const version1 = 1n << 32n;
const bit30 = 1n << 30n;
const eventIndex = 1n << 29n;
const indirect = 1n << 28n;
const needReply = 8;

let server: InProcessBackEnd;
before(() => {
  if (process.platform === "linux") server = serveBlk();
});
after(() => server?.close());

function configRequest(offset: number, size: number, data = new Uint8Array(size)): Uint8Array {
  const payload = new Uint8Array(configHeader.size + data.length);
  configHeader.write(new DataView(payload.buffer), 0, wire, { offset, size, flags: 0 });
  payload.set(data, configHeader.size);
  return payload;
}

/** Plays one front end; afterwards the server has to be free for the next. */
async function play(script: (frontEnd: RawFrontEnd) => Promise<void>): Promise<void> {
  const gone = server.gone.length;
  const frontEnd = new RawFrontEnd(server.path);
  try {
    await script(frontEnd);
  } finally {
    frontEnd.close();
  }
  await untilGone(server, gone + 1);
  assert.equal(server.gone[gone], undefined);
}

describe("front ends by the order of their messages", { skip: process.platform !== "linux" && "needs Linux" }, () => {
  test("Cloud Hypervisor: everything acknowledged, all sizes before any address, pause without GET_VRING_BASE", async () => {
    await play(async (fe) => {
      fe.send(q.SetOwner);
      assert.ok(((await fe.askNumber(q.GetFeatures)) & bit30) !== 0n);
      const offered = await fe.askNumber(q.GetProtocolFeatures);
      const wanted = featureSet(f.CONFIG, f.MQ, f.CONFIGURE_MEM_SLOTS, f.REPLY_ACK, f.INFLIGHT_SHMFD);
      assert.equal(offered & wanted, wanted);
      fe.send(q.SetProtocolFeatures, { payload: numberOf(wanted) });
      assert.equal(await fe.askNumber(q.GetQueueCount, { flags: needReply }), 2n);
      const config = await fe.ask(q.GetConfig, { flags: needReply, payload: configRequest(0, 60) });
      assert.deepEqual(configHeader.read(config.payload, 0, wire), { offset: 0, size: 60, flags: 0 });
      assert.equal(config.payload.byteLength, 72);
      const features = bit30 | version1 | eventIndex | indirect;
      assert.equal(await fe.acknowledged(q.SetFeatures, { payload: numberOf(features) }), 0n);
      // Half of the memory now, the other half by hotplug.
      assert.equal(await fe.acknowledged(q.SetMemoryTable, fe.table(0, fe.size / 2)), 0n);
      const rings = [0, 1].map((index) => new RawRing(fe, index, { indirect: true, eventIndex: true }));
      for (const ring of rings) {
        assert.equal(await fe.acknowledged(q.SetVringSize, { payload: stateOf(ring.index, ring.size) }), 0n);
      }
      const inflight = new Uint8Array(inflightDescription.size);
      inflightDescription.write(new DataView(inflight.buffer), 0, wire, { queues: 2, queueSize: 128 });
      const buffer = await fe.ask(q.GetInflight, { flags: needReply, payload: inflight });
      assert.equal(buffer.payload.byteLength, 24);
      assert.equal(buffer.descriptors.length, 1);
      const given = new Uint8Array(buffer.payload.buffer);
      assert.equal(await fe.acknowledged(q.SetInflight, { payload: given, descriptors: buffer.descriptors }), 0n);
      for (const ring of rings) {
        const { index } = ring;
        assert.equal(await fe.acknowledged(q.SetVringAddress, { payload: ring.address() }), 0n);
        assert.equal(await fe.acknowledged(q.SetVringBase, { payload: stateOf(index, 0) }), 0n);
        assert.equal(await fe.acknowledged(q.SetVringCall, { payload: numberOf(index), descriptors: [ring.call] }), 0n);
        assert.equal(await fe.acknowledged(q.SetVringKick, { payload: numberOf(index), descriptors: [ring.kick] }), 0n);
      }
      for (const { index } of rings)
        assert.equal(await fe.acknowledged(q.SetVringEnable, { payload: stateOf(index, 1) }), 0n);
      await rings[0].verify(1);
      await rings[1].verify(2);
      // Pause: a disabled ring keeps its state, and what comes meanwhile waits.
      assert.equal(await fe.acknowledged(q.SetVringEnable, { payload: stateOf(0, 0) }), 0n);
      const data = new Uint8Array(512);
      rings[0].submit(0, 0, data);
      signalEvent(rings[0].kick);
      await new Promise((resolve) => setTimeout(resolve, 30));
      assert.equal(rings[0].driver.reap(), undefined);
      assert.equal(await fe.acknowledged(q.SetVringEnable, { payload: stateOf(0, 1) }), 0n);
      assert.equal(await rings[0].finish(data), 0);
      // Memory hotplug while rings run, and out again.
      const half = fe.single(fe.size / 2, fe.size / 2);
      assert.equal(await fe.acknowledged(q.AddMemoryRegion, half), 0n);
      await rings[0].verify(3);
      assert.equal(await fe.acknowledged(q.RemoveMemoryRegion, { payload: half.payload as Uint8Array }), 0n);
      await rings[1].verify(4);
      // The writeback field is the only one that may be written.
      const write = configRequest(32, 1, Uint8Array.of(0));
      assert.equal(await fe.acknowledged(q.SetConfig, { payload: write }), 0n);
    });
  });

  test("Firecracker: CONFIG only, no acknowledgements, one queue of 256", async () => {
    await play(async (fe) => {
      fe.send(q.SetOwner);
      await fe.askNumber(q.GetFeatures);
      await fe.askNumber(q.GetProtocolFeatures);
      fe.send(q.SetProtocolFeatures, { payload: numberOf(featureSet(f.CONFIG)) });
      const config = await fe.ask(q.GetConfig, { payload: configRequest(0, 60) });
      assert.equal(config.payload.getBigUint64(configHeader.size, true), 2048n);
      fe.send(q.SetFeatures, { payload: numberOf(bit30 | version1 | eventIndex) });
      fe.send(q.SetMemoryTable, fe.table());
      const ring = new RawRing(fe, 0, { size: 256, eventIndex: true });
      fe.send(q.SetVringSize, { payload: stateOf(0, 256) });
      fe.send(q.SetVringAddress, { payload: ring.address() });
      fe.send(q.SetVringBase, { payload: stateOf(0, 0) });
      fe.send(q.SetVringCall, { payload: numberOf(0), descriptors: [ring.call] });
      fe.send(q.SetVringKick, { payload: numberOf(0), descriptors: [ring.kick] });
      fe.send(q.SetVringEnable, { payload: stateOf(0, 1) });
      await ring.verify(5);
    });
  });

  test("crosvm: back-end socket first, never need_reply, configuration in pieces, ENABLE 0 and GET_VRING_BASE to sleep", async () => {
    await play(async (fe) => {
      fe.send(q.SetOwner);
      await fe.askNumber(q.GetFeatures);
      await fe.askNumber(q.GetProtocolFeatures);
      const wanted = featureSet(f.CONFIG, f.MQ, f.BACKEND_REQ, f.REPLY_ACK);
      fe.send(q.SetProtocolFeatures, { payload: numberOf(wanted) });
      const [ours, theirs] = createSocketPair();
      fe.send(q.SetBackEndSocket, { descriptors: [theirs] });
      closeDescriptor(theirs);
      assert.equal(await fe.askNumber(q.GetQueueCount), 2n);
      for (const [offset, size] of [
        [0, 8],
        [34, 2],
        [20, 4],
        [200, 56],
      ]) {
        const { payload } = await fe.ask(q.GetConfig, { payload: configRequest(offset, size) });
        assert.equal(payload.byteLength, configHeader.size + size);
      }
      fe.send(q.SetFeatures, { payload: numberOf(bit30 | version1 | indirect) });
      fe.send(q.SetMemoryTable, fe.table());
      const ring = new RawRing(fe, 1, { indirect: true });
      fe.send(q.SetVringSize, { payload: stateOf(1, ring.size) });
      for (let times = 0; times < 2; times++) {
        fe.send(q.SetVringAddress, { payload: ring.address() });
        fe.send(q.SetVringBase, { payload: stateOf(1, 2 * times) });
        fe.send(q.SetVringCall, { payload: numberOf(1), descriptors: [ring.call] });
        fe.send(q.SetVringKick, { payload: numberOf(1), descriptors: [ring.kick] });
        fe.send(q.SetVringEnable, { payload: stateOf(1, 1) });
        await ring.verify(6);
        fe.send(q.SetVringEnable, { payload: stateOf(1, 0) });
        const { payload } = await fe.ask(q.GetVringBase, { payload: stateOf(1, 0) });
        assert.deepEqual([payload.getUint32(0, true), payload.getUint32(4, true)], [1, 2 * (times + 1)]);
      }
      closeDescriptor(ours);
    });
  });

  test("SPDK's initiator: features before protocol features, 256 bytes of configuration, enable before anything else", async () => {
    await play(async (fe) => {
      fe.send(q.SetOwner);
      await fe.askNumber(q.GetFeatures);
      fe.send(q.SetFeatures, { payload: numberOf(bit30 | version1) });
      await fe.askNumber(q.GetProtocolFeatures);
      fe.send(q.SetProtocolFeatures, { payload: numberOf(0x201) });
      for (let times = 0; times < 5; times++) {
        const { payload } = await fe.ask(q.GetConfig, { payload: configRequest(0, 256) });
        assert.equal(payload.byteLength, configHeader.size + 256);
        assert.equal(payload.getBigUint64(configHeader.size, true), 2048n);
        assert.equal(payload.getUint32(configHeader.size + 252, true), 0);
      }
      fe.send(q.SetVringEnable, { payload: stateOf(0, 1) });
      assert.equal(await fe.askNumber(q.GetQueueCount), 2n);
      const ring = new RawRing(fe, 0);
      fe.send(q.SetVringCall, { payload: numberOf(0), descriptors: [ring.call] });
      fe.send(q.SetMemoryTable, fe.table());
      fe.send(q.SetVringSize, { payload: stateOf(0, ring.size) });
      fe.send(q.SetVringBase, { payload: stateOf(0, 0) });
      fe.send(q.SetVringAddress, { payload: ring.address() });
      fe.send(q.SetVringKick, { payload: numberOf(0), descriptors: [ring.kick] });
      await ring.verify(7);
    });
  });

  test("a front end without protocol features: rings run as soon as they are kicked", async () => {
    await play(async (fe) => {
      fe.send(q.SetOwner);
      await fe.askNumber(q.GetFeatures);
      fe.send(q.SetFeatures, { payload: numberOf(version1) });
      fe.send(q.SetMemoryTable, fe.table());
      const ring = new RawRing(fe, 0);
      fe.send(q.SetVringSize, { payload: stateOf(0, ring.size) });
      fe.send(q.SetVringBase, { payload: stateOf(0, 0) });
      fe.send(q.SetVringAddress, { payload: ring.address() });
      fe.send(q.SetVringCall, { payload: numberOf(0), descriptors: [ring.call] });
      fe.send(q.SetVringKick, { payload: numberOf(0), descriptors: [ring.kick] });
      await ring.verify(8);
    });
  });

  test("no descriptors for kick and call: the ring is looked at again and again, and nobody is called", async () => {
    await play(async (fe) => {
      await fe.askNumber(q.GetFeatures);
      fe.send(q.SetFeatures, { payload: numberOf(version1) });
      fe.send(q.SetMemoryTable, fe.table());
      const ring = new RawRing(fe, 0);
      fe.send(q.SetVringSize, { payload: stateOf(0, ring.size) });
      fe.send(q.SetVringAddress, { payload: ring.address() });
      fe.send(q.SetVringCall, { payload: numberOf(0x100) });
      fe.send(q.SetVringKick, { payload: numberOf(0x100) });
      for (let request = 0; request < 3; request++) {
        const data = new Uint8Array(512);
        ring.submit(0, request, data);
        assert.equal(await ring.finish(data, false), 0);
      }
    });
  });

  test("QEMU's migration log is refused, and the connection goes on", async () => {
    await play(async (fe) => {
      await fe.askNumber(q.GetFeatures);
      fe.send(q.SetProtocolFeatures, { payload: numberOf(featureSet(f.REPLY_ACK)) });
      assert.equal(
        await fe.acknowledged(q.SetLogBase, { payload: new Uint8Array(16), descriptors: [fe.memoryFile] }),
        1n,
      );
      assert.equal(await fe.acknowledged(99), 1n);
      fe.send(98);
      await fe.askNumber(q.GetFeatures);
    });
  });

  test("a capacity that changes is told on the back end's socket, and read again on the first", async () => {
    await play(async (fe) => {
      await fe.askNumber(q.GetFeatures);
      fe.send(q.SetProtocolFeatures, { payload: numberOf(featureSet(f.CONFIG, f.BACKEND_REQ)) });
      const [ours, theirs] = createSocketPair();
      const socket = new UnixSocket(ours);
      fe.send(q.SetBackEndSocket, { descriptors: [theirs] });
      closeDescriptor(theirs);
      await fe.askNumber(q.GetFeatures);
      server.device.resized(512 * 1024);
      const message = new Uint8Array(64);
      assert.equal(socket.receive(message, 1000), 12);
      assert.deepEqual([...new Uint32Array(message.buffer, 0, 3)], [2, 1, 0]);
      const { payload } = await fe.ask(q.GetConfig, { payload: configRequest(0, 8) });
      assert.equal(payload.getBigUint64(configHeader.size, true), 1024n);
      server.device.resized(1 << 20);
      socket.close();
    });
  });
});
