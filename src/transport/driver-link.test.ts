/** The driver's life cycle, virtio 1.2 §3.1.1, against devices that misbehave. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DmaAllocator, GuestDma, GuestMemory } from "../memory/index.js";
import { compactLayout, layoutAt } from "../virtqueue/index.js";
import {
  DeviceStatus,
  DriverLink,
  type DriverTransport,
  featureNames,
  featureSet,
  hasFeature,
  type InterruptMode,
  resetDevice,
  ringFeatures,
} from "./index.js";

const { VERSION_1, EVENT_IDX, INDIRECT_DESC } = ringFeatures;

/** Registers without a device: every method can be bent by a test. */
class FakeTransport implements DriverTransport {
  readonly kind = "fake";
  isLegacy = false;
  readonly deviceId = 8;
  readonly endianness = "little";
  readonly memory = GuestMemory.ofSize(1 << 16, 0x1000);
  readonly dma = new GuestDma(this.memory, new DmaAllocator(this.memory, 0x1000, 1 << 16));
  /** What was written to the status register. */
  readonly statuses: number[] = [];
  readonly calls: string[] = [];
  status = 0;
  offered = featureSet(VERSION_1, EVENT_IDX, INDIRECT_DESC, 5);
  accepted = 0n;
  keepsFeaturesOk = true;
  generations: number[] = [];
  queueSizes = [64, 8];
  interruptMode: InterruptMode = "intx";

  readStatus(): number {
    return this.status;
  }
  writeStatus(value: number): void {
    this.statuses.push(value);
    this.status = this.keepsFeaturesOk ? value : value & ~DeviceStatus.FeaturesOk;
  }
  readFeatures(): bigint {
    return this.offered;
  }
  writeFeatures(features: bigint): void {
    this.calls.push("features");
    this.accepted = features;
  }
  queueMaxSize(index: number): number {
    return this.queueSizes[index] ?? 0;
  }
  setUpQueue(index: number, size: number) {
    this.calls.push(`queue ${index} of ${size}`);
    const layout = compactLayout(size);
    return layoutAt(layout, this.dma.allocate(layout.byteLength, layout.alignment).address);
  }
  freeQueues(): void {
    this.calls.push("free");
  }
  notify(): void {}
  readConfig(): number {
    return 7;
  }
  writeConfig(): void {}
  configGeneration(): number {
    return this.generations.shift() ?? 0;
  }
  openInterrupts(): InterruptMode {
    this.calls.push("interrupts");
    return this.interruptMode;
  }
  closeInterrupts(): void {
    this.calls.push("no interrupts");
  }
}

const options = {
  features: featureSet(EVENT_IDX, 3),
  queues: 2,
  handlers: { queue: () => {}, config: () => {} },
  resetTimeout: 20,
};

test("R-104, R-106, §3.1.1: reset, ACKNOWLEDGE, DRIVER, features, FEATURES_OK, interrupts, queues, DRIVER_OK, in that order", async () => {
  const transport = new FakeTransport();
  const link = await DriverLink.open(transport, options);
  link.createQueue(0);
  link.createQueue(1);
  link.start();
  assert.deepEqual(transport.statuses, [0, 1, 3, 11, 15]);
  assert.deepEqual(transport.calls, ["features", "interrupts", "queue 0 of 64", "queue 1 of 8"]);
  await link.close();
  await link.close();
  assert.deepEqual(transport.calls.slice(4), ["free", "no interrupts"], "once");
  assert.equal(transport.statuses.at(-1), 0, "reset before rings are freed");
});

test("R-103, R-108, R-203: a legacy device is never shown FEATURES_OK, and some bit is set in every value but the reset", async () => {
  const transport = new FakeTransport();
  transport.isLegacy = true;
  transport.offered = featureSet(EVENT_IDX, 30, 31);
  const link = await DriverLink.open(transport, options);
  link.start();
  assert.deepEqual(transport.statuses, [0, 1, 3, 7]);
  assert.deepEqual(link.features, featureSet(EVENT_IDX), "R-203: bits 30 and 31 are not taken");
});

test("R-204: what is taken is our list without what is not offered", async () => {
  const transport = new FakeTransport();
  const link = await DriverLink.open(transport, options);
  assert.deepEqual(featureNames(link.features, ringFeatures), ["EVENT_IDX", "VERSION_1"]);
  assert.equal(transport.accepted, link.features);
  assert.equal(link.has(EVENT_IDX), true);
  assert.equal(link.has(INDIRECT_DESC), false);
});

test("R-106, R-206, §6.1 version-1-missing: FAILED is set, the features are not written", async () => {
  const transport = new FakeTransport();
  transport.offered = featureSet(EVENT_IDX);
  await assert.rejects(DriverLink.open(transport, options), { code: "version-1-missing" });
  assert.ok((transport.status & DeviceStatus.Failed) !== 0);
  assert.deepEqual(transport.calls, []);
});

test("§3.1.1 features-refused: FEATURES_OK is read back, FAILED is set when it is gone", async () => {
  const transport = new FakeTransport();
  transport.keepsFeaturesOk = false;
  await assert.rejects(DriverLink.open(transport, options), { code: "features-refused" });
  assert.ok((transport.status & DeviceStatus.Failed) !== 0);
});

test("§4.1.4.3.2 reset-never-ends: named after the time is over, without FAILED being written to such a device", async () => {
  const transport = new FakeTransport();
  transport.writeStatus = (value) => {
    transport.statuses.push(value);
    transport.status = 4;
  };
  await assert.rejects(DriverLink.open(transport, options), { code: "reset-never-ends" });
  assert.deepEqual(transport.statuses, [0]);
});

test("a reset that takes time is waited for, and the status is read until it is 0", async () => {
  const transport = new FakeTransport();
  let reads = 0;
  transport.readStatus = () => (++reads < 5 ? 4 : 0);
  await resetDevice(transport, 1000);
  assert.equal(reads, 5);
});

test("device-gone: all ones in the status end a reset at once, and health says so", async () => {
  const transport = new FakeTransport();
  const link = await DriverLink.open(transport, options);
  transport.readStatus = () => 0xff;
  assert.equal(link.health(), "device-gone");
  const started = performance.now();
  await assert.rejects(resetDevice(transport, 5000), { code: "device-gone" });
  assert.ok(performance.now() - started < 1000);
});

test("device-gone: where nobody answers reads are 0 on some machines, which no device is that a driver has", async () => {
  const transport = new FakeTransport();
  const link = await DriverLink.open(transport, options);
  assert.equal(link.health(), undefined);
  transport.readStatus = () => 0;
  assert.equal(link.health(), "device-gone");
});

test("§2.1.2 device-needs-reset is seen on modern devices, and bit 6 means nothing on legacy ones (R-108)", async () => {
  const transport = new FakeTransport();
  const link = await DriverLink.open(transport, options);
  assert.equal(link.health(), undefined);
  transport.status |= DeviceStatus.NeedsReset;
  assert.equal(link.health(), "device-needs-reset");
  transport.isLegacy = true;
  assert.equal(link.health(), undefined);
});

test("§2.5.1: configuration is read again while the generation changes; config-never-settles when it always does", async () => {
  const transport = new FakeTransport();
  const link = await DriverLink.open(transport, options);
  let reads = 0;
  const read = () => ++reads;
  transport.generations = [1, 2, 3, 4, 5, 5];
  assert.equal(link.readConfig(read), 3);
  let generation = 0;
  transport.configGeneration = () => generation++;
  assert.throws(() => link.readConfig(read), { code: "config-never-settles" });
  assert.ok(reads < 1000, "and that is found out soon");
});

test("R-501, queue-missing, and sizes: what the device can do, or the next power of two below what is wanted", async () => {
  const transport = new FakeTransport();
  const link = await DriverLink.open(transport, { ...options, maxQueueSize: 50 });
  assert.throws(() => link.createQueue(2), { code: "queue-missing", queue: 2 });
  assert.equal(link.createQueue(0).size, 32);
  assert.equal(link.createQueue(1).size, 8);
  transport.isLegacy = true;
  assert.equal(link.createQueue(0).size, 64, "R-501: the size of a legacy queue cannot be changed");
});

test("a device that offers a queue of a size that cannot be is refused", async () => {
  const transport = new FakeTransport();
  const link = await DriverLink.open(transport, options);
  for (const size of [3, 48, 65535]) {
    transport.queueSizes = [size];
    assert.throws(() => link.createQueue(0), `${size}`);
  }
});

test("sets of features: bits, and names of bits that no table knows", () => {
  assert.equal(featureSet(0, 32, 63), 0x8000_0001_0000_0001n);
  assert.equal(hasFeature(featureSet(63), 63), true);
  assert.deepEqual(featureNames(featureSet(5, 28, 63), ringFeatures, { FIVE: 5 }), ["FIVE", "INDIRECT_DESC", "bit 63"]);
});
