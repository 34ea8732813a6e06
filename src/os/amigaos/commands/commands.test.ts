/** The command table (5.3 of the reference) on both machines in both profiles: checks 15 to 18, 22 and 23. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeRdb } from "../../../partition/make-rdb.js";
import { CdDrive, Disk } from "../../../scsi/index.js";
import { MemoryStore } from "../../../storage/index.js";
import { IoError } from "../exec/index.js";
import { readCommandList } from "./command-list.js";
import { Command, commandName, supportedCommands, supportedCommandsLater } from "./command-numbers.js";
import { type CommandRigOptions, fill, patternBytes, patternDisk, unitAt, withRig } from "./command-rig.test.js";
import { readGeometry } from "./geometry.js";
import { DriveType } from "./medium-commands.js";
import { ScsiFlag } from "./scsi-cmd.js";

const c = Command;
const machines = ["amigaone", "pegasos2"] as const;
const profiles = ["strict", "extended"] as const;
const everywhere = machines.flatMap((machine) => profiles.map((profile) => ({ machine, profile })));
const titled = ({ machine, profile }: CommandRigOptions) => `${machine}, ${profile}`;

/** Commands that are answered in the caller's context. */
const quick: readonly number[] = [
  ...[c.CMD_CLEAR, c.CMD_STOP, c.CMD_START, c.TD_MOTOR, c.TD_SEEK, c.TD_CHANGENUM, c.TD_CHANGESTATE],
  ...[c.TD_GETDRIVETYPE, c.TD_REMCHANGEINT, c.TD_SEEK64, c.ETD_CLEAR, c.ETD_MOTOR, c.ETD_SEEK, c.NSCMD_DEVICEQUERY],
];
/** The same in strict alone: the other profile has to ask the device. */
const quickInStrict: readonly number[] = [c.TD_PROTSTATUS, c.TD_GETNUMTRACKS, c.TD_EJECT];
const held: readonly number[] = [c.TD_REMOVE, c.TD_ADDCHANGEINT];

for (const where of everywhere) {
  test(`17 ${titled(where)}: each command's class; an unlisted one is IOERR_NOCMD`, () =>
    withRig(where, async ({ program, system }) => {
      const one = await program();
      const list = where.profile === "strict" ? supportedCommands : supportedCommandsLater;
      const buffer = one.memory.allocate(4096);
      for (const command of list.filter((number) => !held.includes(number))) {
        const fields = { command, data: buffer, length: command === c.HD_SCSICMD ? 4 : 512 };
        const isQuick = quick.includes(command) || (where.profile === "strict" && quickInStrict.includes(command));
        assert.equal(await one.isQuick(fields), isQuick, commandName(command));
        assert.equal(one.request.ioError, command === c.HD_SCSICMD ? IoError.BadLength : 0, commandName(command));
      }
      for (const command of [
        c.CMD_INVALID,
        c.CMD_RESET,
        c.TD_RAWREAD,
        c.TD_RAWWRITE,
        29,
        0x4001,
        0xa000,
        0xc004,
        0xffff,
      ]) {
        assert.equal((await one.do({ command })).error, IoError.NoCommand, commandName(command));
        assert.equal(system.device.commands.has(command), false);
      }
      one.memory.free(buffer);
    }).then(() => {}));

  test(`17 ${titled(where)}: io_Actual of commands that only answer`, () =>
    withRig(where, async ({ program }) => {
      const one = await program();
      const actual = async (command: number) => (await one.do({ command, actual: 0x5555, length: 1 })).actual;
      for (const command of [c.CMD_CLEAR, c.TD_SEEK, c.ETD_SEEK, c.NSCMD_TD_CHANGEUNIT, c.NSCMD_TD_ADDSTATCALLBACK]) {
        assert.equal(await actual(command), 0x5555, commandName(command));
      }
      for (const command of [c.CMD_STOP, c.CMD_START, c.TD_MOTOR]) assert.equal(await actual(command), 1);
      for (const command of [c.TD_CHANGENUM, c.TD_CHANGESTATE, c.TD_PROTSTATUS]) assert.equal(await actual(command), 0);
      assert.equal(await actual(c.CMD_UPDATE), 0x5555);
      const isStrict = where.profile === "strict";
      assert.equal(await actual(c.TD_GETDRIVETYPE), isStrict ? DriveType.NewStyle : DriveType.Drive3_5);
      // B35: no tracks in v1.5; a disk without an RDB has as many as blocks.
      assert.equal(await actual(c.TD_GETNUMTRACKS), isStrict ? 0 : 2048);
    }));

  test(`18 ${titled(where)}: NSCMD_DEVICEQUERY`, () =>
    withRig(where, async ({ program }) => {
      const one = await program();
      const data = one.memory.allocate(64);
      one.memory.fill(data, 0xaa, 64);
      assert.deepEqual(await one.do({ command: c.NSCMD_DEVICEQUERY, data, length: 15 }), { error: -4, actual: 0 });
      assert.equal(one.memory.read(data, 1)[0], 0xaa);
      assert.deepEqual(await one.do({ command: c.NSCMD_DEVICEQUERY, data, length: 16 }), { error: 0, actual: 16 });
      const bytes = one.memory.read(data, 20);
      const view = new DataView(bytes.buffer);
      assert.deepEqual([view.getUint32(0), view.getUint32(4), view.getUint16(8), view.getUint16(10)], [0, 16, 5, 0]);
      assert.equal(view.getUint32(16), 0xaaaa_aaaa);
      const list = readCommandList(one.memory, view.getUint32(12));
      assert.deepEqual(list, where.profile === "strict" ? supportedCommands : supportedCommandsLater);
      // The original does not look at io_Data; here it is no crash.
      assert.equal((await one.do({ command: c.NSCMD_DEVICEQUERY, data: 0, length: 16 })).error, IoError.BadAddress);
      one.memory.free(data);
    }));

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
    withRig({ ...where, units: [patternDisk(0, 0), patternDisk(3, 2)] }, async ({ program }) => {
      const one = await program(1);
      const isStrict = where.profile === "strict";
      const serial = await one.scsi([0x12, 1, 0x80, 0, 255, 0]);
      assert.deepEqual([serial.error, serial.status], [0, 0]);
      const text = Buffer.from(serial.data).toString("latin1");
      assert.equal(text.includes("VIRTIOSCSI-T3"), isStrict);
      const log = await one.scsi([0x4d, 0, 0x2f, 0, 0, 0, 0, 0, 255, 0]);
      assert.deepEqual([log.error, log.status], [0, 0]);
      if (isStrict) assert.match(Buffer.from(log.data).toString("latin1"), /VirtIO Dummy OK/);
      const smart = await one.scsi([0x85, 8, 0x0e, 0, 0xd0, 0, 1, 0, 0, 0, 0x4f, 0, 0xc2, 0, 0xb0, 0], { room: 512 });
      assert.deepEqual([smart.error, smart.status, smart.scsiActual, smart.actual], [0, 0, 512, 0]);
      assert.deepEqual([smart.data[0], smart.data[1], smart.data[510]], [6, 0, 0xc0]);
      assert.equal(smart.data[511] === 0, isStrict);
      const short = await one.scsi([0xa1, 8, 0, 0xd0, 0, 0, 0, 0, 0, 0xb0, 0, 0], { room: 512 });
      assert.deepEqual([short.error, short.scsiActual], [0, 512]);
      const identify = await one.scsi([0x85, 8, 0x0e, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xec, 0], { room: 512 });
      assert.deepEqual([identify.error !== 0, identify.status, identify.scsiActual], [true, 2, 0]);
      const page = await one.scsi([0x12, 1, 0xb7, 0, 255, 0]);
      assert.deepEqual([page.status, page.senseActual, page.sense[2] & 15, page.sense[12]], [2, 18, 5, 0x24]);
      assert.equal(page.error, isStrict ? IoError.BadStatus : IoError.NoCommand);
    }));

  test(`22, 23 ${titled(where)}: READ CAPACITY(16), and sense of forwarded commands`, () =>
    withRig(where, async ({ program }) => {
      const one = await program();
      const isStrict = where.profile === "strict";
      const long = await one.scsi([0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0], { room: 32 });
      if (isStrict) {
        assert.deepEqual([long.error, long.status, long.senseActual], [45, 2, 18]);
        assert.deepEqual(
          [long.sense[0], long.sense[2], long.sense[7], long.sense[12], long.sense[13]],
          [0x70, 5, 10, 0x20, 0],
        );
      } else {
        assert.deepEqual([long.error, long.status, long.scsiActual, long.actual], [0, 0, 32, 32]);
        assert.equal(new DataView(long.data.buffer).getUint32(4), 2047);
      }
      // Past the end: 05/21/00 from the device.
      const past = await one.scsi([0x28, 0, 0, 0, 0x10, 0, 0, 0, 1, 0], { room: 512 });
      assert.deepEqual([past.error, past.status, past.scsiActual], [IoError.NoCommand, 2, 0]);
      assert.equal(past.senseActual, isStrict ? 0 : 18);
      assert.equal(past.sense.length === 0 ? -1 : past.sense[12], isStrict ? -1 : 0x21);
      const silent = await one.scsi([0x28, 0, 0, 0, 0x10, 0, 0, 0, 1, 0], { room: 512, flags: ScsiFlag.Read });
      assert.equal(silent.senseActual, 0);
      const ready = await one.scsi([0, 0, 0, 0, 0, 0], { room: 0 });
      assert.deepEqual([ready.error, ready.status, ready.scsiActual, ready.commandActual], [0, 0, 0, 6]);
      const inquiry = await one.scsi([0x12, 0, 0, 0, 36, 0], { room: 36 });
      assert.deepEqual([inquiry.error, inquiry.scsiActual, inquiry.actual], [0, 36, 36]);
    }));

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

  test(`16 ${titled(where)}: 5 GiB and more than 2 TiB, the high word in io_Actual`, async () => {
    const large = new Disk(new MemoryStore(3 * 2 ** 40), { powerOnAttention: false });
    await withRig({ ...where, units: [unitAt(0, 0, large)] }, async ({ program }) => {
      const one = await program();
      for (const [index, offset] of [5 * 2 ** 30, 2.5 * 2 ** 40].entries()) {
        const bytes = patternBytes(1024, index + 40);
        assert.deepEqual(await one.write(c.NSCMD_TD_WRITE64, offset, bytes), { error: 0, actual: 1024 });
        for (const command of [c.TD_READ64, c.NSCMD_TD_READ64, c.NSCMD_ETD_READ64]) {
          const read = await one.read(command, offset, 1024);
          assert.deepEqual([read.error, read.actual], [0, 1024]);
          assert.ok(Buffer.compare(read.bytes, bytes) === 0, commandName(command));
        }
      }
      // CMD_READ has 32 bits.
      const low = await one.read(c.CMD_READ, 5 * 2 ** 30, 1024);
      assert.ok(low.bytes.every((byte) => byte === 0));
    });
  });
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

test("a CD is ejected and loaded again; CMD_UPDATE of what has no cache is done", async () => {
  const drive = new CdDrive(MemoryStore.of(patternBytes(1 << 20), { isReadOnly: true }));
  await withRig({ units: [unitAt(0, 0, drive)] }, async ({ program }) => {
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
