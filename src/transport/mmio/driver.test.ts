/** The driver half: what it reads and writes, in which order, and both halves together. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Board, boards, findVirtioAdapters, openAdapter } from "../../machine/index.js";
import type { Observer, TraceEvent } from "../../observe/index.js";
import { EmbeddedMachine } from "../../platform/embedded/index.js";
import { cdb, Disk, ScsiBus, unitAddress } from "../../scsi/index.js";
import { MemoryStore } from "../../storage/index.js";
import { VirtioScsiDevice, VirtioScsiDriver } from "../../virtio/index.js";
import { DriverLink } from "../driver-link.js";
import { featureSet, ringFeatures } from "../features.js";
import { VirtioMmioDevice } from "./device.js";
import { MmioTransport } from "./driver.js";
import { findMmioDevices, probeMmio } from "./probe.js";
import type { MmioVersion } from "./registers.js";

const riscv = boards["riscv-virt"];
const bigEndian: Board = { ...riscv, name: "mmio-big-endian", endianness: "big" };
const faces: readonly { name: string; version: MmioVersion; board: Board }[] = [
  { name: "version 1, little-endian", version: 1, board: riscv },
  { name: "version 1, big-endian", version: 1, board: bigEndian },
  { name: "version 2", version: 2, board: riscv },
  { name: "version 2 of a big-endian guest", version: 2, board: bigEndian },
];

function plug(board: Board, version: MmioVersion, observer?: Observer) {
  const machine = new EmbeddedMachine(board, { ramSize: 16 << 20, bounceAll: true });
  const bus = new ScsiBus();
  bus.attach(1, 1, new Disk(new MemoryStore(4 << 20), { powerOnAttention: false }));
  const type = new VirtioScsiDevice(bus);
  const device = machine.plugMmio(type, { version, slot: 2 });
  const adapters = findVirtioAdapters(machine);
  const open = () => openAdapter(machine, adapters[0], { observer });
  return { machine, bus, type, device, adapters, open };
}

/** `read status`, `write queueSelect 0x0`: register accesses as the observer tells them. */
function recorder() {
  const lines: string[] = [];
  const emit = ({ category, name, fields }: TraceEvent) => {
    if (category !== "registers") return;
    const { register, value } = fields as { register: string; value: number };
    lines.push(name === "read" ? `read ${register}` : `write ${register} 0x${value.toString(16)}`);
  };
  return { lines, observer: { emit } };
}

for (const { name, version, board } of faces) {
  test(`${name}: both halves: transfers, unsolicited events, no rule broken, all memory back`, async () => {
    const { machine, bus, device, adapters, open } = plug(board, version);
    assert.equal(adapters.length, 1);
    assert.deepEqual(adapters[0].place, "0x10003000 irq 3");
    const transport = open();
    assert.equal(transport.kind, version === 1 ? "mmio-legacy" : "mmio");
    assert.equal(transport.endianness, version === 1 ? board.endianness : "little");
    const driver = await VirtioScsiDriver.open(transport);
    assert.equal(driver.link.interruptMode, "line");
    const events: string[] = [];
    driver.onEvent((event) => events.push(event.kind));
    const data = Uint8Array.from({ length: 8192 }, (_, index) => (index * 7) & 0xff);
    const unit = unitAddress(1, 1);
    assert.equal((await driver.execute(unit, cdb.write10(16, 16), { dataOut: data })).status, 0);
    for (let round = 0; round < 300; round++) {
      const back = new Uint8Array(8192);
      await driver.execute(unit, cdb.read10(16, 16), { dataIn: back });
      assert.deepEqual(back, data);
    }
    bus.attach(3, 0, new Disk(new MemoryStore(1 << 20)));
    await machine.idle(100);
    assert.deepEqual(events, ["rescan"]);
    await driver.close();
    assert.deepEqual(Object.fromEntries(device.core.violations), {});
    const { allocator } = machine.dma as unknown as { allocator: { allocatedBytes: number } };
    assert.equal(allocator.allocatedBytes, 0);
    await machine.close();
  });
}

test("mmio-driver-4 to 6, 17, 18: magic, version, id in this order, and nothing after the first that says no", () => {
  const probe = (values: Record<number, number>) => {
    const reads: number[] = [];
    const read32 = (offset: number) => {
      reads.push(offset);
      return values[offset] ?? 0;
    };
    const nothing = () => assert.fail("only words are read");
    const window = { read32, read8: nothing, read16: nothing, write8: nothing, write16: nothing, write32: nothing };
    return [probeMmio(window as never), reads];
  };
  const virt = 0x74726976;
  assert.deepEqual(probe({ 0: 0xffff_ffff }), [undefined, [0]]);
  assert.deepEqual(probe({ 0: virt, 4: 3, 8: 2 }), [undefined, [0, 4]]);
  assert.deepEqual(probe({ 0: virt, 4: 2, 8: 0 }), [undefined, [0, 4, 8]]);
  assert.deepEqual(probe({ 0: virt, 4: 2, 8: 2 }), [{ version: 2, deviceId: 2, swapped: false }, [0, 4, 8]]);
  assert.deepEqual(probe({ 0: 0x76697274, 4: 0x0100_0000, 8: 0x0800_0000 })[0], {
    ...{ version: 1, deviceId: 8, swapped: true },
  });
  assert.deepEqual(probe({ 0: 0x76697274, 4: 0x0200_0000, 8: 0x0800_0000 })[0], undefined);
});

test("the discovery loop passes over windows that are empty or nobody's, and keeps their order", () => {
  const machine = new EmbeddedMachine(riscv, { ramSize: 1 << 20 });
  for (const slot of [7, 3])
    machine.plugMmio(new VirtioScsiDevice(new ScsiBus()), { slot, version: slot === 7 ? 1 : 2 });
  const nowhere = { base: 0x2000_0000, size: 0x1000, irq: 9 };
  const found = findMmioDevices(machine.memorySpace, [nowhere, ...(riscv.mmio?.windows ?? [])]);
  assert.deepEqual(
    found.map(({ window, version }) => [window.base, window.irq, version]),
    [
      [0x1000_4000, 4, 2],
      [0x1000_8000, 8, 1],
    ],
  );
  assert.throws(() => machine.plugMmio(new VirtioScsiDevice(new ScsiBus()), { slot: 3 }), /no free virtio-mmio window/);
});

test("R-1402 to R-1405: version 1: selectors first, page size and alignment before the page, page 0 at the end", async () => {
  const { lines, observer } = recorder();
  const { machine, open } = plug(riscv, 1, observer);
  const link = await DriverLink.open(open(), { features: 0n, queues: 1, handlers: { queue() {}, config() {} } });
  assert.deepEqual(lines.splice(0), [
    ...["write status 0x0", "read status", "write status 0x1", "write status 0x3"],
    ...["write deviceFeaturesSelect 0x0", "read deviceFeatures", "write deviceFeaturesSelect 0x1"],
    ...["read deviceFeatures", "write driverFeaturesSelect 0x0", "write driverFeatures 0x0"],
    ...["write driverFeaturesSelect 0x1", "write driverFeatures 0x0"],
  ]);
  link.createQueue(1);
  const page = lines.at(-1) as string;
  assert.match(page, /^write queuePage 0x80[0-9a-f]{3}$/);
  assert.deepEqual(lines.splice(0), [
    ...["write queueSelect 0x1", "read queuePage", "read queueSizeMax", "write guestPageSize 0x1000"],
    ...["write queueSelect 0x1", "write queueSize 0x100", "write queueAlign 0x1000", page],
  ]);
  await link.close();
  assert.deepEqual(lines.splice(0), [
    ...["write status 0x0", "read status", "write queueSelect 0x1", "write queuePage 0x0"],
  ]);
  await machine.close();
});

test("mmio-driver-7 to 9: version 2: selectors first, QueueReady reads 0, a size within the maximum, ready last", async () => {
  const { lines, observer } = recorder();
  const { machine, open } = plug(riscv, 2, observer);
  const handlers = { queue() {}, config() {} };
  const link = await DriverLink.open(open(), { features: 0n, queues: 1, handlers, maxQueueSize: 20 });
  const at = lines.indexOf("read deviceFeatures");
  assert.equal(lines[at - 1], "write deviceFeaturesSelect 0x0");
  assert.deepEqual(lines.splice(0).slice(-7), [
    ...["write driverFeaturesSelect 0x0", "write driverFeatures 0x0", "write driverFeaturesSelect 0x1"],
    ...["write driverFeatures 0x1", "read status", "write status 0xb", "read status"],
  ]);
  link.createQueue(0);
  const names = lines.splice(0).map((line) => line.replace(/0x8[0-9a-f]{7}$/, "address"));
  assert.deepEqual(names, [
    ...["write queueSelect 0x0", "read queueReady", "read queueSizeMax", "write queueSelect 0x0"],
    ...["write queueSize 0x10", "write queueDescriptorsLow address", "write queueDescriptorsHigh 0x0"],
    ...["write queueAvailableLow address", "write queueAvailableHigh 0x0", "write queueUsedLow address"],
    ...["write queueUsedHigh 0x0", "write queueReady 0x1"],
  ]);
  await link.close();
  await machine.close();
});

test("R-1408, mmio-driver-12, 13, 21 to 23: reads what happened, handles it, then acknowledges just that", async () => {
  for (const version of [1, 2] as const) {
    const { lines, observer } = recorder();
    const { machine, device, open } = plug(riscv, version, observer);
    const link = await DriverLink.open(open(), {
      ...{ features: 0n, queues: 2 },
      handlers: { queue: (index) => lines.push(`queue ${index}`), config: () => lines.push("config") },
    });
    link.start();
    lines.length = 0;
    device.core.signal(1);
    await machine.idle(50);
    // Looked at again behind the acknowledgement: what came before it raises no further interrupt.
    const queues = ["queue 0", "queue 1"];
    assert.deepEqual(lines.splice(0), ["read interruptStatus", ...queues, "write interruptAck 0x1", ...queues]);
    device.core.configChanged();
    await machine.idle(50);
    // Version 1 has no generation that would tell of a change between a look and the acknowledgement.
    const ack = "write interruptAck 0x2";
    const generation = "read configGeneration";
    assert.deepEqual(lines.slice(1), version === 1 ? [ack, "config"] : [generation, "config", ack, generation]);
    assert.equal(device.lineRaised, false);
    await link.close();
    await machine.close();
  }
});

test("a configuration that changes while its interrupt is handled is looked at again", async () => {
  const { machine, device, open } = plug(riscv, 2);
  let seen = 0;
  const config = () => {
    if (++seen === 1) device.core.configChanged();
  };
  const link = await DriverLink.open(open(), { features: 0n, queues: 1, handlers: { queue() {}, config } });
  link.start();
  device.core.configChanged();
  await machine.idle(50);
  assert.equal(seen, 2);
  await link.close();
  await machine.close();
});

test("mmio-driver-11, 14, 15: a queue is stopped and reset by itself and can be set up again", async () => {
  const { machine, device, open } = plug(riscv, 2);
  const transport = open() as MmioTransport;
  const features = featureSet(ringFeatures.RING_RESET);
  const link = await DriverLink.open(transport, { features, queues: 1, handlers: { queue() {}, config() {} } });
  assert.ok(link.has(ringFeatures.RING_RESET));
  link.createQueue(2);
  link.start();
  assert.ok(device.core.queue(2) !== undefined);
  await transport.resetQueue(2);
  assert.equal(device.core.queue(2), undefined);
  link.createQueue(2);
  assert.ok(device.core.queue(2) !== undefined);
  await transport.stopQueue(2);
  assert.equal(device.core.queue(2), undefined);
  await link.close();
  assert.deepEqual(Object.fromEntries(device.core.violations), {});
  await machine.close();
});

test("shared memory regions are found by their id", () => {
  const machine = new EmbeddedMachine(riscv, { ramSize: 1 << 20 });
  const { memory, dma } = machine;
  const region = { base: 0x1_2345_0000, length: 0x2_0000_1000 };
  const type = new VirtioScsiDevice(new ScsiBus());
  const { window } = new VirtioMmioDevice(type, { memory, sharedMemory: { 1: region } });
  const transport = new MmioTransport(window, { memory, dma, guestEndianness: "little" });
  assert.deepEqual([transport.sharedMemory(1), transport.sharedMemory(0)], [region, undefined]);
});

test("a device with the wrong registers, or none, is refused in one line", () => {
  const { machine, adapters } = plug(riscv, 1);
  assert.throws(
    () => openAdapter(machine, adapters[0], { registers: "modern" }),
    /0x10003000 irq 3: the device has version 1 registers, not modern ones/,
  );
  const { memory, dma, memorySpace } = machine;
  const options = { memory, dma, guestEndianness: "little" as const };
  assert.throws(() => new MmioTransport(memorySpace, options), /there is no virtio-mmio device/);
});

test("without interrupts the rings are polled", async () => {
  const { machine, adapters } = plug(riscv, 2);
  const driver = await VirtioScsiDriver.open(openAdapter(machine, adapters[0], { prefer: "none" }));
  assert.equal(driver.link.interruptMode, "none");
  const pending = driver.execute(unitAddress(1, 1), cdb.testUnitReady());
  driver.interrupt(2);
  assert.equal((await pending).status, 0);
  await driver.close();
  await machine.close();
});
