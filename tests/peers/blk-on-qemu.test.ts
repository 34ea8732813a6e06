/** The driver half, unchanged, on QEMU's own virtio-blk: every register interface and interrupt that its machines have. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  boards,
  findVirtioAdapters,
  type Machine,
  type OpenAdapterOptions,
  openAdapter,
  settle,
} from "../../src/machine/index.js";
import { readPartitions } from "../../src/partition/index.js";
import { findQemu, type QemuAdapter, type QemuMachine, startQemuMachine } from "../../src/platform/qemu/index.js";
import { PoisoningDma, seededRandom } from "../../src/testing/index.js";
import {
  BlkBlocks,
  type BlkDriverOptions,
  BlkRequestError,
  BlkStatus,
  BlkType,
  VirtioBlkDriver,
} from "../../src/virtio/index.js";
import { after, before, test } from "./limited-test.js";

interface Case {
  readonly board: keyof typeof boards;
  readonly mode: NonNullable<QemuAdapter["mode"]>;
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
const imageSectors = imageSize / 512;
let folder = "";
let content: Uint8Array;
let image = "";

before(() => {
  folder = mkdtempSync(join(tmpdir(), "ringside-blk-"));
  const random = seededRandom(1);
  content = Uint8Array.from({ length: imageSize }, () => random.below(256));
  image = join(folder, "disk.img");
  writeFileSync(image, content);
});
after(() => rmSync(folder, { recursive: true, force: true }));

type Disk = QemuAdapter["disks"][number];
type Work = (driver: VirtioBlkDriver, machine: QemuMachine) => Promise<void>;

interface Extras {
  readonly disk?: Partial<Disk>;
  readonly properties?: QemuAdapter["properties"];
  readonly driver?: BlkDriverOptions;
  /** Buffers are lent in pieces of so many bytes, and poisoned. */
  readonly pieceLength?: number;
}

/** Runs `work` with a driver on QEMU's disk; everything is taken down afterwards. */
async function withDriver({ board, mode, prefer }: Case, extras: Extras, work: Work): Promise<void> {
  const { disk, properties, driver: options } = extras;
  const machine = await startQemuMachine({
    board: boards[board],
    adapters: [
      { kind: "virtio-blk", mode, disks: [{ image, ...disk }], ...(properties === undefined ? {} : { properties }) },
    ],
  });
  try {
    const adapter = findVirtioAdapters(machine).find(({ deviceId }) => deviceId === 2);
    assert.ok(adapter !== undefined, "no disk found");
    const { pieceLength } = extras;
    const transport = openAdapter(pieceLength === undefined ? machine : inPieces(machine, pieceLength), adapter, {
      prefer,
    });
    const driver = await settle(machine, VirtioBlkDriver.open(transport, options));
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

  test(`${name}: the configuration, GET_ID, small, large and scattered transfers, FLUSH`, options, async () => {
    const extras = { disk: { serial: "ringside-test-serial" }, properties: { physical_block_size: 4096 } };
    await withDriver(each, extras, async (driver, machine) => {
      assert.equal(driver.link.transport.kind, each.kind);
      assert.equal(driver.link.interruptMode, each.interrupts);
      assert.equal(driver.info.capacity, imageSectors);
      assert.equal(driver.info.blockSize, 512);
      assert.equal(driver.info.isReadOnly, false);
      assert.ok(driver.info.features.includes("FLUSH") && driver.info.features.includes("SEG_MAX"));
      assert.equal(driver.info.features.includes("VERSION_1"), !each.kind.endsWith("legacy"));
      assert.equal(await driver.identify(), "ringside-test-serial");
      const whole = new Uint8Array(imageSize);
      await driver.readSectors(0, whole);
      assert.ok(Buffer.compare(whole, content) === 0, "the whole image");
      const blocks = new BlkBlocks(driver);
      assert.ok(Buffer.compare(await blocks.readBlocks(777, 3), content.subarray(777 * 512, 780 * 512)) === 0);
      await scattered(driver, machine);
      await driver.flushCache();
      assert.equal(driver.inFlight, 0);
    });
  });

  test(`${name}: an I/O error of the medium is IOERR, and the next request is served`, options, async () => {
    const extras = { disk: { errors: [{ on: "read" as const, sector: 2000 }] } };
    await withDriver(each, extras, async (driver) => {
      const data = new Uint8Array(4096);
      await driver.readSectors(1992, data);
      await assert.rejects(driver.readSectors(2000, data), isStatus(BlkStatus.IoError));
      await driver.readSectors(2008, data);
      assert.ok(Buffer.compare(data, content.subarray(2008 * 512, 2016 * 512)) === 0);
    });
  });

  test(`${name}: a resize is seen as a change of the configuration`, options, async () => {
    await withDriver(each, { disk: writable("resized.img") }, async (driver, machine) => {
      const capacities: number[] = [];
      driver.onChange(({ capacity }) => capacities.push(capacity));
      await machine.qmp.execute("block_resize", { "node-name": "adapter0-disk0-image", size: imageSize + 65536 });
      await until(machine, () => capacities.length > 0);
      assert.deepEqual(capacities, [imageSectors + 128]);
      const data = new Uint8Array(65536).fill(0x42);
      await driver.writeSectors(imageSectors, data);
      await driver.readSectors(imageSectors, data.fill(0));
      assert.ok(data.every((byte) => byte === 0x42));
    });
  });

  test(`${name}: more than 65536 requests on one queue, data compared`, options, async () => {
    await withDriver(each, {}, async (driver, machine) => {
      await manyReads(driver, machine, 66_000);
    });
  });
}

const pcModern: Case = cases[3];
const pcMissing = whyMissing("pc");
const onPc = pcMissing === undefined ? {} : { skip: pcMissing };

test("writes, FLUSH, WRITE_ZEROES and DISCARD reach the file", onPc, async () => {
  const disk = writable("written.img");
  const extras = { disk: { ...disk, properties: { discard: true } } };
  await withDriver(pcModern, extras, async (driver, machine) => {
    const { discard, writeZeroes } = driver.info;
    assert.ok(discard !== undefined && writeZeroes !== undefined, driver.info.features.join(" "));
    // QEMU's image does not pass discards on unless its node is told so.
    await machine.qmp.execute("blockdev-reopen", {
      options: [
        {
          ...{ driver: "raw", "node-name": "adapter0-disk0-image", discard: "unmap" },
          file: { driver: "file", filename: disk.image, discard: "unmap" },
        },
      ],
    });
    await driver.writeSectors(100, new Uint8Array(512 * 9).fill(0x99));
    await driver.writeZeroes([{ sector: 200, sectors: 100 }]);
    await driver.writeZeroes([{ sector: 4096, sectors: 2048 }], { unmap: true });
    await driver.discard([
      { sector: 8192, sectors: 2048 },
      { sector: 12288, sectors: 1024 },
    ]);
    await driver.flushCache();
    const zeros = new Uint8Array(2048 * 512).fill(1);
    await driver.readSectors(4096, zeros);
    assert.ok(zeros.every((byte) => byte === 0));
  });
  const file = readFileSync(disk.image);
  const expected = content.slice();
  expected.fill(0x99, 100 * 512, 109 * 512);
  for (const [from, count] of [
    [200, 100],
    [4096, 2048],
    [8192, 2048],
    [12288, 1024],
  ]) {
    expected.fill(0, from * 512, (from + count) * 512);
  }
  assert.ok(Buffer.compare(file, expected) === 0, "the file holds exactly what was written");
  assert.ok(statSync(disk.image).blocks * 512 <= imageSize - 2048 * 512, "what was discarded takes no space");
});

test("QEMU's limits on ranges: our driver cuts to them", onPc, async () => {
  const properties = { "max-discard-sectors": 64, "max-write-zeroes-sectors": 32 };
  await withDriver(pcModern, { disk: { properties: { discard: true } }, properties }, async (driver) => {
    assert.deepEqual([driver.info.discard?.maxSectors, driver.info.writeZeroes?.maxSectors], [64, 32]);
    await driver.writeZeroes([{ sector: 1000, sectors: 1000 }]);
    await driver.discard([{ sector: 3000, sectors: 1000 }]);
    const data = new Uint8Array(1002 * 512);
    await driver.readSectors(999, data);
    assert.ok(Buffer.compare(data.subarray(0, 512), content.subarray(999 * 512, 1000 * 512)) === 0);
    assert.ok(data.subarray(512, 1001 * 512).every((byte) => byte === 0));
    assert.ok(Buffer.compare(data.subarray(1001 * 512), content.subarray(2000 * 512, 2001 * 512)) === 0);
  });
});

test("a small seg_max is kept: transfers in many pieces become many requests", onPc, async () => {
  const extras = { properties: { "queue-size": 8, "seg-max-adjust": true }, pieceLength: 700 };
  await withDriver(pcModern, extras, async (driver) => {
    assert.equal(driver.info.segMax, 6);
    const data = Uint8Array.from({ length: 100_352 }, (_, index) => (index * 13) & 0xff);
    await driver.writeSectors(500, data);
    const back = new Uint8Array(data.length);
    await driver.readSectors(500, back);
    assert.ok(Buffer.compare(back, data) === 0);
  });
});

test("two queues, both used", onPc, async () => {
  const extras = { properties: { "num-queues": 2, vectors: 3 }, driver: { queues: 2 } };
  await withDriver(pcModern, extras, async (driver) => {
    assert.equal(driver.info.queues, 2);
    assert.equal(driver.requestQueues, 2);
    await Promise.all(
      Array.from({ length: 40 }, async (_, index) => {
        const data = new Uint8Array(16384);
        const sector = index * 32;
        await driver.readSectors(sector, data, { queue: index % 2 });
        assert.ok(Buffer.compare(data, content.subarray(sector * 512, sector * 512 + data.length)) === 0);
      }),
    );
  });
});

test("a read-only disk says so, and refuses", onPc, async () => {
  await withDriver(pcModern, { disk: { readOnly: true } }, async (driver) => {
    assert.equal(driver.info.isReadOnly, true);
    await assert.rejects(driver.writeSectors(0, new Uint8Array(512)), isStatus(BlkStatus.IoError));
  });
});

test("blocks of 4096 bytes: sectors stay 512, and QEMU wants whole blocks", onPc, async () => {
  await withDriver(pcModern, { disk: { blockSize: 4096 } }, async (driver) => {
    assert.deepEqual([driver.info.blockSize, driver.info.capacity], [4096, imageSectors]);
    const data = await new BlkBlocks(driver).readBlocks(5, 2);
    assert.ok(Buffer.compare(data, content.subarray(5 * 4096, 7 * 4096)) === 0);
  });
});

test("the write cache is switched by CONFIG_WCE", onPc, async () => {
  await withDriver(pcModern, {}, async (driver) => {
    assert.deepEqual([driver.info.canSwitchCache, driver.info.hasWriteCache], [true, true]);
    driver.setWriteCache(false);
    assert.equal(driver.info.hasWriteCache, false);
    await driver.writeSectors(0, new Uint8Array(512).fill(7));
    driver.setWriteCache(true);
    assert.equal(driver.info.hasWriteCache, true);
  });
});

test("an unknown request type is UNSUPP on QEMU too", onPc, async () => {
  await withDriver(pcModern, {}, async (driver, machine) => {
    const request = driver.acquireRequest();
    request.setHeader(0x77, 0);
    let isEnded = false;
    request.onEnd = () => {
      isEnded = true;
    };
    assert.ok(driver.submit(request));
    driver.flush();
    await until(machine, () => isEnded);
    assert.deepEqual([request.outcome, request.status], ["done", BlkStatus.Unsupported]);
    driver.releaseRequest(request);
  });
});

const hasSfdisk = spawnSync("sfdisk", ["--version"]).status === 0;
test("partitions are read through the driver", hasSfdisk ? onPc : { skip: "there is no sfdisk" }, async () => {
  const path = join(folder, "partitioned.img");
  writeFileSync(path, new Uint8Array(imageSize));
  const made = spawnSync("sfdisk", ["--quiet", path], {
    input: "label: gpt\nstart=2048,size=4096\nstart=8192,size=2048\n",
  });
  assert.equal(made.status, 0, made.stderr.toString());
  await withDriver(pcModern, { disk: { image: path } }, async (driver) => {
    const table = await readPartitions(new BlkBlocks(driver));
    assert.deepEqual(
      table.partitions.map(({ firstBlock, blocks }) => [firstBlock, blocks]),
      [
        [2048, 4096],
        [8192, 2048],
      ],
    );
  });
});

/** The machine, with DMA memory that lends buffers in pieces. */
function inPieces(machine: QemuMachine, pieceLength: number): Machine {
  const { board, memorySpace, portSpace, memory, interrupts } = machine;
  const dma = new PoisoningDma(machine.dma, { pieceLength: (left) => Math.min(left, pieceLength) });
  return {
    ...{ board, memorySpace, portSpace, memory, interrupts, dma },
    idle: (milliseconds) => machine.idle(milliseconds),
    close: () => machine.close(),
  };
}

/** A copy of the image that QEMU may change. */
function writable(name: string): { image: string; write: true } {
  const path = join(folder, name);
  writeFileSync(path, content);
  return { image: path, write: true };
}

function isStatus(status: number): (error: unknown) => boolean {
  return (error) => error instanceof BlkRequestError && error.status === status;
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

/** A write and a read in pieces of odd lengths, in memory that is nowhere in order. */
async function scattered(driver: VirtioBlkDriver, machine: QemuMachine): Promise<void> {
  const lengths = [512, 1536, 2048, 512];
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const block = machine.dma.allocate(64 * 4096, 4096);
  const places = lengths.map((length, index) => ({ offset: ((index * 3) % 4) * 8192 + 64 * index, length }));
  const pattern = Uint8Array.from({ length: total }, (_, index) => (index * 31 + 7) & 0xff);
  const send = async (type: number) => {
    const request = driver.acquireRequest();
    request.setHeader(type, 64);
    for (const { offset, length } of places) {
      if (type === BlkType.Out) request.addOut(block.address + offset, length);
      else request.addIn(block.address + offset, length);
    }
    const ended = new Promise<void>((resolve) => {
      request.onEnd = resolve;
    });
    assert.ok(driver.submit(request));
    driver.flush();
    await ended;
    const { outcome, status } = request;
    driver.releaseRequest(request);
    assert.deepEqual([outcome, status], ["done", BlkStatus.Ok]);
  };
  const each = (work: (at: number, done: number, length: number) => void) => {
    let done = 0;
    for (const { offset, length } of places) {
      work(block.offset + offset, done, length);
      done += length;
    }
  };
  each((at, done, length) => block.region.bytes.set(pattern.subarray(done, done + length), at));
  await send(BlkType.Out);
  const whole = new Uint8Array(total);
  await driver.readSectors(64, whole);
  assert.deepEqual(whole, pattern);
  each((at, _, length) => block.region.bytes.fill(0, at, at + length));
  await send(BlkType.In);
  each((at, done, length) => {
    assert.deepEqual(block.region.bytes.slice(at, at + length), pattern.subarray(done, done + length));
  });
  machine.dma.free(block);
}

/** Keeps the ring full of single-sector reads at random places and compares each. */
async function manyReads(driver: VirtioBlkDriver, machine: QemuMachine, count: number): Promise<void> {
  const random = seededRandom(7);
  const depth = 64;
  const block = machine.dma.allocate(depth * 512, 512);
  let started = 0;
  let ended = 0;
  let wrong = 0;
  const requests = Array.from({ length: depth }, (_, index) => {
    const request = driver.acquireRequest();
    const at = block.offset + index * 512;
    let sector = 0;
    request.setHeader(BlkType.In, 0);
    request.addIn(block.address + index * 512, 512);
    const start = () => {
      sector = random.below(imageSectors);
      request.setSector(sector);
      started++;
      assert.ok(driver.submit(request), "there is room");
    };
    request.onEnd = () => {
      ended++;
      const got = block.region.bytes.subarray(at, at + 512);
      const wanted = content.subarray(sector * 512, sector * 512 + 512);
      if (request.outcome !== "done" || request.status !== 0 || Buffer.compare(got, wanted) !== 0) wrong++;
      if (started < count) start();
    };
    return { request, start };
  });
  for (const { start } of requests) start();
  driver.flush();
  while (ended < count) {
    const seen = ended;
    driver.poll();
    driver.flush();
    if (ended === seen) await machine.idle(5);
  }
  assert.deepEqual([wrong, ended], [0, count]);
  for (const { request } of requests) driver.releaseRequest(request);
  machine.dma.free(block);
}

async function until(machine: QemuMachine, condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error("it did not happen in 10 s");
    await machine.idle(20);
  }
}
