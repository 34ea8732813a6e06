/** The device half alone: registers of both versions, one access at a time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { swap32 } from "../../bytes/index.js";
import { GuestMemory } from "../../memory/index.js";
import { ScsiBus } from "../../scsi/index.js";
import { VirtioScsiDevice } from "../../virtio/index.js";
import { legacyLayout } from "../../virtqueue/index.js";
import { DeviceStatus } from "../status.js";
import { VirtioMmioDevice, type VirtioMmioOptions } from "./device.js";
import { mmioLegacyRegisters, mmioRegisters } from "./registers.js";

function makeDevice(options: Partial<VirtioMmioOptions> = {}) {
  const memory = GuestMemory.ofSize(1 << 20, 0x8000_0000);
  const type = new VirtioScsiDevice(new ScsiBus(), { queueSize: 64 });
  const device = new VirtioMmioDevice(type, { memory, ...options });
  const { window } = device;
  const names = { ...mmioRegisters, ...mmioLegacyRegisters };
  const lines: boolean[] = [];
  device.onLineChange = (raised) => lines.push(raised);
  return {
    ...{ device, memory, window, core: device.core, lines },
    read: (name: keyof typeof names) => window.read32(names[name].offset),
    write: (name: keyof typeof names, value: number) => window.write32(names[name].offset, value),
    violations: () => Object.fromEntries(device.core.violations),
  };
}

const version1 = (options: Partial<VirtioMmioOptions> = {}) => makeDevice({ version: 1, ...options });
const { Acknowledge, Driver, DriverOk, FeaturesOk, NeedsReset } = DeviceStatus;

/** A version 2 driver's way to DRIVER_OK without queues. */
function bringUp({ write, read }: ReturnType<typeof makeDevice>, high = 1): void {
  write("status", Acknowledge);
  write("status", Acknowledge | Driver);
  write("driverFeaturesSelect", 1);
  write("driverFeatures", high);
  write("status", Acknowledge | Driver | FeaturesOk);
  assert.equal(read("status"), Acknowledge | Driver | FeaturesOk);
  write("status", Acknowledge | Driver | FeaturesOk | DriverOk);
}

test("R-1401, mmio-device-1 and 2: magic, version, device and vendor id of both versions", () => {
  for (const [version, { read }] of [
    [1, version1()],
    [2, makeDevice()],
  ] as const) {
    assert.equal(read("magicValue"), 0x74726976);
    assert.equal(read("version"), version);
    assert.equal(read("deviceId"), 8);
    assert.equal(read("vendorId"), 0x554d4551);
  }
  assert.equal(makeDevice({ vendorId: 0x1234 }).read("vendorId"), 0x1234);
});

for (const version of [1, 2] as const) {
  test(`R-1401: version ${version}: a read of what is write-only and a write of what is read-only change nothing and are told`, () => {
    const table = version === 1 ? mmioLegacyRegisters : mmioRegisters;
    const events: string[] = [];
    const observer = { emit: (event: { name: string; fields: object }) => events.push(JSON.stringify(event.fields)) };
    const made = makeDevice({ version, observer: observer as never });
    let expected = 0;
    for (const [name, { offset, access }] of Object.entries(table)) {
      if (access === "write") assert.equal(made.window.read32(offset), 0, name);
      if (access === "read") {
        const before = made.window.read32(offset);
        made.window.write32(offset, ~before >>> 0);
        assert.equal(made.window.read32(offset), before, name);
      }
      if (access !== "read-write") expected++;
    }
    assert.equal(made.core.violations.get("register-direction"), expected);
    assert.ok(events.some((text) => text.includes('"register":"queueNotify"') && text.includes('"access":"read"')));
    assert.ok(events.some((text) => text.includes('"register":"magicValue"') && text.includes('"access":"write"')));
  });

  test(`mmio-driver-2: version ${version}: registers take aligned 32-bit accesses only`, () => {
    const { window, core } = makeDevice({ version });
    assert.deepEqual([window.read8(0), window.read16(0), window.read32(2), window.read8(0x71)], [0, 0, 0, 0]);
    window.write8(0x70, 1);
    window.write16(0x70, 1);
    assert.equal(core.status, 0);
    assert.deepEqual(Object.fromEntries(core.violations), { "register-width": 6 });
    assert.deepEqual([window.read32(0x18), window.read32(0xf8)], [0, 0]);
    window.write32(0x18, 7);
    assert.equal(core.violations.get("register-unknown"), 3);
  });

  test(`mmio-driver-3: version ${version}: the configuration takes bytes, halves and words`, () => {
    const { window, core } = makeDevice({ version });
    assert.equal(window.read32(0x100), 1, "num_queues");
    assert.equal(window.read16(0x100 + 28), 0, "max_channel");
    assert.equal(window.read16(0x100 + 30), 255, "max_target");
    assert.deepEqual([window.read8(0x100 + 32), window.read8(0x100 + 33)], [16383 & 0xff, 16383 >> 8], "max_lun");
    window.write32(0x100 + 20, 128);
    assert.equal(window.read32(0x100 + 20), 128, "sense_size");
    assert.equal(window.read32(0xf00), 0, "past its end");
    assert.equal(core.violations.size, 0);
  });
}

test("A-25: version 1 registers and configuration are in the guest's byte order, version 2's little-endian", () => {
  const big = version1({ guestEndianness: "big" });
  assert.equal(big.read("magicValue"), swap32(0x74726976));
  assert.equal(big.read("version"), 0x0100_0000);
  assert.equal(big.window.read32(0x100), 0x0100_0000);
  big.write("status", swap32(Acknowledge));
  assert.equal(big.core.status, Acknowledge);
  const modern = makeDevice({ guestEndianness: "big" });
  assert.equal(modern.read("magicValue"), 0x74726976);
  bringUp(modern);
  assert.equal(modern.window.read32(0x100), 1);
});

test("R-1402, R-1502: features by selector; a selector that was never written is 0, and that is told", () => {
  const { read, write, core, violations } = makeDevice();
  const offered = core.offered(false);
  assert.equal(read("deviceFeatures"), Number(offered & 0xffff_ffffn));
  assert.deepEqual(violations(), { "register-order": 1 });
  write("deviceFeaturesSelect", 1);
  assert.equal(read("deviceFeatures"), Number(offered >> 32n));
  write("deviceFeaturesSelect", 2);
  assert.equal(read("deviceFeatures"), 0);
  write("driverFeaturesSelect", 1);
  write("driverFeatures", 1);
  assert.equal(core.driverFeatures, 1n << 32n);
  write("status", 0);
  write("deviceFeaturesSelect", 0);
  assert.equal(core.violations.get("register-order"), 1);
  write("driverFeatures", 2);
  assert.equal(core.driverFeatures, 2n, "a reset puts selectors back to 0");
  assert.equal(core.violations.get("register-order"), 2);
});

test("R-1410: version 1 has a second word of features, which is 0", () => {
  const { read, write } = version1();
  write("deviceFeaturesSelect", 0);
  assert.notEqual(read("deviceFeatures"), 0);
  write("deviceFeaturesSelect", 1);
  assert.equal(read("deviceFeatures"), 0);
});

test("R-1403, A-26: a queue page before a page size is refused; the page size survives a reset", () => {
  const { write, read, violations } = version1();
  write("queuePage", 0x8_0001);
  assert.equal(read("queuePage"), 0);
  assert.deepEqual(violations(), { "register-order": 1 });
  write("guestPageSize", 3000);
  assert.equal(violations()["register-value"], 1);
  write("guestPageSize", 4096);
  write("status", 0);
  write("queuePage", 0x8_0001);
  assert.equal(read("queuePage"), 0x8_0001);
});

test("R-1404, R-1405: version 1 queues: size up to the maximum, page read back, page 0 and a reset stop them", () => {
  const { write, read, core, violations } = version1();
  write("guestPageSize", 4096);
  write("queueSelect", 1);
  assert.deepEqual([read("queuePage"), read("queueSizeMax")], [0, 64]);
  for (const wrong of [0, 48, 128]) write("queueSize", wrong);
  assert.equal(violations()["register-value"], 3);
  write("queueSize", 16);
  write("queuePage", 0x8_0001);
  assert.equal(read("queuePage"), 0x8_0001);
  assert.deepEqual(core.queues[1].size, 16);
  assert.ok(core.queue(1) !== undefined, "usable at once, as historic drivers expect");
  write("queueSize", 8);
  write("queueAlign", 8192);
  write("queuePage", 0x8_0002);
  assert.equal(violations()["register-order"], 3, "in use: nothing of it can be changed");
  assert.deepEqual([read("queuePage"), core.queues[1].size], [0x8_0001, 16]);
  write("queuePage", 0);
  assert.deepEqual([read("queuePage"), core.queue(1)], [0, undefined]);
  write("queuePage", 0x8_0002);
  write("status", 0);
  assert.deepEqual([core.queue(1), core.queues[1].enabled], [undefined, false]);
  write("queueSelect", 1);
  assert.equal(read("queuePage"), 0);
  write("queueSelect", 3);
  assert.equal(read("queueSizeMax"), 0, "there is no queue 3");
});

test("R-1406: the used ring stands at QueueAlign; without one it is 4096", () => {
  for (const [align, used] of [
    [undefined, 4096],
    [16, 304],
    [256, 512],
  ] as const) {
    const { write, core } = version1();
    write("guestPageSize", 4096);
    write("queueSize", 16);
    if (align !== undefined) write("queueAlign", align);
    write("queuePage", 0x8_0001);
    assert.deepEqual(core.queues[0].addresses.used - core.queues[0].addresses.descriptors, used);
    assert.equal(legacyLayout(16, align).used, used);
  }
  const { write, violations } = version1();
  write("queueAlign", 24);
  assert.deepEqual(violations(), { "register-value": 1 });
});

test("R-1407, A-28: a queue is notified through QueueNotify; one that does not exist is told", () => {
  const { write, violations } = makeDevice();
  write("queueNotify", 2);
  write("queueNotify", 3);
  assert.deepEqual(violations(), { "register-value": 1 });
});

test("R-1408, mmio-device-3 to 5: interrupt bits stay until they are acknowledged, the line is up while any is set", () => {
  const made = makeDevice();
  const { read, write, core, lines, device, violations } = made;
  bringUp(made);
  assert.equal(read("interruptStatus"), 0);
  core.signal(2);
  core.configChanged();
  core.signal(0);
  assert.equal(read("interruptStatus"), 3);
  write("interruptAck", 1);
  assert.equal(read("interruptStatus"), 2);
  assert.deepEqual(lines, [true]);
  write("interruptAck", 2);
  assert.deepEqual(lines, [true, false]);
  write("interruptAck", 0xf0);
  assert.deepEqual(violations(), { "register-value": 1 });
  core.signal(0);
  write("status", 0);
  assert.deepEqual([read("interruptStatus"), device.lineRaised], [0, false]);
  assert.deepEqual(lines, [true, false, true, false]);
});

test("R-1409, A-29: the status is assigned; a bit that the driver clears is told; 0 resets", () => {
  for (const version of [1, 2] as const) {
    const { write, read, violations } = makeDevice({ version });
    write("status", Acknowledge);
    write("status", Acknowledge | Driver);
    assert.deepEqual(violations(), {});
    write("status", Driver);
    assert.equal(read("status"), Driver);
    assert.deepEqual(violations(), { "status-bit-cleared": 1 });
    write("status", 0);
    assert.equal(read("status"), 0);
    assert.deepEqual(violations(), { "status-bit-cleared": 1 });
  }
});

test("R-1411: MSI-X, ISR and the PCI header have no counterpart: no register reads the ISR away", () => {
  const made = makeDevice();
  bringUp(made);
  made.core.signal(0);
  for (let offset = 0; offset < 0x100; offset += 4) made.window.read32(offset);
  assert.equal(made.read("interruptStatus"), 1);
});

test("mmio-device-5, 7, mmio-driver-10: QueueReady starts and stops a version 2 queue; it stands still while in use", () => {
  const made = makeDevice();
  const { write, read, core, violations } = made;
  bringUp(made);
  write("queueSelect", 2);
  assert.deepEqual([read("queueReady"), read("queueSizeMax")], [0, 64]);
  write("queueSize", 24);
  write("queueSize", 128);
  assert.equal(violations()["register-value"], 2);
  write("queueSize", 8);
  write("queueDescriptorsLow", 0x8000_1000);
  write("queueAvailableLow", 0x8000_2000);
  write("queueUsedLow", 0x8000_3000);
  write("queueUsedHigh", 1);
  write("queueUsedHigh", 0);
  write("queueReady", 1);
  assert.equal(read("queueReady"), 1);
  assert.equal(core.queue(2)?.size, 8);
  write("queueSize", 16);
  write("queueUsedLow", 0x8000_4000);
  assert.equal(violations()["register-order"], 2);
  assert.deepEqual(core.queues[2].addresses, { descriptors: 0x8000_1000, available: 0x8000_2000, used: 0x8000_3000 });
  write("queueReady", 0);
  assert.deepEqual([read("queueReady"), core.queue(2)], [0, undefined]);
  write("queueReady", 1);
  write("status", 0);
  write("queueSelect", 2);
  assert.deepEqual([read("queueReady"), core.queue(2)], [0, undefined]);
});

test("mmio-device-6: ConfigGeneration changes with the configuration", () => {
  const { read, core } = makeDevice();
  const before = read("configGeneration");
  core.configChanged();
  assert.notEqual(read("configGeneration"), before);
});

test("mmio-device-8 to 12: QueueReset gives the queue back as after a reset, if it was negotiated", () => {
  const made = makeDevice();
  const { write, read, core, violations } = made;
  write("deviceFeaturesSelect", 1);
  assert.equal(read("deviceFeatures"), (1 << 8) | (1 << 2) | 1, "RING_RESET, RING_PACKED and VERSION_1");
  bringUp(made, (1 << 8) | 1);
  const setUp = () => {
    write("queueSelect", 2);
    write("queueSize", 8);
    write("queueDescriptorsLow", 0x8000_1000);
    write("queueAvailableLow", 0x8000_2000);
    write("queueUsedLow", 0x8000_3000);
    write("queueReady", 1);
  };
  setUp();
  assert.ok(core.queue(2) !== undefined);
  assert.equal(read("queueReset"), 0);
  write("queueReset", 1);
  assert.deepEqual([read("queueReset"), read("queueReady"), core.queue(2)], [0, 0, undefined]);
  assert.deepEqual(core.queues[2].size, 64);
  setUp();
  assert.ok(core.queue(2) !== undefined);
  assert.deepEqual(violations(), {});
  const without = makeDevice();
  bringUp(without);
  without.write("queueReset", 1);
  assert.deepEqual(without.violations(), { "register-order": 1 });
});

test("shared memory: a region by its id, all ones for one that does not exist", () => {
  const { write, read } = makeDevice({ sharedMemory: { 1: { base: 0x1_2345_0000, length: 0x2_0000_1000 } } });
  write("sharedMemorySelect", 1);
  assert.deepEqual([read("sharedMemoryLengthHigh"), read("sharedMemoryLengthLow")], [2, 0x1000]);
  assert.deepEqual([read("sharedMemoryBaseHigh"), read("sharedMemoryBaseLow")], [1, 0x2345_0000]);
  write("sharedMemorySelect", 0);
  const all = ["LengthHigh", "LengthLow", "BaseHigh", "BaseLow"].map((part) => read(`sharedMemory${part}` as never));
  assert.deepEqual(all, [0xffff_ffff, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff]);
});

test("R-1509: FEATURES_OK without VERSION_1 is refused by a strict device and kept by a tolerant one", () => {
  for (const tolerant of [false, true]) {
    const { write, read } = makeDevice({ requiresVersion1: !tolerant });
    write("status", Acknowledge | Driver);
    write("driverFeatures", 0);
    write("status", Acknowledge | Driver | FeaturesOk);
    assert.equal(read("status"), Acknowledge | Driver | (tolerant ? FeaturesOk : 0));
  }
});

test("a broken queue of a version 2 device shows NEEDS_RESET and raises the configuration interrupt", () => {
  const made = makeDevice();
  const { write, read, memory } = made;
  bringUp(made);
  write("queueSelect", 2);
  write("queueSize", 8);
  write("queueDescriptorsLow", 0x8000_1000);
  write("queueAvailableLow", 0x8000_2000);
  write("queueUsedLow", 0x8000_3000);
  write("queueReady", 1);
  memory.regions[0].view.setUint16(0x2002, 9, true);
  write("queueNotify", 2);
  assert.equal(read("status") & NeedsReset, NeedsReset);
  assert.equal(read("interruptStatus") & 2, 2);
});

test("whatever a driver does with the registers: nothing throws, every value fits, a reset brings it all back", () => {
  const access = fc.tuple(
    fc.boolean(),
    fc.oneof(
      fc.nat({ max: 0x140 }),
      fc.nat({ max: 0x50 }).map((word) => 4 * word),
    ),
    fc.constantFrom(1, 2, 4, 4, 4, 4),
    fc.oneof(fc.integer({ min: 0, max: 0xffff_ffff }), fc.nat({ max: 16 }), fc.constant(0x8000_1000)),
  );
  fc.assert(
    fc.property(fc.constantFrom(1 as const, 2 as const), fc.array(access, { maxLength: 80 }), (version, accesses) => {
      const { window, core, device } = makeDevice({ version });
      for (const [isWrite, offset, width, value] of accesses) {
        if (isWrite) {
          if (width === 1) window.write8(offset, value & 0xff);
          else if (width === 2) window.write16(offset, value & 0xffff);
          else window.write32(offset, value);
        } else {
          const got = width === 1 ? window.read8(offset) : width === 2 ? window.read16(offset) : window.read32(offset);
          assert.ok(Number.isInteger(got) && got >= 0 && got < 2 ** (8 * width), `${got} at ${offset}`);
        }
      }
      window.write32(0x70, 0);
      assert.deepEqual([core.status, window.read32(0x60), device.lineRaised], [0, 0, false]);
      assert.ok(core.queues.every((queue) => !queue.enabled && queue.size === queue.maxSize));
    }),
    { numRuns: 500 },
  );
});
