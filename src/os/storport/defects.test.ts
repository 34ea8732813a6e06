/**
 * Chapter 3 of the reference: each known defect is a scenario that holds, and that fails when the defect is put back.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { storportDefects } from "./behaviour.js";
import { dataScenarios } from "./defect-scenarios-data.test.js";
import { requestScenarios } from "./defect-scenarios-requests.test.js";
import { stateScenarios } from "./defect-scenarios-state.test.js";

const scenarios = [...dataScenarios, ...requestScenarios, ...stateScenarios].sort((a, b) => a.number - b.number);

test("there is a scenario for each of the 30 defects", () => {
  const numbers = Array.from({ length: 30 }, (_, index) => index + 1);
  assert.deepEqual(
    storportDefects.map(({ number }) => number),
    numbers,
  );
  assert.deepEqual(
    scenarios.map(({ number }) => number),
    numbers,
  );
});

for (const { number, rule, run } of scenarios) {
  const text = storportDefects[number - 1]?.text;
  test(`defect ${number}: ${rule}`, () => run([]));
  test(`defect ${number} put back (${text}) is noticed`, async () => {
    await assert.rejects(() => run([number]), "the scenario holds with the defect in it");
  });
}
