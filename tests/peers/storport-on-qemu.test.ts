/** The Storport face on QEMU's own virtio-blk-pci: every profile, register interface and interrupt of both PCs. */
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Board, type FoundPciAdapter, findVirtioAdapters, pc, q35, settle } from "../../src/machine/index.js";
import {
  CrashDump,
  com1Sink,
  type OpenStorportOptions,
  openStorport,
  type StorportDisk,
  storportProfiles,
} from "../../src/os/index.js";
import { findQemu, type QemuAdapter, type QemuMachine, startQemuMachine } from "../../src/platform/qemu/index.js";
import { cdb } from "../../src/scsi/index.js";
import { diskPattern } from "../../src/testing/index.js";
import { after, before, test } from "./limited-test.js";

interface Case extends OpenStorportOptions {
  /** Default: pc. */
  readonly board?: Board;
  readonly profile: "seed" | "scsiport" | "current";
  readonly mode: NonNullable<QemuAdapter["mode"]>;
  /** What the driver should find itself on. */
  readonly transport: string;
  readonly how: string;
  readonly properties?: NonNullable<QemuAdapter["properties"]>;
  readonly queues?: number;
}

const cases: readonly Case[] = [
  { profile: "seed", mode: "legacy", interrupts: "line", transport: "pci-legacy", how: "line" },
  { profile: "seed", mode: "legacy", transport: "pci-legacy", how: "messages" },
  { profile: "seed", mode: "transitional", transport: "pci-legacy", how: "messages" },
  { profile: "scsiport", mode: "legacy", transport: "pci-legacy", how: "line" },
  { profile: "current", mode: "legacy", interrupts: "line", transport: "pci-legacy", how: "line" },
  { profile: "current", mode: "legacy", transport: "pci-legacy", how: "messages" },
  { profile: "current", mode: "transitional", transport: "pci-modern", how: "messages" },
  { profile: "current", mode: "modern", interrupts: "line", transport: "pci-modern", how: "line" },
  { profile: "current", mode: "modern", messageLimit: 1, transport: "pci-modern", how: "shared-message" },
  { profile: "current", mode: "modern", transport: "pci-modern", how: "messages" },
  {
    ...{ profile: "current", mode: "modern", transport: "pci-modern", how: "messages" },
    ...{ properties: { "num-queues": 4, vectors: 5 }, queues: 4 },
  },
  { board: q35, profile: "seed", mode: "legacy", interrupts: "line", transport: "pci-legacy", how: "line" },
  { board: q35, profile: "seed", mode: "transitional", transport: "pci-legacy", how: "messages" },
  { board: q35, profile: "current", mode: "transitional", transport: "pci-modern", how: "messages" },
  { board: q35, profile: "current", mode: "modern", interrupts: "line", transport: "pci-modern", how: "line" },
  { board: q35, profile: "current", mode: "modern", messageLimit: 1, transport: "pci-modern", how: "shared-message" },
  {
    ...{ board: q35, profile: "current", mode: "modern", transport: "pci-modern", how: "messages" },
    ...{ properties: { "num-queues": 4, vectors: 5 }, queues: 4 },
  },
];

const imageSize = 8 << 20;
let folder = "";
let image = "";
const content = diskPattern(imageSize, 3);

before(() => {
  folder = mkdtempSync(join(tmpdir(), "ringside-storport-"));
  image = join(folder, "disk.img");
  writeFileSync(image, content);
});
after(() => rmSync(folder, { recursive: true, force: true }));

function missing(): string | undefined {
  try {
    findQemu(pc);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
const why = missing();
const onPc = why === undefined ? {} : { skip: why };

/** A disk of its own that keeps what is written. */
function copyOfImage(name: string): string {
  const path = join(folder, name);
  copyFileSync(image, path);
  return path;
}

interface Place {
  readonly machine: QemuMachine;
  readonly adapter: FoundPciAdapter;
}

async function withMachine(
  each: Pick<Case, "board" | "mode" | "properties">,
  path: string,
  work: (place: Place) => Promise<void>,
  extraArguments: readonly string[] = [],
): Promise<void> {
  const { board = pc, mode, properties } = each;
  const disk = { image: path, write: true, serial: "storport-serial" };
  const machine = await startQemuMachine({
    board,
    adapters: [{ kind: "virtio-blk", mode, disks: [disk], ...(properties === undefined ? {} : { properties }) }],
    extraArguments,
  });
  try {
    const adapter = findVirtioAdapters(machine).find(({ deviceId }) => deviceId === 2);
    assert.ok(adapter?.on === "pci", "no disk found");
    await settle(machine, work({ machine, adapter }));
  } finally {
    await machine.close();
  }
}

async function withDisk(each: Case, path: string, work: (disk: StorportDisk, place: Place) => Promise<void>) {
  await withMachine(each, path, async (place) => {
    const disk = await openStorport(place.machine, place.adapter, each);
    await work(disk, place);
    await disk.close();
  });
}

for (const [index, each] of cases.entries()) {
  const name = `${each.profile} on ${(each.board ?? pc).name} ${each.transport}, ${each.how}${each.queues === undefined ? "" : `, ${each.queues} queues`}`;

  test(`${name}: discovery, the whole disk, writes that reach the file`, onPc, async () => {
    const path = copyOfImage(`${index}.img`);
    await withDisk(each, path, async (disk) => {
      assert.equal(disk.transport, each.transport);
      assert.equal(disk.port.interruptMode, each.how);
      if (each.queues !== undefined) assert.equal(disk.port.configuration.queues, each.queues);
      const unit = await disk.discover();
      assert.deepEqual([unit.blocks, unit.blockSize], [imageSize / 512, 512]);
      assert.equal(unit.serial, each.profile === "current" ? "storport-serial" : "0");
      assert.ok(Buffer.compare(await disk.readBlocks(0, imageSize / 512), content) === 0);
      await disk.write(1001, diskPattern(777 * 512, 9));
      await disk.flush();
      assert.ok(Buffer.compare(await disk.readBlocks(1001, 777), diskPattern(777 * 512, 9)) === 0);
    });
    const written = readFileSync(path).subarray(1001 * 512, 1778 * 512);
    assert.ok(Buffer.compare(written, diskPattern(777 * 512, 9)) === 0);
  });

  test(`${name}: stop and restart under load, a bus reset under load`, onPc, async () => {
    await withDisk(each, copyOfImage(`${index}-load.img`), async (disk) => {
      await disk.discover();
      const read = async (lba: number) => {
        const data = await disk.readBlocks(lba, 8);
        assert.ok(Buffer.compare(data, content.subarray(lba * 512, (lba + 8) * 512)) === 0, `block ${lba}`);
      };
      const load = (from: number) => Array.from({ length: 100 }, (_, count) => read(((from + count) * 24) % 16_000));
      const first = load(0);
      assert.equal(await disk.port.stop(), true);
      first.push(...load(100));
      assert.equal(await disk.port.restart(), true);
      await Promise.all(first);
      const second = load(200);
      await new Promise((resolve) => setTimeout(resolve, 1));
      assert.equal(await disk.port.resetBus(), true);
      await Promise.all(second);
      assert.equal(disk.port.interruptMode, each.how);
    });
  });
}

for (const each of [cases[0], cases[9]]) {
  test(`${each.profile} on pc ${each.transport}: more than 65536 requests, data compared`, onPc, async () => {
    await withDisk(each, image, async (disk, { machine }) => {
      await disk.discover();
      const { port } = disk;
      const depth = 32;
      const target = 66_000;
      let sent = 0;
      let wrong = 0;
      await new Promise<void>((resolve, reject) => {
        let ended = 0;
        for (let lane = 0; lane < depth; lane++) {
          const block = machine.dma.allocate(512, 512);
          const srb = port.acquireSrb();
          const next = () => {
            const lba = (sent++ * 7) % (imageSize / 512);
            srb.clear();
            srb.setCdb(cdb.read10(lba, 1));
            srb.dataLength = 512;
            srb.addSegment(block.address, 512);
            srb.onComplete = () => {
              if ((srb.status & 0x3f) !== 1) reject(new Error(`status ${srb.status}`));
              for (let at = 0; at < 512; at += 73) {
                if (block.region.bytes[block.offset + at] !== content[lba * 512 + at]) wrong++;
              }
              if (++ended === target) resolve();
              else if (sent < target) next();
            };
            port.submit(srb);
          };
          next();
        }
      });
      assert.equal(wrong, 0);
      assert.ok(port.extension.requests > 65_536);
    });
  });
}

for (const [profile, mode] of [
  ["seed", "legacy"],
  ["current", "modern"],
] as const) {
  test(`${profile}: a crash dump, polled, with interrupts off, over a kernel that died under load`, onPc, async () => {
    const path = copyOfImage(`dump-${profile}.img`);
    const data = diskPattern(6 << 20, 77);
    await withMachine({ mode }, path, async ({ machine, adapter }) => {
      const crashed = await openStorport(machine, adapter, { profile });
      await crashed.discover();
      for (let count = 0; count < 40; count++) void crashed.readBlocks(count * 8, 8).catch(() => {});
      await Promise.resolve();
      crashed.port.crash();
      const dump = await CrashDump.open(machine, adapter, { profile: storportProfiles[profile] });
      await dump.write(100, data);
      await dump.flush();
      await dump.close();
    });
    assert.ok(Buffer.compare(readFileSync(path).subarray(51_200, 51_200 + data.length), data) === 0);
  });
}

test("debug prints come out of QEMU's COM1", onPc, async () => {
  const log = join(folder, "com1.txt");
  const work = async ({ machine, adapter }: Place) => {
    assert.ok(machine.portSpace !== undefined);
    const com1 = com1Sink(machine.portSpace);
    const disk = await openStorport(machine, adapter, { profile: "current", debugLevel: 4, com1 });
    await disk.close();
  };
  const serial = ["-chardev", `file,id=com1,path=${log}`, "-device", "isa-serial,chardev=com1,index=0"];
  await withMachine({ mode: "modern" }, image, work, serial);
  assert.match(readFileSync(log, "latin1"), /pci-modern, depth 256\r\ninitialised: 1 queue\(s\), messages\r\n/);
});
