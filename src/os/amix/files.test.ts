import assert from "node:assert/strict";
import { test } from "node:test";
import { FileSystemError } from "../../filesystem/index.js";
import { amixRig, patterned, storeWith } from "./amix-rig.test.js";
import { AmixFiles, parseAmixPath, rootSlice, SliceError } from "./index.js";

test("a path is a disk's name and a path on it; one without a name is on the root slice", () => {
  assert.deepEqual(parseAmixPath("c8d0s3:/etc/passwd"), { slice: { card: 1, unit: 0, slice: 3 }, path: "/etc/passwd" });
  assert.deepEqual(parseAmixPath("/dev/dsk/c0d0s0:"), { slice: { card: 0, unit: 0, slice: 0 }, path: "" });
  assert.deepEqual(parseAmixPath("/etc"), { slice: rootSlice, path: "/etc" });
  for (const text of [":", ":/etc", "c99d0s0:/", "dh0:etc"]) assert.equal(parseAmixPath(text), undefined, text);
});

test("what cannot be read is said: no disk's name, no such slice, no file system", async () => {
  const rig = await amixRig({ board: "a3000", onboard: { 6: await storeWith(patterned(4096)) } });
  const files = new AmixFiles(rig.kernel);
  await assert.rejects(files.list("dh0:/"), /"dh0:\/" names no disk/);
  await assert.rejects(files.list("/"), SliceError);
  await assert.rejects(files.list("c6d0s0:/"), FileSystemError);
  await assert.rejects(async () => {
    for await (const _ of files.content("c8d0s0:/x"));
  }, /c8d0s0 does not open: error 6 \(ENXIO\)/);
  await rig.close();
});
