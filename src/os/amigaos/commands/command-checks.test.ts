/**
 * Checks 16 to 23 of the reference, as what a program finds out on a running system: our boards and QEMU's
 * machines are asked the same.
 */
import assert from "node:assert/strict";
import type { CommandFault } from "../../../observe/index.js";
import { IoError } from "../exec/index.js";
import type { AmigaProfile } from "../profile.js";
import { readCommandList } from "./command-list.js";
import { Command, commandName, supportedCommands, supportedCommandsLater } from "./command-numbers.js";
import { type CommandRig, patternBytes } from "./command-rig.test.js";
import { readGeometry, readGeometry64 } from "./geometry.js";
import { DriveType } from "./medium-commands.js";
import { ScsiFlag } from "./scsi-cmd.js";

/** What a check works on. */
export type CheckRig = Pick<CommandRig, "system" | "program">;
type ProfileName = AmigaProfile["name"];

const c = Command;
/** Bytes of unit 0 in {@link checkGeometry}: more sectors than 32 bits count. */
export const hugeDiskSize = 2 ** 41 + 512 * 77;

/** Commands that are answered in the caller's context. */
const quick: readonly number[] = [
  ...[c.CMD_CLEAR, c.CMD_STOP, c.CMD_START, c.TD_MOTOR, c.TD_SEEK, c.TD_CHANGENUM, c.TD_CHANGESTATE],
  ...[c.TD_GETDRIVETYPE, c.TD_REMCHANGEINT, c.TD_SEEK64, c.ETD_CLEAR, c.ETD_MOTOR, c.ETD_SEEK, c.NSCMD_DEVICEQUERY],
];
/** The same in strict alone: the other profile has to ask the device. */
const quickInStrict: readonly number[] = [c.TD_PROTSTATUS, c.TD_GETNUMTRACKS, c.TD_EJECT];
const held: readonly number[] = [c.TD_REMOVE, c.TD_ADDCHANGEINT];

/** 17: each command's class. Unit 0 is a disk. */
export async function checkClasses({ program, system }: CheckRig, profile: ProfileName): Promise<void> {
  const one = await program();
  const list = profile === "strict" ? supportedCommands : supportedCommandsLater;
  const buffer = one.memory.allocate(4096);
  for (const command of list.filter((number) => !held.includes(number))) {
    const fields = { command, data: buffer, length: command === c.HD_SCSICMD ? 4 : 512 };
    const isQuick = quick.includes(command) || (profile === "strict" && quickInStrict.includes(command));
    assert.equal(await one.isQuick(fields), isQuick, commandName(command));
    assert.equal(one.request.ioError, command === c.HD_SCSICMD ? IoError.BadLength : 0, commandName(command));
  }
  for (const command of [c.CMD_INVALID, c.CMD_RESET, c.TD_RAWREAD, c.TD_RAWWRITE, 29, 0x4001, 0xa000, 0xc004, 0xffff]) {
    assert.equal((await one.do({ command })).error, IoError.NoCommand, commandName(command));
    assert.equal(system.device.commands.has(command), false);
  }
  one.memory.free(buffer);
}

/** 17: io_Actual of commands that only answer. Unit 0 is a disk of 1 MiB without an RDB. */
export async function checkActual({ program }: CheckRig, profile: ProfileName): Promise<void> {
  const one = await program();
  const actual = async (command: number) => (await one.do({ command, actual: 0x5555, length: 1 })).actual;
  for (const command of [c.CMD_CLEAR, c.TD_SEEK, c.ETD_SEEK, c.NSCMD_TD_CHANGEUNIT, c.NSCMD_TD_ADDSTATCALLBACK]) {
    assert.equal(await actual(command), 0x5555, commandName(command));
  }
  for (const command of [c.CMD_STOP, c.CMD_START, c.TD_MOTOR]) assert.equal(await actual(command), 1);
  for (const command of [c.TD_CHANGENUM, c.TD_CHANGESTATE, c.TD_PROTSTATUS]) assert.equal(await actual(command), 0);
  assert.equal(await actual(c.CMD_UPDATE), 0x5555);
  const isStrict = profile === "strict";
  assert.equal(await actual(c.TD_GETDRIVETYPE), isStrict ? DriveType.NewStyle : DriveType.Drive3_5);
  // B35: no tracks in v1.5; a disk without an RDB has as many as blocks.
  assert.equal(await actual(c.TD_GETNUMTRACKS), isStrict ? 0 : 2048);
}

/** 18: NSCMD_DEVICEQUERY. */
export async function checkDeviceQuery({ program }: CheckRig, profile: ProfileName): Promise<void> {
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
  assert.deepEqual(list, profile === "strict" ? supportedCommands : supportedCommandsLater);
  // The original does not look at io_Data; here it is no crash.
  assert.equal((await one.do({ command: c.NSCMD_DEVICEQUERY, data: 0, length: 16 })).error, IoError.BadAddress);
  one.memory.free(data);
}

/**
 * 22: VPD, LOG SENSE and ATA. Unit 1 is a disk at target 3.
 * @param failedActual what is left of 512 bytes of room by the residual of a command that failed
 */
export async function checkLocalAnswers(
  { program }: CheckRig,
  profile: ProfileName,
  failedActual: 0 | 512,
): Promise<void> {
  const one = await program(1);
  const isStrict = profile === "strict";
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
  assert.deepEqual([identify.error !== 0, identify.status, identify.scsiActual], [true, 2, failedActual]);
  const page = await one.scsi([0x12, 1, 0xb7, 0, 255, 0]);
  assert.deepEqual([page.status, page.senseActual, page.sense[2] & 15, page.sense[12]], [2, 18, 5, 0x24]);
  assert.equal(page.error, isStrict ? IoError.BadStatus : IoError.NoCommand);
}

/**
 * 22, 23: READ CAPACITY(16), sense of forwarded commands. Unit 0 is a disk of 1 MiB.
 * @param failedActual what is left of 512 bytes of room by the residual of a command that failed
 */
export async function checkForwarded(
  { program }: CheckRig,
  profile: ProfileName,
  failedActual: 0 | 512,
): Promise<void> {
  const one = await program();
  const isStrict = profile === "strict";
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
  assert.deepEqual([past.error, past.status, past.scsiActual], [IoError.NoCommand, 2, failedActual]);
  assert.equal(past.senseActual, isStrict ? 0 : 18);
  assert.equal(past.sense.length === 0 ? -1 : past.sense[12], isStrict ? -1 : 0x21);
  const silent = await one.scsi([0x28, 0, 0, 0, 0x10, 0, 0, 0, 1, 0], { room: 512, flags: ScsiFlag.Read });
  assert.equal(silent.senseActual, 0);
  const ready = await one.scsi([0, 0, 0, 0, 0, 0], { room: 0 });
  assert.deepEqual([ready.error, ready.status, ready.scsiActual, ready.commandActual], [0, 0, 0, 6]);
  const inquiry = await one.scsi([0x12, 0, 0, 0, 36, 0], { room: 36 });
  assert.deepEqual([inquiry.error, inquiry.scsiActual, inquiry.actual], [0, 36, 36]);
}

/** 16: offsets of more than 32 bits. Unit 0 is an empty disk of 3 TiB. */
export async function checkHighOffsets({ program }: CheckRig): Promise<void> {
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
}

/** 19: geometry. Unit 0 has {@link hugeDiskSize} bytes, unit 1 is a disk of 1 MiB. */
export async function checkGeometry({ program }: CheckRig, profile: ProfileName): Promise<void> {
  const one = await program();
  const isStrict = profile === "strict";
  const long = await one.geometry(c.NSCMD_TD_GETGEOMETRY64);
  assert.deepEqual([long.error, long.actual], [0, 32]);
  assert.deepEqual(readGeometry64(long.bytes), { sectorSize: 512, totalSectors: 2 ** 32 + 77 });
  const short = await one.geometry(c.TD_GETGEOMETRY);
  const geometry = readGeometry(short.bytes);
  assert.deepEqual([short.error, short.actual, geometry.totalSectors], [0, 32, 0xffff_ffff]);
  assert.equal(geometry.cylinders, isStrict ? 2 ** 26 + 1 : 0xffff_ffff);
  const small = await program(1);
  const { cylinders, cylinderSectors, heads, trackSectors } = readGeometry(
    (await small.geometry(c.TD_GETGEOMETRY)).bytes,
  );
  assert.deepEqual([cylinders, cylinderSectors, heads, trackSectors], isStrict ? [32, 64, 4, 16] : [8, 256, 256, 1]);
  const poisoned = await small.geometry(c.TD_GETGEOMETRY, 31);
  assert.deepEqual([poisoned.error, poisoned.actual, poisoned.bytes[0]], [-4, 0, 0xaa]);
  assert.equal((await small.geometry(c.NSCMD_TD_GETGEOMETRY64, 31)).error, -4);
}

/** How a command shall end. */
export type Strike = CommandFault | { readonly kind: "status"; readonly status: number };

/** io_Error of each sense key. */
const keyErrors = [0, 0, 33, 27, 33, -3, 29, 28, 45, 45, 45, 20, 45, 45, 45, 45];

/**
 * 20: what each virtio response, sense key and SCSI status becomes, as a transfer and through HD_SCSICMD. Unit 0 is a
 * disk. @param strike makes every READ(10) from now on end so; undefined: as it should
 */
export async function checkErrors(
  { program }: CheckRig,
  profile: ProfileName,
  strike: (how: Strike | undefined) => unknown,
): Promise<void> {
  const one = await program();
  const both = async (how: Strike | undefined) => {
    await strike(how);
    const read = await one.read(c.CMD_READ, 0, 512);
    const scsi = await one.scsi([0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0], { room: 512 });
    return [read.error, scsi.error, scsi.status];
  };
  assert.deepEqual(await both(undefined), [0, 0, 0]);
  for (let response = 1; response <= 9; response++) {
    assert.deepEqual(await both({ kind: "response", response }), [20, 20, 0], `response ${response}`);
  }
  for (const [key, error] of keyErrors.entries()) {
    // NO SENSE and RECOVERED ERROR are success; a unit that says so did not move data here.
    if (key < 2) continue;
    // Extended repeats what a unit attention stopped; one that never ends is told.
    assert.deepEqual(await both({ kind: "error", key, asc: 0x40, ascq: 0 }), [error, error, 2], `sense key ${key}`);
  }
  // Extended asks a unit that is busy (08h) or has no room (28h) for a while: other tests have that.
  for (const status of [...(profile === "strict" ? [0x08, 0x28] : []), 0x18, 0x30, 0x40]) {
    assert.deepEqual(await both({ kind: "status", status }), [45, 45, status], `status ${status}`);
  }
  assert.deepEqual(await both(undefined), [0, 0, 0]);
}

/**
 * 21: unit attentions in a row that the synchronous path absorbs: two in version 1.5, a handful in extended.
 * @param attend makes unit 0 end so many TEST UNIT READY with a unit attention
 */
export async function checkAttentions(
  { program }: CheckRig,
  profile: ProfileName,
  attend: (times: number) => unknown,
): Promise<void> {
  const one = await program();
  const [most, tooMany] = profile === "strict" ? [2, 3] : [16, 17];
  for (const [times, error] of [
    [1, 0],
    [most, 0],
    [tooMany, 29],
  ]) {
    await attend(times);
    assert.equal((await one.scsi([0, 0, 0, 0, 0, 0], { room: 0 })).error, error, `${times} unit attentions`);
  }
}
