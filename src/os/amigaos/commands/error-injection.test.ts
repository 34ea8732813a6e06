/** Checks 14, 19 and 20 of the reference: large transfers, geometry, and every error on both ways to the device. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { CommandFault } from "../../../observe/index.js";
import { Disk, type ScsiTask } from "../../../scsi/index.js";
import { MemoryStore } from "../../../storage/index.js";
import { checkGeometry, hugeDiskSize } from "./command-checks.test.js";
import { Command } from "./command-numbers.js";
import { patternBytes, patternDisk, unitAt, withRig } from "./command-rig.test.js";

const c = Command;
const everywhere = (["amigaone", "pegasos2"] as const).flatMap((machine) =>
  (["strict", "extended"] as const).map((profile) => ({ machine, profile })),
);

/** A disk that ends reads and writes with a status. */
class StatusDisk extends Disk {
  answer = 0;

  constructor() {
    super(new MemoryStore(1 << 20), { powerOnAttention: false });
  }

  override execute(task: ScsiTask): undefined | Promise<void> {
    if (this.answer === 0 || ![0x28, 0x2a, 0x00].includes(task.cdb[0])) return super.execute(task);
    task.status = this.answer;
    return undefined;
  }
}

/** io_Error of each sense key. */
const keyErrors = [0, 0, 33, 27, 33, -3, 29, 28, 45, 45, 45, 20, 45, 45, 45, 45];

for (const where of everywhere) {
  const { machine, profile } = where;
  const title = `${machine}, ${profile}`;

  test(`20 ${title}: every virtio response and sense key, as a transfer and through HD_SCSICMD`, async () => {
    let fault: CommandFault | undefined;
    const faults = { command: ({ cdb }: { cdb: Uint8Array }) => (cdb[0] === 0x28 ? fault : undefined) };
    await withRig({ ...where, faults }, async ({ program }) => {
      const one = await program();
      const both = async (): Promise<readonly [number, number]> => {
        const read = await one.read(c.CMD_READ, 0, 512);
        const scsi = await one.scsi([0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0], { room: 512 });
        return [read.error, scsi.error];
      };
      assert.deepEqual(await both(), [0, 0]);
      for (let response = 1; response <= 9; response++) {
        fault = { kind: "response", response };
        assert.deepEqual(await both(), [20, 20], `response ${response}`);
      }
      for (const [key, error] of keyErrors.entries()) {
        // NO SENSE and RECOVERED ERROR are success; a unit that says so did not move data here.
        if (key < 2) continue;
        // Extended repeats what a unit attention stopped; one that never ends is told.
        fault = { kind: "error", key, asc: 0x40, ascq: 0 };
        const [read, scsi] = await both();
        assert.deepEqual([read, scsi], [error, error], `sense key ${key}`);
      }
    });
  });

  test(`20 ${title}: every SCSI status`, async () => {
    const disk = new StatusDisk();
    await withRig({ ...where, units: [unitAt(0, 0, disk)] }, async ({ program }) => {
      const one = await program();
      assert.equal((await one.read(c.CMD_READ, 0, 512)).error, 0);
      for (const status of [0x18, 0x30, 0x40]) {
        disk.answer = status;
        assert.equal((await one.read(c.CMD_READ, 0, 512)).error, 45, `status ${status}`);
        const scsi = await one.scsi([0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0], { room: 512 });
        assert.deepEqual([scsi.error, scsi.status], [45, status]);
      }
    });
  });

  test(`20 ${title}: past the end is IOERR_NOCMD, and a failed transfer has moved nothing`, () =>
    withRig(where, async ({ program }) => {
      const one = await program();
      const read = await one.read(c.CMD_READ, 1 << 20, 512);
      assert.deepEqual([read.error, read.actual], [-3, 0]);
      assert.ok(read.bytes.every((byte) => byte === 0xee));
      assert.deepEqual(await one.write(c.TD_WRITE64, 5 * 2 ** 30, new Uint8Array(512)), { error: -3, actual: 0 });
    }));

  test(`14 ${title}: 256 KiB at 0 and 512, 1 MiB, 33 MiB and 64 MiB in one request`, async () => {
    for (const pages of ["contiguous", "scattered"] as const) {
      const units = [patternDisk(0, 0, { byteLength: 66 << 20 })];
      await withRig({ ...where, units, pages, ramSize: 80 << 20, poison: false }, async ({ program }) => {
        const one = await program();
        const content = patternBytes(66 << 20);
        const works = async (offset: number, length: number) => {
          const read = await one.read(c.CMD_READ, offset, length);
          return read.error === 0 && Buffer.compare(read.bytes, content.subarray(offset, offset + length)) === 0;
        };
        // Version 1.5 refuses scattered buffers of more than 62 pages, and loses the high bits of 65 536 blocks.
        const isWhole = profile === "extended";
        for (const [offset, length, strictly] of [
          [0, 256 << 10, pages === "contiguous"],
          [512, 256 << 10, pages === "contiguous"],
          [512, 1 << 20, pages === "contiguous"],
          [0, 33 << 20, false],
          [1024, 64 << 20, false],
        ] as const) {
          assert.equal(await works(offset, length), isWhole || strictly, `${length} bytes, ${pages}`);
        }
      });
    }
  });

  test(`19 ${title}: geometry in the profile's shape, 64 bits where they are needed`, () => {
    const huge = new Disk(new MemoryStore(hugeDiskSize), { powerOnAttention: false });
    return withRig({ ...where, units: [unitAt(0, 0, huge), patternDisk(1, 1)] }, (rig) => checkGeometry(rig, profile));
  });
}
