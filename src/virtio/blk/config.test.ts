/** The configuration of virtio-blk, feature negotiation and changes of size. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Disk } from "../../scsi/index.js";
import { MemoryStore } from "../../storage/index.js";
import { BareQueues, createBlkLoopback, plugBlkLoopback } from "../../testing/index.js";
import { featureNames, featureSet } from "../../transport/index.js";
import {
  type BlkInfo,
  blkConfig,
  blkFeatures,
  blkHeader,
  blkRange,
  knownBlkFeatures,
  VirtioBlkDevice,
  type VirtioBlkOptions,
} from "./index.js";

function namesOf(options: VirtioBlkOptions, isReadOnly = false): string[] {
  return featureNames(new VirtioBlkDevice(new MemoryStore(1 << 20, { isReadOnly }), options).features, blkFeatures);
}

test("R-801: feature bits", () => {
  const { BARRIER, SIZE_MAX, SEG_MAX, GEOMETRY, RO, BLK_SIZE, SCSI, FLUSH } = blkFeatures;
  assert.deepEqual([BARRIER, SIZE_MAX, SEG_MAX, GEOMETRY, RO, BLK_SIZE, SCSI, FLUSH], [0, 1, 2, 4, 5, 6, 7, 9]);
  const { TOPOLOGY, CONFIG_WCE, MQ, DISCARD, WRITE_ZEROES } = blkFeatures;
  assert.deepEqual([TOPOLOGY, CONFIG_WCE, MQ, DISCARD, WRITE_ZEROES], [10, 11, 12, 13, 14]);
});

test("R-802, R-805: offsets and sizes of the structures", () => {
  assert.deepEqual(
    { ...blkConfig.offset },
    {
      ...{ capacity: 0, sizeMax: 8, segMax: 12, cylinders: 16, heads: 18, sectors: 19, blkSize: 20 },
      ...{ physicalBlockExp: 24, alignmentOffset: 25, minIoSize: 26, optIoSize: 28, writeback: 32, unused0: 33 },
      ...{ numQueues: 34, maxDiscardSectors: 36, maxDiscardSeg: 40, discardSectorAlignment: 44 },
      ...{ maxWriteZeroesSectors: 48, maxWriteZeroesSeg: 52, writeZeroesMayUnmap: 56, unused1: 57 },
    },
  );
  assert.deepEqual([blkConfig.size, blkHeader.size, blkRange.size], [60, 16, 16]);
});

test("R-205: what is offered follows from the options; LIFETIME, SECURE_ERASE and ZONED never are", () => {
  const plain = ["SEG_MAX", "BLK_SIZE", "FLUSH", "TOPOLOGY", "CONFIG_WCE", "DISCARD", "WRITE_ZEROES"];
  assert.deepEqual(namesOf({}), plain);
  assert.deepEqual(namesOf({}, true), ["SEG_MAX", "RO", ...plain.slice(1)]);
  const unit = new Disk(new MemoryStore(512));
  const geometry = { cylinders: 1, heads: 2, sectors: 3 };
  assert.deepEqual(
    namesOf({ barrier: true, sizeMax: 4096, geometry, scsi: unit, queues: 2, cache: "back", discard: false }),
    ["BARRIER", "SIZE_MAX", "SEG_MAX", "GEOMETRY", "BLK_SIZE", "SCSI", "FLUSH", "TOPOLOGY", "MQ", "WRITE_ZEROES"],
  );
  assert.deepEqual(namesOf({ cache: "through", writeZeroes: false }), ["SEG_MAX", "BLK_SIZE", "TOPOLOGY", "DISCARD"]);
});

test("options out of range are refused", () => {
  const store = new MemoryStore(1 << 20);
  const bad: VirtioBlkOptions[] = [
    { blockSize: 513 },
    { blockSize: 256 },
    { blockSize: 4096, physicalBlockSize: 512 },
    { queues: 0 },
    { queueSize: 0 },
    { segMax: 0 },
    { sizeMax: 0 },
    { serial: "é" },
    { geometry: { cylinders: 65536, heads: 1, sectors: 1 } },
    { discard: { maxRanges: 0 } },
    { writeZeroes: { maxSectors: 2 ** 32 } },
  ];
  for (const options of bad)
    assert.throws(() => new VirtioBlkDevice(store, options), RangeError, JSON.stringify(options));
  assert.throws(() => new VirtioBlkDevice(new MemoryStore(511)), RangeError);
});

for (const endianness of ["little", "big"] as const) {
  test(`R-308, R-802 (${endianness}): the configuration as bytes`, () => {
    const device = new VirtioBlkDevice(new MemoryStore(3 * 2 ** 40), {
      ...{ blockSize: 4096, physicalBlockSize: 16384, alignmentOffset: 1, minimumIo: 8, optimalIo: 256 },
      ...{ segMax: 126, sizeMax: 65536, queues: 4, geometry: { cylinders: 0x1234, heads: 16, sectors: 63 } },
      ...{
        discard: { maxSectors: 0x10000, maxRanges: 16, alignment: 8 },
        writeZeroes: { maxSectors: 5, maxRanges: 6 },
      },
    });
    const view = new DataView(new ArrayBuffer(60));
    device.readConfig(view, endianness);
    const little = endianness === "little";
    assert.equal(view.getBigUint64(0, little), BigInt(6 * 2 ** 30));
    assert.deepEqual(
      [8, 12, 20, 28].map((at) => view.getUint32(at, little)),
      [65536, 126, 4096, 256],
    );
    assert.deepEqual([view.getUint16(16, little), view.getUint8(18), view.getUint8(19)], [0x1234, 16, 63]);
    assert.deepEqual([view.getUint8(24), view.getUint8(25), view.getUint16(26, little)], [2, 1, 8]);
    assert.deepEqual([view.getUint8(32), view.getUint8(33), view.getUint16(34, little)], [1, 0, 4]);
    assert.deepEqual(
      [36, 40, 44, 48, 52].map((at) => view.getUint32(at, little)),
      [0x10000, 16, 8, 5, 6],
    );
    assert.deepEqual(
      [56, 57, 58, 59].map((at) => view.getUint8(at)),
      [1, 0, 0, 0],
    );
  });
}

test("R-204: BARRIER and SCSI are offered to legacy drivers only", async () => {
  const scsi = new Disk(new MemoryStore(512));
  const features = knownBlkFeatures | featureSet(blkFeatures.BARRIER, blkFeatures.SCSI);
  for (const transport of ["legacy-be", "legacy-le", "modern"] as const) {
    const loop = await createBlkLoopback({ transport, device: { barrier: true, scsi }, driver: { features } });
    const names = loop.driver.info.features;
    assert.equal(names.includes("BARRIER"), transport !== "modern", transport);
    assert.equal(names.includes("SCSI"), transport !== "modern", transport);
    await loop.close();
  }
});

test("what a driver cannot write does not change: only writeback, and only with CONFIG_WCE", async () => {
  const loop = await createBlkLoopback({ driver: { features: featureSet(blkFeatures.FLUSH) } });
  const { transport } = loop.driver.link;
  const before = Array.from({ length: 60 }, (_, at) => transport.readConfig(at, 1));
  for (let at = 0; at < 60; at++) transport.writeConfig(at, 1, 0);
  assert.deepEqual(
    Array.from({ length: 60 }, (_, at) => transport.readConfig(at, 1)),
    before,
  );
  await loop.close();
  const other = await createBlkLoopback();
  other.driver.setWriteCache(false);
  assert.equal(other.driver.info.hasWriteCache, false);
  for (let at = 0; at < 60; at++) other.driver.link.transport.writeConfig(at, 1, at === 32 ? 1 : 0xff);
  other.driver.configChanged();
  assert.deepEqual([other.driver.info.hasWriteCache, other.driver.info.capacity], [true, 2048]);
  await other.close();
});

test("a reset turns the write cache on again", async () => {
  const plugged = plugBlkLoopback();
  const first = await plugged.openDriver();
  first.setWriteCache(false);
  await first.close();
  const second = await plugged.openDriver();
  assert.equal(second.info.hasWriteCache, true);
  await second.close();
  await plugged.unplug();
});

test("R-205: the driver knows the device by its negotiated features alone", async () => {
  const device: VirtioBlkOptions = {
    ...{ blockSize: 4096, physicalBlockSize: 8192, sizeMax: 8192, segMax: 9, queues: 2, optimalIo: 4 },
    geometry: { cylinders: 10, heads: 2, sectors: 17 },
  };
  const all = await createBlkLoopback({ device });
  const { info } = all.driver;
  assert.deepEqual(
    [info.blockSize, info.physicalBlockSize, info.sizeMax, info.segMax, info.queues, info.optimalIo, info.geometry],
    [4096, 8192, 8192, 9, 2, 16384, device.geometry],
  );
  await all.close();
  const none = await createBlkLoopback({ device, driver: { features: 0n } });
  const expected: Partial<BlkInfo> = {
    ...{
      blockSize: 512,
      physicalBlockSize: 512,
      sizeMax: Number.POSITIVE_INFINITY,
      segMax: 1,
      queues: 1,
      optimalIo: 0,
    },
    ...{ geometry: undefined, hasWriteCache: false, canSwitchCache: false, discard: undefined, writeZeroes: undefined },
    ...{ capacity: 2048, isReadOnly: false, features: ["VERSION_1"] },
  };
  for (const [name, value] of Object.entries(expected)) {
    assert.deepEqual(none.driver.info[name as keyof BlkInfo], value, name);
  }
  await none.close();
});

for (const transport of ["legacy-be", "legacy-le", "modern"] as const) {
  for (const interrupts of ["intx", "msix"] as const) {
    test(`virtio 1.2 §5.2.6.2, R-613, R-614: a resize is told to the driver (${transport}, ${interrupts})`, async () => {
      const loop = await createBlkLoopback({ transport, interrupts });
      const told: number[] = [];
      loop.driver.onChange((info) => told.push(info.capacity));
      loop.device.resized(1 << 20);
      loop.device.resized(512 * 100 + 511);
      await loop.machine.idle(50);
      assert.deepEqual(told, [100], "once, and not for a size that it has");
      assert.throws(() => loop.device.resized(100), RangeError);
      await assert.rejects(loop.driver.readSectors(100, new Uint8Array(512)), RangeError);
      await loop.driver.readSectors(99, new Uint8Array(512));
      await loop.close();
    });
  }
}

test("a size that is no whole number of blocks is cut to one", () => {
  const device = new VirtioBlkDevice(new MemoryStore(4096 * 3 + 512), { blockSize: 4096 });
  assert.equal(device.capacity, 24);
  const queues = new BareQueues(device);
  device.resized(4096 * 5 + 4095);
  assert.deepEqual([device.capacity, queues.configurationChanges], [40, 1]);
});
