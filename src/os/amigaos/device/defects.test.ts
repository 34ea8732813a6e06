/**
 * Each known defect of queues, units and discovery is a scenario that holds in the extended profile and in version 1.5's
 * machinery when that is right, and that fails when the defect is put back.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { amigaProfiles } from "../profile.js";
import { queueScenarios } from "./defect-scenarios-queue.test.js";
import { startScenarios } from "./defect-scenarios-start.test.js";
import { unitScenarios } from "./defect-scenarios-units.test.js";
import { deviceDefects } from "./defects.js";
import { extended, profileWith } from "./scenario.test.js";

const scenarios = [...queueScenarios, ...startScenarios, ...unitScenarios];

test("there is a scenario for each defect in the table, and only for those", () => {
  const ids = (list: readonly { readonly id: string }[]) => list.map(({ id }) => id).sort();
  assert.deepEqual(ids(scenarios), ids(deviceDefects));
});

for (const { id, rule, needsDriver = false, run } of scenarios) {
  const defect = deviceDefects.find((candidate) => candidate.id === id);
  test(`${id}: ${rule}`, () => run(extended));
  if (!needsDriver) test(`${id}: ${rule} (version 1.5's machinery, put right)`, () => run(profileWith([])));
  test(`${id} put back (${defect?.text}) is noticed`, async () => {
    await assert.rejects(() => run(profileWith([id])), "the scenario holds with the defect in it");
  });
}

test("version 1.5 has the defects that the table says, and no others", () => {
  const strict: Readonly<Record<string, unknown>> = { ...amigaProfiles.strict.behaviour };
  for (const { id, change, isStrict } of deviceDefects) {
    const isThere = Object.entries(change).every(([field, value]) => strict[field] === value);
    assert.equal(isThere, isStrict, id);
  }
});
