import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { IoUring, NativeBuffer } from "../../linux/index.js";
import { MemoryRegion, Scatter } from "../../memory/index.js";
import { IoVectors } from "./io-vectors.js";
import { SlowOperation } from "./slow-lane.js";
import { UringLane } from "./uring-lane.js";

const probe = IoUring.open(4);
probe?.close();
const skip = probe === undefined && "io_uring is not to be had here";
const size = 4096;
const operations = 40;

test("the medium works while the turn that asks goes on, and all of a turn is carried out", {
  skip,
  timeout: 10_000,
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "ringside-uring-"));
  const path = join(folder, "disk.img");
  writeFileSync(path, new Uint8Array(operations * size));
  const fd = openSync(path, "r+");
  const ended: number[] = [];
  let whenAll: () => void = () => {};
  const all = new Promise<void>((resolve) => (whenAll = resolve));
  const lane = UringLane.open(fd, operations, (slot, result) => {
    assert.equal(result, size);
    if (ended.push(slot) === operations) whenAll();
  });
  const memory = new NativeBuffer(size);
  memory.bytes.fill(7);
  const scatter = new Scatter();
  scatter.push(new MemoryRegion(0, memory.bytes, { nativeAddress: Number(memory.address) }), 0, size);
  const vectors = new IoVectors(1);
  t.after(() => {
    lane?.close();
    vectors.close();
    closeSync(fd);
    rmSync(folder, { recursive: true });
  });
  const begin = (slot: number) =>
    lane?.begin(SlowOperation.Write, slot * size, vectors.addressOf(0), vectors.fill(0, scatter, size, 0), slot);
  begin(0);
  const byte = new Uint8Array(1);
  for (const deadline = Date.now() + 5000; byte[0] !== 7 && Date.now() < deadline; ) readSync(fd, byte, 0, 1, 0);
  assert.equal(byte[0], 7, "the first is carried out before the turn ends");
  assert.equal(ended.length, 0, "its end is told later");
  for (let slot = 1; slot < operations; slot++) begin(slot);
  await all;
  assert.deepEqual(
    ended.toSorted((a, b) => a - b),
    Array.from({ length: operations }, (_, slot) => slot),
  );
});
