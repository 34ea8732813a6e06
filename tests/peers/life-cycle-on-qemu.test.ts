/** Freeze, restore and removal of our block and SCSI drivers under load, on QEMU's own devices; data compared afterwards. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ProtocolError } from "../../src/errors/index.js";
import { boards, findVirtioAdapters, type Machine, openAdapter, settle } from "../../src/machine/index.js";
import { findQemu, type QemuAdapter, type QemuMachine, startQemuMachine } from "../../src/platform/qemu/index.js";
import { cdb, sendCommand, unitAddress } from "../../src/scsi/index.js";
import { PoisoningDma, seededRandom } from "../../src/testing/index.js";
import { ringFeatures } from "../../src/transport/index.js";
import { type ScsiEventReport, VirtioBlkDriver, VirtioScsiDriver } from "../../src/virtio/index.js";
import { after, before, test } from "./limited-test.js";

interface Case {
  readonly board: "pc" | "pegasos2";
  readonly mode: NonNullable<QemuAdapter["mode"]>;
  readonly prefer: "intx" | "msix";
  readonly packed?: true;
}

const cases: readonly Case[] = [
  { board: "pc", mode: "legacy", prefer: "intx" },
  { board: "pc", mode: "modern", prefer: "msix" },
  { board: "pc", mode: "modern", prefer: "msix", packed: true },
  { board: "pegasos2", mode: "legacy", prefer: "intx" },
  { board: "pegasos2", mode: "modern", prefer: "intx" },
];

const areas = 64;
const areaBytes = 65536;
const imageSize = areas * areaBytes;
const unit = unitAddress(0, 0);
let folder = "";
let image = "";

before(() => {
  folder = mkdtempSync(join(tmpdir(), "ringside-life-"));
  image = join(folder, "disk.img");
  writeFileSync(image, new Uint8Array(imageSize));
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** A driver by what both can do. */
interface Subject {
  readonly driver: VirtioBlkDriver | VirtioScsiDriver;
  read(at: number, bytes: Uint8Array): Promise<unknown>;
  write(at: number, bytes: Uint8Array): Promise<unknown>;
}

const kinds = {
  "virtio-blk": {
    deviceId: 2,
    properties: { "num-queues": 2 },
    async open(transport: Parameters<typeof VirtioBlkDriver.open>[0]): Promise<Subject> {
      const driver = await VirtioBlkDriver.open(transport, { queues: 2 });
      const read = (at: number, bytes: Uint8Array) => driver.readSectors(at / 512, bytes, { queue: (at / 512) % 2 });
      const write = (at: number, bytes: Uint8Array) => driver.writeSectors(at / 512, bytes, { queue: (at / 512) % 2 });
      return { driver, read, write };
    },
  },
  "virtio-scsi": {
    deviceId: 8,
    properties: { num_queues: 2 },
    async open(transport: Parameters<typeof VirtioScsiDriver.open>[0]): Promise<Subject> {
      const driver = await VirtioScsiDriver.open(transport, { requestQueues: 2 });
      const send = (command: Uint8Array, data: { dataIn?: Uint8Array; dataOut?: Uint8Array }) =>
        sendCommand(driver, unit, command, data);
      const read = (at: number, dataIn: Uint8Array) => send(cdb.read10(at / 512, dataIn.length / 512), { dataIn });
      const write = (at: number, dataOut: Uint8Array) => send(cdb.write10(at / 512, dataOut.length / 512), { dataOut });
      return { driver, read, write };
    },
  },
} as const;

type Kind = keyof typeof kinds;
type Work = (subject: Subject, machine: QemuMachine, dma: PoisoningDma) => Promise<void>;

/** Runs `work` with a driver whose memory is counted and poisoned; everything is taken down afterwards. */
async function withDriver(kind: Kind, { board, mode, prefer, packed }: Case, work: Work): Promise<void> {
  const { deviceId, properties, open } = kinds[kind];
  const machine = await startQemuMachine({
    board: boards[board],
    adapters: [
      {
        ...{ kind, mode, disks: [{ image, target: 0, lun: 0 }] },
        properties: { ...properties, ...(packed === true ? { packed: true } : {}) },
      },
    ],
  });
  try {
    const dma = new PoisoningDma(machine.dma);
    const { memorySpace, portSpace, memory, interrupts } = machine;
    const counted: Machine = {
      ...{ board: machine.board, memorySpace, portSpace, memory, interrupts, dma },
      idle: (milliseconds) => machine.idle(milliseconds),
      close: () => machine.close(),
    };
    const adapter = findVirtioAdapters(machine).find((found) => found.deviceId === deviceId);
    assert.ok(adapter !== undefined, "no adapter found");
    const subject = await settle(machine, open(openAdapter(counted, adapter, { prefer })));
    assert.equal(subject.driver.link.has(ringFeatures.RING_PACKED), packed === true);
    await settle(machine, work(subject, machine, dma));
    await settle(
      machine,
      subject.driver.close().catch(() => {}),
    );
    if (subject.driver.failure?.message === "the driver was removed") dma.assertNothingAllocated();
  } finally {
    await machine.close();
  }
}

function whyMissing(board: "pc" | "pegasos2"): { skip?: string } {
  try {
    findQemu(boards[board]);
    return {};
  } catch (error) {
    return { skip: (error as Error).message };
  }
}

for (const kind of Object.keys(kinds) as Kind[]) {
  for (const each of cases) {
    const name = `${kind}, ${each.board} ${each.mode}${each.packed ? " packed" : ""} ${each.prefer}`;
    test(`${name}: frozen and restored under load again and again, data compared`, whyMissing(each.board), async () => {
      await withDriver(kind, each, async ({ driver, read, write }, _machine, dma) => {
        const random = seededRandom(3);
        const model = new Uint8Array(imageSize);
        const writes: Promise<unknown>[] = [];
        const start = (area: number) => {
          const bytes = new Uint8Array(512 * (1 + random.below(areaBytes / 512))).fill(1 + random.below(255));
          model.set(bytes, area * areaBytes);
          writes.push(write(area * areaBytes, bytes));
        };
        for (let round = 0; round < 4; round++) {
          for (let area = 0; area < 40; area++) start(area);
          if (round % 2 === 0) await new Promise((resolve) => setTimeout(resolve, random.below(4)));
          const freezing = driver.freeze();
          for (let area = 40; area < 50; area++) start(area);
          await freezing;
          assert.equal(driver.inFlight, 0);
          for (let area = 50; area < areas; area++) start(area);
          await driver.restore();
          await Promise.all(writes.splice(0));
          const back = new Uint8Array(imageSize);
          for (let area = 0; area < areas; area++) {
            await read(area * areaBytes, back.subarray(area * areaBytes, (area + 1) * areaBytes));
          }
          assert.ok(Buffer.compare(back, model) === 0, `round ${round}`);
        }
        await driver.freeze();
        dma.assertNothingAllocated();
        await driver.restore();
        await read(0, new Uint8Array(512));
      });
    });
  }
}

test(
  "virtio-blk: a disk that QEMU resizes while the driver is frozen is told at the restore",
  whyMissing("pc"),
  async () => {
    await withDriver("virtio-blk", cases[1], async ({ driver, read }, machine) => {
      assert.ok(driver instanceof VirtioBlkDriver);
      const told: number[] = [];
      driver.onChange(({ capacity }) => told.push(capacity));
      await driver.freeze();
      await machine.qmp.execute("block_resize", { "node-name": "adapter0-disk0-layer", size: imageSize + 65536 });
      await driver.restore();
      assert.deepEqual(told, [imageSize / 512 + 128]);
      await read(imageSize, new Uint8Array(65536));
    });
  },
);

test(
  "virtio-scsi: a disk that comes while the driver is frozen is there, and its removal later is told",
  whyMissing("pc"),
  async () => {
    await withDriver("virtio-scsi", cases[1], async ({ driver }, machine) => {
      assert.ok(driver instanceof VirtioScsiDriver);
      const events: ScsiEventReport[] = [];
      driver.onEvent((event) => events.push(event));
      await driver.freeze();
      const id = await machine.plugDisk(0, { image, target: 3, lun: 2 });
      await driver.restore();
      assert.ok(events.splice(0).some(({ missed }) => missed));
      await sendCommand(driver, unitAddress(3, 2), cdb.read10(0, 1), { dataIn: new Uint8Array(512) });
      await machine.unplugDisk(id);
      for (let turn = 0; turn < 100 && events.length === 0; turn++) await machine.idle(20);
      assert.deepEqual(events, [{ kind: "removed", target: 3, lun: 2, reason: 2, missed: false }]);
    });
  },
);

/** Where i440FX's hot-plug controller takes the slots to eject: what a PC's firmware writes when its system lets go. */
const ejectPort = 0xae08;

for (const kind of Object.keys(kinds) as Kind[]) {
  for (const each of cases.filter(({ board }) => board === "pc")) {
    const name = `${kind}, ${each.mode}${each.packed ? " packed" : ""} ${each.prefer}`;
    for (const isFrozen of [false, true]) {
      const when = isFrozen ? "while the driver is frozen" : "under load";
      test(`${name}: QEMU takes the device out ${when}, every request ends once`, whyMissing("pc"), async () => {
        await withDriver(kind, each, async ({ driver, write }, machine) => {
          const failures: Error[] = [];
          driver.onFailure((error) => failures.push(error));
          if (isFrozen) await driver.freeze();
          let ended = 0;
          const start = (at: number) => write(at, new Uint8Array(areaBytes)).finally(() => ended++);
          const early = Array.from({ length: areas }, (_, area) => start(area * areaBytes));
          const outcome = Promise.allSettled(early);
          const gone = machine.qmp.waitForEvent("DEVICE_DELETED", ({ data }) => data["device"] === "adapter0");
          await machine.qmp.execute("device_del", { id: "adapter0" });
          const place = findVirtioAdapters(machine)[0];
          assert.ok(place.on === "pci");
          machine.portSpace?.write32(ejectPort, 1 << place.fn.slot);
          await gone;
          const late = Promise.allSettled(Array.from({ length: 20 }, (_, area) => start(area * areaBytes)));
          if (isFrozen) await assert.rejects(driver.restore(), { code: "device-gone" });
          else driver.checkHealth();
          for (const one of [...(await outcome), ...(await late)]) {
            if (one.status === "fulfilled") assert.equal(isFrozen, false);
            else
              assert.ok(one.reason instanceof ProtocolError && one.reason.code === "device-gone", String(one.reason));
          }
          assert.ok((await late).every(({ status }) => status === "rejected"));
          assert.equal(ended, areas + 20);
          assert.deepEqual([driver.state, failures.length], ["closed", 1]);
          assert.equal(driver.inFlight, 0);
        });
      });
    }
  }
}
