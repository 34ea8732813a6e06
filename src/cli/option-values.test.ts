import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidArgumentError } from "commander";
import { parseByteCount, parseChipId, parseRamSize, parseSeed, parseTrace, separateTrace } from "./option-values.js";

test("memory is whole MiB from 32 MiB to 2 GiB, with or without a unit", () => {
  assert.equal(parseRamSize("64M"), 64 << 20);
  assert.equal(parseRamSize("1g"), 2 ** 30);
  assert.equal(parseRamSize("65536KiB"), 64 << 20);
  assert.equal(parseRamSize("268435456"), 256 << 20);
  for (const text of ["", "1M", "4G", "-64M", "64X", "16777217", "1e9"]) {
    assert.throws(() => parseRamSize(text), InvalidArgumentError, text);
  }
});

test("a seed has 32 bits", () => {
  assert.equal(parseSeed("0"), 0);
  assert.equal(parseSeed("0xffffffff"), 2 ** 32 - 1);
  for (const text of ["", "-1", "4294967296", "1.5", "x"]) assert.throws(() => parseSeed(text), InvalidArgumentError);
});

test("a chip id is hexadecimal, up to 7 bits", () => {
  assert.deepEqual(["0x30", "23", "0", "7F"].map(parseChipId), [0x30, 0x23, 0, 0x7f]);
  for (const text of ["", "0x80", "g", "-1", "0x", "123"]) assert.throws(() => parseChipId(text), InvalidArgumentError);
});

test("a number of bytes goes up to 64 MiB", () => {
  assert.equal(parseByteCount("0"), 0);
  assert.equal(parseByteCount("64M"), 64 << 20);
  for (const text of ["65M", "-1", "many"]) assert.throws(() => parseByteCount(text), InvalidArgumentError);
});

test("trace categories are those of the design, and violations and faults come with each", () => {
  assert.deepEqual(parseTrace("ring, scsi"), ["ring", "scsi", "violation", "fault"]);
  for (const text of ["", "ring,", "rings", "violation"]) assert.throws(() => parseTrace(text), InvalidArgumentError);
});

test("a bare --trace does not take the image behind it for categories", () => {
  assert.deepEqual(separateTrace(["run", "--trace", "a.img"]), ["run", "--trace=registers,ring,scsi", "a.img"]);
  assert.deepEqual(separateTrace(["run", "--trace"]), ["run", "--trace=registers,ring,scsi"]);
  assert.deepEqual(separateTrace(["run", "--trace", "ring,scsi", "a.img"]), ["run", "--trace", "ring,scsi", "a.img"]);
});
