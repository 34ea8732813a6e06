import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type AccessWidth,
  ascii,
  bytes,
  hex,
  hexBytes,
  lowBytes,
  parseHexBytes,
  readRegister,
  registerName,
  struct,
  subWindow,
  swap16,
  swap32,
  u8,
  u16,
  u32,
  u64,
  windowOf,
  writeRegister,
} from "./index.js";

test("swapping turns bytes round and is its own inverse", () => {
  assert.equal(swap16(0x1234), 0x3412);
  assert.equal(swap32(0x1234_5678), 0x7856_3412);
  assert.equal(swap32(0x0000_00ff), 0xff00_0000);
  for (const value of [0, 1, 0x8000_0000, 0xffff_ffff, 0xdead_beef]) assert.equal(swap32(swap32(value)), value);
});

test("a structure is packed, in the order given, in the byte order said", () => {
  const header = struct({ kind: u8, length: u16, place: u64, name: ascii(4), raw: bytes(3), last: u32 });
  assert.equal(header.size, 22);
  assert.deepEqual({ ...header.offset }, { kind: 0, length: 1, place: 3, name: 11, raw: 15, last: 18 });
  const values = { kind: 1, length: 0x0203, place: 0x0405_0607_0809_0a0bn, name: "ab", raw: Uint8Array.of(1, 2, 3) };
  const view = new DataView(new ArrayBuffer(24));
  header.write(view, 1, "big", { ...values, last: 0xfffe_fdfc });
  assert.equal(
    hexBytes(new Uint8Array(view.buffer)),
    "00 01 02 03 04 05 06 07 08 09 0a 0b 61 62 20 20 01 02 03 ff fe fd fc 00",
  );
  assert.deepEqual(header.read(view, 1, "big"), { ...values, last: 0xfffe_fdfc });
  header.write(view, 1, "little", { length: 0x0203 });
  assert.equal(view.getUint16(2), 0x0302);
  assert.equal(view.getUint8(1), 1, "fields that are not given stay");
});

test("text is padded with what is said, cut to its length, and read without the padding", () => {
  const view = new DataView(new ArrayBuffer(8));
  const padded = ascii(8, "\0");
  padded.write(view, 0, true, "abc");
  assert.equal(view.getUint8(7), 0);
  assert.equal(padded.read(view, 0, true), "abc");
  ascii(4).write(view, 0, true, "abcdefgh");
  assert.equal(ascii(4).read(view, 0, true), "abcd");
  assert.equal(view.getUint8(4), 0);
});

test("bytes are copied, padded with zeros and cut", () => {
  const view = new DataView(new ArrayBuffer(4));
  const field = bytes(3);
  field.write(view, 1, true, Uint8Array.of(1, 2, 3, 4));
  assert.deepEqual([...new Uint8Array(view.buffer)], [0, 1, 2, 3]);
  const copy = field.read(view, 1, true);
  field.write(view, 1, true, Uint8Array.of(9));
  assert.deepEqual([...new Uint8Array(view.buffer), ...copy], [0, 9, 0, 0, 1, 2, 3]);
});

test("hexadecimal in and out", () => {
  assert.deepEqual([hex(10), hex(10, 4), hex(255n)], ["0xa", "0x000a", "0xff"]);
  assert.equal(hexBytes(Uint8Array.of(0, 255, 16)), "00 ff 10");
  for (const text of ["12 00 0x24", "120024", "12,0,24", " 12:00:24 ", "0x12 0x0 0x24"]) {
    assert.deepEqual([...parseHexBytes(text)], [0x12, 0, 0x24], text);
  }
  assert.deepEqual([...parseHexBytes("")], []);
  for (const text of ["1g", "123", "0x", "--"]) assert.throws(() => parseHexBytes(text), TypeError, text);
});

test("windows: by width, moved, and names of registers", () => {
  const accesses: string[] = [];
  const window = windowOf(
    (offset, width) => {
      accesses.push(`read ${offset}/${width}`);
      return offset + width;
    },
    (offset, width, value) => accesses.push(`write ${offset}/${width}=${value}`),
  );
  const moved = subWindow(window, 0x10);
  assert.equal(subWindow(window, 0), window);
  for (const width of [1, 2, 4] as AccessWidth[]) {
    assert.equal(readRegister(moved, 4, width), 0x14 + width);
    writeRegister(moved, 8, width, 7);
  }
  assert.deepEqual(accesses, [
    ...["read 20/1", "write 24/1=7", "read 20/2", "write 24/2=7", "read 20/4", "write 24/4=7"],
  ]);
  const table = {
    status: { offset: 4, width: 2, access: "read" },
    wide: { offset: 8, width: 4, access: "read" },
  } as const;
  assert.deepEqual(
    [4, 5, 6, 8, 11, 12].map((offset) => registerName(table, offset)),
    [...["status", "status+1", "+0x6", "wide", "wide+3", "+0xc"]],
  );
  assert.deepEqual(
    [1, 2, 4].map((width) => lowBytes(0x1_8765_4321, width as AccessWidth)),
    [0x21, 0x4321, 0x8765_4321],
  );
});
