/** The command table (5.3 of the reference) on both machines in both profiles: checks 15 to 18, 22 and 23. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeRdb } from "../../../partition/make-rdb.js";
import { CdDrive, Disk } from "../../../scsi/index.js";
import { MemoryStore } from "../../../storage/index.js";
import { IoError } from "../exec/index.js";
import {
  checkActual,
  checkClasses,
  checkDeviceQuery,
  checkForwarded,
  checkHighOffsets,
  checkLocalAnswers,
} from "./command-checks.test.js";
import { Command, commandName } from "./command-numbers.js";
import { type CommandRigOptions, fill, patternBytes, patternDisk, unitAt, withRig } from "./command-rig.test.js";
import { readGeometry } from "./geometry.js";
import { DriveType } from "./medium-commands.js";

const c = Command;
const machines = ["amigaone", "pegasos2"] as const;
const profiles = ["strict", "extended"] as const;
const everywhere = machines.flatMap((machine) => profiles.map((profile) => ({ machine, profile })));
const titled = ({ machine, profile }: CommandRigOptions) => `${machine}, ${profile}`;

for (const where of everywhere) {
  test(`17 ${titled(where)}: each command's class; an unlisted one is IOERR_NOCMD`, () =>
    withRig(where, (rig) => checkClasses(rig, where.profile)));

  test(`17 ${titled(where)}: io_Actual of commands that only answer`, () =>
    withRig(where, (rig) => checkActual(rig, where.profile)));

  test(`18 ${titled(where)}: NSCMD_DEVICEQUERY`, () => withRig(where, (rig) => checkDeviceQuery(rig, where.profile)));

  test(`B2 ${titled(where)}: every way to write writes, every way to read reads it`, () =>
    withRig(where, async ({ program }) => {
      const one = await program();
      const ways = [
        ...[c.CMD_WRITE, c.TD_WRITE64, c.TD_FORMAT, c.TD_FORMAT64, c.ETD_WRITE, c.ETD_FORMAT, c.NSCMD_TD_WRITE64],
        ...[c.NSCMD_TD_FORMAT64, c.NSCMD_ETD_WRITE64, c.NSCMD_ETD_FORMAT64],
      ];
      const reads = [c.CMD_READ, c.TD_READ64, c.ETD_READ, c.NSCMD_TD_READ64, c.NSCMD_ETD_READ64];
      for (const [index, command] of ways.entries()) {
        const bytes = patternBytes(8192, 90 + index);
        assert.deepEqual(
          await one.write(command, 4096 * index, bytes),
          { error: 0, actual: 8192 },
          commandName(command),
        );
        for (const read of reads) {
          const answer = await one.read(read, 4096 * index, 8192);
          assert.deepEqual([answer.error, answer.actual], [0, 8192]);
          assert.ok(Buffer.compare(answer.bytes, bytes) === 0, `${commandName(command)}, ${commandName(read)}`);
        }
      }
    }));

  test(`15 ${titled(where)}: a disk with blocks of 512, and of 4096 whose first command is CMD_READ`, () =>
    withRig(
      { ...where, units: [patternDisk(0, 0), patternDisk(1, 1, { blockSize: 4096, seed: 5 })] },
      async ({ program }) => {
        const small = await program(0);
        const read = await small.read(c.CMD_READ, 65536, 8192);
        assert.ok(Buffer.compare(read.bytes, patternBytes(1 << 20).subarray(65536, 65536 + 8192)) === 0);
        const large = await program(1);
        const first = await large.read(c.CMD_READ, 65536, 8192);
        const isRight =
          first.error === 0 && Buffer.compare(first.bytes, patternBytes(1 << 20, 5).subarray(65536, 73728)) === 0;
        // Version 1.5 counts in blocks of 512 until the first geometry query.
        assert.equal(isRight, where.profile === "extended");
        assert.equal((await large.geometry(c.TD_GETGEOMETRY)).error, 0);
        const second = await large.read(c.CMD_READ, 65536, 8192);
        assert.ok(Buffer.compare(second.bytes, patternBytes(1 << 20, 5).subarray(65536, 73728)) === 0);
      },
    ));

  test(`22 ${titled(where)}: VPD, LOG SENSE and ATA through HD_SCSICMD`, () =>
    withRig({ ...where, units: [patternDisk(0, 0), patternDisk(3, 2)] }, (rig) =>
      checkLocalAnswers(rig, where.profile, 0),
    ));

  test(`22, 23 ${titled(where)}: READ CAPACITY(16), and sense of forwarded commands`, () =>
    withRig(where, (rig) => checkForwarded(rig, where.profile, 0)));

  test(`6 ${titled(where)}: a SCSICmd that is short, NULL or without a command`, () =>
    withRig(where, async ({ program }) => {
      const one = await program();
      const data = one.memory.allocate(64);
      assert.equal((await one.do({ command: c.HD_SCSICMD, data: 0, length: 30 })).error, IoError.BadLength);
      assert.equal((await one.do({ command: c.HD_SCSICMD, data, length: 29 })).error, IoError.BadLength);
      assert.equal((await one.do({ command: c.HD_SCSICMD, data, length: 30 })).error, IoError.BadStatus);
      assert.equal((await one.do({ command: c.HD_SCSICMD, data: 0xdead_0000, length: 30 })).error, IoError.BadAddress);
      one.memory.free(data);
      const noBuffer = await one.scsi([0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0], { data: 0xdead_0000, room: 512 });
      assert.equal(noBuffer.error, IoError.BadAddress);
    }));

  test(`16 ${titled(where)}: 5 GiB and more than 2 TiB, the high word in io_Actual`, () =>
    withRig(
      { ...where, units: [unitAt(0, 0, new Disk(new MemoryStore(3 * 2 ** 40), { powerOnAttention: false }))] },
      checkHighOffsets,
    ));
}

test("ETD commands for an older medium are TDERR_DiskChanged in extended, and done in strict", async () => {
  for (const profile of profiles) {
    await withRig({ profile }, async ({ program, system }) => {
      const one = await program();
      const unit = system.device.units[0];
      assert.ok(unit !== undefined);
      unit.changeCount = 3;
      const data = one.memory.allocate(512);
      const error = async (count: number) => (await one.do({ command: c.ETD_READ, data, length: 512, count })).error;
      assert.equal(await error(2), profile === "strict" ? 0 : IoError.DiskChanged);
      assert.equal(await error(3), 0);
      const update = await one.do({ command: c.ETD_UPDATE, count: 2 });
      assert.equal(update.error, profile === "strict" ? 0 : IoError.DiskChanged);
      assert.equal((await one.do({ command: c.CMD_READ, data, length: 512, count: 0 })).error, 0);
      one.memory.free(data);
    });
  }
});

test("extended asks for write protection and ejects; strict says 0 and does nothing", async () => {
  for (const profile of profiles) {
    const locked = new Disk(MemoryStore.of(new Uint8Array(1 << 20), { isReadOnly: true }), { powerOnAttention: false });
    const drive = new CdDrive(MemoryStore.of(new Uint8Array(1 << 20), { isReadOnly: true }));
    const units = [unitAt(0, 0, locked), unitAt(1, 0, drive)];
    await withRig({ profile, units }, async ({ program }) => {
      const disk = await program(0);
      const isStrict = profile === "strict";
      assert.equal((await disk.do({ command: c.TD_PROTSTATUS })).actual !== 0, !isStrict);
      assert.equal((await disk.write(c.CMD_WRITE, 0, new Uint8Array(512))).error, IoError.WriteProt);
      const cd = await program(1);
      assert.equal((await cd.do({ command: c.TD_PROTSTATUS })).actual !== 0, !isStrict);
      const geometry = await cd.geometry(c.TD_GETGEOMETRY);
      assert.equal(geometry.error, 0);
      assert.deepEqual([...geometry.bytes.subarray(28, 30)], isStrict ? [0, 0] : [5, 1]);
      assert.equal((await cd.do({ command: c.TD_EJECT, length: 1 })).error, 0);
      const read = await cd.read(c.CMD_READ, 0, 2048);
      assert.equal(read.error !== 0, !isStrict);
    });
  }
});

test("B28: what SmartFilesystem 1.290 asks of a device: version 50, a drive type, local memory, a clean geometry", () =>
  withRig({}, async ({ program, system }) => {
    const one = await program();
    assert.ok(system.device.version[0] >= 50);
    assert.equal((await one.do({ command: c.TD_GETDRIVETYPE })).actual, DriveType.Drive3_5);
    const { bytes } = await one.geometry(c.TD_GETGEOMETRY);
    assert.equal(readGeometry(bytes).bufferMemory, 0x101);
    assert.deepEqual([...bytes.subarray(30)], [0, 0]);
  }));

test("TD_GETNUMTRACKS: cylinders of a valid RDB wherever it is in the first 16 blocks, else blocks", async () => {
  for (const [rdbBlock, damage, tracks] of [
    [0, false, 60],
    [15, false, 60],
    [3, true, 60 * 128],
    [16, false, 60 * 128],
  ] as const) {
    const bytes = new Uint8Array(60 * 128 * 512);
    bytes.set(makeRdb({ cylinders: 60, rdbBlock, partitions: [] }));
    if (damage) bytes[rdbBlock * 512 + 100] ^= 1;
    const disk = new Disk(MemoryStore.of(bytes), { powerOnAttention: false });
    await withRig({ units: [unitAt(0, 0, disk)] }, async ({ program }) => {
      const { error, actual } = await (await program()).do({ command: c.TD_GETNUMTRACKS });
      assert.deepEqual([error, actual], [0, tracks], `block ${rdbBlock}`);
    });
  }
});

for (const machine of machines) {
  test(`a CD is ejected and loaded again on ${machine}; CMD_UPDATE of what has no cache is done`, async () => {
    const drive = new CdDrive(MemoryStore.of(patternBytes(1 << 20), { isReadOnly: true }));
    await withRig({ machine, units: [unitAt(0, 0, drive)] }, async ({ program }) => {
      const one = await program();
      assert.equal((await one.do({ command: c.CMD_UPDATE })).error, 0);
      assert.equal((await one.read(c.CMD_READ, 2048, 4096)).error, 0);
      assert.equal((await one.do({ command: c.TD_EJECT, length: 1 })).error, 0);
      assert.equal((await one.read(c.CMD_READ, 2048, 4096)).error, IoError.BadDriveType);
      assert.equal((await one.do({ command: c.TD_EJECT, length: 0 })).error, 0);
      const again = await one.read(c.CMD_READ, 2048, 4096);
      assert.equal(again.error, 0);
      assert.ok(Buffer.compare(again.bytes, patternBytes(1 << 20).subarray(2048, 6144)) === 0);
    });
  });
}

test("requests that a program reuses at once, and memory that it takes away while a command runs", () =>
  withRig({}, async ({ program, system }) => {
    const one = await program();
    const data = one.memory.allocate(64);
    const request = one.another();
    fill(request, { command: c.TD_GETGEOMETRY, data, length: 32 });
    system.exec.sendIo(request);
    one.memory.free(data);
    assert.equal(await system.exec.waitIo(request), IoError.BadAddress);
  }));
