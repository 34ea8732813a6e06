import assert from "node:assert/strict";
import { test } from "node:test";
import { Nexus } from "./nexus.js";
import { buildTransportId, parseTransportId } from "./transport-id.js";

test("initiators whose names iSCSI cannot have, or that differ in case only, stay apart", () => {
  const ports = ["vm 1", "vm-1", "VM-1", "", "x".repeat(300), "ä"].map((name) => new Nexus(name).initiatorPort);
  assert.equal(new Set(ports).size, ports.length);
  for (const port of ports) assert.match(port, /^[a-z0-9.:,-]{1,240}$/);
  assert.equal(new Nexus("vm 1").initiatorPort, ports[0], "the same after a restart");
});

test("SPC-4 §7.6.4: a TransportID is a multiple of 4 bytes, at least 24, and reads back", () => {
  for (const name of ["a", "ab", "abc", "abcd", "x".repeat(150)]) {
    const { initiatorPort } = new Nexus(name);
    const id = buildTransportId(initiatorPort);
    assert.equal(id.length % 4, 0);
    assert.equal(id[id.length - 1], 0, "the name ends with a zero");
    assert.equal(parseTransportId(id), initiatorPort);
  }
  assert.equal(buildTransportId("").length, 24);
  assert.equal(parseTransportId(new Uint8Array(24)), undefined, "Fibre Channel's form");
});
