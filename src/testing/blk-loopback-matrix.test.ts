/** virtio-blk, our driver on our device: every row of loopback-rings. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { featureNames, ringFeatures } from "../transport/index.js";
import { BlkStatus, BlkType, blkFeatures } from "../virtio/index.js";
import { type BlkLoopback, createBlkLoopback, loopbackMatrix, ringsName } from "./index.js";

function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) bytes[index] = (index * 7 + (index >> 9) + seed) & 0xff;
  return bytes;
}

async function transfer({ driver }: BlkLoopback, sectors: number, at: number, queue = 0): Promise<void> {
  const data = pattern(sectors * 512, at);
  await driver.writeSectors(at, data, { queue });
  const back = new Uint8Array(data.length);
  await driver.readSectors(at, back, { queue });
  assert.ok(Buffer.compare(back, data) === 0, `${sectors} sectors at ${at} came back different`);
}

/** Many small requests through the ring-level interface, 16 at a time, each compared. */
async function manyRequests({ driver, machine }: BlkLoopback, count: number): Promise<void> {
  const numbered = new Uint8Array(256 * 512);
  const numbers = new DataView(numbered.buffer);
  for (let sector = 0; sector < 256; sector++) numbers.setUint32(sector * 512, sector);
  await driver.writeSectors(0, numbered);
  const block = machine.dma.allocate(16 * 512, 512);
  const view = new DataView(block.region.bytes.buffer, block.region.bytes.byteOffset + block.offset, block.size);
  const sectorOf = new Array<number>(16).fill(0);
  let done = 0;
  const slots = sectorOf.map((_, slot) => {
    const request = driver.acquireRequest();
    request.setHeader(BlkType.In, 0);
    request.addIn(block.address + slot * 512, 512);
    request.onEnd = () => {
      assert.equal(request.status, BlkStatus.Ok);
      assert.equal(request.usedLength, 513);
      assert.equal(view.getUint32(slot * 512), sectorOf[slot], "the data of another sector");
      done++;
      free.push({ request, slot });
    };
    return { request, slot };
  });
  const free = [...slots];
  let sent = 0;
  while (done < count) {
    for (let next = free.pop(); next !== undefined; next = sent < count ? free.pop() : undefined) {
      const sector = (sent * 13) % 256;
      next.request.setSector(sector);
      sectorOf[next.slot] = sector;
      view.setUint32(next.slot * 512, 0xffff_ffff);
      assert.ok(driver.submit(next.request));
      sent++;
    }
    driver.flush();
    driver.poll();
  }
  for (const { request } of slots) driver.releaseRequest(request);
  machine.dma.free(block);
}

for (const row of loopbackMatrix) {
  test(`blk ${ringsName(row)}: tells itself, writes, reads, and gives all memory back`, async () => {
    let odd = 0;
    const loop = await createBlkLoopback({
      ...row,
      // Pieces of odd lengths.
      poison: { pieceLength: (left) => (left > 100_000 ? 9973 : left > 2000 ? 1 + ((odd += 97) % 1999) : left) },
      ramSize: 16 << 20,
      device: { serial: "12345678901234567890", blockSize: 4096, queues: 2, queueSize: 64 },
      driver: { queues: 2 },
    });
    const { driver, adapter } = loop;
    const names = featureNames(driver.link.features, ringFeatures, blkFeatures);
    assert.equal(names.includes("INDIRECT_DESC"), row.indirect);
    assert.equal(names.includes("EVENT_IDX"), row.eventIndex);
    assert.equal(names.includes("VERSION_1"), row.transport === "modern");
    assert.equal(names.includes("RING_PACKED"), row.packed);
    assert.equal(names.includes("IN_ORDER"), row.furtherRingFeatures !== 0n);
    assert.equal(driver.link.interruptMode, row.interrupts);
    assert.equal(await driver.identify(), "12345678901234567890");
    assert.deepEqual([driver.info.capacity, driver.info.blockSize, driver.requestQueues], [2048, 4096, 2]);
    for (const [index, sectors] of [1, 2, 7, 8, 63].entries()) await transfer(loop, sectors, 10 * index, index % 2);
    await transfer(loop, 1024, 100);
    // All at once, so that chains interleave on the rings.
    await Promise.all(Array.from({ length: 40 }, (_, index) => transfer(loop, 3, 4 * index + 8, index % 2)));
    await driver.writeZeroes([{ sector: 100, sectors: 3 }]);
    await driver.discard([{ sector: 103, sectors: 5 }]);
    await driver.flushCache();
    const zeros = new Uint8Array(8 * 512);
    await driver.readSectors(100, zeros.fill(1));
    assert.ok(zeros.every((byte) => byte === 0));
    assert.equal(driver.inFlight, 0);
    assert.deepEqual([...adapter.core.violations], []);
    await loop.close();
  });

  test(`blk ${ringsName(row)}: 66000 requests on one queue, data compared`, async () => {
    const loop = await createBlkLoopback({ ...row, poison: false });
    await manyRequests(loop, 66_000);
    assert.deepEqual([...loop.adapter.core.violations], []);
    await loop.close();
  });
}
