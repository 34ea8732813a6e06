/** Checks 14 and 19 to 21 of the reference: large transfers, geometry, every error on both ways to the device, unit attentions. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { CommandFault } from "../../../observe/index.js";
import { Disk, type ScsiTask } from "../../../scsi/index.js";
import { MemoryStore } from "../../../storage/index.js";
import { checkAttentions, checkErrors, checkGeometry, hugeDiskSize } from "./command-checks.test.js";
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
    if (this.answer === 0 || task.cdb[0] !== 0x28) return super.execute(task);
    task.status = this.answer;
    return undefined;
  }
}

for (const where of everywhere) {
  const { machine, profile } = where;
  const title = `${machine}, ${profile}`;

  test(`20 ${title}: every virtio response, sense key and SCSI status, as a transfer and through HD_SCSICMD`, async () => {
    const disk = new StatusDisk();
    let fault: CommandFault | undefined;
    const faults = { command: ({ cdb }: { cdb: Uint8Array }) => (cdb[0] === 0x28 ? fault : undefined) };
    await withRig({ ...where, faults, units: [unitAt(0, 0, disk)] }, (rig) =>
      checkErrors(rig, profile, (how) => {
        disk.answer = how?.kind === "status" ? how.status : 0;
        fault = how?.kind === "status" ? undefined : how;
      }),
    );
  });

  test(`21 ${title}: unit attentions on first use are absorbed by the synchronous path`, async () => {
    let left = 0;
    const attention = { kind: "error", key: 6, asc: 0x29, ascq: 0 } as const;
    const faults = {
      command: ({ cdb }: { cdb: Uint8Array }) => (cdb[0] === 0 && left-- > 0 ? attention : undefined),
    };
    await withRig({ ...where, faults }, (rig) =>
      checkAttentions(rig, profile, (times) => {
        left = times;
      }),
    );
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
