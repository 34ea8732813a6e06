import assert from "node:assert/strict";
import { test } from "node:test";
import {
  DeviceError,
  InternalError,
  ProtocolError,
  UnsupportedError,
  type ViolationCode,
  violations,
} from "./index.js";

test("a violation says what, where and which clause, in one line", () => {
  const error = new ProtocolError("next-out-of-range", { queue: 2, head: 7, detail: "next 9 of 8" });
  assert.equal(
    error.message,
    "next-out-of-range: a descriptor's next field points past the table: next 9 of 8 (queue 2, head 7) [virtio 1.2 §2.7.5]",
  );
  assert.deepEqual([error.name, error.code, error.queue, error.head], ["ProtocolError", "next-out-of-range", 2, 7]);
  assert.equal(error.section, "virtio 1.2 §2.7.5");
  assert.equal(new ProtocolError("device-gone").message.includes("("), false);
});

test("every violation has a clause and one line of words, and a name in lower case", () => {
  const codes = Object.keys(violations) as ViolationCode[];
  assert.ok(codes.length >= 30);
  for (const code of codes) {
    assert.match(code, /^[a-z0-9]+(-[a-z0-9]+)*$/);
    assert.match(violations[code].section, /§|^vhost-user, /);
    assert.doesNotMatch(new ProtocolError(code).message, /\n/);
  }
  assert.equal(new Set(codes.map((code) => violations[code].text)).size, codes.length, "no two say the same");
});

test("the kinds of failure can be told apart by class and by name", () => {
  const cause = new Error("below");
  for (const Kind of [DeviceError, UnsupportedError, InternalError]) {
    const error = new Kind("text", { cause });
    assert.equal(error.name, Kind.name);
    assert.equal(error.cause, cause);
    assert.equal(error instanceof ProtocolError, false);
  }
});
