/** The modern structures over PCI, virtio 1.2 §4.1.4: capabilities, registers, and lists that lie. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type RegisterWindow, readRegister, struct, u8, u32, windowOf, writeRegister } from "../../bytes/index.js";
import { findVirtioAdapters, pc } from "../../machine/index.js";
import { enumeratePci, type PciBarOptions, type PciCapability, PciDeviceFunction } from "../../pci/index.js";
import { EmbeddedMachine } from "../../platform/embedded/index.js";
import { type LoopbackOptions, plugLoopback } from "../../testing/index.js";
import { scsiConfig } from "../../virtio/index.js";
import { DeviceStatus, featureSet, noVector, ringFeatures } from "../index.js";
import { commonRegisters as r } from "./registers.js";
import { configurationAccess, findModernStructures } from "./structures.js";

function open(options: LoopbackOptions = {}) {
  const plugged = plugLoopback({ transport: "modern", poison: false, ...options });
  plugged.fn.enable({ memory: true, busMaster: true });
  const structures = findModernStructures(plugged.fn);
  return { ...plugged, structures, common: structures.common.window };
}

type Common = ReturnType<typeof open>["common"];

function writeFeatures(common: Common, features: bigint): void {
  for (const select of [0, 1]) {
    common.write32(r.driverFeatureSelect.offset, select);
    common.write32(r.driverFeature.offset, Number((features >> BigInt(32 * select)) & 0xffff_ffffn));
  }
}

function status(common: Common, value?: number): number {
  if (value !== undefined) common.write8(r.deviceStatus.offset, value);
  return common.read8(r.deviceStatus.offset);
}

test("§4.1.2: identity of a modern SCSI host: 0x1040 + 8, revision 1", () => {
  const { fn } = open();
  assert.deepEqual([fn.vendorId, fn.deviceId, fn.revision], [0x1af4, 0x1048, 1]);
});

test("§4.1.4.3: the feature windows: two words, all others read 0", () => {
  const { common } = open();
  const word = (select: number) => {
    common.write32(r.deviceFeatureSelect.offset, select);
    return common.read32(r.deviceFeature.offset);
  };
  assert.equal(word(1), (1 << 8) | 1, "RING_RESET and VERSION_1");
  assert.equal(word(0) & (1 << ringFeatures.NOTIFY_ON_EMPTY), 0, "§6.3: for legacy drivers only");
  for (const select of [2, 3, 0x8000_0000, 0xffff_ffff]) {
    assert.equal(word(select), 0);
    common.write32(r.driverFeatureSelect.offset, select);
    common.write32(r.driverFeature.offset, 0xffff_ffff);
    assert.equal(common.read32(r.driverFeature.offset), 0);
  }
});

test("§3.1.1, §2.2.2: FEATURES_OK stays only with VERSION_1 and without bits that were not offered", () => {
  const { VERSION_1, EVENT_IDX } = ringFeatures;
  for (const [features, kept] of [
    [0n, false],
    [featureSet(EVENT_IDX), false],
    [featureSet(VERSION_1), true],
    [featureSet(VERSION_1, EVENT_IDX), true],
    [featureSet(VERSION_1, 22), false],
    [featureSet(VERSION_1, 40), true],
    [featureSet(VERSION_1, 41), false],
  ] as const) {
    const { common } = open();
    status(common, 3);
    writeFeatures(common, features);
    assert.equal((status(common, 11) & DeviceStatus.FeaturesOk) !== 0, kept, `${features.toString(16)}`);
  }
});

test("§2.2.1: features cannot be changed once FEATURES_OK is set; a reset forgets them", () => {
  const { common, adapter } = open();
  status(common, 3);
  writeFeatures(common, featureSet(ringFeatures.VERSION_1));
  status(common, 11);
  writeFeatures(common, featureSet(ringFeatures.VERSION_1, ringFeatures.EVENT_IDX));
  assert.equal(adapter.core.driverFeatures, featureSet(ringFeatures.VERSION_1));
  assert.equal(status(common, 0), 0);
  assert.equal(adapter.core.driverFeatures, 0n);
});

test("§2.1.2: the driver can neither set nor clear DEVICE_NEEDS_RESET, but for a reset", () => {
  const { common, machine, adapter } = open();
  assert.equal(status(common, 1 | DeviceStatus.NeedsReset), 1);
  status(common, 3);
  writeFeatures(common, featureSet(ringFeatures.VERSION_1));
  status(common, 11);
  common.write16(r.queueSelect.offset, 2);
  common.write32(r.queueDescriptorsHigh.offset, 0xffff_ffff);
  common.write16(r.queueEnable.offset, 1);
  assert.equal(status(common, 15), 15 | DeviceStatus.NeedsReset, "a ring outside memory");
  assert.equal(adapter.core.violations.get("ring-outside-memory"), 1);
  assert.ok((status(common, 15) & DeviceStatus.NeedsReset) !== 0);
  assert.equal(status(common, 0), 0);
  assert.ok(machine.board.name === "pc");
});

test("§4.1.4.3: queue registers: sizes that can be, addresses in halves, nothing changes after enabling", () => {
  const { common } = open();
  const q = (value?: number) => {
    if (value !== undefined) common.write16(r.queueSize.offset, value);
    return common.read16(r.queueSize.offset);
  };
  assert.equal(common.read16(r.queueCount.offset), 3);
  common.write16(r.queueSelect.offset, 2);
  assert.equal(q(), 256);
  for (const [wanted, got] of [
    [64, 64],
    [63, 64],
    [0, 64],
    [512, 64],
    [1, 1],
    [128, 128],
  ]) {
    assert.equal(q(wanted), got, `${wanted}`);
  }
  common.write32(r.queueUsedLow.offset, 0x89ab_cde0);
  common.write32(r.queueUsedHigh.offset, 0x12);
  common.write32(r.queueUsedLow.offset, 0x1234_5670);
  assert.deepEqual([common.read32(r.queueUsedLow.offset), common.read32(r.queueUsedHigh.offset)], [0x1234_5670, 0x12]);
  assert.equal(common.read16(r.queueNotifyOffset.offset), 2);
  assert.equal(common.read16(r.queueEnable.offset), 0);
  common.write16(r.queueEnable.offset, 1);
  assert.equal(common.read16(r.queueEnable.offset), 1);
  common.write16(r.queueEnable.offset, 0);
  assert.equal(common.read16(r.queueEnable.offset), 1, "§4.1.4.3.2: a queue is not disabled by writing 0");
  assert.equal(q(16), 128);
  common.write32(r.queueUsedLow.offset, 0);
  assert.equal(common.read32(r.queueUsedLow.offset), 0x1234_5670);
  for (const missing of [3, 0xffff]) {
    common.write16(r.queueSelect.offset, missing);
    assert.deepEqual([q(), common.read16(r.queueEnable.offset), common.read16(r.queueVector.offset)], [0, 0, noVector]);
    common.write16(r.queueEnable.offset, 1);
    assert.equal(common.read16(r.queueEnable.offset), 0);
  }
});

test("§2.5: the generation changes with the configuration; writable fields are written through", () => {
  const { common, structures, adapter } = open();
  const device = structures.device?.window;
  assert.ok(device !== undefined);
  const before = common.read8(r.configGeneration.offset);
  adapter.core.configChanged();
  assert.notEqual(common.read8(r.configGeneration.offset), before);
  assert.equal(device.read32(scsiConfig.offset.senseSize), 96);
  device.write32(scsiConfig.offset.senseSize, 20);
  assert.equal(device.read32(scsiConfig.offset.senseSize), 20);
  assert.equal(device.read16(scsiConfig.offset.senseSize), 20);
  assert.equal(device.read32(scsiConfig.size), 0, "past its end it reads 0");
  device.write32(scsiConfig.size, 1);
  device.write32(scsiConfig.offset.numQueues, 9);
  assert.equal(device.read32(scsiConfig.offset.numQueues), 1, "read-only");
});

test("§4.1.4.5: ISR clears when read, and a reset clears it", () => {
  const { structures, adapter, common } = open();
  adapter.core.configChanged();
  assert.equal(adapter.function.interruptLevel, true);
  assert.equal(structures.isr.window.read8(0), 2);
  assert.equal(structures.isr.window.read8(0), 0);
  adapter.core.configChanged();
  status(common, 0);
  assert.equal(adapter.function.interruptLevel, false);
});

test("§4.1.4.9: the PCI configuration access capability reaches every structure, and nothing beyond the BAR", () => {
  const { fn, common } = open();
  const access = configurationAccess(fn)?.(4, 0);
  assert.ok(access !== undefined);
  assert.equal(access.read16(r.queueCount.offset), 3);
  access.write8(r.deviceStatus.offset, 3);
  assert.equal(common.read8(r.deviceStatus.offset), 3);
  access.write32(r.driverFeatureSelect.offset, 0x1234_5678);
  assert.equal(common.read32(r.driverFeatureSelect.offset), 0x1234_5678);
  const beyond = configurationAccess(fn)?.(4, 0x4000);
  assert.equal(beyond?.read32(0), 0);
  beyond?.write32(0, 1);
  for (const bar of [0, 3, 5, 6, 255]) assert.equal(configurationAccess(fn)?.(bar, 0).read32(0), 0);
});

// Capability lists that lie

const capability = struct({
  ...{ id: u8, next: u8, length: u8, kind: u8, bar: u8, structureId: u8, padding0: u8, padding1: u8 },
  ...{ offset: u32, size: u32, multiplier: u32 },
});

interface Claim {
  kind: number;
  bar?: number;
  offset?: number;
  size?: number;
  length?: number;
  id?: number;
  at?: number;
}

function claim({ kind, bar = 4, offset = 0, size = 0x1000, length = kind === 2 ? 20 : 16, id = 9, at }: Claim) {
  const bytes = new Uint8Array(20);
  capability.write(new DataView(bytes.buffer), 0, "little", { id, length, kind, bar, offset, size, multiplier: 4 });
  return { bytes, ...(at === undefined ? {} : { at }) } satisfies PciCapability;
}

/** A function whose memory reads as offset + `seed` of each BAR. */
function liar(capabilities: readonly PciCapability[]) {
  const machine = new EmbeddedMachine(pc, { ramSize: 1 << 20 });
  const window = (seed: number) =>
    windowOf(
      (offset) => (offset + seed) & 0xff,
      () => {},
    );
  const bars: (PciBarOptions | undefined)[] = [
    undefined,
    { kind: "memory32", size: 0x1000, window: window(1) },
    undefined,
    undefined,
    { kind: "memory64", size: 0x4000, window: window(4) },
    undefined,
  ];
  machine.plug(new PciDeviceFunction({ vendorId: 0x1af4, deviceId: 0x1048, classCode: 0x010000, bars, capabilities }));
  const [found] = findVirtioAdapters(machine);
  assert.ok(found?.on === "pci" && enumeratePci(machine, pc.bridges).length > 0);
  found.fn.enable({ memory: true });
  return found.fn;
}

const sound = [claim({ kind: 1 }), claim({ kind: 2, offset: 0x1000 }), claim({ kind: 3, offset: 0x2000 })];

test("§4.1.4: a sound list is found; a device without configuration has none", () => {
  const structures = findModernStructures(liar(sound));
  assert.equal(structures.device, undefined);
  assert.equal(structures.notifyMultiplier, 4);
  assert.equal(structures.notify.window.read8(0), 4);
});

test("§4.1.4.1: the first suitable capability of a kind wins; others, and kinds that nobody knows, are passed over", () => {
  const wrong: Claim[] = [
    { kind: 1, bar: 6 },
    { kind: 1, bar: 255 },
    { kind: 1, bar: 0 },
    { kind: 1, offset: 0x3fff },
    { kind: 1, offset: 0xffff_ffff, size: 0xffff_ffff },
    { kind: 1, size: 0x37 },
    { kind: 1, size: 0 },
  ];
  for (const first of wrong) {
    const fn = liar([claim(first), claim({ kind: 77 }), claim({ kind: 0 }), claim({ kind: 1, bar: 1 }), ...sound]);
    assert.equal(findModernStructures(fn).common.window.read8(0), 1, JSON.stringify(first));
  }
  const short = liar([claim({ kind: 1, length: 15 }), claim({ kind: 1, id: 5 }), ...sound]);
  assert.equal(findModernStructures(short).common.window.read8(0), 4);
});

test("§4.1.4 capability-invalid: a structure that every device has is missing or useless", () => {
  for (let missing = 0; missing < 3; missing++) {
    const rest = sound.filter((_, index) => index !== missing);
    assert.throws(() => findModernStructures(liar(rest)), { code: "capability-invalid" });
  }
  assert.throws(() => findModernStructures(liar([])), { code: "capability-invalid" });
  const noMultiplier = [sound[0], claim({ kind: 2, offset: 0x1000, length: 16 }), sound[2]];
  assert.throws(() => findModernStructures(liar(noMultiplier)), { code: "capability-invalid" });
});

test("a capability at the very end of configuration space is not read past it", () => {
  const end = claim({ kind: 1 });
  const cut: PciCapability = { bytes: end.bytes.slice(0, 8), at: 0xf8 };
  const fn = liar([cut, ...sound]);
  assert.equal(findModernStructures(fn).common.size, 0x1000);
});

test("a notify register outside its structure is refused", () => {
  const { fn, openTransport } = open();
  const bar = fn.bar.bind(fn);
  let notifyOffset = 2;
  // The device's answer for queue_notify_off, which the driver multiplies and must not trust.
  fn.bar = (index) => {
    const window = bar(index) as RegisterWindow;
    return windowOf(
      (offset, width) => (offset === r.queueNotifyOffset.offset ? notifyOffset : readRegister(window, offset, width)),
      (offset, width, value) => writeRegister(window, offset, width, value),
    );
  };
  const transport = openTransport();
  transport.setUpQueue(2, 256);
  transport.notify(2);
  notifyOffset = 0x7fff;
  assert.throws(
    () => transport.setUpQueue(1, 256),
    (error: { code?: string }) => error.code === "capability-invalid",
  );
  transport.freeQueues();
});
