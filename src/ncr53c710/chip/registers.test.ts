/** The register file as a host sees it: the reference's checks 5 to 12. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { GuestMemory } from "../../memory/index.js";
import { cdb } from "../../scsi/index.js";
import { HostBus, Ncr53c710, Phase, Reg, ScsiWire } from "../index.js";
import { commandScript, makeRig, prepareCommand } from "../rig.test.js";

/** A chip as it comes out of reset, and registers by their numbers. */
function bare(options = {}) {
  const chip = new Ncr53c710(new HostBus(GuestMemory.ofSize(0x10000)), new ScsiWire(), options);
  const read = (number: number) => chip.readRegister(number);
  const write = (number: number, value: number) => chip.writeRegister(number, value);
  return { chip, window: chip.window, read, write };
}

test("check 5: after reset every register has the value of the table", () => {
  const { read } = bare();
  const special = new Map<number, number>([
    [Reg.SCNTL0, 0xc0],
    [Reg.DSTAT, 0x80],
    [Reg.CTEST1, 0xf0],
    [Reg.CTEST2, 0x01],
    [Reg.CTEST8, 0x20],
    [Reg.DCMD, 0x40],
  ]);
  for (let number = 0; number < 64; number++) {
    assert.equal(read(number), special.get(number) ?? 0, `register ${number.toString(16)}`);
  }
  assert.equal(bare({ openPoints: { scidReset: 0x80 } }).read(Reg.SCID), 0x80);
  assert.equal(bare({ revision: 5 }).read(Reg.CTEST8), 0x50);
});

test("check 5: a chip reset forgets the phase that was last on the bus", () => {
  const rig = makeRig();
  rig.load(commandScript);
  prepareCommand(rig, 6, cdb.testUnitReady(), 0);
  rig.start();
  assert.equal(rig.read(Reg.SSTAT2) & 0x07, Phase.MessageIn);
  rig.write(Reg.ISTAT, 0x40);
  rig.write(Reg.ISTAT, 0);
  assert.equal(rig.read(Reg.SSTAT2), 0);
});

test("check 5: bits that read 0 do so after ones were written", () => {
  const { read, write } = bare({ turns: "manual" });
  for (const [number, zero] of [
    [Reg.SCNTL1, 0x03],
    [Reg.CTEST0, 0x82],
    [Reg.CTEST2, 0x80],
    [Reg.ISTAT, 0x14],
    [Reg.DIEN, 0xc0],
    [Reg.DSTAT, 0x40],
  ]) {
    write(number, number === Reg.ISTAT ? 0x3f : 0xff);
    assert.equal(read(number) & zero, 0, `register ${number.toString(16)}`);
  }
});

test("check 6: SCRATCH written as a longword reads as bytes, the most significant one first", () => {
  const { window } = bare();
  window.write32(0x34, 0x01020304);
  assert.deepEqual(
    [0x34, 0x35, 0x36, 0x37].map((offset) => window.read8(offset)),
    [1, 2, 3, 4],
  );
  assert.equal(window.read16(0x34), 0x0102);
  window.write16(0x36, 0xaabb);
  assert.equal(window.read32(0x34), 0x0102aabb);
});

test("check 6: F0E7C3A5 walks through SCRATCH and TEMP in all four combinations of widths", () => {
  const { window } = bare();
  const writeBytes = (offset: number, value: number) => {
    for (let byte = 0; byte < 4; byte++) window.write8(offset + byte, (value >>> (24 - 8 * byte)) & 0xff);
  };
  const readBytes = (offset: number) => {
    let value = 0;
    for (let byte = 0; byte < 4; byte++) value = value * 256 + window.read8(offset + byte);
    return value;
  };
  let pattern = 0xf0e7c3a5;
  for (let round = 0; round < 32; round++) {
    const next = ((pattern << 1) | (pattern >>> 31)) >>> 0;
    for (const write of [window.write32, writeBytes]) {
      for (const read of [window.read32, readBytes]) {
        write(0x34, pattern);
        write(0x1c, next);
        assert.equal(read(0x34), pattern);
        assert.equal(read(0x1c), next);
      }
    }
    pattern = next;
  }
});

test("check 7: the longword at 0Ch clears DIP and SIP together, bytes only their own half", () => {
  const both = () => {
    const rig = makeRig();
    rig.write(Reg.ISTAT, 0x80);
    rig.write(Reg.ISTAT, 0);
    rig.write(Reg.SCNTL1, 0x28);
    assert.equal(rig.read(Reg.ISTAT) & 3, 3);
    return rig;
  };
  const rig = both();
  assert.equal(rig.chip.window.read32(0x0c) & 0xffff, 0x0290);
  assert.equal(rig.read(Reg.ISTAT) & 3, 0);
  const bytes = both();
  assert.equal(bytes.read(Reg.DSTAT), 0x90);
  assert.equal(bytes.read(Reg.ISTAT) & 3, 2);
  assert.equal(bytes.read(Reg.SSTAT0), 0x02);
  assert.equal(bytes.read(Reg.ISTAT) & 3, 0);
});

test("check 8: ADCK adds 4 to DNAD, BBCK takes 4 from DBC, and both read 0", () => {
  const { window, read, write } = bare();
  window.write32(Reg.DNAD, 0);
  window.write32(0x24, 0x10);
  write(Reg.CTEST5, 0x80);
  assert.equal(window.read32(Reg.DNAD), 4);
  assert.equal(window.read32(0x24) & 0xff_ffff, 0x10);
  assert.equal(read(Reg.CTEST5), 0);
  write(Reg.CTEST5, 0x40);
  assert.equal(window.read32(0x24) & 0xff_ffff, 0x0c);
  assert.equal(window.read32(Reg.DNAD), 4);
});

test("check 10: DSP starts SCRIPTS with MAN=0, waits for STD with MAN=1, and STD goes on after INT with MAN=0", () => {
  const rig = makeRig();
  rig.load("INT 1\nINT 2\nINT 3\n");
  rig.start();
  assert.deepEqual(rig.causes(), { istat: 1, dstat: 0x84, sstat0: 0 });
  assert.equal(rig.long(Reg.DSPS), 1);
  rig.write(Reg.DCNTL, 0x04);
  assert.equal(rig.read(Reg.DCNTL), 0, "STD clears itself");
  assert.equal(rig.long(Reg.DSPS), 2);
  rig.causes();
  rig.write(Reg.DMODE, 0x01);
  rig.start();
  assert.equal(rig.read(Reg.ISTAT), 0);
  assert.equal(rig.long(Reg.DSPS), 2);
  rig.write(Reg.DCNTL, 0x04);
  assert.equal(rig.long(Reg.DSPS), 1);
});

test("check 10: DSP in bytes starts with the most significant one", () => {
  const rig = makeRig();
  rig.load("INT 7\n");
  for (const offset of [3, 2, 1]) rig.chip.window.write8(Reg.DSP + offset, (0x1000 >>> (8 * (3 - offset))) & 0xff);
  assert.equal(rig.read(Reg.ISTAT), 0);
  rig.chip.window.write8(Reg.DSP, 0);
  assert.equal(rig.long(Reg.DSPS), 7);
});

test("check 10: SSM stops after each instruction with SSI", () => {
  const rig = makeRig();
  rig.load("MOVE 1 TO SCRATCH0\nMOVE 2 TO SCRATCH0\nINT 9\n");
  rig.write(Reg.DCNTL, 0x10);
  rig.start();
  for (const [value, dstat] of [
    [1, 0x88],
    [2, 0x88],
    [2, 0x84],
  ]) {
    assert.equal(rig.read(Reg.SCRATCH), value);
    assert.equal(rig.causes().dstat, dstat);
    rig.write(Reg.DCNTL, 0x14);
  }
});

test("check 11: ABRT tells DSTAT and latches again until it is taken back; DIEN lets it to the pin", () => {
  const { chip, read, write } = bare();
  const levels: boolean[] = [];
  chip.onInterrupt((level) => levels.push(level));
  write(Reg.DIEN, 0x10);
  write(Reg.ISTAT, 0x80);
  assert.equal(read(Reg.ISTAT), 0x81);
  assert.equal(read(Reg.DSTAT), 0x90);
  assert.equal(read(Reg.DSTAT), 0x90, "not taken back yet");
  write(Reg.ISTAT, 0);
  assert.equal(read(Reg.DSTAT), 0x90);
  assert.equal(read(Reg.DSTAT), 0x80);
  assert.equal(chip.interruptLevel, false);
  assert.equal(levels[0], true);
  assert.equal(levels.at(-1), false);
});

test("check 11: ABRT ends an endless script and one that waits", () => {
  for (const source of ["x: JUMP x\n", "WAIT RESELECT 0\n", "MOVE 1, 0x4000, WHEN CMD\n"]) {
    const rig = makeRig({ chip: { instructionsPerTurn: 100, schedule: () => {} } });
    rig.load(source);
    rig.start();
    assert.equal(rig.read(Reg.ISTAT), 0, source);
    rig.write(Reg.ISTAT, 0x80);
    rig.write(Reg.ISTAT, 0);
    assert.deepEqual(rig.causes(), { istat: 1, dstat: 0x90, sstat0: 0 }, source);
    assert.equal(rig.chip.engine.state, "stopped");
  }
});

test("check 12: while RST holds the chip, no other register takes a value", () => {
  const { read, write, window } = bare();
  write(Reg.ISTAT, 0x40);
  write(Reg.DCNTL, 0x10);
  window.write32(Reg.SCRATCH, 0x1234);
  assert.equal(read(Reg.DCNTL), 0);
  write(Reg.ISTAT, 0);
  assert.equal(read(Reg.DCNTL), 0);
  assert.equal(window.read32(Reg.SCRATCH), 0);
});

test("check 12: RST holds the chip while it is 1 and leaves reset values", () => {
  const rig = makeRig();
  rig.load("INT 1\n");
  rig.chip.window.write32(Reg.SCRATCH, 0xffffffff);
  rig.write(Reg.ISTAT, 0x40);
  assert.equal(rig.read(Reg.ISTAT), 0x40);
  assert.equal(rig.long(Reg.SCRATCH), 0);
  rig.start();
  assert.equal(rig.chip.engine.executed, 0);
  rig.write(Reg.ISTAT, 0);
  assert.equal(rig.read(Reg.ISTAT), 0);
  rig.start();
  assert.equal(rig.long(Reg.DSPS), 1);
});

test("check 12: SCNTL1.RST drives the bus, tells SSTAT0 and keeps the chip's registers", () => {
  const rig = makeRig();
  rig.chip.window.write32(Reg.SCRATCH, 0x12345678);
  rig.load("SELECT ATN 0x40, 0\nINT 1\n");
  rig.start();
  rig.causes();
  assert.equal(rig.read(Reg.SCNTL1) & 0x10, 0x10, "connected");
  rig.write(Reg.SCNTL1, 0x28);
  assert.equal(rig.read(Reg.SSTAT1) & 0x02, 0x02, "live");
  assert.equal(rig.read(Reg.SCNTL1) & 0x10, 0, "the target is gone");
  rig.write(Reg.SCNTL1, 0x20);
  assert.equal(rig.read(Reg.SSTAT1), 0);
  assert.deepEqual(rig.causes(), { istat: 0x02, dstat: 0x80, sstat0: 0x02 });
  assert.equal(rig.long(Reg.SCRATCH), 0x12345678);
});

test("an access of 16 bits is two bytes and told to the observer", () => {
  const names: string[] = [];
  const { window } = bare({ observer: { emit: (event: { name: string }) => names.push(event.name) } });
  window.write16(0x34, 0x1234);
  window.read16(0x34);
  assert.deepEqual(names, ["write of 16 bits", "read of 16 bits"]);
});
