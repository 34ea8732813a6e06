/** Every requirement has a test, and the table of them is up to date. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { idsIn, projectFolder, requirementParts, requirementsTable, testNamesOf, testsById } from "./table.js";

const root = projectFolder();
const tests = testsById(root);
const ids = requirementParts.flatMap(({ rules }) => rules.map(([id]) => id));

test("every rule has a test whose name has its number", () => {
  assert.deepEqual(
    ids.filter((id) => !tests.has(id)),
    [],
    "rules without a test",
  );
});

test("no test names a rule that is not there", () => {
  assert.deepEqual(
    [...tests.keys()].filter((id) => !ids.includes(id)),
    [],
  );
});

test("numbers follow the parts, each once", () => {
  for (const [index, { rules }] of requirementParts.entries()) {
    for (const [position, [id]] of rules.entries()) {
      assert.equal(id, `R-${index + 1}${String(position + 1).padStart(2, "0")}`);
    }
  }
});

test("docs/REQUIREMENTS.md is what `npm run requirements` writes", () => {
  const written = readFileSync(join(root, "docs/REQUIREMENTS.md"), "utf8").split("\n");
  const wanted = requirementsTable(tests).split("\n");
  const first = wanted.findIndex((line, index) => line !== written[index]);
  assert.equal(written[first], wanted[first], "run `npm run requirements`; the first line that differs");
  assert.equal(written.length, wanted.length);
});

test("names of tests are found in each way of writing them, numbers in each way too", () => {
  const [call, value] = ["test(", "$" + "{order}"];
  const text = `${call}"one \\"two\\"", f);\n${call}\`three ${value}\`, f);\n${call}named("four"), f);\n${call}\n  "five",`;
  assert.deepEqual(testNamesOf(text), ['one \\"two\\"', "three …", "four", "five"]);
  assert.deepEqual(idsIn("R-304 to R-306, A-10: as R-1501 has it (R-12, XR-102)"), [
    ...["R-304", "R-305", "R-306", "R-1501"],
  ]);
});
