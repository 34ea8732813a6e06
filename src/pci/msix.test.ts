import assert from "node:assert/strict";
import { test } from "node:test";
import { pc } from "../machine/index.js";
import {
  commandBits,
  enumeratePci,
  MsixTable,
  MsixVectors,
  makeHostBridges,
  PciDeviceFunction,
  type PciFunctionHandle,
  ProcessorDecoder,
  type MsixVectors as Vectors,
} from "./index.js";

interface Setup {
  table: MsixTable;
  fn: PciDeviceFunction;
  handle: PciFunctionHandle;
  vectors: Vectors;
  messages: [number, number][];
  changes: string[];
}

/** A function with MSI-X on the PC's bus, found and enabled by the driver half. */
function setup(count = 4): Setup {
  const messages: [number, number][] = [];
  const changes: string[] = [];
  const table = new MsixTable({
    vectors: count,
    bar: 1,
    onChange: ({ enabled, functionMasked }) =>
      changes.push(`${enabled ? "on" : "off"}${functionMasked ? " masked" : ""}`),
  });
  const fn = new PciDeviceFunction({
    ...{ vendorId: 0x1af4, deviceId: 0x1048, classCode: 0x010000, interruptPin: 1, msix: table },
    bars: [undefined, { kind: "memory32", size: 0x1_0000, window: table.window }],
    capabilities: [table.capability],
  });
  const { chips, buses } = makeHostBridges(pc.bridges);
  buses[0].bus.plug(4, 0, fn);
  buses[0].bus.listener = { message: (address, data) => messages.push([address, data]) };
  const handle = enumeratePci(new ProcessorDecoder(chips), pc.bridges).find((found) => found.slot === 4);
  assert.ok(handle !== undefined);
  handle.enable({ memory: true, busMaster: true });
  const vectors = MsixVectors.open(handle);
  assert.ok(vectors !== undefined);
  return { table, fn, handle, vectors, messages, changes };
}

test("PCI 3.0 §6.8.2: a programmed vector sends its message, a masked one waits in the pending bits", () => {
  const { table, vectors, messages, changes } = setup();
  assert.equal(vectors.count, 4);
  table.notify(1);
  assert.equal(table.isPending(1), false, "nothing is remembered while MSI-X is off");
  vectors.enable();
  assert.deepEqual(changes, ["on masked", "on"]);
  vectors.program(1, { address: 0x1_2345_6780, data: 0x4041 });
  table.notify(1);
  assert.deepEqual(messages, [[0x1_2345_6780, 0x4041]]);
  table.notify(2);
  table.notify(2);
  assert.equal(vectors.isPending(2), true);
  assert.equal(vectors.isPending(1), false);
  vectors.program(2, { address: 0x1000, data: 7 });
  assert.deepEqual(messages.slice(1), [[0x1000, 7]], "once, however often it was asked for");
  assert.equal(vectors.isPending(2), false);
});

test("PCI 3.0 §6.8.2.3: the function mask holds back all vectors", () => {
  const { table, vectors, messages } = setup();
  vectors.enable();
  for (const vector of [0, 3]) vectors.program(vector, { address: 0x1000, data: vector });
  vectors.setFunctionMask(true);
  table.notify(3);
  table.notify(0);
  assert.deepEqual(messages, []);
  vectors.setFunctionMask(false);
  assert.deepEqual(messages, [
    [0x1000, 0],
    [0x1000, 3],
  ]);
});

test("PCI 3.0 §6.8.3: messages need bus mastering, and INTx is silent while MSI-X is on", () => {
  const { table, fn, handle, vectors, messages } = setup();
  fn.setInterruptLevel(true);
  assert.equal(fn.interruptLevel, true);
  vectors.enable();
  assert.equal(vectors.enabled, true);
  assert.equal(fn.interruptLevel, false);
  vectors.program(0, { address: 0x1000, data: 1 });
  handle.setCommand(0, commandBits.busMaster);
  table.notify(0);
  assert.deepEqual(messages, []);
  vectors.disable();
  assert.equal(fn.interruptLevel, true);
});

test("reset turns MSI-X off, masks every vector and forgets what was pending", () => {
  const { table, fn, handle, vectors, changes } = setup(70);
  vectors.enable();
  table.notify(69);
  assert.equal(vectors.isPending(69), true);
  fn.reset();
  assert.deepEqual(changes, ["on masked", "on", "off"]);
  assert.equal(table.isPending(69), false);
  assert.equal(table.enabled, false);
  handle.assignBars();
  assert.throws(() => vectors.program(70, { address: 0, data: 0 }), RangeError);
});

test("a table that its BAR does not hold is no table", () => {
  const table = new MsixTable({ vectors: 2048, bar: 1 });
  const fn = new PciDeviceFunction({
    ...{ vendorId: 1, deviceId: 1, classCode: 0x010000, msix: table, capabilities: [table.capability] },
    bars: [undefined, { kind: "memory32", size: 4096, window: table.window }],
  });
  const { chips, buses } = makeHostBridges(pc.bridges);
  buses[0].bus.plug(4, 0, fn);
  const handle = enumeratePci(new ProcessorDecoder(chips), pc.bridges).find((found) => found.slot === 4);
  assert.ok(handle !== undefined);
  assert.equal(MsixVectors.open(handle), undefined);
});

test("structures that overlap or leave their range are refused", () => {
  assert.throws(() => new MsixTable({ vectors: 0, bar: 0 }), RangeError);
  assert.throws(() => new MsixTable({ vectors: 4, bar: 0, tableOffset: 0, pbaOffset: 8 }), RangeError);
  assert.throws(() => new MsixTable({ vectors: 4, bar: 0, tableOffset: 4 }), RangeError);
});
