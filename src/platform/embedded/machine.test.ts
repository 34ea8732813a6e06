import assert from "node:assert/strict";
import { test } from "node:test";
import { findVirtioAdapters, openAdapter, pciBoards } from "../../machine/index.js";
import { cdb, Disk, ScsiBus, unitAddress } from "../../scsi/index.js";
import { MemoryStore } from "../../storage/index.js";
import { VirtioScsiDevice, VirtioScsiDriver } from "../../virtio/index.js";
import { EmbeddedMachine } from "./machine.js";

for (const board of pciBoards) {
  test(`${board.name}: the driver finds its adapter and its disk, writes and reads`, async () => {
    const machine = new EmbeddedMachine(board, { ramSize: 16 << 20 });
    const bus = new ScsiBus();
    bus.attach(1, 1, new Disk(new MemoryStore(4 << 20), { powerOnAttention: false }));
    machine.plugVirtio(new VirtioScsiDevice(bus), { classCode: 0x010000 });
    const [adapter] = findVirtioAdapters(machine);
    const driver = await VirtioScsiDriver.open(openAdapter(machine, adapter));
    const unit = unitAddress(1, 1);
    const identity = new Uint8Array(36);
    const found = await driver.execute(unit, cdb.inquiry(36), { dataIn: identity });
    assert.equal(found.status, 0);
    assert.equal(found.response, 0);
    const data = new Uint8Array(8192).map((_, index) => (index * 7) & 0xff);
    const written = await driver.execute(unit, cdb.write10(16, 16), { dataOut: data });
    assert.deepEqual({ ...written, sense: written.sense.length }, { response: 0, status: 0, sense: 0, residual: 0 });
    const back = new Uint8Array(8192);
    await driver.execute(unit, cdb.read10(16, 16), { dataIn: back });
    assert.deepEqual(back, data);
    await driver.close();
    await machine.close();
  });
}
