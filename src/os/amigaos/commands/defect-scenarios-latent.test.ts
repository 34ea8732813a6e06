/** Rules that weaknesses of version 1.5's commands (C) break. */
import assert from "node:assert/strict";
import { CdDrive, Disk, type ScsiTask } from "../../../scsi/index.js";
import { PowerLossStore } from "../../../testing/index.js";
import { IoError } from "../exec/index.js";
import { Command } from "./command-numbers.js";
import { fill, patternBytes, patternDisk, unitAt } from "./command-rig.test.js";
import { type CommandScenario, readOnly, readsRight, sameBytes, scattered } from "./defect-scenario.test.js";
import { readGeometry } from "./geometry.js";

const c = Command;

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

export const latentScenarios: readonly CommandScenario[] = [
  {
    id: "C1",
    rule: "a disk with blocks of 4096 is read right at once",
    options: () => ({ units: [patternDisk(0, 0, { blockSize: 4096 })] }),
    async work({ program }) {
      const read = await (await program()).read(c.CMD_READ, 65536, 8192);
      assert.equal(read.error, 0);
      assert.ok(sameBytes(read.bytes, patternBytes(1 << 20).subarray(65536, 73728)));
    },
  },
  { id: "C2", rule: "100 scattered pages are read", options: scattered, work: (rig) => readsRight(rig, 100 * 4096) },
  {
    id: "C3",
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
    id: "C4",
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
    id: "C5",
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
    id: "C6",
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
    id: "C7",
    rule: "a read-only disk is write-protected",
    options: () => ({ units: [unitAt(0, 0, new Disk(readOnly(), { powerOnAttention: false }))] }),
    async work({ program }) {
      assert.notEqual((await (await program()).do({ command: c.TD_PROTSTATUS })).actual, 0);
    },
  },
  {
    id: "C8",
    rule: "a CD-ROM's geometry says so",
    options: () => ({ units: [unitAt(0, 0, new CdDrive(readOnly()))] }),
    async work({ program }) {
      const { deviceType, flags } = readGeometry((await (await program()).geometry(c.TD_GETGEOMETRY)).bytes);
      assert.deepEqual([deviceType, flags], [5, 1]);
    },
  },
  {
    id: "C9",
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
    id: "C10",
    rule: "a failing SCSI command comes with the device's sense",
    async work({ program }) {
      const answer = await (await program()).scsi([0x28, 0, 0, 1, 0, 0, 0, 0, 1, 0], { room: 512 });
      assert.deepEqual([answer.status, answer.sense[2] & 15, answer.sense[12]], [2, 5, 0x21]);
    },
  },
  {
    id: "C11",
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
    id: "C12",
    rule: "two LUNs of a target have different identifiers",
    options: () => ({ units: [patternDisk(1, 0), patternDisk(1, 1)] }),
    async work({ program }) {
      const pages = [];
      for (const unit of [0, 1]) pages.push((await (await program(unit)).scsi([0x12, 1, 0x83, 0, 255, 0])).data);
      assert.ok(!sameBytes(pages[0], pages[1]));
    },
  },
  {
    id: "C13",
    rule: "a VPD page is cut to the allocation length",
    async work({ program }) {
      const answer = await (await program()).scsi([0x12, 1, 0x00, 0, 5, 0], { room: 5 });
      assert.deepEqual([answer.error, answer.status, answer.scsiActual], [0, 0, 5]);
    },
  },
  {
    id: "C14",
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
    id: "C15",
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
    id: "C16",
    rule: "TD_EJECT ejects a CD",
    options: () => ({ units: [unitAt(0, 0, new CdDrive(readOnly()))] }),
    async work({ program }) {
      const one = await program();
      assert.equal((await one.do({ command: c.TD_EJECT, length: 1 })).error, 0);
      assert.notEqual((await one.read(c.CMD_READ, 0, 2048)).error, 0);
    },
  },
];
