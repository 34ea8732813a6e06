/**
 * Both our halves in one real machine: QEMU's vhost-user devices, served by our back end in another process, driven by
 * our drivers over QEMU's registers. The rings are written by one half and read by the other; QEMU only connects them.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { boards, findVirtioAdapters, openAdapter, settle } from "../../src/machine/index.js";
import { findQemu, type QemuMachine, startQemuMachine } from "../../src/platform/qemu/index.js";
import { unitAddress } from "../../src/scsi/index.js";
import { seededRandom } from "../../src/testing/index.js";
import type { DriverTransport } from "../../src/transport/index.js";
import { VirtioBlkDriver, VirtioScsiDriver } from "../../src/virtio/index.js";
import { idleFirmware } from "./idle-processor.js";
import { after, describe, test } from "./limited-test.js";
import { type BackEndProcess, startBackEnd } from "./vhost-processes.js";

const folder = mkdtempSync(join(tmpdir(), "ringside-vhost-qemu-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let runs = 0;

interface Case {
  readonly board: keyof typeof boards;
  readonly kind: "blk" | "scsi";
  /** QEMU's device, with its properties. */
  readonly device: string;
  readonly transport: "pci-legacy" | "pci-modern";
  readonly queues?: number;
  readonly backEnd?: readonly string[];
}

const cases: readonly Case[] = [
  {
    ...{ board: "pegasos2", kind: "scsi", transport: "pci-modern" },
    device: "vhost-user-scsi-pci-non-transitional,bus=pci.1,addr=1",
  },
  {
    ...{ board: "amigaone", kind: "scsi", transport: "pci-legacy" },
    device: "vhost-user-scsi-pci,disable-modern=on,bus=pci.0,addr=8",
  },
  { board: "amigaone", kind: "scsi", transport: "pci-modern", device: "vhost-user-scsi-pci,bus=pci.0,addr=8" },
  {
    ...{ board: "amigaone", kind: "blk", transport: "pci-legacy" },
    device: "vhost-user-blk-pci,disable-modern=on,bus=pci.0,addr=8",
  },
  { board: "pc", kind: "blk", transport: "pci-legacy", device: "vhost-user-blk-pci,disable-modern=on,addr=5" },
  { board: "pc", kind: "blk", transport: "pci-modern", device: "vhost-user-blk-pci,disable-legacy=on,addr=5" },
  {
    ...{ board: "pc", kind: "blk", transport: "pci-modern", queues: 2, backEnd: ["--queues", "2"] },
    device: "vhost-user-blk-pci,disable-legacy=on,num-queues=2,addr=5",
  },
  {
    ...{ board: "pc", kind: "blk", transport: "pci-modern", backEnd: ["--slow", "1"] },
    device: "vhost-user-blk-pci,disable-legacy=on,addr=5",
  },
  { board: "pc", kind: "scsi", transport: "pci-legacy", device: "vhost-user-scsi-pci,disable-modern=on,addr=5" },
  { board: "pc", kind: "scsi", transport: "pci-modern", device: "vhost-user-scsi-pci,disable-legacy=on,addr=5" },
];

async function withMachine(
  { board, kind, device, backEnd = [] }: Case,
  work: (machine: QemuMachine, transport: DriverTransport, peer: BackEndProcess) => Promise<void>,
): Promise<void> {
  const socket = join(folder, `socket-${runs++}`);
  const peer = await startBackEnd(socket, kind, `${8 << 20}`, ...backEnd);
  try {
    // A vhost-user device starts only in a machine that runs.
    const firmware = join(folder, `firmware-${board}`);
    writeFileSync(firmware, idleFirmware(board));
    const args = ["-bios", firmware, "-chardev", `socket,id=peer,path=${socket}`];
    args.push("-device", `${device},chardev=peer`);
    const machine = await startQemuMachine({ board: boards[board], extraArguments: args });
    try {
      await machine.qmp.execute("cont");
      const id = kind === "blk" ? 2 : 8;
      const adapter = findVirtioAdapters(machine).find(({ deviceId }) => deviceId === id);
      assert.ok(adapter !== undefined, "no adapter found");
      await work(machine, openAdapter(machine, adapter), peer);
    } finally {
      await machine.close();
    }
  } finally {
    await peer.stop();
  }
}

function randomBytes(length: number, seed: number): Uint8Array {
  const random = seededRandom(seed);
  return Uint8Array.from({ length }, () => random.below(256));
}

async function verifyBlk(transport: DriverTransport, machine: QemuMachine, queues: number): Promise<void> {
  const driver = await settle(machine, VirtioBlkDriver.open(transport, { queues }));
  const data = randomBytes(1 << 20, 5);
  await settle(machine, driver.writeSectors(64, data));
  await settle(machine, driver.flushCache());
  const back = new Uint8Array(data.length);
  await settle(machine, driver.readSectors(64, back));
  assert.equal(Buffer.compare(back, data), 0);
  for (let request = 0; request < 32; request++) {
    const one = new Uint8Array(4096);
    await settle(machine, driver.readSectors(64 + request * 8, one, { queue: request % queues }));
    assert.equal(Buffer.compare(one, data.subarray(request * 4096, request * 4096 + 4096)), 0);
  }
  await settle(machine, driver.close());
}

async function verifyScsi(transport: DriverTransport, machine: QemuMachine): Promise<void> {
  const driver = await settle(machine, VirtioScsiDriver.open(transport));
  const unit = unitAddress(0, 0);
  await settle(machine, driver.execute(unit, new Uint8Array(6)));
  const data = randomBytes(65536, 9);
  for (let round = 0; round < 8; round++) {
    const cdb = (code: number) => Uint8Array.from([code, 0, 0, 0, round, 0, 0, 0, 128, 0]);
    const written = await settle(machine, driver.execute(unit, cdb(0x2a), { dataOut: data }));
    assert.deepEqual([written.response, written.status, written.residual], [0, 0, 0]);
    const back = new Uint8Array(data.length);
    const read = await settle(machine, driver.execute(unit, cdb(0x28), { dataIn: back }));
    assert.deepEqual([read.response, read.status, read.residual], [0, 0, 0]);
    assert.equal(Buffer.compare(back, data), 0);
  }
  await settle(machine, driver.close());
}

describe("QEMU's vhost-user devices between our halves", {
  skip: process.platform !== "linux" && "needs Linux",
}, () => {
  for (const one of cases) {
    const { board, kind, transport: wanted, queues = 1, backEnd = [] } = one;
    const found = reasonToSkip(board);
    test(`${board}: ${kind}, ${wanted}, ${queues} queues ${backEnd.join(" ")}`, { skip: found }, async () => {
      await withMachine(one, async (machine, transport, peer) => {
        assert.equal(transport.kind, wanted);
        // Twice: the second driver finds a device that was stopped and set up again.
        for (let times = 0; times < 2; times++) {
          if (kind === "blk") await verifyBlk(transport, machine, queues);
          else await verifyScsi(transport, machine);
        }
        assert.equal(peer.output(), "ready\n");
      });
    });
  }
});

function reasonToSkip(board: string): string | false {
  try {
    findQemu(boards[board]);
    return false;
  } catch (error) {
    return (error as Error).message;
  }
}
