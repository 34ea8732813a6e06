/** What the README and the documents show is there, and runs as it stands there. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Interruption } from "../../src/cli/interruption.js";
import { buildProgram } from "../../src/cli/program.js";

// dist/tests/quick/readme.test.js
const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");

const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: Record<string, string> };

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

const documents = ["README.md", ...readdirSync(join(root, "docs")).map((name) => `docs/${name}`)].filter((name) =>
  name.endsWith(".md"),
);

for (const name of documents) {
  const text = readFileSync(join(root, name), "utf8");

  test(`every document that ${name} links exists`, () => {
    for (const [, path] of text.matchAll(/\]\(([^)#:\s]+)(#[^)]*)?\)/g)) {
      assert.ok(existsSync(join(root, dirname(name), path)), `${path} is missing`);
    }
  });

  test(`every command that ${name} shows is there, with its options`, () => {
    const program = buildProgram({ version: "0", interruption: new Interruption() });
    for (const [shown, words] of text.matchAll(/\bringside ([a-z]+\b[^`\n#|>]*)/g)) {
      let command = program.commands.find((one) => one.name() === words.split(" ")[0]);
      // Prose that goes on after the name.
      if (command === undefined) continue;
      command = command.commands.find((one) => one.name() === words.split(" ")[1]) ?? command;
      const known = new Set(["--help", ...command.options.flatMap(({ long, short }) => [long, short])]);
      for (const [option] of words.split(" -- ")[0].matchAll(/(?<=\s)--[a-z][a-z0-9-]*/g)) {
        assert.ok(known.has(option), `${option} in "${shown.trim()}"`);
      }
    }
    for (const [, script] of text.matchAll(/\bnpm run ([a-z0-9:-]+)/g)) {
      assert.ok(script in scripts, `npm run ${script}`);
    }
  });
}
