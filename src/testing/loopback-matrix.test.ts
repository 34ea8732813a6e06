/** Our driver on our device: every row of loopback-rings. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cdb, ScsiStatus, unitAddress } from "../scsi/index.js";
import { featureNames, ringFeatures } from "../transport/index.js";
import { type ScsiRequest, ScsiResponse, scsiFeatures, type VirtioScsiDriver } from "../virtio/index.js";
import { createLoopback, type Loopback, loopbackMatrix, memoryDisk, ringsName } from "./index.js";

const units = [
  { target: 0, lun: 0 },
  { target: 0, lun: 1 },
  { target: 1, lun: 255 },
  { target: 7, lun: 256 },
  { target: 255, lun: 16383 },
];

function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) bytes[index] = (index * 7 + (index >> 9) + seed) & 0xff;
  return bytes;
}

async function transfer(driver: VirtioScsiDriver, address: number, blocks: number, seed: number): Promise<void> {
  const data = pattern(blocks * 512, seed);
  const written = await driver.execute(address, cdb.write10(seed, blocks), { dataOut: data });
  assert.deepEqual({ ...written, sense: written.sense.length }, { response: 0, status: 0, sense: 0, residual: 0 });
  const back = new Uint8Array(data.length);
  const read = await driver.execute(address, cdb.read10(seed, blocks), { dataIn: back });
  assert.deepEqual({ ...read, sense: read.sense.length }, { response: 0, status: 0, sense: 0, residual: 0 });
  assert.ok(Buffer.compare(back, data) === 0, `${blocks} blocks at ${seed} came back different`);
}

async function finds(loop: Loopback): Promise<void> {
  for (const { target, lun } of units) {
    const identity = new Uint8Array(36);
    const found = await loop.driver.execute(unitAddress(target, lun), cdb.inquiry(36), { dataIn: identity });
    assert.equal(found.response, ScsiResponse.Ok);
    assert.equal(identity[0], 0, "a connected disk");
    const none = await loop.driver.execute(unitAddress(target, lun - 1 < 0 ? 5 : lun - 1), cdb.inquiry(36), {
      dataIn: identity,
    });
    assert.equal(none.response, ScsiResponse.Ok);
  }
  const nobody = await loop.driver.execute(unitAddress(3, 0), cdb.testUnitReady());
  assert.equal(nobody.response, ScsiResponse.BadTarget);
}

/** Many small requests through the ring-level interface, 16 at a time, each compared. */
function manyRequests(loop: Loopback, count: number): void {
  const { driver, machine } = loop;
  const address = unitAddress(0, 0);
  const block = machine.dma.allocate(16 * 512, 512);
  const disk = loop.bus.unit(0, 0);
  assert.ok(disk !== undefined);
  const free: { request: ScsiRequest; at: number }[] = [];
  const view = new DataView(block.region.bytes.buffer, block.region.bytes.byteOffset + block.offset, block.size);
  let done = 0;
  let lbaOf: number[] = [];
  for (let slot = 0; slot < 16; slot++) {
    const request = driver.acquireRequest();
    driver.address(request, address);
    request.addIn(block.address + slot * 512, 512);
    request.onEnd = () => {
      assert.equal(request.response, ScsiResponse.Ok);
      assert.equal(request.status, ScsiStatus.Good);
      assert.equal(view.getUint32(slot * 512), lbaOf[slot], "the data of another block");
      done++;
      free.push({ request, at: slot });
    };
    free.push({ request, at: slot });
  }
  let sent = 0;
  lbaOf = new Array<number>(16).fill(0);
  while (done < count) {
    for (let slot = free.pop(); slot !== undefined; slot = sent < count ? free.pop() : undefined) {
      const lba = (sent * 13) % 256;
      slot.request.cdb.fill(0).set(cdb.read10(lba, 1));
      lbaOf[slot.at] = lba;
      view.setUint32(slot.at * 512, 0xffff_ffff);
      assert.ok(driver.submit(slot.request));
      sent++;
    }
    driver.flush();
    driver.poll();
  }
  assert.equal(done, count);
}

async function numberBlocks(driver: VirtioScsiDriver): Promise<void> {
  const data = new Uint8Array(256 * 512);
  const view = new DataView(data.buffer);
  for (let lba = 0; lba < 256; lba++) view.setUint32(lba * 512, lba);
  await driver.execute(unitAddress(0, 0), cdb.write10(0, 256), { dataOut: data });
}

for (const row of loopbackMatrix) {
  test(`${ringsName(row)}: finds units, writes, reads, and gives all memory back`, async () => {
    let odd = 0;
    const loop = await createLoopback({
      ...row,
      units: units.map(({ target, lun }) => memoryDisk(target, lun, 2 << 20)),
      // Pieces of odd lengths, as many as fit without indirect tables.
      poison: { pieceLength: (left) => (left > 100_000 ? 9973 : left > 2000 ? 1 + ((odd += 97) % 1999) : left) },
      ramSize: 16 << 20,
    });
    const names = featureNames(loop.driver.link.features, ringFeatures, scsiFeatures);
    assert.equal(names.includes("INDIRECT_DESC"), row.indirect);
    assert.equal(names.includes("EVENT_IDX"), row.eventIndex);
    assert.equal(names.includes("VERSION_1"), row.transport === "modern");
    assert.equal(names.includes("RING_PACKED"), row.packed);
    assert.equal(names.includes("IN_ORDER"), row.furtherRingFeatures !== 0n);
    assert.equal(loop.driver.link.interruptMode, row.interrupts);
    await finds(loop);
    for (const [index, { target, lun }] of units.entries()) {
      await transfer(loop.driver, unitAddress(target, lun), 1 + index, 10 * index);
    }
    await transfer(loop.driver, unitAddress(7, 256), 2048, 100);
    // All at once, so that chains interleave on the ring.
    await Promise.all(
      Array.from({ length: 40 }, (_, index) => transfer(loop.driver, unitAddress(0, index % 2), 3, 4 * index + 8)),
    );
    assert.equal(loop.driver.inFlight, 0);
    assert.equal(loop.adapter.core.violations.size, 0);
    await loop.close();
  });

  test(`${ringsName(row)}: 66000 requests on one queue, data compared`, async () => {
    const loop = await createLoopback({ ...row, poison: false });
    await numberBlocks(loop.driver);
    manyRequests(loop, 66_000);
    assert.equal(loop.adapter.core.violations.size, 0);
    await loop.close();
  });
}
