import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { deviceOption, driveNodes, emptyQcow2 } from "./index.js";

const folder = mkdtempSync(join(tmpdir(), "ringside-drives-"));
test.after(() => rmSync(folder, { recursive: true }));
const noQemuImg = spawnSync("qemu-img", ["--version"]).status === 0 ? false : "qemu-img is not installed";

for (const size of [0, 512, 1 << 20, 3 * 2 ** 40 + 512, 40 * 2 ** 40]) {
  test(`an empty layer of ${size} bytes is a clean qcow2 image to qemu-img`, { skip: noQemuImg }, () => {
    const path = join(folder, `${size}.qcow2`);
    writeFileSync(path, emptyQcow2(size));
    const check = JSON.parse(execFileSync("qemu-img", ["check", "--output=json", path], { encoding: "utf8" }));
    assert.equal(check["check-errors"], 0);
    assert.equal(check["corruptions"] ?? 0, 0);
    assert.equal(check["leaks"] ?? 0, 0);
    const info = JSON.parse(execFileSync("qemu-img", ["info", "--output=json", path], { encoding: "utf8" }));
    assert.equal(info.format, "qcow2");
    assert.equal(info["virtual-size"], size);
  });
}

test("only `write` opens an image for writing", () => {
  const image = join(folder, "image");
  writeFileSync(image, "");
  truncateSync(image, 1 << 20);
  const modes = (disk: object, name: string) =>
    driveNodes({ image, ...disk }, name, folder).nodes.map((node) => `${node["driver"]} ${node["read-only"]}`);
  assert.deepEqual(modes({}, "a"), ["raw true", "qcow2 undefined"]);
  assert.deepEqual(modes({ write: true }, "b"), ["raw false"]);
  assert.deepEqual(modes({ write: true, readOnly: true }, "c"), ["raw true"]);
  assert.deepEqual(modes({ readOnly: true }, "d"), ["raw true"]);
  assert.deepEqual(modes({ kind: "cd", write: true }, "e"), ["raw true"]);
});

test("an image that is missing or no file is refused by name", () => {
  assert.throws(() => driveNodes({ image: join(folder, "none") }, "x", folder), /no image at .*none$/);
  assert.throws(() => driveNodes({ image: folder }, "x", folder), /is not a regular file$/);
});

test("values in a device option keep their commas", () => {
  assert.equal(
    deviceOption({ driver: "scsi-hd", serial: "a,b", on: true, off: false, n: 3 }),
    "scsi-hd,serial=a,,b,on=on,off=off,n=3",
  );
});
