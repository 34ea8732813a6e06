/** The A4091 on its bus: the reference's checks 20 to 22. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { GuestMemory } from "../../memory/index.js";
import { cdb, Disk, ScsiBus } from "../../scsi/index.js";
import { MemoryStore } from "../../storage/index.js";
import { seededRandom } from "../../testing/index.js";
import { configureZorro, ZorroBus, zorroConfigArea } from "../../zorro/index.js";
import {
  A4091Board,
  type A4091Options,
  A4091Rom,
  a4091Identity,
  a4091Layout,
  assemble,
  attachScsiBus,
  generateRom,
  placeProgram,
  Reg,
  RomError,
  ScsiWire,
  wordsToBytes,
} from "../index.js";

function machine(options: A4091Options = {}, configure = true) {
  const memory = GuestMemory.ofSize(1 << 20);
  const zorro = new ZorroBus();
  const wire = new ScsiWire();
  const bus = new ScsiBus();
  bus.attach(6, 0, new Disk(new MemoryStore(1 << 20), { powerOnAttention: false }));
  attachScsiBus(wire, bus, 7);
  const board = new A4091Board({ memory, zorro, wire }, { ...options, chip: { selectionTimeout: 0, ...options.chip } });
  zorro.plug(board);
  const found = configure ? configureZorro(zorro.space) : [];
  return { memory, zorro, board, bus, space: zorro.space, base: found[0]?.base ?? 0, found };
}

test("check 20: AUTOCONFIG decodes to 90 54 30 00 02 02 ss ss ss ss 02 00, in both areas", () => {
  const { space } = machine({}, false);
  const expected = [0x90, 0x54, 0x30, 0, 2, 2, 0, 0, 0, 0, 2, 0];
  for (const [area, partner] of [
    [zorroConfigArea.zorro3, 0x100],
    [zorroConfigArea.zorro2, 2],
  ]) {
    const bytes = expected.map((_, index) => {
      const byte = (space.read8(area + 4 * index) & 0xf0) | (space.read8(area + 4 * index + partner) >> 4);
      return index === 0 ? byte : byte ^ 0xff;
    });
    assert.deepEqual(bytes, expected);
  }
});

test("check 20: a ROM byte is one longword: the identity's ROM bytes and the DiagArea at 200h", () => {
  const { space, base } = machine();
  const byte = (index: number) => {
    const long = space.read32(base + 4 * index);
    return ((long >>> 24) & 0xf0) | ((long >>> 12) & 0x0f);
  };
  assert.equal(byte(0) >> 4, 9);
  assert.equal(byte(0x40) >> 4, 0);
  assert.deepEqual(
    [1, 2, 3, 4].map((index) => byte(index) >> 4),
    [0xa, 0xc, 0xf, 0xf],
  );
  assert.deepEqual(
    [0x41, 0x42, 0x43, 0x44].map((index) => byte(index) >> 4),
    [0xb, 0xf, 0xf, 0xd],
  );
  assert.equal(byte(0x80), 0x10);
  assert.equal(byte(0x81), 0x00);
  assert.equal(space.read32(base), 0x90f8ff00, "the first longword as measured");
  assert.equal(byte(0x8000), byte(0), "32 KiB repeat");
});

test("check 20: a board is configured by 44h and silenced by 4Ch", () => {
  const configured = machine();
  assert.deepEqual(
    configured.found.map(({ product, manufacturer, base, size }) => [product, manufacturer, base, size]),
    [[0x54, 0x0202, 0x4000_0000, 1 << 24]],
  );
  const { space, zorro } = machine({}, false);
  space.write8(zorroConfigArea.zorro3 + 0x4c, 0);
  space.write16(zorroConfigArea.zorro3 + 0x44, 0x4000);
  assert.equal(zorro.configured.length, 0);
  assert.equal(space.read8(zorroConfigArea.zorro3), 0xff);
});

test("check 20: a user's ROM file is shown as it is, one that is no board's is refused", () => {
  const rom = generateRom({ ...a4091Identity, serial: 0x002a0025 });
  rom[0x300] = 0x5a;
  const { space, base, found } = machine({ rom });
  assert.equal(found[0].serial, 0x002a0025);
  assert.equal(space.read32(base + 4 * 0x300) & 0xf000f000, 0x5000a000);
  assert.throws(() => new A4091Rom(new Uint8Array(0)), RomError);
  assert.throws(() => new A4091Rom(new Uint8Array(0x10001)), RomError);
  assert.throws(() => new A4091Rom(new Uint8Array(0x8000)), /Zorro III identity/);
});

test("check 21: the chip repeats every 40h up to 87FFFFh, and A22 to A20 do not count", () => {
  const { space, base } = machine();
  const at = (offset: number) => base + a4091Layout.chip + offset;
  space.write32(at(0x40 + Reg.SCRATCH), 0xcafe_f00d);
  for (const offset of [0, 0x40, 0x7c0, 0x4_0000, 0x7_ffc0, 0x10_0000, 0x70_0000, 0x74_0040]) {
    assert.equal(space.read32(at(offset + Reg.SCRATCH)), 0xcafe_f00d, offset.toString(16));
  }
});

test("check 21: the switches are on the lowest lane of 8C0003h, the quick vector at 880003h", () => {
  const { space, base, board } = machine();
  assert.equal(space.read8(base + a4091Layout.dip), 0xff);
  board.dip = 0x7e;
  assert.equal(space.read8(base + a4091Layout.dip), 0x7e);
  assert.equal(space.read32(base + 0x9c_0000) & 0xff, 0x7e);
  space.write8(base + a4091Layout.dip, 0);
  assert.equal(space.read8(base + a4091Layout.dip), 0x7e, "nothing to write");
  space.write8(base + 0x88_0000, 0x11);
  assert.equal(board.quickVector, undefined, "not the lowest lane");
  space.write8(base + a4091Layout.quickVector, 0x42);
  assert.equal(board.quickVector, 0x42);
  assert.equal(board.acknowledgeQuickInterrupt(), undefined);
});

test("check 7: a byte read leaves its neighbours alone, unless the bridge is said to read whole longwords", () => {
  for (const byteReads of ["alone", "longword"] as const) {
    const { space, base, memory } = machine({ byteReads });
    const chip = base + a4091Layout.chip;
    const { program } = assemble("INT 1\n");
    memory.write(0x1000, wordsToBytes(program?.words ?? new Uint32Array(0)));
    space.write32(chip + Reg.DSP, 0x1000);
    assert.equal(space.read8(chip + (Reg.SSTAT0 ^ 3)), 0);
    assert.equal(space.read8(chip + (Reg.DSTAT ^ 3)), byteReads === "alone" ? 0x84 : 0x80);
  }
});

test("check 22: INT2 is a level that drops when DSTAT is read, and not by a write to 8A0003h", () => {
  const { space, base, memory, zorro, board } = machine();
  const chip = base + a4091Layout.chip;
  const { program } = assemble("INT 1\n");
  memory.write(0x1000, wordsToBytes(program?.words ?? new Uint32Array(0)));
  space.write8(chip + (Reg.DIEN ^ 3), 0x04);
  space.write8(base + a4091Layout.quickVector, 0x42);
  space.write32(chip + 0x40 + Reg.DSP, 0x1000);
  assert.equal(zorro.level("INT2"), true);
  assert.equal(board.acknowledgeQuickInterrupt(), 0x42);
  space.write8(base + 0x8a_0003, 0x26);
  assert.equal(zorro.level("INT2"), true);
  space.read32(chip + 0x0c);
  assert.equal(zorro.level("INT2"), false);
});

test("check 22: two boards pull one line", () => {
  const { space, memory, zorro, base } = machine();
  const second = new A4091Board({ memory, zorro, wire: new ScsiWire() });
  zorro.plug(second);
  const [found] = configureZorro(space, { firstBase: 0x4100_0000 });
  const chips = [base, found.base ?? 0].map((place) => place + a4091Layout.chip);
  for (const chip of chips) {
    space.write8(chip + (Reg.DIEN ^ 3), 0x10);
    space.write8(chip + (Reg.ISTAT ^ 3), 0x80);
    space.write8(chip + (Reg.ISTAT ^ 3), 0);
  }
  space.read32(chips[0] + 0x0c);
  assert.equal(zorro.level("INT2"), true);
  space.read32(chips[1] + 0x0c);
  assert.equal(zorro.level("INT2"), false);
});

test("check 18: SCRIPTS copy memory to SCRATCH, SCRATCH to TEMP and back to memory, through the board's own window", () => {
  const { space, base, memory, board } = machine();
  const chip = base + a4091Layout.chip;
  const source = `ABSOLUTE chip = 0x${chip.toString(16)}
    MOVE MEMORY 4, 0x4000, chip + 0x34
    MOVE MEMORY 4, chip + 0x34, chip + 0x1c
    INT 1
    MOVE MEMORY 4, chip + 0x34, 0x5000
    MOVE MEMORY 1, 0x4000, chip + 0x34
    INT 2`;
  const { program } = assemble(source);
  assert.ok(program !== undefined);
  memory.write(0x1000, wordsToBytes(placeProgram(program, 0x1000)));
  memory.write(0x4000, Uint8Array.of(0xde, 0xad, 0xbe, 0xef));
  space.write32(chip + Reg.DSP, 0x1000);
  assert.equal(space.read32(chip + Reg.SCRATCH), 0xdeadbeef);
  assert.equal(space.read32(chip + Reg.TEMP), 0xdeadbeef);
  space.read32(chip + 0x0c);
  space.write8(chip + (Reg.DCNTL ^ 3), 0x04);
  assert.deepEqual([...memory.read(0x5000, 4)], [0xde, 0xad, 0xbe, 0xef]);
  assert.equal(board.chip.file.bytes[Reg.SCRATCH + 3], 0xde, "one byte at +0 is the most significant one");
  assert.equal(space.read32(chip + Reg.DSPS), 2);
});

test("SCRIPTS that write DSP, ISTAT and their own instruction survive", () => {
  const { space, base, memory, board } = machine();
  const chip = base + a4091Layout.chip;
  const run = (source: string) => {
    const { program } = assemble(`ABSOLUTE chip = 0x${chip.toString(16)}\n${source}`);
    assert.ok(program !== undefined);
    memory.write(0x1000, wordsToBytes(placeProgram(program, 0x1000)));
    space.write32(chip + Reg.DSP, 0x1000);
  };
  memory.write(0x4000, Uint8Array.of(0, 0, 0x20, 0));
  memory.write(0x2000, wordsToBytes(Uint32Array.of(0x98080000, 0x77)));
  run("MOVE MEMORY 4, 0x4000, chip + 0x2c\nINT 1\n");
  assert.equal(space.read32(chip + Reg.DSPS), 0x77, "a move to DSP is a jump");
  space.read32(chip + 0x0c);
  run("MOVE 0x40 TO ISTAT\nINT 1\n");
  assert.equal(board.chip.engine.state, "stopped", "reset by itself");
  space.write8(chip + (Reg.ISTAT ^ 3), 0);
  run("MOVE 0x80 TO ISTAT\nINT 1\n");
  assert.equal(space.read8(chip + (Reg.ISTAT ^ 3)), 0x81);
});

test("SCRIPTS fetched from ROM: the first longword is an instruction that the chip takes", () => {
  const { space, base } = machine();
  const chip = base + a4091Layout.chip;
  space.write8(chip + (Reg.DCNTL ^ 3), 0x10);
  space.write32(chip + Reg.DSP, base);
  const dstat = space.read32(chip + 0x0c) & 0xff;
  assert.ok(dstat === 0x81 || dstat === 0x88, dstat.toString(16));
});

test("every place of the 16 MiB can be read and written at every width without harm", () => {
  const { space, base, board, memory } = machine({ chip: { schedule: () => {}, instructionsPerTurn: 64 } });
  const random = seededRandom(3);
  const limit = [1, 0x100, 0x1_0000, 0x100_0000];
  const before = memory.regions.length;
  const check = (offset: number) => {
    assert.ok(space.read8(base + offset) <= 0xff);
    assert.ok(space.read16(base + offset) <= 0xffff);
    assert.ok(space.read32(base + offset) <= 0xffff_ffff && space.read32(base + offset) >= 0);
    space.write8(base + offset, random.below(256));
    space.write16(base + offset, random.below(0x1_0000));
    space.write32(base + offset, random.below(2 ** 32));
  };
  // Every offset of the chip, one of each block elsewhere, and random ones.
  for (let offset = 0x80_0000; offset < 0x80_0080; offset++) check(offset);
  for (let offset = 0; offset < 0x100_0000; offset += 0x1001) check(offset);
  for (let count = 0; count < 20_000; count++) check(random.below(limit[1 + random.below(3)]) % 0x100_0000);
  assert.equal(memory.regions.length, before);
  board.close();
});

test("a command through the board, with writes at +40h and reads at +0", () => {
  const { space, base, memory } = machine();
  const chip = base + a4091Layout.chip;
  const write = (register: number, value: number) => space.write8(chip + 0x40 + (register ^ 3), value);
  write(Reg.SCNTL0, 0xcc);
  write(Reg.SCNTL1, 0x20);
  write(Reg.SCID, 0x80);
  const { program } = assemble(`
    SELECT ATN 0x40, 0
    MOVE 1, 0x3000, WHEN MSG_OUT
    MOVE 6, 0x3010, WHEN CMD
    MOVE 36, 0x4000, WHEN DATA_IN
    MOVE 1, 0x3020, WHEN STATUS
    MOVE 1, 0x3021, WHEN MSG_IN
    CLEAR ACK
    WAIT DISCONNECT
    INT 0xff00`);
  assert.ok(program !== undefined);
  memory.write(0x1000, wordsToBytes(placeProgram(program, 0x1000)));
  memory.write(0x3000, Uint8Array.of(0x80));
  memory.write(0x3010, cdb.inquiry(36));
  space.write32(chip + 0x40 + Reg.DSP, 0x1000);
  assert.equal(space.read8(chip + (Reg.ISTAT ^ 3)), 1);
  assert.equal(space.read32(chip + Reg.DSPS), 0xff00);
  assert.match(Buffer.from(memory.read(0x4000, 36)).toString("latin1"), /RINGSIDE/);
});
