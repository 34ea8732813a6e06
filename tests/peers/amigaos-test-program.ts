/**
 * The original's own test program (9.3 of the reference, 17 tests), and test_inquiry (9.1), as a list of checks that a
 * program makes on a running system with two units. What version 1.5 cannot pass says so.
 */
import assert from "node:assert/strict";
import { fill, Program } from "../../src/os/amigaos/commands/command-rig.test.js";
import {
  type AmigaSystem,
  Command as c,
  driveGeometrySize,
  IoError,
  type IoRequest,
  readGeometry,
  readGeometry64,
} from "../../src/os/index.js";

/** What a check works on. */
export interface TestBench {
  readonly system: AmigaSystem;
  readonly profile: "strict" | "extended";
  /** What both units hold, from their start. */
  readonly content: readonly [Uint8Array, Uint8Array];
}

/** One check. */
export interface ProgramCheck {
  readonly name: string;
  readonly run: (bench: TestBench) => Promise<void>;
}

async function opened(system: AmigaSystem, unit: number): Promise<Program> {
  const program = new Program(system);
  assert.equal(await program.open(unit), 0, `unit ${unit} opens`);
  return program;
}

/** Runs work with a unit open, and closes it. */
function onUnit(unit: number, work: (program: Program, bench: TestBench) => Promise<void>): ProgramCheck["run"] {
  return async (bench) => {
    const program = await opened(bench.system, unit);
    try {
      await work(program, bench);
    } finally {
      await program.close();
    }
  };
}

/** Reads, all from one task with one port; compares what came. */
async function manyReads(program: Program, content: Uint8Array, reads: readonly (readonly [number, number])[]) {
  const { exec, memory } = program.system;
  const requests: { request: IoRequest; data: number; offset: number; length: number }[] = [];
  for (const [offset, length] of reads) {
    const data = memory.allocate(length);
    const request = program.another();
    fill(request, { command: c.CMD_READ, data, length, offset });
    exec.sendIo(request);
    requests.push({ request, data, offset, length });
  }
  for (const { request, data, offset, length } of requests) {
    assert.equal(await exec.waitIo(request), 0, `read of ${length} at ${offset}`);
    assert.equal(request.ioActual, length);
    const bytes = memory.read(data, length);
    assert.ok(Buffer.compare(bytes, content.subarray(offset, offset + length)) === 0, `data at ${offset}`);
    memory.free(data);
  }
}

/** Reads one after the other. */
async function reads(program: Program, content: Uint8Array, count: number, length: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    await manyReads(program, content, [[((index % 64) * 512) % (content.length - length), length]]);
  }
}

/** Two programs at once, on units 0 and 1. */
function onBoth(work: (programs: readonly [Program, Program], bench: TestBench) => Promise<void>): ProgramCheck["run"] {
  return async (bench) => {
    const programs = [await opened(bench.system, 0), await opened(bench.system, 1)] as const;
    try {
      await work(programs, bench);
    } finally {
      for (const program of programs) await program.close();
    }
  };
}

/** A request that is kept until the medium changes. */
function holdChange(program: Program): IoRequest {
  // A port and task of its own: two waits must not meet.
  const request = new Program(program.system).request;
  request.ioDevice = program.request.ioDevice;
  request.ioUnit = program.request.ioUnit;
  fill(request, { command: c.TD_ADDCHANGEINT });
  program.system.exec.sendIo(request);
  return request;
}

export const programChecks: readonly ProgramCheck[] = [
  {
    name: "test_inquiry: DEVICEQUERY says trackdisk, INQUIRY names the disk, READ CAPACITY(10) its size",
    run: onUnit(0, async (program, { content }) => {
      const data = program.memory.allocate(64);
      assert.deepEqual(await program.do({ command: c.NSCMD_DEVICEQUERY, data, length: 16 }), { error: 0, actual: 16 });
      assert.equal(new DataView(program.memory.read(data, 16).buffer).getUint16(8), 5);
      program.memory.free(data);
      const inquiry = await program.scsi([0x12, 0, 0, 0, 36, 0], { room: 36 });
      assert.deepEqual([inquiry.error, inquiry.scsiActual, inquiry.data[0] & 0x1f], [0, 36, 0]);
      const capacity = await program.scsi([0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], { room: 8 });
      const view = new DataView(capacity.data.buffer);
      assert.equal((view.getUint32(0) + 1) * view.getUint32(4), content[0].length);
    }),
  },
  {
    name: "test 1: units 0 and 1 open; 2 to 7, 8 and -1 do not, and leave poisoned handles",
    run: async ({ system }) => {
      for (let unit = -1; unit <= 8; unit++) {
        const program = new Program(system);
        const error = await program.open(unit);
        assert.equal(error, unit === 0 || unit === 1 ? 0 : IoError.OpenFail, `unit ${unit}`);
        if (error !== 0) assert.deepEqual([program.request.ioUnit, program.request.ioDevice], [0xffffffff, 0xffffffff]);
        await program.close();
      }
    },
  },
  {
    name: "test 2.1: CMD_READ to NULL fails",
    run: onUnit(0, async (program, { profile }) => {
      const { error } = await program.do({ command: c.CMD_READ, data: 0, length: 512 });
      assert.equal(error, profile === "strict" ? IoError.NotSpecified : IoError.BadAddress);
    }),
  },
  {
    name: "test 2.2: CMD_READ of nothing to a bad pointer fails, or moves nothing",
    run: onUnit(0, async (program) => {
      const { error, actual } = await program.do({ command: c.CMD_READ, data: 0xdead_beef, length: 0 });
      assert.ok(error !== 0 || actual === 0);
    }),
  },
  {
    name: "test 2.3: CMD_READ to an odd address",
    run: onUnit(0, async (program, { content }) => {
      const data = program.memory.allocate(8192);
      assert.deepEqual(await program.do({ command: c.CMD_READ, data: data + 1, length: 4096 }), {
        error: 0,
        actual: 4096,
      });
      assert.ok(Buffer.compare(program.memory.read(data + 1, 4096), content[0].subarray(0, 4096)) === 0);
      program.memory.free(data);
    }),
  },
  {
    name: "test 3: NSCMD_TD_READ64 at 5 GiB is 0 or IOERR_NOCMD",
    run: onUnit(0, async (program) => {
      const { error } = await program.read(c.NSCMD_TD_READ64, 5 * 2 ** 30, 512);
      assert.ok(error === 0 || error === IoError.NoCommand, `error ${error}`);
    }),
  },
  {
    name: "test 4: 100 reads in the foreground and 50 in the background of the same unit",
    run: onUnit(0, async (program, { system, content }) => {
      const background = await opened(system, 0);
      await Promise.all([reads(program, content[0], 100, 512), reads(background, content[0], 50, 512)]);
      await background.close();
    }),
  },
  {
    name: "test 5: LOG SENSE pages 00 and 2F",
    run: onUnit(0, async (program) => {
      const list = await program.scsi([0x4d, 0, 0, 0, 0, 0, 0, 0, 64, 0], { room: 64 });
      assert.deepEqual([list.error, list.status], [0, 0]);
      const page = await program.scsi([0x4d, 0, 0x2f, 0, 0, 0, 0, 0, 255, 0], { room: 255 });
      assert.deepEqual([page.error, page.status], [0, 0]);
      // Informational exceptions: ASC and ASCQ.
      assert.deepEqual([...page.data.subarray(8, 10)], [0, 0]);
    }),
  },
  {
    name: "test 6: SendIO and WaitIO; two reads that overlap, with a port each",
    run: onUnit(0, async (program, { system, content }) => {
      await manyReads(program, content[0], [[0, 512]]);
      const other = await opened(system, 0);
      await Promise.all([manyReads(program, content[0], [[0, 4096]]), manyReads(other, content[0], [[2048, 4096]])]);
      await other.close();
    }),
  },
  {
    name: "test 7: SendIO, then AbortIO: IOERR_ABORTED, or 0",
    run: onUnit(0, async (program, { system }) => {
      const data = program.memory.allocate(512);
      for (let round = 0; round < 5; round++) {
        const request = program.another();
        fill(request, { command: c.CMD_READ, data, length: 512 });
        system.exec.sendIo(request);
        system.exec.abortIo(request);
        const error = await system.exec.waitIo(request);
        assert.ok(error === 0 || error === IoError.Aborted, `error ${error}`);
      }
      program.memory.free(data);
    }),
  },
  {
    name: "test 8: opened twice, used by both, closed by one, used by the other, closed",
    run: async ({ system, content }) => {
      const [one, other] = [await opened(system, 0), await opened(system, 0)];
      await manyReads(one, content[0], [[0, 512]]);
      await manyReads(other, content[0], [[512, 512]]);
      await one.close();
      await manyReads(other, content[0], [[1024, 512]]);
      await other.close();
    },
  },
  {
    name: "test 9: 200 reads of unit 0 beside 200 of unit 1",
    run: onBoth(async ([one, other], { content }) => {
      await Promise.all([reads(one, content[0], 200, 512), reads(other, content[1], 200, 512)]);
    }),
  },
  {
    name: "test 10: 100 reads of 512 bytes beside 20 of 32 KiB",
    run: onBoth(async ([one, other], { content }) => {
      await Promise.all([reads(one, content[0], 100, 512), reads(other, content[1], 20, 32 << 10)]);
    }),
  },
  {
    name: "test 11: 8 reads at once, sectors 0 to 7",
    run: onUnit(0, (program, { content }) =>
      manyReads(
        program,
        content[0],
        Array.from({ length: 8 }, (_, sector) => [sector * 512, 512] as const),
      ),
    ),
  },
  {
    name: "test 12: 100 reads of unit 0 beside 20 TD_GETGEOMETRY of unit 1",
    run: onBoth(async ([one, other], { content }) => {
      const geometries = async () => {
        for (let index = 0; index < 20; index++) assert.equal((await other.geometry(c.TD_GETGEOMETRY)).error, 0);
      };
      await Promise.all([reads(one, content[0], 100, 512), geometries()]);
    }),
  },
  {
    name: "test 13: 256 KiB at 0 and at 512",
    run: onUnit(0, async (program, { content }) => {
      for (const offset of [0, 512]) await manyReads(program, content[0], [[offset, 256 << 10]]);
    }),
  },
  {
    name: "test 14: TD_ADDCHANGEINT is kept; a second one replaces it; TD_REMCHANGEINT gives it back; another's close does not",
    run: onUnit(0, async (program, { system, profile }) => {
      const { exec } = system;
      const first = holdChange(program);
      await new Promise((resolve) => setTimeout(resolve, 200));
      assert.equal(exec.checkIo(first), false);
      const second = holdChange(program);
      if (profile === "strict") {
        // Version 1.5 forgets the first one.
        assert.equal(exec.checkIo(first), false);
      } else assert.equal(await exec.waitIo(first), IoError.Aborted);
      const other = await opened(system, 0);
      await other.close();
      assert.equal(exec.checkIo(second), false);
      assert.equal((await program.do({ command: c.TD_REMCHANGEINT })).error, 0);
      assert.equal(await exec.waitIo(second), 0);
    }),
  },
  {
    name: "test 15: NSCMD_TD_GETGEOMETRY64 on a poisoned buffer equals TD_GETGEOMETRY",
    run: onUnit(0, async (program) => {
      const long = await program.geometry(c.NSCMD_TD_GETGEOMETRY64);
      assert.deepEqual([long.error, long.actual], [0, 32]);
      const { sectorSize, totalSectors } = readGeometry64(long.bytes);
      assert.ok(sectorSize >= 512 && (sectorSize & (sectorSize - 1)) === 0 && totalSectors > 0);
      const short = readGeometry((await program.geometry(c.TD_GETGEOMETRY, driveGeometrySize)).bytes);
      assert.deepEqual([short.sectorSize, short.totalSectors], [sectorSize, totalSectors]);
    }),
  },
  {
    name: "test 16: ATA SMART READ DATA is answered, ATA IDENTIFY is refused",
    run: onUnit(0, async (program) => {
      const ata = (feature: number, command: number) =>
        program.scsi([0x85, 8, 0x0e, 0, feature, 0, 1, 0, 0, 0, 0x4f, 0, 0xc2, 0, command, 0], { room: 512 });
      const smart = await ata(0xd0, 0xb0);
      assert.deepEqual([smart.error, smart.status, smart.scsiActual], [0, 0, 512]);
      assert.deepEqual([smart.data[0], smart.data[1]], [6, 0]);
      const identify = await ata(0, 0xec);
      assert.deepEqual([identify.error !== 0, identify.status], [true, 2]);
    }),
  },
  {
    name: "test 17: opcode 9Eh: 05/20 from version 1.5, the disk's size from extended",
    run: onUnit(0, async (program, { profile, content }) => {
      const answer = await program.scsi([0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0], { room: 32 });
      if (profile === "strict") {
        assert.deepEqual([answer.error, answer.status, answer.senseActual], [45, 2, 18]);
        assert.deepEqual([answer.sense[2], answer.sense[12]], [5, 0x20]);
      } else assert.equal(new DataView(answer.data.buffer).getUint32(4), content[0].length / 512 - 1);
    }),
  },
  {
    name: "5.7: past the end is IOERR_NOCMD, with sense 05/21 where it is delivered",
    run: onUnit(0, async (program, { profile, content }) => {
      assert.equal((await program.read(c.CMD_READ, content[0].length, 512)).error, IoError.NoCommand);
      const answer = await program.scsi([0x28, 0, 0x7f, 0, 0, 0, 0, 0, 1, 0], { room: 512 });
      assert.deepEqual([answer.error, answer.status], [IoError.NoCommand, 2]);
      const sense = profile === "strict" ? [] : [5, 0x21];
      assert.deepEqual(answer.sense.length === 0 ? [] : [answer.sense[2] & 15, answer.sense[12]], sense);
    }),
  },
  {
    name: "formatted and written by TD_FORMAT and NSCMD_TD_WRITE64, made durable, read back from another program",
    run: onUnit(1, async (program, { system, content }) => {
      const bytes = content[1].slice(0, 300 << 10).map((byte) => byte ^ 0x5a);
      assert.deepEqual(await program.write(c.TD_FORMAT, 0, bytes.subarray(0, 65536)), { error: 0, actual: 65536 });
      const rest = bytes.subarray(65536, 65536 + (200 << 10));
      assert.deepEqual(await program.write(c.NSCMD_TD_WRITE64, 65536, rest), { error: 0, actual: rest.length });
      assert.equal((await program.do({ command: c.CMD_UPDATE })).error, 0);
      const other = new Program(system);
      assert.equal(await other.open(1), 0);
      await manyReads(other, bytes, [[0, 200 << 10]]);
      // As it was, for whoever comes next.
      assert.equal((await program.write(c.CMD_WRITE, 0, content[1].subarray(0, 240 << 10))).error, 0);
      assert.equal((await program.write(c.CMD_WRITE, 240 << 10, content[1].subarray(240 << 10, 300 << 10))).error, 0);
      await other.close();
    }),
  },
];
