/** What the README shows runs as it stands there. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

// dist/tests/quick/readme.test.js
const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");

test("the README's library example runs, through the package's own subpath exports", async () => {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const example = /```js\n([\s\S]*?)```/.exec(readme)?.[1];
  assert.ok(example !== undefined, "the README has a js example");
  const file = join(root, "dist", "readme-example.mjs");
  writeFileSync(file, example);
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [file], { timeout: 60_000 });
    assert.equal(stdout, "READ(10): status 0\n");
  } finally {
    rmSync(file);
  }
});

test("every document that the README links exists", () => {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  for (const [, path] of readme.matchAll(/\]\(([^)#:]+)\)/g)) {
    assert.doesNotThrow(() => readFileSync(join(root, path)), `${path} is missing`);
  }
});
