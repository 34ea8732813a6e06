import assert from "node:assert/strict";
import { mkdtempSync, openSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import fc from "fast-check";
import { MemoryRegion, Scatter } from "../memory/index.js";
import { PowerLossStore } from "../testing/power-loss-store.js";
import { SlowStore } from "../testing/slow-store.js";
import { FileStore } from "./file/index.js";
import { MemoryStore, OverlayStore, type Store } from "./index.js";

const folder = mkdtempSync(join(tmpdir(), "ringside-model-"));
after(() => rmSync(folder, { recursive: true }));

const size = 300 * 1024 + 512;

/** A scatter whose pieces have the given lengths (the last takes the rest) and do not touch. */
function piecesOf(length: number, cuts: readonly number[]): Scatter {
  const region = new MemoryRegion(0, new Uint8Array(length + 64 * (cuts.length + 2)));
  const scatter = new Scatter();
  let left = length;
  let at = 13;
  for (const cut of [...cuts, Number.MAX_SAFE_INTEGER]) {
    const step = Math.min(left, cut);
    if (step === 0) continue;
    scatter.push(region, at, step);
    at += step + 17;
    left -= step;
  }
  return scatter;
}

type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;
const operation = fc.record({
  kind: fc.constantFrom("write", "write", "read", "read", "discard", "zeroes", "zeroes-keep", "flush"),
  position: fc.oneof(
    fc.nat(size - 1),
    fc.nat(Math.floor((size - 1) / 4096)).map((page) => page * 4096),
  ),
  length: fc.oneof(fc.nat(10_000), fc.nat(size), fc.constantFrom(512, 4096, 8192, 65536)),
  value: fc.integer({ min: 1, max: 255 }),
  cuts: fc.array(fc.integer({ min: 1, max: 5000 }), { maxLength: 4 }),
});

/** Does the operations on the store and on plain bytes and compares what is read, then everything. */
async function compare(store: Store, content: Uint8Array, operations: Operation[]): Promise<void> {
  const model = content.slice();
  for (const { kind, position, length: wanted, value, cuts } of operations) {
    const length = Math.min(wanted, size - position);
    if (kind === "write") {
      const source = piecesOf(length, cuts);
      const bytes = Uint8Array.from({ length }, (_, index) => (value + index) & 0xff);
      source.write(bytes);
      await store.write(position, source, length);
      model.set(bytes, position);
    } else if (kind === "read") {
      const target = piecesOf(length, cuts);
      await store.read(position, target, length);
      assert.deepEqual(target.toBytes(), model.slice(position, position + length));
    } else if (kind === "flush") await store.flush();
    else {
      if (kind === "discard") await store.discard(position, length);
      else await store.writeZeroes(position, length, kind === "zeroes-keep");
      model.fill(0, position, position + length);
    }
  }
  const whole = Scatter.of(new Uint8Array(size));
  await store.read(0, whole, size);
  assert.deepEqual(whole.toBytes(), model);
  for (let position = 0; position < size; ) {
    const { allocated, length } = store.extentAt(position);
    assert.ok(length > 0 && position + length <= size);
    if (!allocated) assert.ok(model.subarray(position, position + length).every((byte) => byte === 0));
    position += length;
  }
  await store.close();
}

const random = Uint8Array.from({ length: size }, (_, index) => (index * 7 + (index >> 9)) & 0xff);
const zeros = new Uint8Array(size);
const path = join(folder, "image");

function file(): Store {
  writeFileSync(path, "");
  truncateSync(path, size);
  return new FileStore(openSync(path, "r+"), { path, byteLength: size, isReadOnly: false });
}

describe("every store behaves as plain bytes do", () => {
  const kinds: [string, () => Store, Uint8Array, number][] = [
    ["memory", () => new MemoryStore(size, { chunkSize: 32 * 1024 }), zeros, 200],
    ["overlay over memory", () => new OverlayStore(MemoryStore.of(random, { isReadOnly: true })), random, 200],
    [
      "overlay over a store that answers late",
      () => new OverlayStore(new SlowStore(MemoryStore.of(random), { longestDelay: 0 })),
      random,
      15,
    ],
    ["overlay over an overlay", () => new OverlayStore(new OverlayStore(MemoryStore.of(random))), random, 50],
    ["file", file, zeros, 50],
    ["memory that loses power, with power", () => new PowerLossStore(size), zeros, 50],
  ];
  for (const [name, make, content, numRuns] of kinds) {
    test(name, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(operation, { maxLength: 20 }), (operations) => compare(make(), content, operations)),
        { numRuns },
      );
    });
  }

  test("a range outside the store is the caller's RangeError, on every store", () => {
    for (const [, make] of kinds) {
      const store = make();
      assert.throws(() => store.read(size - 1, Scatter.of(new Uint8Array(2)), 2), RangeError);
      assert.throws(() => store.read(0, Scatter.of(new Uint8Array(2)), 3), RangeError);
      assert.throws(() => store.write(-1, Scatter.of(new Uint8Array(2)), 2), RangeError);
      assert.throws(() => store.discard(Number.NaN, 1), RangeError);
      store.close();
    }
  });
});
