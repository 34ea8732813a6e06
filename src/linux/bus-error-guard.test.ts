import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { ftruncateSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { guardMemory } from "./bus-error-guard.js";
import { closeDescriptor } from "./descriptor.js";
import { SharedMapping } from "./mapping.js";
import { createMemoryFile } from "./memory-file.js";

const page = 4096;
const options = process.arch === "x64" && process.platform === "linux" ? {} : { skip: "the guard is for x86-64 Linux" };

test("a guarded mapping whose file shrinks reads zeros where it is gone, takes writes, and counts", options, () => {
  const descriptor = createMemoryFile("guarded", 8 * page);
  const { bytes, address } = new SharedMapping(descriptor, 8 * page);
  const guard = guardMemory(address, 8 * page);
  assert.ok(guard !== undefined);
  bytes.fill(7);
  assert.equal(guard.faults, 0);
  ftruncateSync(descriptor, 3 * page);
  assert.equal(bytes[3 * page - 1], 7);
  assert.equal(guard.faults, 0);
  assert.equal(bytes[5 * page + 17], 0);
  assert.equal(guard.faults, 1);
  bytes.fill(9, 6 * page);
  assert.equal(guard.faults, 3);
  assert.equal(bytes[8 * page - 1], 9);
  assert.equal(guard.faults, 3, "a page is lost once");
  guard.close();
  assert.equal(guard.faults, 3, "the count stays");
  closeDescriptor(descriptor);
});

test("ranges come and go in any order and keep their own counts", options, () => {
  const descriptor = createMemoryFile("guarded", page);
  const all = Array.from({ length: 40 }, () => {
    const mapping = new SharedMapping(descriptor, page);
    return { mapping, guard: guardMemory(mapping.address, page) };
  });
  ftruncateSync(descriptor, 0);
  for (const { guard } of all.filter((_, index) => index % 3 === 0)) guard?.close();
  const left = all.filter((_, index) => index % 3 !== 0);
  for (const { mapping } of left.slice(0, 10)) mapping.bytes[1] = 1;
  assert.deepEqual(
    left.map(({ guard }) => guard?.faults),
    left.map((_, index) => (index < 10 ? 1 : 0)),
  );
  for (const { guard } of left) guard?.close();
  closeDescriptor(descriptor);
});

test("a fault in memory that nobody guards ends the process by SIGBUS as ever", options, () => {
  const room = fileURLToPath(new URL("./index.js", import.meta.url));
  const program = `
    import { ftruncateSync } from "node:fs";
    import { createMemoryFile, guardMemory, SharedMapping } from ${JSON.stringify(room)};
    const descriptor = createMemoryFile("x", 8192);
    const guarded = new SharedMapping(descriptor, 8192), bare = new SharedMapping(descriptor, 8192);
    guardMemory(guarded.address, 8192);
    ftruncateSync(descriptor, 0);
    console.log(guarded.bytes[0]);
    console.log(bare.bytes[0]);`;
  const { signal, stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" });
  assert.equal(stdout, "0\n");
  assert.equal(signal, "SIGBUS");
});
