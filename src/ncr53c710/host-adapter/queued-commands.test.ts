/** Units that have many commands of ours at once: whose sense data it is, and how many they get. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { CommandFault, TraceEvent } from "../../observe/index.js";
import { buildSense, cdb, parseSense, ScsiResponse, ScsiStatus, unitAddress } from "../../scsi/index.js";
import { StoreError } from "../../storage/index.js";
import { FailingStore, SlowStore } from "../../testing/index.js";
import { Message, type ScsiPhaseTarget } from "../index.js";
import { readRight, unit, withRig } from "./adapter-rig.test.js";
import { ScriptedTarget, steps } from "./scripted-target.test.js";
import { endsUntilGrowth } from "./target-state.js";

const requestSense = 0x03;
const oneBlock = () => ({ dataIn: new Uint8Array(512) });

function senseOf(block: number): number[] {
  const sense = new Uint8Array(32);
  const length = buildSense(sense, "fixed", { key: 3, asc: 0x11, ascq: 0 }, { information: block });
  return [...sense.subarray(0, length)];
}

test("§7.6: many commands of a unit fail at once: each has the sense data of its own block", async () => {
  let count = 0;
  const wrapStore = (store: ConstructorParameters<typeof FailingStore>[0]) => {
    const rule = ({ position }: { position: number }) =>
      (position / 512) % 3 === 0 ? undefined : new StoreError("read", "by rule");
    return new SlowStore(new FailingStore(store, rule), { longestDelay: 2, seed: ++count });
  };
  // The chip works beside the host, so that several commands have failed before the first one is asked about.
  const schedule = (turn: () => void) => void setImmediate(turn);
  const chip = { turns: "scheduled", schedule, instructionsPerTurn: 4 } as const;
  for (const target of [{}, { disconnect: "always" }] as const) {
    await withRig({ wrapStore, target, chip }, async ({ adapter }) => {
      for (const id of [0, 3]) adapter.setQueueing(unitAddress(id, 0), true);
      const all = Array.from({ length: 60 }, async (_, block) => {
        const answer = await adapter.execute(unitAddress(block % 2 === 0 ? 0 : 3, 0), cdb.read10(block, 1), oneBlock());
        const isBad = block % 3 !== 0;
        assert.equal(answer.status, isBad ? ScsiStatus.CheckCondition : ScsiStatus.Good);
        if (isBad) assert.equal(parseSense(answer.sense)?.information, BigInt(block));
      });
      await Promise.all(all);
    });
  }
});

/** A unit that comes back with a second failure before it was asked about the first, and keeps the last sense only. */
test("§7.6: a unit that fails again before it was asked: the older command has no sense data rather than another's", async () => {
  const events: TraceEvent[] = [];
  const observer = { emit: (event: TraceEvent) => void (event.category === "violation" && events.push(event)) };
  await withRig({ driver: { synchronous: false, observer } }, async ({ adapter, board }) => {
    const target = new ScriptedTarget(board.chip.port.wire, 3);
    let kept = 0;
    target.onCommand = ({ tag, cdb: bytes }) => {
      if (bytes[0] === requestSense) return [steps.dataIn(senseOf(kept)), ...steps.end(0)];
      if (bytes[5] === 1) return steps.goAway;
      // The second one: both fail, one directly after the other.
      kept = 2;
      for (const { tag: other } of [...target.heard]) {
        target.comeBack([...steps.return(other), ...steps.end(ScsiStatus.CheckCondition)]);
      }
      assert.ok(tag >= 0);
      return steps.goAway;
    };
    adapter.setQueueing(unit, true);
    const [older, newer] = await Promise.all(
      [1, 2].map((lba) => adapter.execute(unit, cdb.read10(lba, 1), oneBlock())),
    );
    assert.deepEqual([older.response, older.status, older.sense.length], [0, ScsiStatus.CheckCondition, 0]);
    assert.equal(parseSense(newer.sense)?.information, 2n);
    assert.deepEqual(
      events.map(({ name }) => name),
      ["sense-lost"],
    );
    const asked = target.heard.filter(({ cdb: bytes }) => bytes[0] === requestSense);
    assert.deepEqual(
      asked.map(({ tag }) => tag),
      [-1],
      "once, without a tag",
    );
    assert.equal(adapter.counters.busResets, 0);
  });
});

test("§7.6: REQUEST SENSE comes before any other command of ours and before last messages", async () => {
  await withRig({ driver: { synchronous: false, timeout: 0 } }, async ({ adapter, board }) => {
    const target = new ScriptedTarget(board.chip.port.wire, 3);
    const controller = new AbortController();
    target.onCommand = ({ tag, cdb: bytes }) => {
      if (bytes[0] === requestSense) return [steps.dataIn(senseOf(1)), ...steps.end(0)];
      if (bytes[5] !== 2) return bytes[5] === 1 ? steps.goAway : steps.end(0);
      // While this one is on the bus the first one is called off, and fails as soon as the bus is free.
      controller.abort();
      const [{ tag: first }] = target.heard;
      target.comeBack([...steps.return(first), ...steps.end(ScsiStatus.CheckCondition)]);
      assert.ok(tag >= 0);
      return steps.goAway;
    };
    adapter.setQueueing(unit, true);
    const { signal } = controller;
    const failed = adapter.execute(unit, cdb.read10(1, 1), { ...oneBlock(), signal });
    adapter.execute(unit, cdb.read10(2, 1), { ...oneBlock(), timeout: 60 }).catch(() => {});
    const third = adapter.execute(unit, cdb.read10(3, 1), oneBlock());
    assert.equal(parseSense((await failed).sense)?.information, 1n, "it ended before it could be called off");
    assert.equal((await third).status, 0);
    assert.deepEqual(target.heard.map(({ cdb: [operation], tag }) => [operation, tag < 0]).slice(1), [
      [0x28, false],
      [requestSense, true],
      [0x28, false],
    ]);
    assert.deepEqual(target.lastMessages, []);
  });
});

test("§7.6: a command that is called off while another target keeps it from asking for its sense data asks all the same", async () => {
  await withRig({ driver: { synchronous: false, timeout: 0, grace: 1000 } }, async ({ adapter, board }) => {
    const { wire } = board.chip.port;
    const target = new ScriptedTarget(wire, 3);
    const other = new ScriptedTarget(wire, 0);
    other.onCommand = () => {
      // Both come back, first the one that fails; this one then keeps the bus.
      const [{ tag }] = target.heard;
      target.comeBack([...steps.return(tag), ...steps.end(ScsiStatus.CheckCondition)]);
      other.comeBack([...steps.return(0), "silence"]);
      return steps.goAway;
    };
    target.onCommand = ({ cdb: [operation] }) =>
      operation === requestSense ? [steps.dataIn(senseOf(1)), ...steps.end(0)] : steps.goAway;
    for (const address of [unit, unitAddress(0, 0)]) adapter.setQueueing(address, true);
    const controller = new AbortController();
    const failing = adapter.execute(unit, cdb.read10(1, 1), { ...oneBlock(), signal: controller.signal });
    const holding = adapter.execute(unitAddress(0, 0), cdb.read10(2, 1), { ...oneBlock(), timeout: 60 });
    holding.catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(target.heard.length, 1, "nothing can be asked");
    controller.abort();
    assert.equal(parseSense((await failing).sense)?.information, 1n);
    await assert.rejects(holding, /no answer in 60 ms/);
    assert.deepEqual(target.lastMessages, []);
    assert.equal(adapter.counters.busResets, 0);
  });
});

test("a REQUEST SENSE that hangs is called off by ABORT, which ends the unit's other commands with Reset", async () => {
  await withRig({ driver: { synchronous: false, timeout: 0 } }, async ({ adapter, board }) => {
    const target = new ScriptedTarget(board.chip.port.wire, 3);
    target.onCommand = ({ cdb: bytes }) => {
      if (bytes[0] === requestSense) return ["silence"];
      return bytes[5] === 1 ? steps.goAway : steps.end(ScsiStatus.CheckCondition);
    };
    adapter.setQueueing(unit, true);
    const away = adapter.execute(unit, cdb.read10(1, 1), oneBlock());
    const failing = adapter.execute(unit, cdb.read10(2, 1), { ...oneBlock(), timeout: 20 });
    await assert.rejects(failing, /no answer in 20 ms/);
    assert.equal((await away).response, ScsiResponse.Reset);
    assert.deepEqual(target.lastMessages, [Message.Abort]);
    assert.equal(adapter.counters.busResets, 0);
    await readRight(adapter, 1, 1, unitAddress(0, 0));
  });
});

test("TASK SET FULL makes a unit's queue shorter; good ends make it longer again, up to what it was", async () => {
  const room = 16;
  let target: ScsiPhaseTarget | undefined;
  let others = 0;
  let most = 0;
  const faults = {
    command: ({ lun }: { lun: number }): CommandFault => {
      if (lun === 1) return { kind: "never" };
      // Those that are away, and this one.
      most = Math.max(most, (target?.commandsAway ?? 0) - others + 1);
      return { kind: "delay", milliseconds: 1 };
    },
  };
  await withRig(
    { faults, luns: 2, target: { maximumCommands: room }, driver: { tags: 10, timeout: 0 } },
    async (rig) => {
      const { adapter, board } = rig;
      target = board.chip.port.wire.target(3) as ScsiPhaseTarget;
      const other = unitAddress(3, 1);
      for (const address of [unit, other]) adapter.setQueueing(address, true);
      /** Keeps 20 commands waiting or under way until `count` have ended. */
      const run = async (count: number) => {
        most = 0;
        let left = count;
        const lane = async () => {
          while (left-- > 0) {
            assert.equal((await adapter.execute(unit, cdb.testUnitReady())).status, ScsiStatus.Good);
          }
        };
        await Promise.all(Array.from({ length: 20 }, lane));
      };
      await run(60);
      assert.equal(most, 10);
      // The target's room is taken by its other unit but for 6.
      const controller = new AbortController();
      const held = Array.from({ length: 10 }, () =>
        adapter.execute(other, cdb.testUnitReady(), { signal: controller.signal }),
      );
      await new Promise((resolve) => setTimeout(resolve, 5));
      others = target.commandsAway;
      assert.equal(others, 10);
      await run(60);
      assert.equal(most, 6);
      controller.abort();
      await Promise.allSettled(held);
      others = 0;
      await run(20);
      assert.ok(most <= 7, "not at once");
      await run(endsUntilGrowth * 6);
      assert.equal(most, 10);
    },
  );
});
