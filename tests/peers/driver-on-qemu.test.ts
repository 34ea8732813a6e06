/**
 * The driver half, unchanged, on QEMU's own virtio-scsi: every register interface and interrupt that its machines have.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { boards, findVirtioAdapters, type OpenAdapterOptions, openAdapter, settle } from "../../src/machine/index.js";
import { findQemu, type QemuAdapter, type QemuMachine, startQemuMachine } from "../../src/platform/qemu/index.js";
import { cdb, parseSense, unitAddress } from "../../src/scsi/index.js";
import { seededRandom } from "../../src/testing/index.js";
import {
  AsyncEvent,
  type ScsiEventReport,
  ScsiResponse,
  TaskManagement,
  VirtioScsiDriver,
} from "../../src/virtio/index.js";
import { after, before, test } from "./limited-test.js";

interface Case {
  readonly board: keyof typeof boards;
  readonly mode: QemuAdapter["mode"];
  readonly prefer: OpenAdapterOptions["prefer"];
  /** What the driver should find itself on. */
  readonly kind: "pci-legacy" | "pci-modern" | "mmio-legacy" | "mmio";
  readonly interrupts: string;
}

const cases: readonly Case[] = [
  { board: "pc", mode: "legacy", prefer: "intx", kind: "pci-legacy", interrupts: "intx" },
  { board: "pc", mode: "legacy", prefer: "msix", kind: "pci-legacy", interrupts: "msix" },
  { board: "pc", mode: "modern", prefer: "intx", kind: "pci-modern", interrupts: "intx" },
  { board: "pc", mode: "modern", prefer: "msix", kind: "pci-modern", interrupts: "msix" },
  { board: "q35", mode: "legacy", prefer: "intx", kind: "pci-legacy", interrupts: "intx" },
  { board: "q35", mode: "legacy", prefer: "msix", kind: "pci-legacy", interrupts: "msix" },
  { board: "q35", mode: "modern", prefer: "intx", kind: "pci-modern", interrupts: "intx" },
  { board: "q35", mode: "transitional", prefer: "msix", kind: "pci-modern", interrupts: "msix" },
  { board: "pegasos2", mode: "modern", prefer: "intx", kind: "pci-modern", interrupts: "intx" },
  { board: "pegasos2", mode: "legacy", prefer: "intx", kind: "pci-legacy", interrupts: "intx" },
  { board: "amigaone", mode: "legacy", prefer: "intx", kind: "pci-legacy", interrupts: "intx" },
  { board: "amigaone", mode: "transitional", prefer: "intx", kind: "pci-modern", interrupts: "intx" },
  { board: "riscv-virt", mode: "legacy", prefer: "intx", kind: "mmio-legacy", interrupts: "line" },
  { board: "riscv-virt", mode: "modern", prefer: "intx", kind: "mmio", interrupts: "line" },
  { board: "arm-virt", mode: "legacy", prefer: "intx", kind: "mmio-legacy", interrupts: "line" },
  { board: "arm-virt", mode: "modern", prefer: "intx", kind: "mmio", interrupts: "line" },
];

const imageSize = 8 << 20;
let folder = "";
let content: Uint8Array;
let image = "";

before(() => {
  folder = mkdtempSync(join(tmpdir(), "ringside-driver-"));
  const random = seededRandom(1);
  content = Uint8Array.from({ length: imageSize }, () => random.below(256));
  image = join(folder, "disk.img");
  writeFileSync(image, content);
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** Runs `work` with a driver on QEMU's adapter; everything is taken down afterwards. */
async function withDriver(
  { board, mode, prefer }: Case,
  disks: QemuAdapter["disks"],
  work: (driver: VirtioScsiDriver, machine: QemuMachine) => Promise<void>,
): Promise<void> {
  const machine = await startQemuMachine({
    board: boards[board],
    adapters: [{ kind: "virtio-scsi", ...(mode === undefined ? {} : { mode }), disks }],
  });
  try {
    const adapter = findVirtioAdapters(machine).find(({ deviceId }) => deviceId === 8);
    assert.ok(adapter !== undefined, "no adapter found");
    const transport = openAdapter(machine, adapter, { prefer });
    const driver = await settle(machine, VirtioScsiDriver.open(transport));
    await settle(machine, work(driver, machine));
    await settle(machine, driver.close());
  } finally {
    await machine.close();
  }
}

for (const each of cases) {
  const name = `${each.board} ${each.kind} ${each.interrupts}`;
  const missing = whyMissing(each.board);
  const options = missing === undefined ? {} : { skip: missing };

  test(`${name}: disks at several places, small, large and scattered transfers, task management`, options, async () => {
    const disks = [
      { image, target: 0, lun: 0 },
      { image, target: 1, lun: 1 },
      { image, target: 5, lun: 300, blockSize: 4096 },
    ];
    await withDriver(each, disks, async (driver, machine) => {
      assert.equal(driver.link.transport.kind, each.kind);
      assert.equal(driver.link.interruptMode, each.interrupts);
      for (const { target, lun, blockSize = 512 } of disks as { target: number; lun: number; blockSize?: number }[]) {
        const unit = unitAddress(target, lun);
        await ready(driver, unit);
        const data = new Uint8Array(1 << 20);
        const at = 123;
        const result = await driver.execute(unit, cdb.read(at, data.length / blockSize), { dataIn: data });
        assert.deepEqual([result.response, result.status, result.residual], [0, 0, 0]);
        assert.deepEqual(data, content.subarray(at * blockSize, at * blockSize + data.length));
      }
      const unit = unitAddress(1, 1);
      await scattered(driver, machine, unit);
      const short = await driver.execute(unit, cdb.read(0, 8), { dataIn: new Uint8Array(512) });
      assert.equal(short.response, ScsiResponse.Overrun, "a CDB that wants more than the buffers hold");
      const absent = await driver.execute(unitAddress(77, 0), cdb.testUnitReady());
      assert.equal(absent.response, ScsiResponse.BadTarget);
      assert.equal(await driver.manageTasks(TaskManagement.QueryTask, unit, 999n), ScsiResponse.Ok);
      assert.equal(await driver.manageTasks(TaskManagement.AbortTaskSet, unit), ScsiResponse.Ok);
      assert.equal(await driver.manageTasks(TaskManagement.ClearAca, unit), ScsiResponse.FunctionRejected);
      assert.equal(await driver.manageTasks(TaskManagement.LogicalUnitReset, unit), ScsiResponse.Ok);
      assert.equal(
        await driver.manageTasks(TaskManagement.LogicalUnitReset, unitAddress(1, 7)),
        ScsiResponse.IncorrectLun,
      );
      const attention = await driver.execute(unit, cdb.testUnitReady());
      assert.equal(attention.status, 2, "a reset leaves a unit attention");
      assert.deepEqual([parseSense(attention.sense)?.key, parseSense(attention.sense)?.asc], [6, 0x29]);
      const query = await driver.asyncNotifications(unit, AsyncEvent.MediaChange, true);
      assert.equal(query.response, ScsiResponse.Ok);
    });
  });

  test(`${name}: hotplug is seen through the event queue, removal too`, options, async () => {
    await withDriver(each, [{ image, target: 0, lun: 0 }], async (driver, machine) => {
      const events: ScsiEventReport[] = [];
      driver.onEvent((event) => events.push(event));
      const id = await machine.plugDisk(0, { image, target: 3, lun: 2 });
      await until(machine, () => events.length > 0);
      assert.deepEqual(events.splice(0), [{ kind: "rescan", target: 3, lun: 2, reason: 1, missed: false }]);
      const unit = unitAddress(3, 2);
      await ready(driver, unit);
      const data = new Uint8Array(4096);
      await driver.execute(unit, cdb.read10(8, 8), { dataIn: data });
      assert.deepEqual(data, content.subarray(4096, 8192));
      await machine.unplugDisk(id);
      await until(machine, () => events.length > 0);
      assert.deepEqual(events, [{ kind: "removed", target: 3, lun: 2, reason: 2, missed: false }]);
      const gone = await driver.execute(unit, cdb.testUnitReady());
      assert.equal(gone.response, ScsiResponse.BadTarget);
    });
  });

  test(`${name}: an I/O error of the medium becomes its sense`, options, async () => {
    const disks = [{ image, target: 0, lun: 0, errors: [{ on: "read", sector: 2000 }] }] as const;
    await withDriver(each, disks, async (driver) => {
      const unit = unitAddress(0, 0);
      await ready(driver, unit);
      const good = await driver.execute(unit, cdb.read10(1992, 8), { dataIn: new Uint8Array(4096) });
      assert.equal(good.status, 0);
      const bad = await driver.execute(unit, cdb.read10(2000, 8), { dataIn: new Uint8Array(4096) });
      assert.equal(bad.status, 2);
      const sense = parseSense(bad.sense);
      assert.ok(sense !== undefined && sense.key !== 0, `key ${sense?.key}, asc ${sense?.asc}`);
      assert.deepEqual(
        [sense.key, sense.asc],
        [0x0b, 0x00],
        "QEMU maps EIO to ABORTED COMMAND, I/O PROCESS TERMINATED",
      );
    });
  });

  test(`${name}: more than 65536 requests on one queue, data compared`, options, async () => {
    await withDriver(each, [{ image, target: 0, lun: 0 }], async (driver, machine) => {
      const unit = unitAddress(0, 0);
      await ready(driver, unit);
      await manyReads(driver, machine, unit, 66_000);
    });
  });
}

/** Why there is no QEMU for a board, if there is none. */
function whyMissing(board: string): string | undefined {
  try {
    findQemu(boards[board]);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Takes the power-on attention away. */
async function ready(driver: VirtioScsiDriver, unit: number): Promise<void> {
  for (let attempt = 0; attempt < 5; attempt++) {
    const result = await driver.execute(unit, cdb.testUnitReady());
    if (result.response === 0 && result.status === 0) return;
  }
  assert.fail("the unit does not become ready");
}

/** A write and a read in pieces of odd lengths, in memory that is nowhere in order. */
async function scattered(driver: VirtioScsiDriver, machine: QemuMachine, unit: number): Promise<void> {
  const lengths = [1, 511, 513, 2047, 1024, 3, 4093];
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const block = machine.dma.allocate(64 * 4096, 4096);
  const places = lengths.map((length, index) => ({ offset: ((index * 5) % 7) * 8192 + 2 * index, length }));
  const pattern = Uint8Array.from({ length: total }, (_, index) => (index * 31 + 7) & 0xff);
  let done = 0;
  for (const { offset, length } of places) {
    block.region.bytes.set(pattern.subarray(done, done + length), block.offset + offset);
    done += length;
  }
  const send = (command: Uint8Array, out: boolean) =>
    new Promise<number>((resolve) => {
      const request = driver.acquireRequest();
      driver.address(request, unit);
      request.cdb.fill(0);
      request.cdb.set(command);
      for (const { offset, length } of places) {
        if (out) request.addOut(block.address + offset, length);
        else request.addIn(block.address + offset, length);
      }
      request.onEnd = () => {
        const { response, status } = request;
        driver.releaseRequest(request);
        resolve(response * 256 + status);
      };
      assert.ok(driver.submit(request));
      driver.flush();
    });
  assert.equal(await send(cdb.write10(64, total / 512), true), 0);
  const whole = new Uint8Array(total);
  await driver.execute(unit, cdb.read10(64, total / 512), { dataIn: whole });
  assert.deepEqual(whole, pattern);
  for (const { offset, length } of places) {
    block.region.bytes.fill(0, block.offset + offset, block.offset + offset + length);
  }
  assert.equal(await send(cdb.read10(64, total / 512), false), 0);
  done = 0;
  for (const { offset, length } of places) {
    const at = block.offset + offset;
    assert.deepEqual(block.region.bytes.slice(at, at + length), pattern.subarray(done, done + length));
    done += length;
  }
  machine.dma.free(block);
}

/** Keeps the ring full of single-block reads at random places and compares each. */
async function manyReads(driver: VirtioScsiDriver, machine: QemuMachine, unit: number, count: number): Promise<void> {
  const random = seededRandom(7);
  const depth = 64;
  const block = machine.dma.allocate(depth * 512, 512);
  let started = 0;
  let ended = 0;
  let wrong = 0;
  const start = (index: number, request = driver.acquireRequest()) => {
    const lba = random.below(imageSize / 512);
    const at = block.offset + index * 512;
    driver.address(request, unit);
    request.cdb.fill(0);
    request.cdb.set(cdb.read10(lba, 1));
    request.clearData();
    request.addIn(block.address + index * 512, 512);
    request.onEnd = () => {
      ended++;
      const got = block.region.bytes.subarray(at, at + 512);
      const wanted = content.subarray(lba * 512, lba * 512 + 512);
      if (request.outcome !== "done" || request.status !== 0 || Buffer.compare(got, wanted) !== 0) wrong++;
      if (started < count) start(index, request);
      else driver.releaseRequest(request);
    };
    started++;
    assert.ok(driver.submit(request), "there is room");
  };
  for (let index = 0; index < depth; index++) start(index);
  driver.flush();
  while (ended < count) {
    const before = ended;
    driver.poll();
    driver.flush();
    if (ended === before) await machine.idle(5);
  }
  assert.equal(wrong, 0);
  assert.equal(ended, count);
  machine.dma.free(block);
}

async function until(machine: QemuMachine, condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error("it did not happen in 10 s");
    await machine.idle(20);
  }
}
