/** The Storport face at random: load, bus resets, stops, devices that fall silent, and large crash dumps, data compared. */
import assert from "node:assert/strict";
import type { BlockFault } from "../../src/observe/index.js";
import { CrashDump, type StorportProfile, storportProfiles } from "../../src/os/index.js";
import { MemoryStore } from "../../src/storage/index.js";
import { diskPattern, openStorportLoop } from "../../src/testing/index.js";
import { type Round, requireCounts, type Soak } from "./soak.js";

const names = ["seed", "scsiport", "current"] as const;
const blocks = 2048;
/** Every so many rounds one writes a whole dump. */
const dumpEvery = 100;
const largeDump = 256 << 20;

async function load(round: Round, name: StorportProfile["name"]): Promise<void> {
  const { random } = round;
  let silentUntil = 0;
  const never: BlockFault = { kind: "never" };
  const loop = await openStorportLoop({
    profile: name,
    flavour: name === "current" && random.chance(0.7) ? "modern" : "legacy",
    interrupts: random.chance(0.5) ? "messages" : "line",
    messageLimit: 1 + random.below(4),
    device: { queues: name === "current" ? 1 + random.below(3) : 1, queueSize: 2 ** (5 + random.below(4)) },
    faults: { blockRequest: () => (performance.now() < silentUntil ? never : undefined) },
    timeout: 60,
  });
  const { disk } = loop;
  await disk.discover();
  const model = new Uint8Array(blocks);
  const areas = 16;
  const size = blocks / areas;
  const lanes = Array.from({ length: areas }, async (_, area) => {
    for (let step = 0; step < 12; step++) {
      const lba = area * size + random.below(size - 8);
      const count = 1 + random.below(8);
      if (random.chance(0.5)) {
        const value = 1 + random.below(255);
        await disk.write(lba, new Uint8Array(count * 512).fill(value));
        model.fill(value, lba, lba + count);
        round.count("writes");
        continue;
      }
      const data = await disk.readBlocks(lba, count);
      for (let at = 0; at < count; at++) assert.equal(data[at * 512 + 9], model[lba + at], `block ${lba + at}`);
      round.count("reads compared");
    }
  });
  const kind = random.below(4);
  if (kind === 0) {
    assert.equal(await disk.port.resetBus(), true);
    round.count("bus resets");
  } else if (kind === 1) {
    await disk.port.stop();
    assert.equal(await disk.port.restart(), true);
    round.count("restarts");
  } else if (kind === 2) {
    silentUntil = performance.now() + 30;
    round.count("silences");
  }
  await Promise.all(lanes);
  await loop.close();
}

async function dump(round: Round, name: StorportProfile["name"], bytes: number): Promise<void> {
  const flavour = name === "current" ? "modern" : "legacy";
  const loop = await openStorportLoop({ profile: name, flavour, store: new MemoryStore(bytes + 4096) });
  loop.disk.port.crash();
  const stack = await CrashDump.open(loop.machine, loop.adapter, { profile: storportProfiles[name] });
  const piece = diskPattern(1 << 20, round.number);
  for (let at = 0; at < bytes; at += piece.length) await stack.write(at / 512, piece);
  await stack.flush();
  for (const at of [0, bytes - piece.length]) assert.deepEqual(await loop.stored(at, piece.length), piece);
  await stack.close();
  await loop.unplug();
  round.count("MiB dumped", bytes >> 20);
}

async function run(round: Round): Promise<void> {
  const name = names[round.number % names.length];
  if (round.number % 10 === 9)
    await dump(round, name, round.number % dumpEvery === dumpEvery - 1 ? largeDump : 2 << 20);
  else await load(round, name);
}

export const storport: Soak = {
  name: "storport",
  title: "the Storport face: load, resets, restarts, silence, crash dumps up to 256 MiB",
  quickRounds: 12,
  start: () => run,
  goals(counts, rounds) {
    if (rounds < 100) return;
    requireCounts(counts, ["bus resets", "restarts", "silences"], 10);
    requireCounts(counts, ["MiB dumped"], 256);
  },
};
