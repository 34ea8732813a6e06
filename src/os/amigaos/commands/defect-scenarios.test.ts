/** Rules that have to hold, each with the one defect that breaks it; `defects.test.ts` runs them both ways. */
import assert from "node:assert/strict";
import { CdDrive, Disk, type ScsiTask } from "../../../scsi/index.js";
import { MemoryStore } from "../../../storage/index.js";
import { PowerLossStore } from "../../../testing/index.js";
import { IoError } from "../exec/index.js";
import { Command } from "./command-numbers.js";
import {
  type CommandRig,
  type CommandRigOptions,
  fill,
  Program,
  patternBytes,
  patternDisk,
  unitAt,
  withRig,
} from "./command-rig.test.js";
import { readGeometry, readGeometry64 } from "./geometry.js";

/** One rule. */
export interface CommandScenario {
  readonly id: string;
  readonly rule: string;
  /** What the rig is made of, made anew each time. */
  readonly options?: () => CommandRigOptions;
  /** Rejects when the rule does not hold. */
  readonly work: (rig: CommandRig) => Promise<void>;
}

const c = Command;
const large = (bytes: number) => unitAt(0, 0, new Disk(new MemoryStore(bytes), { powerOnAttention: false }));
const readOnly = () => MemoryStore.of(new Uint8Array(1 << 20), { isReadOnly: true });
const sameBytes = (one: Uint8Array, other: Uint8Array) => Buffer.compare(one, other) === 0;
const scattered = (): CommandRigOptions => ({ pages: "scattered" });

async function readsRight({ program }: CommandRig, length: number): Promise<void> {
  const one = await program();
  const read = await one.read(c.CMD_READ, 512, length);
  assert.deepEqual([read.error, read.actual], [0, length]);
  assert.ok(sameBytes(read.bytes, patternBytes(1 << 20).subarray(512, 512 + length)), "other bytes were read");
}

/** A disk whose sense is in descriptor format (D_SENSE). */
class DescriptorDisk extends Disk {
  constructor() {
    super(readOnly(), { powerOnAttention: false });
    this.senseFormat = "descriptor";
  }

  override execute(task: ScsiTask): undefined | Promise<void> {
    this.senseFormat = "descriptor";
    return super.execute(task);
  }
}

const powerStores: PowerLossStore[] = [];

export const commandScenarios: readonly CommandScenario[] = [
  { id: "B1", rule: "devices get physical addresses", options: scattered, work: (rig) => readsRight(rig, 200 << 10) },
  {
    id: "B2",
    rule: "what TD_FORMAT wrote is read back",
    async work({ program }) {
      const one = await program();
      const bytes = patternBytes(4096, 77);
      assert.equal((await one.write(c.TD_FORMAT, 8192, bytes)).error, 0);
      assert.ok(sameBytes((await one.read(c.CMD_READ, 8192, 4096)).bytes, bytes));
    },
  },
  {
    id: "B4",
    rule: "a large transfer into scattered pages is right",
    options: () => ({ pages: "scattered", poison: false }),
    work: (rig) => readsRight(rig, 256 << 10),
  },
  {
    id: "B6",
    rule: "a change request belongs to the unit that it was sent to",
    options: () => ({ units: [patternDisk(0, 0), patternDisk(1, 1)] }),
    async work({ program, system }) {
      const second = await program(1);
      const request = second.another();
      fill(request, { command: c.TD_ADDCHANGEINT });
      system.exec.sendIo(request);
      assert.deepEqual(
        system.device.units.map((unit) => unit?.heldChangeInterrupts.length),
        [0, 1],
      );
    },
  },
  {
    id: "B16",
    rule: "SMART tools get an answer",
    async work({ program }) {
      const one = await program();
      const cdb = [0x85, 8, 0x0e, 0, 0xd0, 0, 1, 0, 0, 0, 0x4f, 0, 0xc2, 0, 0xb0, 0];
      const answer = await one.scsi(cdb, { room: 512 });
      assert.deepEqual([answer.error, answer.status, answer.scsiActual], [0, 0, 512]);
    },
  },
  {
    id: "B17",
    rule: "a disk of more than 2 TiB has its size",
    options: () => ({ units: [large(2 ** 41 + 2 ** 20)] }),
    async work({ program }) {
      const { error, bytes } = await (await program()).geometry(c.NSCMD_TD_GETGEOMETRY64);
      assert.equal(error, 0);
      assert.equal(readGeometry64(bytes).totalSectors, 2 ** 32 + 2048);
    },
  },
  {
    id: "B18",
    rule: "a write to a protected disk is TDERR_WriteProt",
    options: () => ({ units: [unitAt(0, 0, new Disk(readOnly(), { powerOnAttention: false }))] }),
    async work({ program }) {
      assert.equal((await (await program()).write(c.CMD_WRITE, 0, new Uint8Array(512))).error, IoError.WriteProt);
    },
  },
  {
    id: "B23",
    rule: "part of a block is refused",
    async work({ program }) {
      const one = await program();
      for (const length of [1, 100, 511, 513]) {
        assert.deepEqual(await one.write(c.CMD_WRITE, 0, new Uint8Array(length)), {
          error: IoError.BadLength,
          actual: 0,
        });
      }
    },
  },
  {
    id: "B28a",
    rule: "nothing of the program's buffer stays in a geometry",
    async work({ program }) {
      const { bytes } = await (await program()).geometry(c.TD_GETGEOMETRY);
      assert.deepEqual([...bytes.subarray(30)], [0, 0]);
    },
  },
  {
    id: "B28b",
    rule: "buffers are public and local memory",
    async work({ program }) {
      assert.equal(readGeometry((await (await program()).geometry(c.TD_GETGEOMETRY)).bytes).bufferMemory, 0x101);
    },
  },
  {
    id: "B28c",
    rule: "the drive type is DRIVE3_5",
    async work({ program }) {
      assert.equal((await (await program()).do({ command: c.TD_GETDRIVETYPE })).actual, 1);
    },
  },
  {
    id: "B29a",
    rule: "more sectors than 32 bits hold are the largest number",
    options: () => ({ units: [large(2 ** 41)] }),
    async work({ program }) {
      const { bytes } = await (await program()).geometry(c.TD_GETGEOMETRY);
      assert.equal(readGeometry(bytes).totalSectors, 0xffff_ffff);
    },
  },
  {
    id: "B29b",
    rule: "the product of the geometry is the whole disk",
    options: () => ({ units: [large(512 * 100_003)] }),
    async work({ program }) {
      const geometry = readGeometry((await (await program()).geometry(c.TD_GETGEOMETRY)).bytes);
      assert.equal(geometry.cylinders * geometry.cylinderSectors, 100_003);
    },
  },
  {
    id: "B31",
    rule: "33 MiB in one request are all there",
    options: () => ({ ramSize: 48 << 20, poison: false, units: [patternDisk(0, 0, { byteLength: 34 << 20 })] }),
    async work({ program }) {
      const read = await (await program()).read(c.CMD_READ, 0, 33 << 20);
      assert.deepEqual([read.error, read.actual], [0, 33 << 20]);
      assert.ok(sameBytes(read.bytes, patternBytes(33 << 20)));
    },
  },
  {
    id: "B34",
    rule: "a change request without a unit is IOERR_OPENFAIL",
    async work({ system }) {
      const lost = new Program(system);
      lost.request.ioDevice = system.device;
      for (const command of [c.TD_ADDCHANGEINT, c.TD_REMOVE, c.TD_REMCHANGEINT]) {
        fill(lost.request, { command });
        system.exec.sendIo(lost.request);
        assert.equal(system.exec.checkIo(lost.request), true, `command ${command} is kept`);
        assert.equal(await system.exec.waitIo(lost.request), IoError.OpenFail);
      }
    },
  },
  {
    id: "B35",
    rule: "a disk has tracks",
    async work({ program }) {
      assert.equal((await (await program()).do({ command: c.TD_GETNUMTRACKS })).actual, 2048);
    },
  },
  {
    id: "Q5",
    rule: "no piece is written behind a scatter list",
    options: scattered,
    work: (rig) => readsRight(rig, 100 * 4096),
  },
  {
    id: "L1",
    rule: "a disk with blocks of 4096 is read right at once",
    options: () => ({ units: [patternDisk(0, 0, { blockSize: 4096 })] }),
    async work({ program }) {
      const read = await (await program()).read(c.CMD_READ, 65536, 8192);
      assert.equal(read.error, 0);
      assert.ok(sameBytes(read.bytes, patternBytes(1 << 20).subarray(65536, 73728)));
    },
  },
  { id: "L2", rule: "100 scattered pages are read", options: scattered, work: (rig) => readsRight(rig, 100 * 4096) },
  {
    id: "L3",
    rule: "what CMD_UPDATE made durable survives a power cut",
    options: () => {
      const store = new PowerLossStore(1 << 20, { survival: 0 });
      powerStores[0] = store;
      return { units: [unitAt(0, 0, new Disk(store, { powerOnAttention: false }))] };
    },
    async work({ program }) {
      const one = await program();
      assert.equal((await one.write(c.CMD_WRITE, 0, patternBytes(4096, 9))).error, 0);
      assert.equal((await one.do({ command: c.CMD_UPDATE })).error, 0);
      powerStores[0].powerCut(1);
      assert.ok(sameBytes((await one.read(c.CMD_READ, 0, 4096)).bytes, patternBytes(4096, 9)));
    },
  },
  {
    id: "L4",
    rule: "the older of two change requests is answered IOERR_ABORTED",
    async work({ program, system }) {
      const one = await program();
      const [older, newer] = [one.another(), one.another()];
      for (const request of [older, newer]) {
        fill(request, { command: c.TD_ADDCHANGEINT });
        system.exec.sendIo(request);
      }
      assert.deepEqual([system.exec.checkIo(older), system.exec.checkIo(newer)], [true, false]);
      assert.equal(await system.exec.waitIo(older), IoError.Aborted);
      assert.deepEqual(await one.do({ command: c.TD_REMCHANGEINT }), { error: 0, actual: 0 });
      assert.equal(await system.exec.waitIo(newer), 0);
    },
  },
  {
    id: "L5",
    rule: "a request that takes itself back is answered once",
    async work({ program, system }) {
      const one = await program();
      const request = one.another();
      fill(request, { command: c.TD_ADDCHANGEINT });
      system.exec.sendIo(request);
      fill(request, { command: c.TD_REMCHANGEINT });
      system.exec.sendIo(request);
      assert.equal(await system.exec.waitIo(request), 0);
      assert.equal(one.port.isEmpty, true);
    },
  },
  {
    id: "L6",
    rule: "a change of medium is counted, and seen",
    options: () => ({ units: [unitAt(0, 0, new CdDrive(readOnly()))] }),
    async work({ program, system }) {
      const one = await program();
      system.device.units[0]?.mediumChanged(false);
      assert.equal((await one.do({ command: c.TD_CHANGENUM })).actual, 1);
      assert.equal((await one.do({ command: c.TD_CHANGESTATE })).actual, 1);
    },
  },
  {
    id: "L7",
    rule: "a read-only disk is write-protected",
    options: () => ({ units: [unitAt(0, 0, new Disk(readOnly(), { powerOnAttention: false }))] }),
    async work({ program }) {
      assert.notEqual((await (await program()).do({ command: c.TD_PROTSTATUS })).actual, 0);
    },
  },
  {
    id: "L8",
    rule: "a CD-ROM's geometry says so",
    options: () => ({ units: [unitAt(0, 0, new CdDrive(readOnly()))] }),
    async work({ program }) {
      const { deviceType, flags } = readGeometry((await (await program()).geometry(c.TD_GETGEOMETRY)).bytes);
      assert.deepEqual([deviceType, flags], [5, 1]);
    },
  },
  {
    id: "L9",
    rule: "an ETD command for an older medium is refused",
    async work({ program, system }) {
      const one = await program();
      system.device.units[0]?.mediumChanged(true);
      const data = one.memory.allocate(512);
      const { error } = await one.do({ command: c.ETD_READ, data, length: 512, count: 0 });
      one.memory.free(data);
      assert.equal(error, IoError.DiskChanged);
    },
  },
  {
    id: "L10",
    rule: "a failing SCSI command comes with the device's sense",
    async work({ program }) {
      const answer = await (await program()).scsi([0x28, 0, 0, 1, 0, 0, 0, 0, 1, 0], { room: 512 });
      assert.deepEqual([answer.status, answer.sense[2] & 15, answer.sense[12]], [2, 5, 0x21]);
    },
  },
  {
    id: "L11",
    rule: "MODE SENSE, REPORT LUNS and READ CAPACITY(16) reach the device",
    async work({ program }) {
      const one = await program();
      for (const cdb of [
        [0x1a, 0, 0x3f, 0, 192, 0],
        [0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0],
        [0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0],
      ]) {
        const answer = await one.scsi(cdb, { room: 192 });
        assert.deepEqual([answer.error, answer.status, answer.scsiActual > 0], [0, 0, true]);
      }
    },
  },
  {
    id: "L12",
    rule: "two LUNs of a target have different identifiers",
    options: () => ({ units: [patternDisk(1, 0), patternDisk(1, 1)] }),
    async work({ program }) {
      const pages = [];
      for (const unit of [0, 1]) pages.push((await (await program(unit)).scsi([0x12, 1, 0x83, 0, 255, 0])).data);
      assert.ok(!sameBytes(pages[0], pages[1]));
    },
  },
  {
    id: "L13",
    rule: "a VPD page is cut to the allocation length",
    async work({ program }) {
      const answer = await (await program()).scsi([0x12, 1, 0x00, 0, 5, 0], { room: 5 });
      assert.deepEqual([answer.error, answer.status, answer.scsiActual], [0, 0, 5]);
    },
  },
  {
    id: "L14",
    rule: "SMART data sum up to 0",
    async work({ program }) {
      const cdb = [0x85, 8, 0x0e, 0, 0xd0, 0, 1, 0, 0, 0, 0x4f, 0, 0xc2, 0, 0xb0, 0];
      const { data } = await (await program()).scsi(cdb, { room: 512 });
      assert.equal(
        data.reduce((sum, byte) => (sum + byte) & 0xff, 0),
        0,
      );
    },
  },
  {
    id: "L15",
    rule: "sense in descriptor format is understood",
    options: () => ({ units: [unitAt(0, 0, new DescriptorDisk())] }),
    async work({ program }) {
      const one = await program();
      const data = one.memory.allocate(512);
      const { error } = await one.do({ command: c.CMD_READ, data, length: 512, offset: 64 << 20 });
      one.memory.free(data);
      assert.equal(error, IoError.NoCommand);
    },
  },
  {
    id: "L16",
    rule: "TD_EJECT ejects a CD",
    options: () => ({ units: [unitAt(0, 0, new CdDrive(readOnly()))] }),
    async work({ program }) {
      const one = await program();
      assert.equal((await one.do({ command: c.TD_EJECT, length: 1 })).error, 0);
      assert.notEqual((await one.read(c.CMD_READ, 0, 2048)).error, 0);
    },
  },
];

/** Runs one scenario with defects put back. */
export function runScenario(scenario: CommandScenario, change: CommandRigOptions["change"] = {}): Promise<void> {
  return withRig({ ...scenario.options?.(), change }, scenario.work);
}
