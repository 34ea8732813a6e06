import assert from "node:assert/strict";
import { test } from "node:test";
import { InflightRecord, inflightRegionSize } from "./inflight.js";

const size = 8;
const fresh = () => new Uint8Array(inflightRegionSize(size));

test("regions of queues lie at multiples of 64 bytes, 16 bytes a descriptor after 16 of header", () => {
  assert.deepEqual([1, 3, 4, 128, 256].map(inflightRegionSize), [64, 64, 128, 2112, 4160]);
});

test("what was begun and not pushed is served again, in the order in which it was begun", () => {
  const bytes = fresh();
  const record = new InflightRecord(bytes, size);
  assert.deepEqual(record.recover(0), []);
  for (const head of [5, 2, 7, 0]) record.begin(head);
  record.push(7);
  record.publish(1);
  assert.deepEqual(new InflightRecord(bytes, size).recover(1), [5, 2, 0]);
});

test("a request that was pushed but not published is served again", () => {
  const bytes = fresh();
  const record = new InflightRecord(bytes, size);
  record.recover(0);
  record.begin(3);
  record.push(3);
  assert.deepEqual(new InflightRecord(bytes, size).recover(0), [3]);
});

test("a batch whose used index was published, but whose entries were not cleared, is done", () => {
  const bytes = fresh();
  const record = new InflightRecord(bytes, size);
  record.recover(10);
  for (const head of [1, 4, 6]) record.begin(head);
  record.push(4);
  record.push(1);
  // The used index in the ring is 12, and the server died before it could write that down.
  assert.deepEqual(new InflightRecord(bytes, size).recover(12), [6]);
});

test("numbering goes on over lives, so that the order stays right", () => {
  const bytes = fresh();
  const first = new InflightRecord(bytes, size);
  first.recover(0);
  for (const head of [6, 1]) first.begin(head);
  const second = new InflightRecord(bytes, size);
  assert.deepEqual(second.recover(0), [6, 1]);
  second.begin(0);
  assert.deepEqual(new InflightRecord(bytes, size).recover(0), [6, 1, 0]);
});

test("a record of another ring size, or another version, is begun afresh", () => {
  const bytes = fresh();
  const record = new InflightRecord(bytes, 4);
  record.recover(0);
  record.begin(1);
  assert.deepEqual(new InflightRecord(bytes, size).recover(0), []);
  assert.deepEqual(new InflightRecord(bytes.fill(0xff), size).recover(7), []);
});

test("any contents give a list of heads that exist, each once", () => {
  const bytes = fresh();
  new InflightRecord(bytes, size).recover(0);
  bytes.fill(1, 16);
  const heads = new InflightRecord(bytes, size).recover(9);
  assert.ok(heads.length <= size && new Set(heads).size === heads.length && heads.every((head) => head < size));
});

test("a number that nobody can have counted to does not spoil the order of what comes", () => {
  const bytes = fresh();
  const spoiled = new InflightRecord(bytes, size);
  spoiled.recover(0);
  spoiled.begin(0);
  new DataView(bytes.buffer).setBigUint64(16 + 8, 2n ** 64n - 1n, true);
  const record = new InflightRecord(bytes, size);
  assert.deepEqual(record.recover(0), [0]);
  for (const head of [2, 1]) record.begin(head);
  assert.deepEqual(new InflightRecord(bytes, size).recover(0), [2, 1, 0]);
});
