/** Targets and chips that break every rule: the driver answers each request once, in bounded time, and says what it saw. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TraceEvent } from "../../observe/index.js";
import { cdb, ScsiResponse, ScsiStatus, unitAddress } from "../../scsi/index.js";
import { seededRandom } from "../../testing/index.js";
import { AdapterFault, adapterFaults, busFree, NcrHostAdapter, Reg, type ScsiWire, type WireTarget } from "../index.js";
import { openRig } from "./adapter-rig.test.js";

/** A target that a test drives: it answers what it likes. */
interface Tricks {
  /** Phases in turn; the last one stays. */
  phase(): number;
  /** What it sends. */
  byte(phase: number): number;
  /** Called when it is selected. */
  selected?(): void;
}

function trickster(tricks: Tricks): WireTarget {
  return {
    selected: () => {
      tricks.selected?.();
      return true;
    },
    reselected: () => {},
    phase: () => tricks.phase(),
    receive: (bytes, at, length) => {
      const phase = tricks.phase();
      const count = phase === 7 ? 1 : Math.min(length, 64);
      for (let index = 0; index < count; index++) bytes[at + index] = tricks.byte(phase);
      return count;
    },
    send: (_bytes, _at, length) => Math.min(length, 64),
    acknowledged: () => {},
    attention: () => {},
    abandoned: () => {},
    busReset: () => {},
  };
}

/** A rig whose target 5 is ours. */
async function withTrickster(
  tricks: Tricks,
  work: (parts: { adapter: NcrHostAdapter; events: TraceEvent[]; wire: ScsiWire }) => Promise<void>,
): Promise<void> {
  const events: TraceEvent[] = [];
  const observer = { emit: (event: TraceEvent) => void (event.category === "violation" && events.push(event)) };
  const rig = await openRig({ driver: { timeout: 150, grace: 20, watch: 5, busSettle: 1, observer } });
  const { wire } = rig.board.chip.port;
  const real = wire.target(5) as WireTarget;
  const fake = trickster(tricks);
  Object.assign(real, fake);
  try {
    await work({ adapter: rig.adapter, events, wire });
  } finally {
    await rig.close();
  }
}

const bad = unitAddress(5, 0);

async function outcome(adapter: NcrHostAdapter): Promise<string> {
  try {
    const answer = await adapter.execute(bad, cdb.inquiry(36), { dataIn: new Uint8Array(36) });
    return `response ${answer.response}`;
  } catch (error) {
    return (error as Error).name;
  }
}

async function othersWork(adapter: NcrHostAdapter): Promise<void> {
  for (let tries = 0; ; tries++) {
    const answer = await adapter.execute(unitAddress(3, 0), cdb.testUnitReady(), { timeout: 5000 });
    if (answer.response === ScsiResponse.Ok && answer.status === ScsiStatus.Good) return;
    assert.ok(tries < 10, JSON.stringify(answer));
  }
}

for (let phase = 0; phase < 8; phase++) {
  test(`a target that asks for phase ${phase} for ever`, () => {
    const random = seededRandom(phase);
    return withTrickster({ phase: () => phase, byte: () => random.below(256) }, async ({ adapter }) => {
      assert.match(await outcome(adapter), /RequestAborted|response [4679]/);
      await othersWork(adapter);
    });
  });
}

test("a target that never asks for anything, and one that leaves at once", async () => {
  await withTrickster({ phase: () => -1, byte: () => 0 }, async ({ adapter }) => {
    assert.equal(await outcome(adapter), "RequestAborted");
    assert.equal(adapter.counters.busResets, 1);
    await othersWork(adapter);
  });
  await withTrickster({ phase: () => busFree, byte: () => 0 }, async ({ adapter }) => {
    assert.equal(await outcome(adapter), `response ${ScsiResponse.Busy}`);
    assert.equal(adapter.counters.busResets, 0);
    await othersWork(adapter);
  });
});

test("garbage phases and bytes, 50 seeds: each command ends once, with a name for what went wrong", async () => {
  for (let seed = 0; seed < 50; seed++) {
    const random = seededRandom(seed);
    const messages = [0, 1, 2, 3, 4, 7, 8, 9, 0x0a, 0x20, 0x23, 0x80, 0xc0, 0xff];
    let phase = 6;
    const turn = () => {
      if (random.below(3) === 0) phase = [6, 2, 1, 0, 3, 7, 7, 7, busFree, 4][random.below(10)];
      return phase;
    };
    const byte = () => (random.below(2) === 0 ? messages[random.below(messages.length)] : random.below(256));
    await withTrickster({ phase: turn, byte }, async ({ adapter, events }) => {
      assert.match(await outcome(adapter), /RequestAborted|response \d/, `seed ${seed}`);
      for (const { name } of events) assert.ok(name in adapterFaults, name);
      assert.equal(adapter.inFlight, 0);
      await othersWork(adapter);
    });
  }
});

test("a target that comes back with a command that nobody knows is told to forget it; one that never stops ends in a bus reset", async () => {
  const said: number[] = [];
  let asked = 0;
  const wanted = [0x80 | 2];
  const queue: number[] = [];
  await withTrickster(
    { phase: () => (queue.length > 0 ? 7 : asked > 0 ? 6 : busFree), byte: () => queue.shift() as number },
    async ({ adapter, events, wire }) => {
      const target = wire.target(5) as WireTarget;
      target.reselected = () => {
        asked = 1;
        queue.push(...wanted);
      };
      target.send = (bytes, at, length) => {
        said.push(...bytes.subarray(at, at + length));
        asked = 0;
        return length;
      };
      wire.requestReselection(5);
      await othersWork(adapter);
      assert.deepEqual(said, [6], "ABORT");
      assert.deepEqual(
        events.map(({ name }) => name),
        ["reselect-unknown"],
      );
      assert.equal(adapter.counters.busResets, 0);
      for (let count = 0; count < 40 && adapter.counters.busResets === 0; count++) {
        wire.requestReselection(5);
        const pending = adapter.execute(unitAddress(3, 0), cdb.testUnitReady());
        target.acknowledged = () => wire.requestReselection(5);
        await pending;
      }
      target.acknowledged = () => {};
      await othersWork(adapter);
    },
  );
});

test("a board whose registers do not keep what is written is not driven", async () => {
  const rig = await openRig();
  const { window } = rig.board.chip;
  const read = window.read32;
  Object.assign(window, { read32: (offset: number) => (read(offset) & ~0x100) >>> 0 });
  await assert.rejects(NcrHostAdapter.open(rig.machine, rig.adapter.board), (error: Error) => {
    assert.ok(error instanceof AdapterFault);
    assert.match(error.message, /^board-broken: .*SCRATCH holds 0x/);
    return true;
  });
  Object.assign(window, { read32: read });
  await rig.close();
});

test("a chip that always has an interrupt pending, and one that stops anywhere: the board is given up by name", async () => {
  for (const trick of ["pending", "vector", "place", "illegal"] as const) {
    const rig = await openRig({ driver: { timeout: 100, grace: 20, watch: 5, busSettle: 1 } });
    const { window } = rig.board.chip;
    const { read8, read32 } = window;
    let isBroken = true;
    Object.assign(window, {
      read8: (offset: number) => (isBroken && (offset & 63) === (Reg.ISTAT ^ 3) ? 0x03 : read8(offset)),
      read32: (offset: number) => {
        const value = read32(offset);
        if (!isBroken) return value;
        const at = offset & 63;
        if (at === 0x0c) return { pending: 0, vector: 4, place: 0x8000, illegal: 1 }[trick];
        if (at === Reg.DSPS) return 0xdead;
        return at === Reg.DSP ? 0x1234 : value;
      },
    });
    const ends = await Promise.allSettled(
      [0, 3, 6, 3].map((id) => rig.adapter.execute(unitAddress(id, 0), cdb.testUnitReady())),
    );
    assert.equal(ends.length, 4);
    for (let count = 0; count < 20 && rig.adapter.failure === undefined; count++) {
      await rig.adapter.execute(unitAddress(0, 0), cdb.testUnitReady()).catch(() => {});
    }
    assert.ok(rig.adapter.failure instanceof AdapterFault, `${trick}: ${rig.adapter.failure}`);
    assert.match(
      rig.adapter.failure.message,
      /^bus-dead: .*(endless-interrupt|unknown-vector|phase-order|script-lost|illegal-instruction)/,
    );
    isBroken = false;
    await rig.close();
  }
});
