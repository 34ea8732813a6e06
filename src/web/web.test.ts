/** What the page is made of, without a browser. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Scatter } from "../memory/index.js";
import { OverlayStore, TalliedStore, Tally } from "../storage/index.js";
import { PickedFileStore } from "./picked-file-store.js";
import { bytesOfKey, SerialText } from "./serial-pane.js";

function typed(text: string): string {
  const serial = new SerialText();
  for (const byte of new TextEncoder().encode(text)) serial.put(byte);
  return serial.text;
}

test("serial text: lines, returns and backspaces as a terminal has them; colours and cursors are left out", () => {
  assert.equal(typed("one\r\ntwo"), "one\ntwo");
  assert.equal(typed("12345\rab"), "ab345");
  assert.equal(typed("abd\bc"), "abc");
  assert.equal(typed("\x1b[1;31mred\x1b[0m \x1b[2J\x1b(Bplain"), "red plain");
  assert.equal(typed("\b\bx"), "x");
});

test("serial text: it does not grow without end, and a broken escape does not swallow the rest", () => {
  assert.ok(typed("0123456789abcde\n".repeat(20_000)).length <= 100_100);
  assert.ok(typed(`\x1b[${"1;".repeat(40)}visible`).endsWith("visible"));
});

test("keys: what a terminal sends for them", () => {
  assert.equal(bytesOfKey("a", false), "a");
  assert.equal(bytesOfKey("Enter", false), "\r");
  assert.equal(bytesOfKey("c", true), "\x03");
  assert.equal(bytesOfKey("Z", true), "\x1a");
  assert.equal(bytesOfKey("F5", false), undefined);
  assert.equal(bytesOfKey("Enter", true), undefined);
});

test("a picked file: read late, then at once; over it the guest's writes, and the file stays as it was", async () => {
  const bytes = new Uint8Array((3 << 20) + 100).map((_, at) => (at * 7 + (at >> 12)) & 0xff);
  const original = bytes.slice();
  const file = new PickedFileStore(new Blob([bytes]));
  assert.equal(file.byteLength, (3 << 20) + 512);
  const tally = new Tally();
  const store = new TalliedStore(new OverlayStore(file), tally);
  const read = async (at: number, length: number) => {
    const into = new Uint8Array(length);
    const answer = store.read(at, Scatter.of(into), length);
    const isLate = answer !== undefined;
    await answer;
    return { into, isLate };
  };
  const across = await read((1 << 20) - 512, 1024);
  assert.ok(across.isLate);
  assert.deepEqual(across.into, original.slice((1 << 20) - 512, (1 << 20) + 512));
  assert.equal((await read((1 << 20) - 512, 1024)).isLate, false, "the second time it is there");
  const end = await read(file.byteLength - 512, 512);
  assert.deepEqual(end.into.subarray(0, 100), original.subarray(3 << 20));
  assert.deepEqual(end.into.subarray(100), new Uint8Array(412));
  await store.write(512, Scatter.of(new Uint8Array(512).fill(9)), 512);
  assert.deepEqual((await read(512, 512)).into, new Uint8Array(512).fill(9));
  assert.deepEqual(bytes, original);
  assert.deepEqual([tally.reads, tally.writes, tally.bytesWritten], [4, 1, 512]);
  assert.throws(() => file.write(), { name: "StoreError", code: "read-only" });
});

test("a picked file that cannot be read any more fails the request, and is asked again the next time", async () => {
  const whole = new Blob([new Uint8Array(4096).fill(5)]);
  let isGone = true;
  const file = new PickedFileStore({
    size: 4096,
    name: "disk.img",
    slice: (from, to) => {
      if (isGone) throw new TypeError("gone");
      return whole.slice(from, to);
    },
  });
  const into = new Uint8Array(512);
  await assert.rejects(async () => file.read(0, Scatter.of(into), 512), /disk\.img cannot be read/);
  isGone = false;
  await file.read(0, Scatter.of(into), 512);
  assert.equal(into[0], 5);
});

test("a picked file keeps a bounded part in memory", async () => {
  let asked = 0;
  const file = new PickedFileStore({
    size: 100 << 20,
    slice: (from, to) => {
      asked++;
      return new Blob([new Uint8Array(to - from)]);
    },
  });
  const into = new Uint8Array(512);
  for (let window = 0; window < 100; window++) await file.read(window << 20, Scatter.of(into), 512);
  await file.read(99 << 20, Scatter.of(into), 512);
  assert.equal(asked, 100);
  await file.read(0, Scatter.of(into), 512);
  assert.equal(asked, 101, "the first one was let go");
});
