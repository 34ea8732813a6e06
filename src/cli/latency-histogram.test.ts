import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LatencyHistogram } from "./latency-histogram.js";

test("without requests every percentile is 0", () => {
  assert.equal(new LatencyHistogram().percentile(0.5), 0);
});

test("percentiles are those of the sorted latencies, within 1.2 %", () => {
  const latency = fc.double({ min: 0.2, max: 50_000_000, noNaN: true });
  fc.assert(
    fc.property(
      fc.array(latency, { minLength: 1, maxLength: 200 }),
      fc.double({ min: 0.01, max: 1, noNaN: true }),
      (all, share) => {
        const histogram = new LatencyHistogram();
        for (const one of all) histogram.add(one);
        const exact = [...all].sort((one, other) => one - other)[Math.ceil(all.length * share) - 1];
        const found = histogram.percentile(share);
        assert.ok(found >= exact * 0.999 && found <= exact * 1.012, `${found} for ${exact}`);
        assert.equal(histogram.largest, Math.max(...all));
      },
    ),
  );
});
