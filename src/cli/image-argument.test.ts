import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { UsageError } from "./errors.js";
import { parseImageArgument, placeImages } from "./image-argument.js";

test("a plain path is an image without settings", () => {
  assert.deepEqual(parseImageArgument("/tmp/disk.img"), { path: "/tmp/disk.img", readOnly: false });
});

test("settings come after commas, in any order", () => {
  const image = { path: "disk.img", target: 1, lun: 2, blockSize: 4096, readOnly: true };
  assert.deepEqual(parseImageArgument("disk.img,target=1,lun=2,block-size=4096,ro"), image);
  assert.deepEqual(parseImageArgument("disk.img,ro,block-size=4096,lun=2,target=1"), image);
});

test("a comma of the file name is written \\, and other backslashes stay", () => {
  assert.equal(parseImageArgument("a\\,b,ro").path, "a,b");
  assert.equal(parseImageArgument("C:\\images\\a.img").path, "C:\\images\\a.img");
});

test("what is no setting is a usage error that names it", () => {
  const wrong = ["x,", "x,foo", "x,target", "x,target=", "x,target=1.5", "x,lun=-1", "x,ro=yes", "x,ro,ro", ",ro", ""];
  for (const text of wrong) assert.throws(() => parseImageArgument(text), UsageError, text);
});

test("any text is an image or a usage error in one line", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(..."ab,\\=ro1 target lun-") }), (text) => {
      try {
        assert.notEqual(parseImageArgument(text).path, "");
      } catch (error) {
        assert.ok(error instanceof UsageError && !error.message.includes("\n"));
      }
    }),
  );
});

test("without places, images are at 0/0, 1/1, 2/2", () => {
  const placed = placeImages(["a", "b", "c"].map(parseImageArgument));
  assert.deepEqual(
    placed.map(({ target, lun, blockSize }) => [target, lun, blockSize]),
    [
      [0, 0, 512],
      [1, 1, 512],
      [2, 2, 512],
    ],
  );
});

test("an image that says one of target and lun has the other at 0", () => {
  const placed = placeImages(["a", "b,target=7", "c,lun=9"].map(parseImageArgument));
  assert.deepEqual(
    placed.map(({ target, lun }) => [target, lun]),
    [
      [0, 0],
      [7, 0],
      [0, 9],
    ],
  );
});

test("two images in one place, and a 257th without place, are usage errors", () => {
  assert.throws(
    () => placeImages(["a", "b,target=0,lun=0"].map(parseImageArgument)),
    /a and b are both at target 0 lun 0/,
  );
  const many = Array.from({ length: 257 }, (_, index) => parseImageArgument(`${index}.img`));
  assert.throws(() => placeImages(many), /image 257/);
});
