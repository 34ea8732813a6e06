/** Commands that are called off, and resets: each step of the ladder, on our own board. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { RequestAborted } from "../../errors/index.js";
import type { CommandFault } from "../../observe/index.js";
import { cdb, ScsiResponse, sendCommand, unitAddress } from "../../scsi/index.js";
import type { WireTarget } from "../index.js";
import { readRight, unit, withRig } from "./adapter-rig.test.js";

test("a command that never ends is called off: ABORT; the target's other commands go on", async () => {
  const faults = {
    command: ({ cdb: bytes }: { cdb: Uint8Array }): CommandFault | undefined =>
      bytes[5] === 99 ? { kind: "never" } : undefined,
  };
  for (const target of [{}, { disconnect: "never" }] as const) {
    await withRig({ faults, target, driver: { timeout: 0 } }, async ({ adapter }) => {
      adapter.setQueueing(unit, true);
      const stuck = adapter.execute(unit, cdb.read10(99, 1), { dataIn: new Uint8Array(512), timeout: 60 });
      const others = [1, 2, 3].map((lba) => readRight(adapter, 1, lba));
      await assert.rejects(stuck, (error: Error) => {
        assert.ok(error instanceof RequestAborted);
        assert.match(error.message, /target 3 lun 0: READ\(10\) lba=99.*no answer in 60 ms/);
        return true;
      });
      const isHeld = "disconnect" in target;
      const settled = await Promise.allSettled(others);
      if (!isHeld) assert.ok(settled.every(({ status }) => status === "fulfilled"));
      assert.equal(adapter.counters.aborts, 1);
      assert.equal(adapter.counters.busResets, isHeld ? 1 : 0, "a target that holds the bus takes no message");
      await readRight(adapter);
    });
  }
});

test("an ABORT that cannot be brought: BUS DEVICE RESET, and the bus goes on; a target that takes neither: bus reset", async () => {
  for (const [deaf, expected] of [
    [1, { aborts: 1, deviceResets: 1, busResets: 0 }],
    [2, { aborts: 1, deviceResets: 1, busResets: 1 }],
  ] as const) {
    const faults = {
      command: ({ cdb: bytes }: { cdb: Uint8Array }): CommandFault | undefined =>
        bytes[5] === 99 ? { kind: "never" } : undefined,
    };
    await withRig({ faults, driver: { timeout: 0 } }, async ({ adapter, board }) => {
      const target = board.chip.port.wire.target(3) as WireTarget;
      const selected = target.selected.bind(target);
      const stuck = adapter.execute(unit, cdb.read10(99, 1), { dataIn: new Uint8Array(512), timeout: 30 });
      let left = deaf as number;
      target.selected = (initiator, attention) => left-- <= 0 && selected(initiator, attention);
      await assert.rejects(stuck, RequestAborted);
      await sendCommand(adapter, unit, cdb.testUnitReady());
      const { aborts, deviceResets, busResets } = adapter.counters;
      assert.deepEqual({ aborts, deviceResets, busResets }, expected);
    });
  }
});

test("a signal calls a command off, sent or not", async () => {
  const faults = { command: (): CommandFault => ({ kind: "never" }) };
  await withRig({ faults }, async ({ adapter }) => {
    const controller = new AbortController();
    const { signal } = controller;
    const both = [1, 2].map((lba) =>
      adapter.execute(unit, cdb.read10(lba, 1), { dataIn: new Uint8Array(512), signal }),
    );
    setTimeout(() => controller.abort(), 10);
    for (const one of both) await assert.rejects(one, RequestAborted);
    await assert.rejects(adapter.execute(unit, cdb.testUnitReady(), { signal }), RequestAborted);
    assert.equal(adapter.inFlight, 0);
  });
});

test("BUS DEVICE RESET ends a target's commands with Reset; a bus reset those of all; sendCommand tries again", async () => {
  let isHeld = true;
  const faults = { command: (): CommandFault | undefined => (isHeld ? { kind: "never" } : undefined) };
  await withRig({ faults }, async ({ adapter }) => {
    const hold = (id: number) => adapter.execute(unitAddress(id, 0), cdb.testUnitReady());
    const one = hold(3);
    const other = hold(0);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await adapter.resetTarget(3);
    assert.equal((await one).response, ScsiResponse.Reset);
    assert.equal(adapter.inFlight, 1);
    await adapter.resetBus();
    assert.equal((await other).response, ScsiResponse.Reset);
    isHeld = false;
    await sendCommand(adapter, unit, cdb.testUnitReady());
    await sendCommand(adapter, unitAddress(0, 0), cdb.testUnitReady());
    await readRight(adapter);
    assert.deepEqual([adapter.counters.deviceResets, adapter.counters.busResets], [1, 1]);
  });
});

test("somebody else's bus reset ends what was under way, and settles", async () => {
  let isHeld = true;
  const faults = { command: (): CommandFault | undefined => (isHeld ? { kind: "never" } : undefined) };
  await withRig({ faults }, async ({ adapter, board }) => {
    const one = adapter.execute(unit, cdb.testUnitReady());
    await new Promise((resolve) => setTimeout(resolve, 5));
    isHeld = false;
    board.chip.scsiResetWritten(true);
    assert.equal((await one).response, ScsiResponse.Reset);
    await sendCommand(adapter, unit, cdb.testUnitReady());
  });
});

test("a request that ended while its calling off had to wait, and was sent again, is left alone", async () => {
  const faults = {
    command: ({ target }: { target: number }): CommandFault =>
      target === 3 ? { kind: "never" } : { kind: "delay", milliseconds: 25 },
  };
  await withRig({ faults, chip: { selectionTimeout: 60 }, driver: { timeout: 0, grace: 500 } }, async (rig) => {
    const { adapter, board } = rig;
    const stuck = adapter.acquireRequest();
    const other = adapter.acquireRequest();
    stuck.pointAt(unit);
    other.pointAt(unitAddress(0, 0));
    for (const request of [stuck, other]) request.setCdb(cdb.testUnitReady());
    const ends: string[] = [];
    const over = new Promise<void>((resolve) => {
      other.onEnd = () => {
        ends.push(`${other.state} ${other.response}`);
        if (ends.length === 1) adapter.submit(other);
        else resolve();
      };
    });
    adapter.submit(stuck);
    adapter.submit(other);
    await new Promise((resolve) => setTimeout(resolve, 5));
    // The first target does not hear ABORT, so that the other request has to wait until BUS DEVICE RESET is done.
    const target = board.chip.port.wire.target(3) as WireTarget;
    const selected = target.selected.bind(target);
    target.selected = (initiator, attention) => adapter.counters.deviceResets > 0 && selected(initiator, attention);
    adapter.callOff(stuck);
    adapter.callOff(other);
    await over;
    assert.deepEqual(ends, ["done 0", "done 0"]);
    assert.equal(stuck.state, "failed");
    const { aborts, deviceResets, busResets } = adapter.counters;
    assert.deepEqual([aborts, deviceResets, busResets], [1, 1, 0]);
    for (const request of [stuck, other]) adapter.releaseRequest(request);
  });
});

test("time in which the processor was busy elsewhere is not a target's: commands are not called off for it", async () => {
  const faults = { command: (): CommandFault => ({ kind: "delay", milliseconds: 15 }) };
  const beBusy = (milliseconds: number) => {
    for (const end = performance.now() + milliseconds; performance.now() < end; );
  };
  await withRig({ faults, driver: { timeout: 150, grace: 50, watch: 5 } }, async ({ adapter }) => {
    // While a command is away, and between two while the next look is due.
    const during = adapter.execute(unit, cdb.testUnitReady());
    await new Promise((resolve) => setImmediate(resolve));
    beBusy(400);
    assert.equal((await during).status, 0);
    beBusy(400);
    assert.equal((await adapter.execute(unit, cdb.testUnitReady())).status, 0);
    assert.equal(adapter.counters.aborts, 0);
  });
});
