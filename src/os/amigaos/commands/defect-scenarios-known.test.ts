/** Rules that the original's known bugs (B) and the defects of its queues (Q) break. */
import assert from "node:assert/strict";
import { makeRdb } from "../../../partition/make-rdb.js";
import { Disk } from "../../../scsi/index.js";
import { MemoryStore } from "../../../storage/index.js";
import { IoError } from "../exec/index.js";
import { Command } from "./command-numbers.js";
import { fill, Program, patternBytes, patternDisk, unitAt } from "./command-rig.test.js";
import { type CommandScenario, large, readOnly, readsRight, sameBytes, scattered } from "./defect-scenario.test.js";
import { readGeometry, readGeometry64 } from "./geometry.js";

const c = Command;

export const knownScenarios: readonly CommandScenario[] = [
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
    id: "B30",
    rule: "an RDB with a wrong checksum is none",
    options: () => {
      const bytes = new Uint8Array(1 << 20);
      bytes.set(makeRdb({ cylinders: 77, partitions: [] }));
      bytes[100] ^= 1;
      return { units: [unitAt(0, 0, new Disk(MemoryStore.of(bytes), { powerOnAttention: false }))] };
    },
    async work({ program }) {
      assert.equal((await (await program()).do({ command: c.TD_GETNUMTRACKS })).actual, 2048);
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
];
