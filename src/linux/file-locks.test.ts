import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { isLockedByOther, tryLockBytes, unlockBytes } from "./file-locks.js";

const folder = mkdtempSync(join(tmpdir(), "ringside-locks-"));
after(() => rmSync(folder, { recursive: true }));
const path = join(folder, "file");
writeFileSync(path, "");

/** Opens the file twice for one test. */
function withTwo(run: (one: number, other: number) => void): void {
  const one = openSync(path, "r+");
  const other = openSync(path, "r+");
  try {
    run(one, other);
  } finally {
    closeSync(one);
    closeSync(other);
  }
}

describe("byte locks of an open file", { skip: process.platform !== "linux" && "F_OFD_SETLK is Linux's" }, () => {
  test("shared locks of two opens stand side by side, an exclusive one is refused", () => {
    withTwo((one, other) => {
      assert.equal(tryLockBytes(one, 100, 1, "shared"), true);
      assert.equal(tryLockBytes(other, 100, 1, "shared"), true);
      assert.equal(tryLockBytes(other, 100, 1, "exclusive"), false);
      assert.equal(tryLockBytes(other, 101, 1, "exclusive"), true);
    });
  });

  test("asking sees the locks of other opens only, and byte by byte", () => {
    withTwo((one, other) => {
      tryLockBytes(one, 5_000_000_000, 2, "shared");
      assert.equal(isLockedByOther(one, 5_000_000_000, 1, "exclusive"), false);
      assert.equal(isLockedByOther(other, 5_000_000_000, 1, "exclusive"), true);
      assert.equal(isLockedByOther(other, 5_000_000_001, 1, "exclusive"), true);
      assert.equal(isLockedByOther(other, 5_000_000_002, 1, "exclusive"), false);
      assert.equal(isLockedByOther(other, 5_000_000_000, 1, "shared"), false);
    });
  });

  test("unlocking and closing end a lock", () => {
    withTwo((one, other) => {
      tryLockBytes(one, 0, 1, "exclusive");
      assert.equal(tryLockBytes(other, 0, 1, "shared"), false);
      unlockBytes(one, 0, 1);
      assert.equal(tryLockBytes(other, 0, 1, "shared"), true);
      const third = openSync(path, "r+");
      tryLockBytes(third, 9, 1, "exclusive");
      closeSync(third);
      assert.equal(tryLockBytes(other, 9, 1, "exclusive"), true);
    });
  });

  test("a closed descriptor is an error with the system's name", () => {
    const fd = openSync(path, "r");
    closeSync(fd);
    assert.throws(() => isLockedByOther(fd, 0, 1, "exclusive"), /EBADF/);
  });
});
