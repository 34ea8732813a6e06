/** What holds for device types of every kind: their numbers, and which feature bits may be theirs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { findVirtioAdapters, openAdapter, pc } from "../machine/index.js";
import { GuestMemory } from "../memory/index.js";
import { EmbeddedMachine } from "../platform/embedded/index.js";
import { Disk, ScsiBus } from "../scsi/index.js";
import { MemoryStore } from "../storage/index.js";
import { type DeviceType, ringFeatures, VirtioPciDevice, virtioDeviceId } from "../transport/index.js";
import {
  VirtioBalloonDevice,
  VirtioBlkDevice,
  VirtioConsoleDevice,
  VirtioEntropyDevice,
  VirtioNetDevice,
  VirtioScsiDevice,
} from "./index.js";

const types = (): readonly DeviceType[] => [
  new VirtioScsiDevice(new ScsiBus(), { inout: true }),
  new VirtioBlkDevice(new MemoryStore(1 << 20), { barrier: true, scsi: new Disk(new MemoryStore(512)), queues: 2 }),
  new VirtioConsoleDevice({ multiport: true, maxPorts: 4, size: { columns: 80, rows: 25 } }),
  new VirtioEntropyDevice(),
  new VirtioBalloonDevice({ statistics: true }),
  new VirtioNetDevice({ connect() {}, deliver() {} }, { queuePairs: 2, mtu: 1500, speed: 1000 }),
];

/** A type that nobody defined: no queues, no configuration. */
const experiment: DeviceType = {
  deviceId: 65535,
  name: "experiment",
  featureTable: {},
  features: 0n,
  queueSizes: [8],
  configSize: 0,
  attach() {},
  readConfig() {},
  writeConfig() {},
  notified() {},
  reset() {},
};

test("R-202: a type's own features are bits 0 to 23 (since 1.x also from 50 on), those of rings and negotiation between", () => {
  for (const { name, features, featureTable } of types()) {
    assert.equal((features >> 24n) & 0x3ff_ffffn, 0n, name);
    for (const [bit, number] of Object.entries(featureTable)) assert.ok(number < 24 || number >= 50, `${name} ${bit}`);
  }
  for (const [name, bit] of Object.entries(ringFeatures)) assert.ok(bit >= 24 && bit < 50, name);
});

test("R-301, R-302: the subsystem is the type's number, the vendor 0x1AF4, the device 0x1000 to 0x103F, revision 0", () => {
  assert.deepEqual(
    types().map(({ deviceId }) => deviceId),
    [8, 2, 3, 4, 5, 1],
  );
  for (const type of types()) {
    const machine = new EmbeddedMachine(pc, { ramSize: 1 << 20 });
    machine.plugVirtio(type, { classCode: 0xff0000, flavour: "legacy" });
    const [found] = findVirtioAdapters(machine);
    assert.equal(found?.on, "pci");
    if (found?.on !== "pci") return;
    assert.deepEqual([found.fn.vendorId, found.fn.revision, found.fn.subsystemId], [0x1af4, 0, type.deviceId]);
    assert.ok(found.fn.deviceId >= 0x1000 && found.fn.deviceId <= 0x103f, type.name);
  }
});

test("R-301, R-309: a type for experiments, 65535, is found and opened by its subsystem; its ID says nothing", () => {
  const machine = new EmbeddedMachine(pc, { ramSize: 1 << 20 });
  machine.plugVirtio(experiment, { classCode: 0xff0000, flavour: "legacy" });
  const [found] = findVirtioAdapters(machine);
  assert.equal(found?.on, "pci");
  if (found?.on !== "pci") return;
  assert.ok(found.fn.deviceId >= 0x1000 && found.fn.deviceId <= 0x103f);
  assert.equal(virtioDeviceId(found.fn), 65535);
  const transport = openAdapter(machine, found);
  assert.equal(transport.deviceId, 65535);
  assert.equal(transport.queueMaxSize(0), 8);
  const options = { memory: GuestMemory.ofSize(1 << 16), classCode: 0xff0000 };
  assert.throws(() => new VirtioPciDevice(experiment, { ...options, flavour: "transitional" }), RangeError);
});
