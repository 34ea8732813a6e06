import assert from "node:assert/strict";
import { test } from "node:test";
import { Nexus } from "./nexus.js";
import { Attentions } from "./sense-codes.js";
import { attentionQueueLimit, UnitAttentions } from "./unit-attention.js";

const one = new Nexus("one");
const other = new Nexus("other");

function drain(attentions: UnitAttentions, nexus: Nexus): string[] {
  const found: string[] = [];
  for (let code = attentions.take(nexus); code !== undefined; code = attentions.take(nexus)) {
    found.push(`${code.asc.toString(16)}/${code.ascq.toString(16)}`);
  }
  return found;
}

test("SAM-5 §5.14 every new nexus finds the power-on condition once", () => {
  const attentions = new UnitAttentions(true);
  assert.deepEqual(drain(attentions, one), ["29/0"]);
  assert.deepEqual(drain(attentions, one), []);
  assert.deepEqual(drain(attentions, other), ["29/0"]);
  assert.deepEqual(drain(new UnitAttentions(false), one), []);
});

test("SAM-5 §5.14 conditions are queued per nexus, resets first", () => {
  const attentions = new UnitAttentions(false);
  drain(attentions, one);
  drain(attentions, other);
  attentions.queueForAll(Attentions.capacityChanged, other);
  attentions.queueForAll(Attentions.reportedLunsChanged);
  attentions.queueFor(one, Attentions.unitReset);
  attentions.queueForAll(Attentions.busReset);
  attentions.queueForAll(Attentions.busReset);
  assert.deepEqual(drain(attentions, one), ["29/2", "29/3", "2a/9", "3f/e"]);
  assert.deepEqual(drain(attentions, other), ["29/2", "3f/e"]);
});

test("power on replaces what was pending, and lesser resets add nothing to it", () => {
  const attentions = new UnitAttentions(false);
  attentions.queueFor(one, Attentions.capacityChanged);
  attentions.queueFor(one, Attentions.powerOn);
  attentions.queueFor(one, Attentions.unitReset);
  attentions.queueFor(one, Attentions.reportedLunsChanged);
  assert.deepEqual(drain(attentions, one), ["29/0", "3f/e"]);
});

test("the queue is bounded and keeps the most important", () => {
  const attentions = new UnitAttentions(false);
  for (let ascq = 0; ascq < 50; ascq++) attentions.queueFor(one, { asc: 0x2a, ascq });
  attentions.queueFor(one, Attentions.busReset);
  const found = drain(attentions, one);
  assert.equal(found.length, attentionQueueLimit);
  assert.equal(found[0], "29/2");
});

test("a condition can be ended without being reported", () => {
  const attentions = new UnitAttentions(true);
  assert.equal(attentions.isPending(one), true);
  attentions.queueFor(one, Attentions.reportedLunsChanged);
  attentions.clear(one, Attentions.reportedLunsChanged);
  assert.deepEqual(drain(attentions, one), ["29/0"]);
});
