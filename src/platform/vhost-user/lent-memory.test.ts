import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryLender } from "./lent-memory.js";

test("memory is kept for as long as a thread may look at it: until it was given back as often as it was lent", () => {
  const lender = new MemoryLender();
  const bytes = new Uint8Array(4096);
  const first = lender.lend(bytes, 0x10000);
  assert.deepEqual(lender.lend(bytes, 0x10000), first, "the same memory is one piece");
  assert.equal(lender.size, 1);
  const other = lender.lend(new Uint8Array(4096), 0x10000);
  assert.notEqual(other.key, first.key, "another mapping at an address that was used before is another piece");
  assert.equal(lender.size, 2);
  lender.takeBack(first.key, 1);
  assert.equal(lender.size, 2);
  lender.takeBack(first.key, 1);
  assert.equal(lender.size, 1);
  lender.takeBack(first.key, 1);
  lender.takeBack(other.key, 1);
  assert.equal(lender.size, 0);
});
