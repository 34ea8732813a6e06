/** QEMU's virtio-mmio windows as a machine: who is found where, and what the two versions show. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Board, boards, findVirtioAdapters, openAdapter, settle } from "../../src/machine/index.js";
import { EmbeddedMachine } from "../../src/platform/embedded/index.js";
import { findQemu, type QemuAdapter, startQemuMachine } from "../../src/platform/qemu/index.js";
import { cdb, ScsiBus, unitAddress } from "../../src/scsi/index.js";
import { MmioTransport, mmioRegisters } from "../../src/transport/index.js";
import { VirtioBlkDriver, VirtioScsiDevice, VirtioScsiDriver } from "../../src/virtio/index.js";
import { after, before, test } from "./limited-test.js";

const aarch64: Board = {
  ...boards["arm-virt"],
  name: "aarch64-virt",
  qemu: { ...(boards["arm-virt"].qemu as NonNullable<Board["qemu"]>), system: "aarch64" },
};
let folder = "";
let image = "";
before(() => {
  folder = mkdtempSync(join(tmpdir(), "ringside-mmio-"));
  image = join(folder, "disk.img");
  writeFileSync(image, new Uint8Array(1 << 20).fill(0x5a));
});
after(() => rmSync(folder, { recursive: true, force: true }));

function missing(board: Board): string | false {
  try {
    findQemu(board);
    return false;
  } catch (error) {
    return (error as Error).message;
  }
}

for (const board of [boards["riscv-virt"], boards["arm-virt"], aarch64]) {
  for (const mode of ["legacy", "modern"] as const) {
    const options = { skip: missing(board) };

    test(
      `${board.name} ${mode}: each adapter is in its window, on its line, and all work side by side`,
      options,
      async () => {
        const adapters: QemuAdapter[] = [
          { kind: "virtio-scsi", mode, disks: [{ image, target: 0, lun: 0 }] },
          { kind: "virtio-blk", mode, disks: [{ image }] },
          { kind: "virtio-blk", mode, disks: [{ image, readOnly: true }] },
        ];
        const machine = await startQemuMachine({ board, adapters });
        try {
          const found = findVirtioAdapters(machine);
          const windows = board.mmio?.windows ?? [];
          assert.deepEqual(
            found.map((adapter) => adapter.on === "mmio" && [adapter.window, adapter.deviceId, adapter.version]),
            [8, 2, 2].map((deviceId, index) => [windows[index], deviceId, mode === "legacy" ? 1 : 2]),
          );
          const scsi = await settle(machine, VirtioScsiDriver.open(openAdapter(machine, found[0])));
          const disks: VirtioBlkDriver[] = [];
          for (const adapter of found.slice(1)) {
            disks.push(await settle(machine, VirtioBlkDriver.open(openAdapter(machine, adapter))));
          }
          assert.equal(disks[1].info.isReadOnly, true);
          const before = machine.accesses;
          const data = [new Uint8Array(4096), new Uint8Array(4096)];
          const attention = scsi.execute(unitAddress(0, 0), cdb.testUnitReady());
          await settle(
            machine,
            Promise.all([attention, ...disks.map((disk, index) => disk.readSectors(8, data[index]))]),
          );
          for (const bytes of data) assert.ok(bytes.every((byte) => byte === 0x5a));
          // Three requests: notify, interrupt status, acknowledge each.
          assert.ok(machine.accesses - before <= 12, `${machine.accesses - before} register accesses`);
          for (const driver of [scsi, ...disks]) await settle(machine, driver.close());
        } finally {
          await machine.close();
        }
      },
    );
  }

  test(`${board.name}: an empty machine has no adapter; adapters of two versions are refused`, {
    skip: missing(board),
  }, async () => {
    const machine = await startQemuMachine({ board });
    assert.deepEqual(findVirtioAdapters(machine), []);
    await machine.close();
    const mixed: QemuAdapter[] = (["legacy", "modern"] as const).map((mode) => ({
      ...{ kind: "virtio-scsi", mode, disks: [] },
    }));
    await assert.rejects(startQemuMachine({ board, adapters: mixed }), /all have the same version/);
  });
}

test("version 2: our device and QEMU's answer the same registers alike, before and after a driver's reset", {
  skip: missing(boards["riscv-virt"]),
}, async () => {
  const board = boards["riscv-virt"];
  const r = mmioRegisters;
  const embedded = new EmbeddedMachine(board, { ramSize: 16 << 20 });
  embedded.plugMmio(new VirtioScsiDevice(new ScsiBus(), { queueSize: 1024 }));
  const qemu = await startQemuMachine({ board, adapters: [{ kind: "virtio-scsi", disks: [] }] });
  try {
    const answers = [embedded, qemu].map(({ memorySpace }) => {
      const base = board.mmio?.windows[0].base ?? 0;
      const read = ({ offset }: { offset: number }) => memorySpace.read32(base + offset);
      const write = ({ offset }: { offset: number }, value: number) => memorySpace.write32(base + offset, value);
      const seen: unknown[] = [];
      for (const status of [1, 0]) {
        write(r.status, status);
        for (const queue of [0, 2, 200]) {
          write(r.queueSelect, queue);
          seen.push([queue, read(r.queueSizeMax), read(r.queueReady)]);
        }
        seen.push(read(r.magicValue), read(r.version), read(r.deviceId), read(r.vendorId), read(r.status));
        seen.push(read(r.interruptStatus), read(r.configGeneration), memorySpace.read32(base + 0x4000));
        // Width and direction: what is write-only or narrow reads 0 on both.
        seen.push(memorySpace.read8(base), memorySpace.read16(base + r.status.offset), read(r.queueNotify));
      }
      // The second word of features: VERSION_1 at least.
      write(r.deviceFeaturesSelect, 1);
      seen.push(read(r.deviceFeatures) & 1);
      return seen;
    });
    assert.deepEqual(answers[0], answers[1]);
    const transport = openAdapter(qemu, findVirtioAdapters(qemu)[0]);
    assert.ok(transport instanceof MmioTransport);
    assert.equal(transport.sharedMemory(0), undefined);
  } finally {
    await qemu.close();
  }
});
