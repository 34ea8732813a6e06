/** virtio-blk through both halves at random: transfers, zeroes, flushes, late and failing stores, removals, freezes, resizes. */
import assert from "node:assert/strict";
import type { BlockFault, FaultHook } from "../../src/observe/index.js";
import { MemoryStore } from "../../src/storage/index.js";
import {
  type BlkLoopback,
  createBlkLoopback,
  randomRings,
  ringsKind,
  type SeededRandom,
  SlowStore,
} from "../../src/testing/index.js";
import { BlkRequestError, RequestAborted, type VirtioBlkDriver } from "../../src/virtio/index.js";
import { type Round, requireCounts, type Soak } from "./soak.js";

const areas = 8;
const areaSectors = 64;
const steps = 60;

/** What a sector should hold: a byte, or undefined where it is not known. */
type Model = (number | undefined)[];

class Faults implements FaultHook {
  readonly #random: SeededRandom;
  rate = 0.1;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  blockRequest(): BlockFault | undefined {
    if (!this.#random.chance(this.rate)) return undefined;
    const kinds: readonly BlockFault[] = [
      { kind: "status", status: 1 + this.#random.below(2) },
      { kind: "delay", milliseconds: this.#random.below(3) },
    ];
    return kinds[this.#random.below(kinds.length)];
  }
}

class BlockRun {
  readonly #round: Round;
  readonly #random: SeededRandom;
  readonly #loop: BlkLoopback;
  readonly #model: Model = new Array<number | undefined>(areas * areaSectors).fill(0);
  /** Each area is used by one operation at a time, so that the model knows what it should hold. */
  readonly #busy = new Set<number>();
  readonly #pending = new Set<Promise<void>>();

  constructor(round: Round, loop: BlkLoopback) {
    this.#round = round;
    this.#random = round.random;
    this.#loop = loop;
  }

  async run(faults: Faults): Promise<void> {
    for (let step = 0; step < steps; step++) {
      if (this.#random.chance(0.88)) this.#start(this.#random.below(areas));
      else if (this.#random.chance(0.8)) await Promise.all(this.#pending);
      else await this.#freeze();
    }
    await Promise.all(this.#pending);
    faults.rate = 0;
    const data = new Uint8Array(areas * areaSectors * 512);
    await this.#loop.driver.readSectors(0, data);
    this.#compare(0, data);
  }

  /** Freezes the driver in the middle of it all; what is sent until it is restored waits. */
  async #freeze(): Promise<void> {
    const { driver, machine } = this.#loop;
    const freezing = driver.freeze();
    if (this.#random.chance(0.5)) this.#start(this.#random.below(areas));
    await freezing;
    if (this.#random.chance(0.5)) this.#start(this.#random.below(areas));
    if (this.#random.chance(0.3)) await machine.idle(this.#random.below(4));
    assert.equal(driver.inFlight, 0, "a frozen driver's device has requests");
    await driver.restore();
    this.#round.count("frozen and restored");
  }

  #start(area: number): void {
    if (this.#busy.has(area)) return;
    this.#busy.add(area);
    const work = this.#operate(area).finally(() => {
      this.#busy.delete(area);
      this.#pending.delete(work);
    });
    this.#pending.add(work);
  }

  async #operate(area: number): Promise<void> {
    const random = this.#random;
    const { driver } = this.#loop;
    const count = 1 + random.below(areaSectors);
    const sector = area * areaSectors + random.below(areaSectors - count + 1);
    const options = { queue: random.below(2) };
    const kind = random.below(10);
    const value = kind < 4 ? random.below(256) : 0;
    try {
      if (kind < 4) await driver.writeSectors(sector, new Uint8Array(count * 512).fill(value), options);
      else if (kind === 4) await driver.writeZeroes([{ sector, sectors: count }], { ...options, unmap: true });
      else if (kind === 5) await driver.flushCache(options);
      else return await this.#read(driver, sector, count, options);
      this.#round.count(["write", "write", "write", "write", "zeroes", "flush"][kind]);
      if (kind < 5) this.#model.fill(value, sector, sector + count);
    } catch (error) {
      this.#forgive(error);
      if (kind < 5) this.#model.fill(undefined, sector, sector + count);
    }
  }

  async #read(driver: VirtioBlkDriver, sector: number, count: number, options: { queue: number }): Promise<void> {
    const data = new Uint8Array(count * 512);
    try {
      await driver.readSectors(sector, data, options);
    } catch (error) {
      this.#forgive(error);
      return;
    }
    this.#compare(sector, data);
    this.#round.count("reads compared");
  }

  #forgive(error: unknown): void {
    if (!(error instanceof BlkRequestError)) throw error;
    this.#round.count("requests failed");
  }

  #compare(sector: number, data: Uint8Array): void {
    for (let index = 0; index < data.length / 512; index++) {
      const value = this.#model[sector + index];
      if (value === undefined) continue;
      const bytes = data.subarray(index * 512, (index + 1) * 512);
      assert.ok(
        bytes.every((byte) => byte === value),
        `sector ${sector + index}: 0x${bytes[0].toString(16)}, expected 0x${value.toString(16)}`,
      );
    }
  }
}

/** Many operations are under way when the driver goes: each ends once, and all memory comes back. */
async function removal(round: Round, loop: BlkLoopback): Promise<void> {
  const count = 1 + round.random.below(60);
  const controllers: AbortController[] = [];
  const abortable = () => {
    const controller = new AbortController();
    controllers.push(controller);
    return { signal: controller.signal };
  };
  const all = Array.from({ length: count }, (_, index) =>
    loop.driver.readSectors(index, new Uint8Array(512 * (1 + round.random.below(20))), {
      queue: index % 2,
      ...(index % 5 === 0 ? abortable() : {}),
    }),
  );
  if (round.random.chance(0.5)) await new Promise((resolve) => setTimeout(resolve, round.random.below(3)));
  if (round.random.chance(0.5)) for (const controller of controllers) controller.abort();
  const outcomes = Promise.allSettled(all);
  if (round.random.chance(0.3)) loop.driver.freeze().catch(() => {});
  await loop.driver.close();
  for (const one of await outcomes) {
    if (one.status === "fulfilled" || one.reason instanceof BlkRequestError) continue;
    const isExpected = one.reason instanceof RequestAborted || /driver was removed/.test(String(one.reason));
    assert.ok(isExpected, String(one.reason));
    round.count("called off by removal");
  }
}

async function run(round: Round): Promise<void> {
  const { random } = round;
  const faults = new Faults(random);
  const memory = new MemoryStore(areas * areaSectors * 512);
  const store = random.chance(0.7) ? new SlowStore(memory, { seed: random.below(2 ** 31), longestDelay: 2 }) : memory;
  const piece = 1 + random.below(6000);
  const rings = randomRings(random);
  const segMax = 1 + random.below(20);
  const loop = await createBlkLoopback({
    ...rings,
    // With one segment a request, a sector has to lie in one piece.
    poison: { pieceLength: (left) => Math.min(left, segMax === 1 ? 512 : Math.max(piece, 512)) },
    device: { queueSize: 2 ** (3 + random.below(5)), queues: 2, segMax, sizeMax: 512 + random.below(8192) },
    driver: { queues: 2, requestBytes: 512 * (1 + random.below(32)), timeout: 2000 },
    store,
    faults,
  });
  await new BlockRun(round, loop).run(faults);
  loop.device.resized(512 * (areas * areaSectors - 1));
  await loop.machine.idle(10);
  assert.equal(loop.driver.info.capacity, areas * areaSectors - 1, "the driver did not see the new size");
  assert.deepEqual([...loop.adapter.core.violations], [], "our driver broke a rule");
  assert.equal(loop.driver.failure, undefined, "the driver gave its device up");
  await removal(round, loop);
  await loop.close();
  round.count(ringsKind(rings));
}

export const blockStack: Soak = {
  name: "block-stack",
  title: "virtio-blk through both halves, everything at once, with data compared",
  quickRounds: 10,
  start: () => run,
  goals(counts, rounds) {
    if (rounds < 100) return;
    requireCounts(
      counts,
      ["reads compared", "write", "zeroes", "flush", "requests failed", "called off by removal", "frozen and restored"],
      50,
    );
  },
};
