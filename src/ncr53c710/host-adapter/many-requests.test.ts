/**
 * Many requests at once over seven targets that come and go as they like, while interrupts get lost, commands hang and the
 * bus is reset: each request is answered once, data is right, and memory that was given back stays untouched.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { RequestAborted } from "../../errors/index.js";
import type { FaultHook } from "../../observe/index.js";
import { cdb, ScsiResponse, ScsiStatus, unitAddress } from "../../scsi/index.js";
import { seededRandom } from "../../testing/index.js";
import { blockSize, content, openRig } from "./adapter-rig.test.js";

const blocks = 512;
/** Another seed, to look further. */
const base = Number(process.env["RINGSIDE_SEED"] ?? 0);
const targets = [0, 1, 2, 3, 4, 5, 6];

interface Trouble {
  readonly name: string;
  /** One in so many: 0 for never. */
  readonly lost: number;
  readonly never: number;
  readonly parity: number;
  readonly resets: boolean;
}

const troubles: readonly Trouble[] = [
  { name: "no trouble", lost: 0, never: 0, parity: 0, resets: false },
  { name: "lost interrupts", lost: 15, never: 0, parity: 0, resets: false },
  {
    name: "commands that hang, parity errors, bus resets, lost interrupts",
    lost: 20,
    never: 60,
    parity: 200,
    resets: true,
  },
];

for (const depth of [17, 64, 256]) {
  for (const trouble of troubles) {
    for (const [style, target] of Object.entries({
      "come back at once": { disconnect: "always" },
      "leave in the middle of data": { disconnect: "always", disconnectEvery: 700 },
      "save no pointers": { disconnectEvery: 1300, savesPointers: false },
    } as const)) {
      test(`${depth} requests in flight, targets that ${style}, ${trouble.name}`, async () => {
        await stress(depth, trouble, target, base + depth * 31 + trouble.lost + style.length);
      });
    }
  }
}

async function stress(depth: number, trouble: Trouble, target: object, seed: number): Promise<void> {
  const random = seededRandom(seed);
  const chance = (one: number) => one > 0 && random.below(one) === 0;
  let isOver = false;
  let lost = 0;
  const faults: FaultHook = {
    command: () => (!isOver && chance(trouble.never) ? { kind: "never" } : undefined),
    loseInterrupt: () => {
      const isLost = !isOver && chance(trouble.lost);
      if (isLost) lost++;
      return isLost;
    },
    wireTransfer: () => (!isOver && chance(trouble.parity) ? "parity" : undefined),
  };
  const rig = await openRig({
    ...{ disks: targets, blocks, faults, target: { ...target, maximumCommands: 16 }, ramSize: 32 << 20 },
    // The chip works beside the host: most ends are told by an interrupt, and targets come back at any time.
    chip: {
      turns: "scheduled",
      schedule: (turn) => void setImmediate(turn),
      instructionsPerTurn: 5 + random.below(40),
    },
    poisoning: { pieceLength: () => 1 + random.below(3000) },
    driver: { timeout: trouble.never > 0 ? 400 : 20_000, grace: 40, watch: 3, busSettle: 2 },
  });
  const { adapter } = rig;
  const model = new Map(targets.map((id) => [id, content(id, blocks)]));
  // What a lane of one target has to itself, so that what is there is known whatever the order.
  const lanes = Math.ceil(depth / targets.length);
  const laneBlocks = Math.floor(blocks / lanes);
  for (const id of targets) adapter.setQueueing(unitAddress(id, 0), true);
  let answered = 0;
  const outcomes = { good: 0, reset: 0, aborted: 0, other: 0 };
  const lane = async (index: number) => {
    const id = targets[index % targets.length];
    const first = Math.floor(index / targets.length) * laneBlocks;
    const disk = model.get(id) as Uint8Array;
    let isKnown = true;
    for (let turn = 0; turn < 6; turn++) {
      const at = first + random.below(laneBlocks);
      const count = Math.min(1 + random.below(6), first + laneBlocks - at);
      const isWrite = random.below(2) === 0;
      const bytes = new Uint8Array(count * blockSize);
      if (isWrite) for (let byte = 0; byte < bytes.length; byte++) bytes[byte] = random.below(256);
      const expected = isWrite ? bytes.slice() : disk.slice(at * blockSize, (at + count) * blockSize);
      const command = isWrite ? cdb.write10(at, count) : cdb.read10(at, count);
      try {
        const answer = await adapter.execute(unitAddress(id, 0), command, {
          ...(isWrite ? { dataOut: bytes } : { dataIn: bytes }),
          attribute: random.below(3),
        });
        const isGood = answer.response === ScsiResponse.Ok && answer.status === ScsiStatus.Good;
        if (isGood) {
          outcomes.good++;
          assert.equal(answer.residual, 0);
          if (isWrite) disk.set(expected, at * blockSize);
          else if (isKnown) assert.deepEqual(bytes, expected);
        } else {
          if (answer.response === ScsiResponse.Reset) outcomes.reset++;
          else outcomes.other++;
          // A write that was not answered may have happened or not.
          if (isWrite) isKnown = false;
        }
      } catch (error) {
        assert.ok(error instanceof RequestAborted, String(error));
        outcomes.aborted++;
        if (isWrite) isKnown = false;
      }
      answered++;
    }
  };
  const all = Promise.all(Array.from({ length: depth }, (_, index) => lane(index)));
  if (trouble.resets) {
    for (let count = 0; count < 3; count++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      if (count % 2 === 0) await adapter.resetBus();
      else await Promise.race([adapter.resetTarget(random.below(7)), all]);
    }
  }
  await all;
  isOver = true;
  assert.equal(answered, depth * 6);
  assert.equal(adapter.inFlight, 0);
  if (trouble.never === 0 && trouble.parity === 0) assert.equal(outcomes.good, depth * 6, JSON.stringify(outcomes));
  assert.ok(outcomes.good > depth, JSON.stringify(outcomes));
  if (trouble.lost > 0) assert.ok(lost > 0);
  if (lost > 0 && !trouble.resets) assert.ok(adapter.counters.lostInterrupts > 0);
  assert.ok(adapter.counters.reselections > 0);
  if (process.env["RINGSIDE_VERBOSE"] !== undefined) console.log(outcomes, adapter.counters);
  // It works as before.
  const again = new Uint8Array(blockSize);
  for (const id of targets) {
    for (let tries = 0; ; tries++) {
      const answer = await adapter.execute(unitAddress(id, 0), cdb.read10(0, 1), { dataIn: again });
      if (answer.response === ScsiResponse.Ok && answer.status === ScsiStatus.Good) break;
      assert.ok(tries < 5, JSON.stringify(answer));
    }
  }
  await rig.close();
}
