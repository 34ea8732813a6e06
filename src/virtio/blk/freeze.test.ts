/** What of a disk is the same after a freeze, what may change, and what must not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { UnsupportedError } from "../../errors/index.js";
import { createBlkLoopback } from "../../testing/index.js";
import { type BlkInfo, blkConfig } from "./index.js";

test("a capacity that changed while the driver was frozen is told once; the driver uses it", async () => {
  const loop = await createBlkLoopback();
  const { driver } = loop;
  const told: number[] = [];
  driver.onChange(({ capacity }) => told.push(capacity));
  await driver.freeze();
  assert.equal(driver.info.capacity, 2048, "what was last known, while frozen");
  loop.device.resized(1000 * 512);
  const last = driver.readSectors(999, new Uint8Array(512));
  await driver.restore();
  await last;
  assert.deepEqual([told, driver.info.capacity], [[1000], 1000]);
  await assert.rejects(driver.readSectors(1000, new Uint8Array(512)), RangeError);
  await loop.close();
});

test("nothing is told where nothing changed", async () => {
  const loop = await createBlkLoopback();
  const told: BlkInfo[] = [];
  loop.driver.onChange((info) => told.push(info));
  await loop.driver.freeze();
  await loop.driver.restore();
  assert.deepEqual(told, []);
  await loop.close();
});

test("a write cache that was switched is so after a restore too, though the device forgot", async () => {
  const loop = await createBlkLoopback();
  const { driver } = loop;
  assert.equal(driver.info.hasWriteCache, true);
  driver.setWriteCache(false);
  await driver.freeze();
  assert.throws(() => driver.setWriteCache(true), /the driver is frozen/);
  await driver.restore();
  assert.equal(driver.info.hasWriteCache, false);
  assert.equal(driver.transport.readConfig(blkConfig.offset.writeback, 1), 0);
  await loop.close();
});

test("a flush, a discard, a name and a transfer of many windows wait for the restore like everything else", async () => {
  const loop = await createBlkLoopback({ driver: { windowBytes: 8192, requestBytes: 1024 } });
  const { driver } = loop;
  const data = Uint8Array.from({ length: 100 * 512 }, (_, index) => (index * 7) & 0xff);
  await driver.freeze();
  let ended = 0;
  const all: Promise<unknown>[] = [
    driver.writeSectors(3, data),
    driver.flushCache(),
    driver.identify(),
    driver.discard([{ sector: 1000, sectors: 8 }]),
    driver.writeZeroes([{ sector: 1100, sectors: 8 }]),
  ];
  for (const one of all) void one.then(() => ended++);
  await loop.machine.idle(5);
  assert.equal(ended, 0);
  await driver.restore();
  await Promise.all(all);
  const back = new Uint8Array(data.length);
  await driver.readSectors(3, back);
  assert.ok(Buffer.compare(back, data) === 0);
  await loop.close();
});

const { offset } = blkConfig;
for (const [what, at, value] of [
  ["block size 4096, it had 512", offset.blkSize, 4096],
  ["seg_max 2, it had 100", offset.segMax, 2],
  ["size_max 512, it had 4096", offset.sizeMax, 512],
  ["max_discard_sectors 1", offset.maxDiscardSectors, 1],
  ["max_write_zeroes_seg 1", offset.maxWriteZeroesSeg, 1],
] as const) {
  test(`a disk that comes back with ${what}: requests that wait were not laid out for it, each fails once`, async () => {
    const loop = await createBlkLoopback({ device: { segMax: 100, sizeMax: 4096 } });
    const { driver } = loop;
    await driver.freeze();
    const waiting = [0, 8, 16].map((sector) => driver.readSectors(sector, new Uint8Array(4096)));
    const readConfig = driver.transport.readConfig.bind(driver.transport);
    driver.transport.readConfig = (from, width) => (from === at ? value : readConfig(from, width));
    const isReason = (error: Error) => error instanceof UnsupportedError && error.message.includes(what);
    await assert.rejects(driver.restore(), isReason);
    for (const one of waiting) await assert.rejects(one, isReason);
    assert.equal(driver.state, "closed");
    await loop.close();
  });
}
