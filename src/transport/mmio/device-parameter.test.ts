import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatMmioWindow, parseMmioWindows } from "./device-parameter.js";

test("R-1412: <size>@<base>:<irq>[:<id>], several times, one device each", () => {
  assert.deepEqual(parseMmioWindows("virtio_mmio.device=512@0x1000:5", "0x200@0x2000:6:9"), [
    { size: 512, base: 0x1000, irq: 5, id: 0 },
    { size: 512, base: 0x2000, irq: 6, id: 9 },
  ]);
  assert.equal(parseMmioWindows("virtio_mmio.device=1K@0x1000:5 virtio_mmio.device=1K@0x2000:6").length, 2);
  assert.deepEqual(parseMmioWindows(), []);
});

test("R-1413: the size takes K, M and G; the specification's example", () => {
  assert.deepEqual(parseMmioWindows("1K@0x100b0000:48:7"), [{ size: 1024, base: 0x100b0000, irq: 48, id: 7 }]);
  assert.deepEqual(
    ["3@0:1", "3K@0:1", "3M@0:1", "3G@0:1", "2k@0:1", "0x10M@0:1"].map((text) => parseMmioWindows(text)[0].size),
    [3, 3 * 2 ** 10, 3 * 2 ** 20, 3 * 2 ** 30, 2048, 2 ** 24],
  );
});

test("R-1414: without an id they count on from the last one used", () => {
  const ids = (...texts: string[]) => parseMmioWindows(...texts).map(({ id }) => id);
  assert.deepEqual(ids("1K@0x0:1", "1K@0x1000:2", "1K@0x2000:3:7", "1K@0x3000:4", "1K@0x4000:5:3"), [0, 1, 7, 8, 3]);
  assert.throws(() => ids("1K@0x0:1:1", "1K@0x1000:2:1"), /id 1 is taken/);
  assert.throws(() => ids("1K@0x0:1:4", "1K@0x1000:2:3", "1K@0x2000:3"), /id 4 is taken/);
});

test("A-30: size and base are decimal, hexadecimal or octal; irq and id are decimal", () => {
  const [window] = parseMmioWindows("01000@0100000:010:011");
  assert.deepEqual(window, { size: 512, base: 0o100000, irq: 10, id: 11 });
  assert.equal(parseMmioWindows("512@65536:8")[0].base, 65536);
  assert.throws(() => parseMmioWindows("0900@0:1"), /"0900" is no octal number/);
});

test("R-1415: refused with a reason: no @, no irq, text after the last field, size 0, base without digits", () => {
  const refused: [string, RegExp][] = [
    ["1K", /there is no @/],
    ["1K@0x1000", /there is no irq/],
    ["1K@0x1000:", /there is no irq/],
    ["1K@0x1000:5:7:9", /text after the id: "9"/],
    ["1K@0x1000:5:7x", /"7x" is no id/],
    ["1K@0x1000:5:", /"" is no id/],
    ["0@0x1000:5", /the size is 0/],
    ["0x0K@0x1000:5", /the size is 0/],
    ["1K@:5", /there is no base/],
    ["1K@0x:5", /"0x" is no base/],
    ["1K@base:5", /"base" is no base/],
    ["1T@0x1000:5", /"1T" is no size/],
    ["K@0x1000:5", /"K" is no size/],
    ["-1K@0x1000:5", /"-1K" is no size/],
    ["1K@0x1000:0x5", /"0x5" is no irq/],
    ["1K@0x1000:0", /irq 0 is none/],
    ["1K@0x1000@2:5", /no base/],
    ["1K@0xffffffffffffffff:5", /too large/],
    ["9007199254740991@1:5", /ends past 2\^53/],
  ];
  for (const [text, message] of refused) {
    assert.throws(
      () => parseMmioWindows(`virtio_mmio.device=${text}`),
      (error: Error) => {
        assert.ok(error instanceof RangeError);
        assert.match(error.message, message, text);
        assert.match(error.message, /<size>@<base>:<irq>\[:<id>\]/);
        assert.ok(!error.message.includes("\n"));
        return true;
      },
    );
  }
});

test("what is written is read back; any text gives windows or one RangeError", () => {
  const field = fc.integer({ min: 1, max: 0xffff_ffff });
  fc.assert(
    fc.property(field, field, field, field, (size, base, irq, id) => {
      const window = { size, base, irq, id };
      assert.deepEqual(parseMmioWindows(formatMmioWindow(window)), [window]);
    }),
  );
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(..."01289xaKMG@:=") }), (text) => {
      try {
        for (const { size, base, irq } of parseMmioWindows(text)) {
          assert.ok(size > 0 && base >= 0 && irq > 0);
        }
      } catch (error) {
        assert.ok(error instanceof RangeError);
      }
    }),
  );
});
