/** The ring features of virtio 1.x as PCI and MMIO carry them, register by register, by the ids of their statements. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DmaAllocator, GuestDma, GuestMemory } from "../memory/index.js";
import { MemoryStore } from "../storage/index.js";
import { createBlkLoopback, seededRandom } from "../testing/index.js";
import { VirtioBlkDevice, VirtioBlkDriver } from "../virtio/index.js";
import { ChainPieces } from "../virtqueue/index.js";
import {
  commonRegisters,
  DeviceCore,
  DriverLink,
  featureSet,
  MmioTransport,
  mmioRegisters,
  modernRingFeatures,
  ringFeatures,
  VirtioMmioDevice,
} from "./index.js";
import { modernDeviceWindow } from "./pci-modern/device.js";

const { VERSION_1, RING_PACKED, RING_RESET, NOTIFICATION_DATA, IN_ORDER, INDIRECT_DESC, EVENT_IDX } = ringFeatures;
const { ACCESS_PLATFORM, ORDER_PLATFORM } = ringFeatures;
const everything = featureSet(INDIRECT_DESC, EVENT_IDX, ...modernRingFeatures.filter((bit) => bit !== RING_RESET));

/** Common configuration of a device with queues of up to 100 entries, negotiated. */
function openCommon(features: bigint, queueSize = 100) {
  const memory = GuestMemory.ofSize(1 << 16);
  const type = new VirtioBlkDevice(new MemoryStore(1 << 16), { queues: 2, queueSize });
  const core = new DeviceCore(type, { memory, resetsQueues: true, ringFeatures: everything });
  const selected = { queue: 0, deviceFeatures: 0, driverFeatures: 0 };
  const window = modernDeviceWindow(core, { vectors: 3, takeIsr: () => 0, configVector: 0xffff, selected });
  const r = commonRegisters;
  window.write8(r.deviceStatus.offset, 3);
  for (const select of [0, 1]) {
    window.write32(r.driverFeatureSelect.offset, select);
    window.write32(r.driverFeature.offset, Number((features >> BigInt(32 * select)) & 0xffff_ffffn));
  }
  window.write8(r.deviceStatus.offset, 11);
  assert.equal(window.read8(r.deviceStatus.offset), 11);
  return { core, window, r };
}

test("pci-device-26: without RING_PACKED queue_size is a power of two, also of a device that could have others", () => {
  for (const [features, shown] of [
    [featureSet(VERSION_1), 64],
    [featureSet(VERSION_1, RING_PACKED), 100],
  ] as const) {
    const { window, r } = openCommon(features);
    assert.equal(window.read16(r.queueSize.offset), shown);
    for (const size of [0, 3, 48, 99, 100, 101]) {
      window.write16(r.queueSize.offset, size);
      const taken = shown === 100 && size >= 1 && size <= 100;
      if (taken) assert.equal(window.read16(r.queueSize.offset), size);
      else assert.notEqual(window.read16(r.queueSize.offset), size, `${size} is not taken`);
      window.write16(r.queueSize.offset, shown);
    }
  }
});

test("pci-device-20 to pci-device-24, vq-reset-device-1 to vq-reset-device-3: queue_reset", () => {
  const { core, window, r } = openCommon(featureSet(VERSION_1, RING_PACKED, RING_RESET));
  const setUp = (size: number) => {
    window.write16(r.queueSelect.offset, 1);
    window.write16(r.queueSize.offset, size);
    window.write16(r.queueVector.offset, 2);
    window.write32(r.queueDescriptorsLow.offset, 0x1000);
    window.write32(r.queueAvailableLow.offset, 0x2000);
    window.write32(r.queueUsedLow.offset, 0x3000);
    window.write16(r.queueEnable.offset, 1);
  };
  setUp(50);
  assert.equal(window.read16(r.queueReset.offset), 0, "after queue_enable");
  window.write8(r.deviceStatus.offset, 15);
  const before = core.queue(1);
  assert.equal(before?.size, 50);
  window.write16(r.queueReset.offset, 0);
  assert.equal(core.queue(1), before, "only 1 resets");
  window.write16(r.queueReset.offset, 1);
  // The reset is done within the write, so 1 is never seen.
  assert.deepEqual([window.read16(r.queueReset.offset), window.read16(r.queueEnable.offset)], [0, 0]);
  assert.equal(core.queue(1), undefined, "nothing is served any more");
  assert.deepEqual([window.read16(r.queueSize.offset), window.read32(r.queueDescriptorsLow.offset)], [100, 0]);
  setUp(7);
  assert.equal(core.queue(1)?.size, 7, "what the driver chose anew counts");
  assert.equal(core.queue(1)?.nextAvailable, 0x8000, "from the start");
  window.write8(r.deviceStatus.offset, 0);
  assert.equal(window.read16(r.queueReset.offset), 0, "on reset");
  const without = openCommon(featureSet(VERSION_1));
  without.window.write16(r.queueEnable.offset, 1);
  without.window.write16(r.queueReset.offset, 1);
  assert.equal(without.window.read16(r.queueEnable.offset), 1, "not negotiated: not there");
});

test("reserved-features-device-1, reserved-features-driver-1: VERSION_1 is always there; further ring features are offered when asked for, and are accepted", async () => {
  const memory = GuestMemory.ofSize(1 << 16);
  const type = () => new VirtioBlkDevice(new MemoryStore(1 << 16));
  const usual = new DeviceCore(type(), { memory, resetsQueues: true }).offered(false);
  assert.equal(usual & featureSet(VERSION_1, RING_PACKED, RING_RESET), featureSet(VERSION_1, RING_PACKED, RING_RESET));
  assert.equal(usual & featureSet(IN_ORDER, NOTIFICATION_DATA, ACCESS_PLATFORM, ORDER_PLATFORM), 0n);
  assert.equal(new DeviceCore(type(), { memory, offersVersion1: false }).offered(true) >> 32n, 0n);
  const further = featureSet(IN_ORDER, NOTIFICATION_DATA, ACCESS_PLATFORM, ORDER_PLATFORM);
  const loop = await createBlkLoopback({ packed: true, furtherRingFeatures: further });
  const negotiated = loop.driver.link.features;
  assert.equal(
    negotiated & further,
    further,
    "the driver takes them: reserved-features-driver-3, reserved-features-driver-5, reserved-features-driver-6",
  );
  assert.ok(loop.driver.link.has(RING_PACKED) && loop.driver.link.has(VERSION_1));
  await loop.close();
});

for (const packed of [false, true]) {
  const format = packed ? "packed" : "split";

  test(`${format}: pci-driver-36 to pci-driver-39, packed-driver-4: notifications of 16 bits, or of 32 with index and place`, async () => {
    for (const data of [false, true]) {
      const written: { name: string; width: number; value: number }[] = [];
      const loop = await createBlkLoopback({
        ...{ packed, indirect: false, startIndex: 13, eventIndex: false },
        furtherRingFeatures: data ? featureSet(NOTIFICATION_DATA) : 0n,
        observer: {
          emit: ({ name, fields = {} }) => {
            const { register, width, value } = fields as Record<string, unknown>;
            if (`${name} ${register}`.includes("queueNotify(0)")) {
              written.push({ name, width: Number(width), value: Number(value) });
            }
          },
        },
      });
      assert.equal(loop.driver.link.has(NOTIFICATION_DATA), data);
      const size = loop.driver.queueSize();
      const start = packed ? (13 % size) | 0x8000 : 13;
      // A chain of three descriptors (header, data, status): one place on a split ring, three on a packed one.
      await loop.driver.readSectors(0, new Uint8Array(512));
      const step = packed ? 3 : 1;
      const last = written.at(-1);
      assert.ok(last !== undefined, "the trace tells of notifications");
      if (data) {
        assert.equal(last.value & 0xffff, 0);
        assert.equal(last.value >>> 16, start + step, "where the next descriptor goes that is not available yet");
      } else assert.equal(last.value, 0);
      assert.equal(last.width, data ? 4 : 2);
      await loop.close();
    }
  });

  test(`${format}: mmio-device-8, mmio-device-9, mmio-driver-14: QueueReset, and QueueNotify with the place in its high half`, async () => {
    const memory = GuestMemory.ofSize(1 << 20);
    const dma = new GuestDma(memory, new DmaAllocator(memory, 0x1000, (1 << 20) - 0x1000));
    const type = new VirtioBlkDevice(new MemoryStore(1 << 16), { queues: 2, queueSize: 100 });
    const device = new VirtioMmioDevice(type, {
      memory,
      ringFeatures: packed ? everything : everything & ~featureSet(RING_PACKED),
    });
    const notified: number[] = [];
    const reset: number[] = [];
    const { window } = device;
    const write32 = window.write32.bind(window);
    window.write32 = (offset, value) => {
      if (offset === mmioRegisters.queueNotify.offset) notified.push(value);
      if (offset === mmioRegisters.queueReset.offset) reset.push(value);
      write32(offset, value);
    };
    const transport = new MmioTransport(window, { memory, dma, guestEndianness: "little" });
    const features = featureSet(INDIRECT_DESC, ...modernRingFeatures);
    const handlers = { queue: () => {}, config: () => {} };
    const link = await DriverLink.open(transport, { features, queues: 2, handlers });
    const queues = [link.createQueue<number>(0), link.createQueue<number>(1)];
    assert.equal(queues[1].size, packed ? 100 : 64);
    window.write32(mmioRegisters.queueSelect.offset, 1);
    assert.equal(window.read32(mmioRegisters.queueReset.offset), 0, "after QueueReady");
    link.start();
    const random = seededRandom(4);
    const block = dma.allocate(1024);
    const pieces = new ChainPieces();
    const send = (index: number, queue = queues[index]) => {
      pieces.clear();
      pieces.addReadable(block.address, 16);
      pieces.addWritable(block.address + 32, 512);
      pieces.addWritable(block.address + 600, 1);
      assert.ok(queue.add(pieces, random.below(1000)));
      queue.publish();
      transport.notify(index);
      assert.equal((notified.at(-1) ?? 0) >>> 16, queue.position);
      assert.equal((notified.at(-1) ?? 0) & 0xffff, index);
    };
    for (let times = 0; times < 130; times++) {
      send(1);
      assert.ok(queues[1].reap() !== undefined);
    }
    const again = await link.resetQueue(queues[1]);
    assert.deepEqual([again, reset], [[], [1]]);
    const made = link.createQueue<number>(1);
    send(1, made);
    assert.ok(made.reap() !== undefined);
    send(0);
    assert.ok(queues[0].reap() !== undefined);
    assert.deepEqual([...device.core.violations], []);
    await link.close();
    window.write32(mmioRegisters.queueSelect.offset, 1);
    assert.equal(window.read32(mmioRegisters.queueReset.offset), 0, "on reset");
  });

  test(`${format}: vq-reset-device-1: after a reset of its queue virtio-blk ends none of its requests, and other queues go on`, async () => {
    let answer: () => void = () => {};
    const loop = await createBlkLoopback({
      packed,
      device: { queues: 2 },
      driver: { queues: 2 },
      faults: {
        blockRequest: ({ queue }) => (queue === 1 ? { kind: "delay", milliseconds: 20 } : undefined),
      },
    });
    const { core } = loop.adapter;
    assert.ok(loop.driver.link.has(RING_RESET));
    const slow = loop.driver.readSectors(0, new Uint8Array(512), { queue: 1, timeout: 0 });
    slow.then(
      () => answer(),
      () => {},
    );
    assert.equal(loop.device.running.size, 1);
    let answered = false;
    answer = () => {
      answered = true;
    };
    const index = 1;
    core.resetQueue(index);
    assert.equal(loop.device.running.size, 0);
    await loop.driver.readSectors(0, new Uint8Array(512), { queue: 0 });
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(answered, false);
    await loop.driver.close(new Error("over"));
    await assert.rejects(slow, /over/);
    await loop.unplug();
  });
}

test("pci-driver-15, pci-driver-16: a driver writes sizes that the format can have, never 0", async () => {
  for (const packed of [false, true]) {
    for (const maxQueueSize of [1, 2, 3, 50, 64, 100, 1000]) {
      const sizes: number[] = [];
      const loop = await createBlkLoopback({
        packed,
        driver: { maxQueueSize },
        device: { queueSize: 100 },
        observer: {
          emit: ({ name, fields = {} }) => {
            const { register, value } = fields as Record<string, unknown>;
            if (register === "queueSize" && name === "write") sizes.push(Number(value));
          },
        },
      });
      assert.equal(sizes.length, 1, "the trace tells of it");
      const wanted = Math.min(maxQueueSize, packed ? 100 : 64);
      assert.deepEqual(sizes, [packed ? wanted : 2 ** Math.floor(Math.log2(wanted))]);
      await loop.close();
    }
  }
});

test("a driver whose transport cannot carry them takes neither NOTIFICATION_DATA nor RING_RESET", async () => {
  const loop = await createBlkLoopback({ furtherRingFeatures: featureSet(NOTIFICATION_DATA) });
  await loop.driver.close();
  const transport = loop.openTransport();
  const poor = new Proxy(transport, {
    get: (target, key) => {
      if (key === "announcePlaces" || key === "resetQueue") return undefined;
      const value = Reflect.get(target, key, target) as unknown;
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const driver = await VirtioBlkDriver.open(poor);
  assert.ok(!driver.link.has(NOTIFICATION_DATA) && !driver.link.has(RING_RESET));
  await assert.rejects(driver.link.resetQueue({ index: 0 } as never), RangeError);
  await driver.readSectors(0, new Uint8Array(512));
  await driver.close();
  await loop.unplug();
});
