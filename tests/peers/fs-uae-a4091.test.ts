/**
 * The A4091 that fs-uae has, driven through the monitor: what the reference says of the board and its chip, and scripts
 * of our own against its disks. Where that emulator is known to be wrong, the fault's name is in `fsUaeFaults`.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostOffset, Istat, Reg } from "../../src/ncr53c710/index.js";
import { type FsUaeMachine, fsUaeTarget, runSequence, startFsUaeMachine } from "../../src/platform/fs-uae/index.js";
import { cdb, parseSense } from "../../src/scsi/index.js";
import { identityBytes } from "../../src/zorro/index.js";
import {
  boardBase,
  chipBase,
  commandSteps,
  lastOf,
  noFsUae,
  places,
  scriptWords,
  setUp,
  startWithBoard,
  theirs,
} from "./fs-uae-rig.js";
import { after, before, describe, test } from "./limited-test.js";

const blocks = 4096;
const content = Uint8Array.from({ length: blocks * 512 }, (_, index) => (index * 7 + (index >> 9)) & 0xff);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const bytesOf = (text: number | string) => new Uint8Array(Buffer.from(String(text), "hex"));

describe("fs-uae's A4091", { skip: noFsUae }, () => {
  let folder = "";
  let machine: FsUaeMachine;
  const images = ["first", "second"].map((name) => ({ name, path: "" }));

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "ringside-a4091-"));
    for (const image of images) {
      image.path = join(folder, image.name);
      writeFileSync(image.path, content);
    }
    machine = await startFsUaeMachine({
      disks: [
        { image: images[0].path, target: 0, write: true },
        { image: images[1].path, target: 6 },
      ],
    });
  });
  after(async () => {
    await machine?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** One command; what its interrupt and the registers showed. */
  const command = async (target: number, bytes: Uint8Array, length: number, out?: Uint8Array) =>
    lastOf(await runSequence([...setUp, ...commandSteps(target, bytes, length, out)], theirs(machine)));
  const data = (seen: Awaited<ReturnType<typeof command>>) => bytesOf(seen["memory 00030000"]);
  const status = (seen: Awaited<ReturnType<typeof command>>) => bytesOf(seen["memory 00022020"])[0];

  test("check 20: AUTOCONFIG: type 90, product 54, flags 30, manufacturer 0202, diagnostic vector 0200; then it has its base", () => {
    assert.equal(
      hex(identityBytes(machine.readIdentity())).replace(/(?<=^.{12}).{8}/, "xxxxxxxx"),
      "905430000202xxxxxxxx0200",
    );
    assert.throws(() => machine.configureBoard(0x4080_0000), RangeError);
    assert.equal(machine.configureBoard(boardBase).base, boardBase);
    assert.equal(machine.chipOf({ base: boardBase, identity: machine.readIdentity() }), chipBase);
    assert.throws(() => machine.configureBoard(boardBase), /no Zorro III board waits/);
  });

  test("check 20: the configuration area is the start of the ROM, a byte in a longword, and the DiagArea begins at 200", () => {
    const nibbles = (index: number) => {
      const long = machine.memorySpace.read32(boardBase + 4 * index);
      return ((long >>> 24) & 0xf0) | ((long >>> 12) & 0x0f);
    };
    assert.deepEqual(
      [0, 1, 2].map((index) => nibbles(index) >> 4),
      [0x9, 0xa, 0xc],
    );
    assert.deepEqual(
      [0x40, 0x41, 0x42].map((index) => nibbles(index) >> 4),
      [0x0, 0xb, 0xf],
    );
    assert.equal(nibbles(0x80), 0x10);
  });

  test("check 21: the DIP switches are all off, on the low lane", () => {
    assert.equal(machine.memorySpace.read8(boardBase + 0x8c_0003), 0xff);
  });

  test("check 5: the registers after power-on are the table's, but for SCID, which is 80 here", () => {
    const expected = new Uint8Array(64);
    const values = { SCNTL0: 0xc0, SCID: 0x80, DSTAT: 0x80, CTEST1: 0xf0, CTEST2: 0x01, CTEST8: 0x20, DCMD: 0x40 };
    for (const [name, value] of Object.entries(values)) expected[hostOffset(Reg[name as keyof typeof Reg])] = value;
    assert.deepEqual(machine.monitor.snapshot(chipBase, 1, 64), [...expected]);
  });

  test("check 6: a byte register with number n is at n ^ 3, a 32-bit register reads as its value, at 840000 as at 800000", () => {
    const { memorySpace: space } = machine;
    space.write32(chipBase + Reg.SCRATCH, 0x0102_0304);
    assert.deepEqual(machine.monitor.snapshot(chipBase + 0x34, 1, 4), [1, 2, 3, 4]);
    assert.equal(
      space.read8(chipBase + hostOffset(Reg.SCRATCH)),
      4,
      "the least significant byte has the lowest number",
    );
    space.write8(chipBase + hostOffset(Reg.SCRATCH + 3), 0x7f);
    assert.equal(space.read32(chipBase + Reg.SCRATCH), 0x7f02_0304);
    assert.equal(space.read16(chipBase + Reg.SCRATCH + 2), 0x0304);
    assert.equal(space.read32(chipBase + 0x4_0000 + Reg.SCRATCH), 0x7f02_0304);
    space.write32(chipBase + Reg.SCRATCH, 0);
  });

  test("check 11: an abort shows in DSTAT and DIP, and is gone once ISTAT.ABRT is cleared and DSTAT read", () => {
    const { memorySpace: space } = machine;
    space.write8(chipBase + hostOffset(Reg.ISTAT), Istat.Abrt);
    assert.equal(machine.waitForInterrupt(chipBase), Istat.Abrt | Istat.Dip);
    space.write8(chipBase + hostOffset(Reg.ISTAT), 0);
    assert.equal(space.read32(chipBase + 0x0c) & 0xff, 0x90);
    assert.equal(space.read8(chipBase + hostOffset(Reg.ISTAT)), 0);
    assert.equal(machine.waitForInterrupt(chipBase, 50), undefined);
  });

  test("check 22: INT2 is pulled while a cause is pending that is enabled, drops when it is read, and idle delivers it", async () => {
    const interrupt = (enabled: number) =>
      runSequence(
        [
          ...setUp,
          { do: "write", register: "DIEN", value: enabled },
          { do: "words", address: places.script, words: scriptWords("INT 5") },
          { do: "start", address: places.script },
          { do: "wait" },
        ],
        theirs(machine),
      );
    await interrupt(0);
    assert.equal(machine.readInterruptLine(), false, "DIEN gates the line, not the cause");
    await interrupt(0x04);
    assert.equal(machine.readInterruptLine(), true);
    assert.equal(machine.readInterruptLine(), true, "it is a level");
    let delivered = 0;
    const stop = machine.attachInterrupt(() => {
      delivered++;
      machine.memorySpace.read32(chipBase + 0x0c);
    });
    await machine.idle(1000);
    assert.equal(delivered, 1);
    assert.equal(machine.readInterruptLine(), false);
    await machine.idle(20);
    assert.equal(delivered, 1);
    stop();
  });

  const script = (source: string) =>
    runSequence(
      [
        ...setUp,
        { do: "words", address: places.script, words: scriptWords(source) },
        { do: "start", address: places.script },
        { do: "wait" },
        { do: "read-long", offset: 0x0c },
        { do: "read", registers: ["DSPS", "DSP", "SCRATCH", "TEMP", "ISTAT"] },
      ],
      theirs(machine),
    ).then(lastOf);

  test("check 17: INT gives its vector in DSPS, DSTAT.SIR, and DSP after it", async () => {
    const seen = await script("INT 0x12345678");
    assert.deepEqual(
      [seen["DSPS"], seen["DSP"], Number(seen["long 0C"]) & 0xffff, seen["ISTAT"]],
      [0x1234_5678, places.script + 8, 0x0084, 0],
    );
  });

  test("check 18: a memory move copies memory, and reaches the chip's own registers", async () => {
    const bytes = Uint8Array.from({ length: 100 }, (_, index) => index + 1);
    machine.monitor.upload(places.data, bytes);
    machine.monitor.fill(places.data + 0x1000, 101, 0);
    const seen = await script(`
      MOVE MEMORY 100, ${places.data}, ${places.data + 0x1000}
      MOVE MEMORY 4, ${places.data}, ${chipBase + Reg.SCRATCH}
      MOVE MEMORY 4, ${chipBase + Reg.SCRATCH}, ${chipBase + Reg.TEMP}
      INT 1`);
    const copy = new Uint8Array(101);
    machine.monitor.download(places.data + 0x1000, copy);
    assert.deepEqual(copy, Uint8Array.of(...bytes, 0));
    assert.deepEqual([seen["SCRATCH"], seen["TEMP"], seen["DSPS"]], [0x0102_0304, 0x0102_0304, 1]);
  });

  test("check 14: a target that is absent times the selection out: STO, DSP after SELECT, the alternate address in DNAD", async () => {
    const seen = await command(3, cdb.testUnitReady(), 0);
    assert.equal((Number(seen["long 0C"]) >>> 8) & 0xff, 0x20);
    assert.equal(seen["DSP"], places.script + 8);
    assert.equal(Number(seen["SCNTL1"]) & 0x10, 0);
    assert.equal(status(seen), 0xff, "no status came");
  });

  test("check 33: INQUIRY by a script of ours: done, GOOD, a disk", async () => {
    const seen = await command(0, cdb.inquiry(36), 36);
    assert.deepEqual(
      [seen["DSPS"], seen["DSP"], Number(seen["long 0C"]) & 0xffff],
      [0x600d, places.script + 0x70, 0x84],
    );
    assert.equal(status(seen), 0);
    assert.equal(data(seen)[0] & 0x1f, 0);
    assert.match(Buffer.from(data(seen)).toString("latin1", 8, 32), /^UAE +disk0/);
    assert.match(Buffer.from(data(await command(6, cdb.inquiry(36), 36))).toString("latin1", 8, 32), /disk1/);
  });

  test("check 33: the machine sees every block of the image, and reads it", async () => {
    const capacity = new DataView(data(await command(0, cdb.readCapacity10(), 8)).buffer);
    assert.deepEqual([capacity.getUint32(0), capacity.getUint32(4)], [blocks - 1, 512]);
    for (const block of [0, 7, blocks - 2]) {
      const seen = await command(6, cdb.read10(block, 2), 1024);
      assert.equal(seen["DSPS"], 0x600d);
      assert.deepEqual(data(seen), content.subarray(block * 512, block * 512 + 1024));
    }
  });

  test("check 33: what WRITE wrote is read back, and is in the image where it may be, and only there", async () => {
    const bytes = Uint8Array.from({ length: 1024 }, (_, index) => 255 - (index & 0xff));
    for (const target of [0, 6]) {
      assert.equal(status(await command(target, cdb.write10(9, 2), 1024, bytes)), 0);
      assert.deepEqual(data(await command(target, cdb.read10(9, 2), 1024)), bytes);
    }
    await machine.close();
    const written = content.slice();
    written.set(bytes, 9 * 512);
    assert.ok(Buffer.from(written).equals(readFileSync(images[0].path)), "the image that may change");
    assert.ok(Buffer.from(content).equals(readFileSync(images[1].path)), "the image that may not");
    machine = await startWithBoard({ disks: [{ image: images[0].path, target: 0, readOnly: true }] });
    assert.deepEqual(data(await command(0, cdb.read10(9, 2), 1024)), bytes);
  });

  test("check 13: a target that ends early: residue in DBC, address in DNAD, the phase mismatch in SSTAT0", async () => {
    const seen = await command(0, cdb.inquiry(5), 36);
    assert.equal(seen["ISTAT"], Istat.Sip);
    assert.equal((Number(seen["long 0C"]) >>> 8) & 0xff, 0x80);
    assert.deepEqual(
      [seen["DBC"], seen["DNAD"], seen["DSP"], seen["DSPS"]],
      [0x1f, places.data + 5, places.script + 0x48, 36],
    );
  });

  test("check 23: an unknown command ends with CHECK CONDITION; sense says that it is illegal", async () => {
    assert.equal(status(await command(0, Uint8Array.of(0xff, 0, 0, 0, 0, 0), 0)), 2);
    const sense = parseSense(data(await command(0, Uint8Array.of(3, 0, 0, 0, 18, 0), 18)));
    // Which code goes with it differs: 24, where it should be 20.
    assert.equal(sense?.key, 5);
  });

  test("a write-protected disk takes no WRITE", async () => {
    assert.equal(status(await command(0, cdb.write10(9, 1), 512, new Uint8Array(512))), 2);
  });

  test("a register access costs one round trip, at most 3 bytes there and 5 back", () => {
    const { memorySpace: space } = machine;
    const first = machine.cost;
    for (let index = 0; index < 100; index++) space.read32(chipBase + Reg.SCRATCH);
    const { roundTrips, bytesSent, bytesReceived } = machine.cost;
    assert.equal(roundTrips - first.roundTrips, 100);
    assert.ok(bytesSent - first.bytesSent <= 210);
    assert.ok(bytesReceived - first.bytesReceived <= 501);
  });
});

test("without disks the board is there as well, on an A3000 too", { skip: noFsUae }, async () => {
  const machine = await startWithBoard({ model: "a3000" });
  try {
    const seen = lastOf(await runSequence(commandSteps(0, cdb.testUnitReady(), 0), fsUaeTarget(machine, chipBase)));
    assert.equal((Number(seen["long 0C"]) >>> 8) & 0xff, 0x20);
  } finally {
    await machine.close();
  }
});
