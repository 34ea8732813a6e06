import assert from "node:assert/strict";
import { test } from "node:test";
import { cdbLengthOf, SdCom, sdcomLayout } from "./index.js";

test("5.2: struct sdcom has 40 bytes, with its fields where the 68030's compiler puts them", () => {
  assert.equal(sdcomLayout.size, 40);
  assert.deepEqual(sdcomLayout.offset, {
    ...{ next: 0, reading: 4, okay: 5, status: 6, cdb: 7, pad: 19 },
    ...{ addr: 20, nbyte: 24, card: 28, unit: 32, intr: 36 },
  });
  const view = new DataView(new ArrayBuffer(40));
  sdcomLayout.write(view, 0, "big", { reading: 1, cdb: Uint8Array.of(0x12, 0, 0, 0, 0x24), nbyte: 0x24, unit: 6 });
  assert.deepEqual([view.getUint8(4), view.getUint8(7), view.getUint32(24), view.getUint32(32)], [1, 0x12, 0x24, 6]);
  assert.equal(sdcomLayout.read(view, 0, "big").cdb.length, 12);
});

test("5.6: a CDB has 6 bytes in group 0, 12 in group 5, 10 otherwise", () => {
  const lengths = [0x00, 0x1f, 0x28, 0x5f, 0x88, 0xa0, 0xbf, 0xc0, 0xff].map(cdbLengthOf);
  assert.deepEqual(lengths, [6, 6, 10, 10, 10, 12, 12, 10, 10]);
});

test("5.2: a command ends with a status, or without one as FFh and okay FALSE", () => {
  const ends: [boolean, number][] = [];
  const command = new SdCom();
  command.intr = ({ okay, status }) => ends.push([okay, status]);
  command.end(2);
  command.fail();
  assert.deepEqual(ends, [
    [true, 2],
    [false, 0xff],
  ]);
});
