/** Rules of the legacy header that a loopback of good halves does not show: odd drivers, and what is written where. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Observer, TraceEvent } from "../../observe/index.js";
import { cdb, unitAddress } from "../../scsi/index.js";
import { createLoopback, type LoopbackOptions, plugLoopback } from "../../testing/index.js";
import { scsiConfig, scsiFeatures } from "../../virtio/index.js";
import { ChainPieces, layoutAt, legacyLayout, noNotifyFlag, SplitDriver } from "../../virtqueue/index.js";
import {
  DeviceStatus,
  featureSet,
  legacyConfigOffset,
  legacyMsixRegisters,
  legacyRegisters,
  ringFeatures,
} from "../index.js";

const { deviceFeatures, driverFeatures, queueAddress, queueSize, queueSelect } = legacyRegisters;
const { queueNotify, deviceStatus, isrStatus } = legacyRegisters;
const requestQueue = 2;

/** An adapter and its header, without a driver. */
function open(options: LoopbackOptions = {}) {
  const plugged = plugLoopback({ transport: "legacy-le", poison: false, ...options });
  plugged.fn.enable({ io: true, memory: true, busMaster: true });
  const header = plugged.fn.bar(0);
  assert.ok(header !== undefined);
  return { ...plugged, header };
}

type Opened = ReturnType<typeof open>;

/** A ring on the request queue, as a historic driver makes it: whatever the status is. */
function makeRing({ header, machine }: Opened): SplitDriver<number> {
  header.write16(queueSelect.offset, requestQueue);
  const size = header.read16(queueSize.offset);
  const layout = legacyLayout(size);
  const block = machine.dma.allocate(layout.byteLength, 4096);
  header.write32(queueAddress.offset, block.address / 4096);
  const addresses = layoutAt(layout, block.address);
  const common = { index: requestQueue, size, addresses, endianness: "little" as const, dma: machine.dma };
  return new SplitDriver(machine.memory, { ...common, indirect: false, eventIndex: false });
}

/** Makes a TEST UNIT READY to 0/0 available; says whether the device asks for a notification. */
function makeAvailable({ machine }: Opened, ring: SplitDriver<number>, cookie: number): boolean {
  const block = machine.dma.allocate(51 + 108);
  block.region.bytes.set([1, 0, 0x40, 0], block.offset);
  const pieces = new ChainPieces();
  pieces.addReadable(block.address, 51);
  pieces.addWritable(block.address + 51, 108);
  assert.ok(ring.add(pieces, cookie));
  return ring.publish();
}

/** `write queueNotify 16: 0x2`: accesses by the observer. */
function recorder() {
  const lines: string[] = [];
  const emit = ({ category, name, fields }: TraceEvent) => {
    if (category !== "registers") return;
    const { register, width, value } = fields as { register: string; width: number; value: number };
    lines.push(`${name} ${register} ${8 * width}${name === "write" ? `: 0x${value.toString(16)}` : ""}`);
  };
  return { lines, observer: { emit } as Observer };
}

test("R-101: the status bits' values: those of 0.9.5, not the bit numbers that 0.9.1 printed", () => {
  const { Acknowledge, Driver, DriverOk, Failed } = DeviceStatus;
  assert.deepEqual([Acknowledge, Driver, DriverOk, Failed], [1, 2, 4, 128]);
});

test("R-102, R-402: after a reset no vector is mapped, the ISR is 0 and the features are as if never written", () => {
  const { header, adapter } = open();
  adapter.configVector = 1;
  adapter.core.queues[requestQueue].vector = 1;
  header.write32(driverFeatures.offset, 1 << ringFeatures.EVENT_IDX);
  adapter.core.configChanged();
  assert.equal(adapter.function.interruptLevel, true);
  header.write8(deviceStatus.offset, 0);
  assert.deepEqual([adapter.configVector, adapter.core.queues[requestQueue].vector], [0xffff, 0xffff]);
  assert.deepEqual([header.read32(driverFeatures.offset), adapter.function.interruptLevel], [0, false]);
  assert.deepEqual([header.read8(isrStatus.offset), header.read8(deviceStatus.offset)], [0, 0]);
});

test("R-107: DRIVER may come late, or never: a queue is served with ACKNOWLEDGE alone, hours later too", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  const loop = open();
  loop.header.write8(deviceStatus.offset, DeviceStatus.Acknowledge);
  const ring = makeRing(loop);
  context.mock.timers.tick(5 * 3_600_000);
  assert.equal(loop.header.read8(deviceStatus.offset), DeviceStatus.Acknowledge);
  makeAvailable(loop, ring, 1);
  loop.header.write16(queueNotify.offset, requestQueue);
  assert.equal(ring.reap(), 1);
  loop.header.write8(deviceStatus.offset, DeviceStatus.Acknowledge | DeviceStatus.Driver);
  context.mock.timers.tick(5 * 3_600_000);
  makeAvailable(loop, ring, 2);
  loop.header.write16(queueNotify.offset, requestQueue);
  assert.equal(ring.reap(), 2);
});

test("R-108: bit 3 means nothing to a legacy device, and it never sets bit 6", () => {
  const loop = open();
  const ring = makeRing(loop);
  loop.header.write8(deviceStatus.offset, 0x0f);
  assert.equal(loop.header.read8(deviceStatus.offset), 0x0f);
  loop.header.write32(driverFeatures.offset, 0);
  makeAvailable(loop, ring, 1);
  loop.header.write16(queueNotify.offset, requestQueue);
  assert.equal(ring.reap(), 1);
  // A driver that breaks the ring's rules: there is no bit to say so.
  loop.machine.memory.write(loop.adapter.core.queues[requestQueue].addresses.available + 2, Uint8Array.of(0xff, 0x7f));
  loop.header.write16(queueNotify.offset, requestQueue);
  assert.equal(loop.adapter.core.violations.get("avail-index-jump"), 1);
  assert.equal(loop.header.read8(deviceStatus.offset), 0x0f);
});

test("R-201, R-210, R-211: 32 bits of features in the first field; from 24 on only 24, 27, 28 and 29", () => {
  const { header, adapter } = open();
  const offered = header.read32(0);
  assert.equal(BigInt(offered), adapter.core.offered(true));
  assert.equal(deviceFeatures.offset, 0);
  const { NOTIFY_ON_EMPTY, ANY_LAYOUT, INDIRECT_DESC, EVENT_IDX } = ringFeatures;
  assert.deepEqual([NOTIFY_ON_EMPTY, ANY_LAYOUT, INDIRECT_DESC, EVENT_IDX], [24, 27, 28, 29]);
  assert.equal((offered & 0xff00_0000) >>> 0, 0x3900_0000);
  assert.equal(offered & 0x00ff_ffff, (1 << scsiFeatures.HOTPLUG) | (1 << scsiFeatures.CHANGE));
});

test("R-206: a driver that takes no feature at all is served, and one does without what the device lacks", async () => {
  for (const transport of ["legacy-be", "legacy-le"] as const) {
    for (const device of [{}, { inout: true }]) {
      const loop = await createLoopback({ transport, device, driver: { features: 0n }, startIndex: 65_535 });
      assert.equal(loop.driver.link.features, 0n);
      assert.equal(loop.adapter.core.driverFeatures, 0n);
      const dataIn = new Uint8Array(512);
      assert.equal((await loop.driver.execute(unitAddress(0, 0), cdb.read10(0, 1), { dataIn })).status, 0);
      await loop.close();
    }
    const old = await createLoopback({ transport, indirect: false, eventIndex: false });
    assert.equal(old.driver.link.features & featureSet(ringFeatures.INDIRECT_DESC, ringFeatures.EVENT_IDX), 0n);
    assert.equal((await old.driver.execute(unitAddress(0, 0), cdb.testUnitReady())).status, 0);
    await old.close();
  }
});

test("R-308: once features are negotiated, queues and configuration still are in the guest's order", async () => {
  for (const transport of ["legacy-be", "legacy-le"] as const) {
    const little = transport === "legacy-le";
    const loop = await createLoopback({ transport, interrupts: "intx" });
    assert.notEqual(loop.driver.link.features, 0n);
    assert.equal((await loop.driver.execute(unitAddress(0, 0), cdb.testUnitReady())).status, 0);
    const { available } = loop.adapter.core.queues[requestQueue].addresses;
    const [region] = loop.machine.memory.regions;
    assert.equal(region.view.getUint16(available - region.base + 2, little), 1);
    const raw = loop.fn.bar(0)?.read32(legacyConfigOffset(false) + scsiConfig.offset.senseSize);
    assert.equal(raw, little ? 96 : 0x6000_0000);
    await loop.close();
  }
});

test("R-303, R-304: offsets and widths of the header's fields", () => {
  const places = Object.values({ ...legacyRegisters, ...legacyMsixRegisters }).map(({ offset, width }) => [
    offset,
    width,
  ]);
  assert.deepEqual(places, [
    [0, 4],
    [4, 4],
    [8, 4],
    [12, 2],
    [14, 2],
    [16, 2],
    [18, 1],
    [19, 1],
    [20, 2],
    [22, 2],
  ]);
  assert.deepEqual([legacyConfigOffset(false), legacyConfigOffset(true)], [20, 24]);
});

test("R-307, R-502, R-617: our driver uses each field at its width, gives ring addresses by pages and notifies by the queue's index", async () => {
  const { lines, observer } = recorder();
  const loop = await createLoopback({ transport: "legacy-le", observer, interrupts: "intx" });
  const addresses = lines.filter((line) => line.startsWith("write queueAddress 32"));
  assert.deepEqual(
    addresses.map((line) => Number(line.split(": ")[1]) * 4096),
    loop.adapter.core.queues.slice(0, 3).map((queue) => queue.addresses.descriptors),
  );
  const first = lines.length;
  assert.equal((await loop.driver.execute(unitAddress(0, 0), cdb.testUnitReady())).status, 0);
  assert.deepEqual(
    lines.slice(first).filter((line) => line.startsWith("write")),
    ["write queueNotify 16: 0x2"],
  );
  await loop.close();
  const widths = Object.fromEntries(Object.entries(legacyRegisters).map(([name, { width }]) => [name, 8 * width]));
  for (const line of lines) {
    const [, register, width] = line.replace(":", "").split(" ");
    if (register in widths) assert.equal(Number(width), widths[register], line);
  }
});

test("R-502: a ring's memory is zero from end to end and starts at a multiple of 4096, whatever lay there before", () => {
  const plugged = plugLoopback({ transport: "legacy-le", poison: false });
  const { dma, memory } = plugged.machine;
  const before = Array.from({ length: 8 }, () => dma.allocate(16_384, 4));
  for (const { region, offset, size } of before) region.bytes.fill(0xee, offset, offset + size);
  for (const block of before) dma.free(block);
  const transport = plugged.openTransport();
  for (const queue of [0, 1, 2]) {
    const { descriptors } = transport.setUpQueue(queue, transport.queueMaxSize(queue));
    assert.equal(descriptors % 4096, 0);
    const { byteLength } = legacyLayout(256);
    const region = memory.findRange(descriptors, byteLength);
    assert.ok(region !== undefined, "in one piece");
    const at = descriptors - region.base;
    assert.ok(region.bytes.subarray(at, at + byteLength).every((byte) => byte === 0));
  }
});

test("R-606, R-607: a notification that nobody asked for is served, and one without anything to do does no harm", () => {
  const loop = open();
  const { header, machine, adapter } = loop;
  const ring = makeRing(loop);
  for (let time = 0; time < 3; time++) header.write16(queueNotify.offset, requestQueue);
  assert.deepEqual([ring.reap(), header.read8(isrStatus.offset), adapter.core.violations.size], [undefined, 0, 0]);
  // The device says no, the driver notifies all the same, as one does that has no descriptors left.
  machine.memory.write(adapter.core.queues[requestQueue].addresses.used, Uint8Array.of(noNotifyFlag, 0));
  assert.equal(makeAvailable(loop, ring, 1), false);
  header.write16(queueNotify.offset, requestQueue);
  assert.equal(ring.reap(), 1);
});
