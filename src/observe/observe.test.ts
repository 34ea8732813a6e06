import assert from "node:assert/strict";
import { test } from "node:test";
import { type AccessWidth, readRegister, windowOf, writeRegister } from "../bytes/index.js";
import { cdb, unitAddress } from "../scsi/index.js";
import { createLoopback } from "../testing/index.js";
import { formatEvent, observeOnly, type TraceCategory, type TraceEvent, tracedWindow } from "./index.js";

test("an event is one line with named values", () => {
  const event: TraceEvent = {
    ...{ category: "ring", source: "queue 2", name: "used" },
    fields: { head: 3, written: 4096, indirect: true, id: 0x1_0000_0000n, text: "x" },
  };
  assert.equal(formatEvent(event), "[ring] queue 2 used head=3 written=0x1000 indirect=true id=0x100000000 text=x");
});

test("an observer of some categories hears of these only", () => {
  const heard: string[] = [];
  const observer = observeOnly(["scsi", "fault"], ({ category }) => heard.push(category));
  for (const category of ["ring", "scsi", "registers", "fault"] as TraceCategory[]) {
    observer.emit({ category, source: "", name: "", fields: {} });
  }
  assert.deepEqual(heard, ["scsi", "fault"]);
});

test("a traced window tells every access by its name and changes none; without an observer it is the window", () => {
  const values: number[] = [];
  const window = windowOf(
    (offset, width) => offset * width,
    (_offset, _width, value) => values.push(value),
  );
  assert.equal(tracedWindow(window, {}, "x", undefined), window);
  const events: TraceEvent[] = [];
  const table = { status: { offset: 4, width: 1, access: "read-write" } } as const;
  const traced = tracedWindow(window, table, "here", { emit: (event) => events.push(event) });
  for (const width of [1, 2, 4] as AccessWidth[]) {
    assert.equal(readRegister(traced, 4, width), 4 * width);
    writeRegister(traced, 4, width, 9);
  }
  assert.deepEqual(values, [9, 9, 9]);
  assert.equal(events.length, 6);
  assert.deepEqual(events[0], {
    ...{ category: "registers", source: "here", name: "read" },
    fields: { register: "status", width: 1, value: 4 },
  });
});

test("a command leaves its trace in every category, from the tables of both halves", async () => {
  const events: TraceEvent[] = [];
  const loop = await createLoopback({ observer: { emit: (event) => events.push(event) } });
  events.length = 0;
  await loop.driver.execute(unitAddress(0, 0), cdb.read10(0, 1), { dataIn: new Uint8Array(512) });
  const lines = events.map(formatEvent);
  for (const expected of [/^\[ring\] queue 2 available/, /^\[ring\] queue 2 pop/, /^\[ring\] queue 2 used/]) {
    assert.ok(
      lines.some((line) => expected.test(line)),
      `${expected} in\n${lines.join("\n")}`,
    );
  }
  assert.ok(lines.some((line) => /^\[scsi\] target 0 lun 0 command .*READ\(10\)/.test(line)));
  assert.ok(lines.some((line) => /^\[scsi\] target 0 lun 0 answer /.test(line)));
  assert.ok(lines.some((line) => line.startsWith("[registers] pci-modern")));
  await loop.close();
});

test("a fault is told before it strikes, a violation when it is found", async () => {
  const events: TraceEvent[] = [];
  const loop = await createLoopback({
    observer: { emit: (event) => events.push(event) },
    faults: { command: () => ({ kind: "error", key: 4, asc: 0x44, ascq: 0 }) },
  });
  await loop.driver.execute(unitAddress(0, 0), cdb.testUnitReady());
  assert.ok(events.some(({ category, name }) => category === "fault" && name === "error"));
  const { available } = loop.adapter.core.queues[2].addresses;
  loop.machine.memory.write(available + 2, Uint8Array.of(0, 0x80));
  loop.adapter.core.notify(2);
  assert.ok(events.some(({ category, name }) => category === "violation" && name === "avail-index-jump"));
  await loop.driver.close();
  await loop.unplug();
});
