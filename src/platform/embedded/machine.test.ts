import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { findVirtioAdapters, openAdapter, pc, pciBoards, riscvVirt, withMmioWindows } from "../../machine/index.js";
import { cdb, Disk, ScsiBus, unitAddress } from "../../scsi/index.js";
import { MemoryStore } from "../../storage/index.js";
import { parseMmioWindows } from "../../transport/index.js";
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

test("virtio_mmio.device= populates any board: windows that are given hold devices, which may share a line, and be frozen and restored", async () => {
  const windows = parseMmioWindows("virtio_mmio.device=4K@0xd0000000:5", "virtio_mmio.device=4K@0xd0001000:5:7");
  for (const board of [pc, riscvVirt]) {
    const machine = new EmbeddedMachine(withMmioWindows(board, windows), { ramSize: 16 << 20 });
    const drivers: VirtioScsiDriver[] = [];
    for (const version of [1, 2] as const) {
      const bus = new ScsiBus();
      bus.attach(0, version, new Disk(new MemoryStore(1 << 20), { powerOnAttention: false }));
      machine.plugMmio(new VirtioScsiDevice(bus), { version });
    }
    const found = findVirtioAdapters(machine);
    assert.deepEqual(
      found.map((adapter) => adapter.on === "mmio" && [adapter.window, adapter.version]),
      windows.map((window, index) => [window, index + 1]),
    );
    for (const adapter of found) drivers.push(await VirtioScsiDriver.open(openAdapter(machine, adapter)));
    for (let round = 0; round < 20; round++) {
      if (round % 5 === 4) {
        await Promise.all(drivers.map((driver) => driver.freeze()));
        for (const driver of drivers) void driver.restore();
      }
      const answers = drivers.map((driver, index) => driver.execute(unitAddress(0, index + 1), cdb.testUnitReady()));
      for (const { response, status } of await Promise.all(answers)) assert.deepEqual([response, status], [0, 0]);
    }
    for (const driver of drivers) await driver.close();
    await machine.close();
  }
});

test("a wait that ended without an interrupt leaves nothing behind", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const machine = new EmbeddedMachine(pc, { ramSize: 16 << 20 });
  const heapAfter = async (waits: number) => {
    await Promise.all(Array.from({ length: waits }, () => machine.idle(0)));
    collect();
    return process.memoryUsage().heapUsed;
  };
  await heapAfter(10_000);
  const before = await heapAfter(10_000);
  // Without it being forgotten, a wait costs some 460 bytes.
  assert.ok((await heapAfter(10_000)) - before < 10_000 * 50);
  await machine.close();
});
