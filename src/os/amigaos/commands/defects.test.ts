/** Each known defect of commands and memory: its rule holds, and does not hold with the defect put back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inTime } from "../../../testing/index.js";
import { runScenario } from "./defect-scenario.test.js";
import { knownScenarios } from "./defect-scenarios-known.test.js";
import { latentScenarios } from "./defect-scenarios-latent.test.js";
import { commandDefects, commandsWith } from "./defects.js";

const commandScenarios = [...knownScenarios, ...latentScenarios];

test("there is a scenario for each defect", () => {
  assert.deepEqual(
    commandScenarios.map(({ id }) => id),
    commandDefects.map(({ id }) => id),
  );
});

test("a defect that there is not is named", () => {
  assert.throws(() => commandsWith({} as never, ["B99"]), /there is no defect B99/);
});

for (const scenario of commandScenarios) {
  const { id, rule } = scenario;
  const found = commandDefects.find((candidate) => candidate.id === id);
  test(`${id}: ${rule}`, () => runScenario(scenario));
  test(`${id} put back (${found?.text}) is noticed`, async () => {
    await assert.rejects(
      () => inTime(runScenario(scenario, found?.change), 5000),
      "the rule holds with the defect in it",
    );
  });
}
