/** The short, fixed version of every soak. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { soaks } from "./all.js";
import { runSoak, SoakFailure } from "./soak.js";

for (const soak of soaks) {
  test(`${soak.name}: ${soak.title} (${soak.quickRounds} rounds, seed 1)`, async () => {
    const report = await runSoak(soak, { seed: 1, rounds: soak.quickRounds });
    assert.equal(report.rounds, soak.quickRounds);
  });
}

test("a failing round names the command that repeats it", async () => {
  const broken = {
    name: "broken",
    title: "fails in round 3",
    quickRounds: 10,
    start: () => (round: { number: number }) => assert.notEqual(round.number, 3),
  };
  await assert.rejects(runSoak(broken, { seed: 9, rounds: 10 }), (error) => {
    assert.ok(error instanceof SoakFailure);
    assert.match(error.message, /--seed 9 --from 3 --rounds 1 broken/);
    return true;
  });
});
