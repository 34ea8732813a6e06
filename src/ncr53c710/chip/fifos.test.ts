/** Both FIFOs through the test registers: check 9, and what CTEST8 does with them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { GuestMemory } from "../../memory/index.js";
import { type BusRange, type ChipOptions, Ctest8, Dstat, HostBus, Ncr53c710, Reg, ScsiWire } from "../index.js";

const bufferAt = 0x4000;
const memorySize = 0x8000;

function bare(options: ChipOptions = {}, window?: (chip: () => Ncr53c710) => BusRange) {
  const memory = GuestMemory.ofSize(memorySize);
  const find = (address: number) => {
    const range = window?.(() => chip);
    return range !== undefined && address >= range.base && address < range.base + range.size ? range : undefined;
  };
  const chip: Ncr53c710 = new Ncr53c710(new HostBus(memory, find), new ScsiWire(), options);
  const read = (number: number) => chip.readRegister(number);
  const write = (number: number, value: number) => chip.writeRegister(number, value);
  return { chip, memory, read, write };
}

/** Pushes bytes to the lanes that their addresses have on a big-endian bus. */
function fill(write: (number: number, value: number) => void, address: number, bytes: readonly number[]): void {
  for (const [index, byte] of bytes.entries()) {
    write(Reg.CTEST4, 4 + (3 - ((address + index) % 4)));
    write(Reg.CTEST6, byte);
  }
}

/** CTEST5: the direction is to memory. */
function towardsMemory(write: (number: number, value: number) => void): void {
  write(Reg.CTEST5, 0x10);
  write(Reg.CTEST5, 0x18);
}

test("check 9: the DMA FIFO takes 16 bytes a lane with parity and gives them back in order", () => {
  const { read, write } = bare();
  for (let lane = 0; lane < 4; lane++) {
    write(Reg.CTEST4, 4 + lane);
    for (let index = 0; index < 16; index++) {
      write(Reg.CTEST7, index % 3 === 0 ? 0x08 : 0);
      write(Reg.CTEST6, lane * 16 + index);
      assert.equal((read(Reg.CTEST1) >> (4 + lane)) & 1, 0, "not empty");
      assert.equal((read(Reg.CTEST1) >> lane) & 1, index === 15 ? 1 : 0, "full after 16");
      assert.equal(read(Reg.DSTAT) & 0x80, 0);
    }
    write(Reg.CTEST6, 0xee);
  }
  assert.equal(read(Reg.CTEST1), 0x0f);
  for (let lane = 0; lane < 4; lane++) {
    write(Reg.CTEST4, 4 + lane);
    for (let index = 0; index < 16; index++) {
      assert.equal(read(Reg.CTEST6), lane * 16 + index);
      assert.equal((read(Reg.CTEST2) >> 3) & 1, index % 3 === 0 ? 1 : 0, "parity");
    }
  }
  assert.equal(read(Reg.CTEST1), 0xf0);
  assert.equal(read(Reg.DSTAT), 0x80);
  write(Reg.CTEST6, 1);
  write(Reg.CTEST8, 0x04);
  assert.equal(read(Reg.CTEST1), 0xf0);
  assert.equal(read(Reg.CTEST8) & 0x04, 0, "CLF clears itself");
});

test("check 9: the SCSI FIFO counts 8 bytes and gives them back with odd or even parity", () => {
  const { read, write } = bare();
  for (const even of [false, true]) {
    write(Reg.SCNTL1, even ? 0x04 : 0);
    write(Reg.CTEST4, 0x08);
    for (let index = 0; index < 8; index++) {
      assert.equal(read(Reg.SSTAT2) >> 4, index);
      write(Reg.SODL, index * 37);
    }
    assert.equal(read(Reg.SSTAT2), 0x80);
    for (let index = 0; index < 8; index++) {
      const value = (index * 37) & 0xff;
      assert.equal(read(Reg.CTEST3), value);
      const ones = value.toString(2).split("1").length - 1;
      assert.equal((read(Reg.CTEST2) >> 4) & 1, (ones % 2 === 1) === even ? 1 : 0, `parity of ${value}`);
    }
    assert.equal(read(Reg.SSTAT2), 0);
  }
});

test("check 9: without EPG and AESP a byte is popped with the odd parity it was pushed with, whatever AESP is then", () => {
  const { read, write } = bare();
  write(Reg.CTEST4, 0x08);
  write(Reg.SODL, 0x01);
  write(Reg.SCNTL1, 0x04);
  write(Reg.SODL, 0x01);
  const popped = [read(Reg.CTEST3), (read(Reg.CTEST2) >> 4) & 1, read(Reg.CTEST3), (read(Reg.CTEST2) >> 4) & 1];
  assert.deepEqual(popped, [1, 0, 1, 1]);
});

test("CTEST8.FLF writes the DMA FIFO to memory from DNAD on, each lane to its address, and stays set", () => {
  for (const start of [bufferAt, bufferAt + 3]) {
    const { chip, memory, read, write } = bare();
    const bytes = Array.from({ length: 21 }, (_, index) => index * 11 + 1);
    fill(write, start, bytes);
    chip.window.write32(Reg.DNAD, start);
    chip.window.write32(0x24, 30);
    towardsMemory(write);
    assert.equal(read(Reg.CTEST0) & 1, 1, "DDIR");
    write(Reg.CTEST8, Ctest8.Flf);
    assert.deepEqual([...memory.read(start, 22)], [...bytes, 0]);
    assert.equal(chip.window.read32(Reg.DNAD), start + 21);
    assert.equal(chip.window.read32(0x24) & 0xff_ffff, 9);
    assert.equal(read(Reg.CTEST1), 0xf0);
    assert.equal(read(Reg.DSTAT), Dstat.Dfe);
    assert.equal(read(Reg.CTEST8) & 0x0f, Ctest8.Flf);
  }
});

test("a flush ends at the first lane that has no byte for its address; what is left can be popped", () => {
  const { chip, memory, read, write } = bare();
  fill(write, bufferAt, [1, 2, 3, 4]);
  // A byte for the address after the next one.
  fill(write, bufferAt + 5, [6]);
  chip.window.write32(Reg.DNAD, bufferAt);
  towardsMemory(write);
  write(Reg.CTEST8, Ctest8.Flf);
  assert.deepEqual([...memory.read(bufferAt, 6)], [1, 2, 3, 4, 0, 0]);
  assert.equal(chip.window.read32(Reg.DNAD), bufferAt + 4);
  assert.equal(chip.window.read32(0x24) & 0xff_ffff, 0, "a count of 0 stays");
  assert.equal(read(Reg.CTEST1), 0xb0, "lane 2 is not empty");
  assert.equal(read(Reg.DSTAT), 0);
  assert.equal(read(Reg.CTEST6), 6);
});

test("towards the bus there is nothing to flush; CTEST5.MASR says which way DDIR goes", () => {
  const { chip, memory, read, write } = bare();
  towardsMemory(write);
  write(Reg.CTEST0, 0);
  assert.equal(read(Reg.CTEST0) & 1, 1, "a status that is not written over");
  write(Reg.CTEST5, 0x08);
  assert.equal(read(Reg.CTEST0) & 1, 0);
  fill(write, bufferAt, [1]);
  chip.window.write32(Reg.DNAD, bufferAt);
  write(Reg.CTEST8, Ctest8.Flf);
  assert.equal(memory.read(bufferAt, 1)[0], 0);
  assert.equal(read(Reg.CTEST1), 0x70);
});

test("the open point firstLane: on a little-endian bus lane 0 has the lowest address", () => {
  const { chip, memory, write } = bare({ openPoints: { firstLane: 0 } });
  fill(write, bufferAt, [1, 2, 3, 4]);
  chip.window.write32(Reg.DNAD, bufferAt);
  towardsMemory(write);
  write(Reg.CTEST8, Ctest8.Flf);
  assert.deepEqual([...memory.read(bufferAt, 4)], [4, 3, 2, 1]);
});

test("a flush to where nobody answers is a bus fault that names the address and loses no byte", () => {
  const { chip, read, write } = bare();
  fill(write, memorySize - 1, [0x11, 0x22]);
  chip.window.write32(Reg.DNAD, memorySize - 1);
  towardsMemory(write);
  write(Reg.CTEST8, Ctest8.Flf);
  assert.equal(chip.window.read32(Reg.DNAD), memorySize);
  assert.equal(read(Reg.DSTAT), Dstat.Bf);
  write(Reg.CTEST4, 7);
  assert.equal(read(Reg.CTEST6), 0x22);
});

test("a flush into the chip's own registers ends, also one that asks for a flush or fills the FIFO again", () => {
  // CTEST6 and CTEST8 have host offsets 19h and 21h.
  for (const start of [0x19, 0x21]) {
    const { chip, read, write } = bare({}, (get) => ({ base: 0x10_0000, size: 0x1000, window: get().window }));
    for (const lane of [0, 1, 2, 3]) {
      for (let left = 16; left > 0; left--) {
        write(Reg.CTEST4, 4 + lane);
        write(Reg.CTEST6, Ctest8.Flf);
      }
    }
    write(Reg.CTEST4, 4 + (3 - (start & 3)));
    chip.window.write32(Reg.DNAD, 0x10_0000 + start);
    towardsMemory(write);
    write(Reg.CTEST8, Ctest8.Flf);
    assert.ok(chip.window.read32(Reg.DNAD) > 0x10_0000 + start, "went on");
    assert.equal(read(Reg.CTEST8) & 0x0f, Ctest8.Flf);
  }
});

test("CTEST8.CLF empties both FIFOs and the latches and clears itself, before FLF of the same write", () => {
  const { chip, memory, read, write } = bare();
  fill(write, bufferAt, [1, 2]);
  write(Reg.SODL, 5);
  assert.equal(read(Reg.SSTAT1) & 0x20, 0x20, "OLF");
  write(Reg.CTEST4, 0x08);
  write(Reg.SODL, 6);
  chip.window.write32(Reg.DNAD, bufferAt);
  towardsMemory(write);
  write(Reg.CTEST8, Ctest8.Clf | Ctest8.Flf);
  assert.equal(read(Reg.CTEST8) & 0x0f, Ctest8.Flf);
  assert.equal(read(Reg.CTEST1), 0xf0);
  assert.equal(read(Reg.SSTAT2), 0);
  assert.equal(read(Reg.SSTAT1), 0);
  assert.equal(memory.read(bufferAt, 1)[0], 0);
});
