/** The whole stack at random: input and output, hot-plugging, task management, resets, freezes and faults, against a model. */
import assert from "node:assert/strict";
import { ProtocolError } from "../../src/errors/index.js";
import type { CommandFault, FaultHook } from "../../src/observe/index.js";
import { cdb, Disk, lunOf, ScsiStatus, targetOf, type UnitAddress, unitAddress } from "../../src/scsi/index.js";
import { MemoryStore } from "../../src/storage/index.js";
import {
  createLoopback,
  type Loopback,
  memoryDisk,
  randomRings,
  ringsKind,
  type SeededRandom,
} from "../../src/testing/index.js";
import { CommandAborted, type CommandResult, ScsiResponse, TaskManagement } from "../../src/virtio/index.js";
import { type Round, requireCounts, type Soak } from "./soak.js";

const places: readonly UnitAddress[] = [
  unitAddress(0, 0),
  unitAddress(0, 1),
  unitAddress(7, 300),
  unitAddress(255, 16383),
];
const diskBytes = 1 << 17;
const blockSize = 512;
/** Among the rings that have to be seen. */
const modernKinds = ["split", "packed", "split in order", "packed in order"].map((rings) => `modern ${rings}`);
const steps = 60;

/** What a disk should hold: a byte for each block, or undefined where a write was cut off. */
type Model = (number | undefined)[];

class Faults implements FaultHook {
  next: CommandFault | undefined;

  command(): CommandFault | undefined {
    const fault = this.next;
    this.next = undefined;
    return fault;
  }
}

class StackRun {
  readonly #round: Round;
  readonly #random: SeededRandom;
  readonly #loop: Loopback;
  readonly #faults: Faults;
  readonly #models = new Map<UnitAddress, Model>();
  readonly #busy = new Set<UnitAddress>();
  readonly #pending = new Set<Promise<void>>();

  constructor(round: Round, loop: Loopback, faults: Faults) {
    this.#round = round;
    this.#random = round.random;
    this.#loop = loop;
    this.#faults = faults;
    for (const place of places.slice(0, 3)) this.#models.set(place, freshModel());
  }

  async run(): Promise<void> {
    for (let step = 0; step < steps; step++) {
      const kind = this.#random.below(20);
      if (kind < 14) this.#transfer();
      else if (kind < 16) await this.#manage();
      else if (kind === 16) this.#hotplug();
      else if (kind === 17) this.#loop.bus.reset("bus-reset");
      else if (kind === 18) await this.#callOff();
      else if (this.#random.chance(0.3)) await this.#freeze();
      else await Promise.all(this.#pending);
    }
    await Promise.all(this.#pending);
    for (const [place, model] of this.#models) await this.#verify(place, model);
  }

  /** Starts a read or a write of some blocks, perhaps with a fault. Units that are busy wait their turn. */
  #transfer(): void {
    const place = places[this.#random.below(places.length)];
    if (this.#busy.has(place)) return;
    this.#busy.add(place);
    const work = this.#transferNow(place).finally(() => {
      this.#busy.delete(place);
      this.#pending.delete(work);
    });
    this.#pending.add(work);
  }

  async #transferNow(place: UnitAddress): Promise<void> {
    const random = this.#random;
    const count = 1 + random.below(random.chance(0.1) ? 128 : 8);
    const lba = random.below(diskBytes / blockSize - count + 1);
    const value = random.below(256);
    const data = new Uint8Array(count * blockSize);
    const isWrite = random.chance(0.5);
    this.#faults.next = this.#fault();
    const queue = random.below(3);
    const result = isWrite
      ? await this.#send(place, cdb.write10(lba, count), { dataOut: data.fill(value), queue })
      : await this.#send(place, cdb.read10(lba, count), { dataIn: data, queue });
    const model = this.#models.get(place);
    if (result === undefined || model === undefined) {
      // Cut off half way, or its unit went: what it wrote, if anything, is not known.
      if (isWrite) model?.fill(undefined, lba, lba + count);
      return;
    }
    this.#round.count(`response ${result.response}`);
    if (result.response !== ScsiResponse.Ok || result.status !== ScsiStatus.Good) {
      if (isWrite) model.fill(undefined, lba, lba + count);
      return;
    }
    assert.equal(result.residual, 0);
    this.#round.count(isWrite ? "writes" : "reads compared");
    if (isWrite) model.fill(value, lba, lba + count);
    else compare(data, model, lba);
  }

  #fault(): CommandFault | undefined {
    const random = this.#random;
    if (random.chance(0.85)) return undefined;
    const kinds: readonly CommandFault[] = [
      { kind: "delay", milliseconds: random.below(3) },
      { kind: "error", key: 3, asc: 0x11, ascq: 0 },
      { kind: "response", response: 5 + random.below(5) },
      { kind: "never" },
    ];
    return kinds[random.below(kinds.length)];
  }

  /** Sends a command; undefined when it was aborted. */
  async #send(
    place: UnitAddress,
    command: Uint8Array,
    data: { dataIn?: Uint8Array; dataOut?: Uint8Array; queue?: number; signal?: AbortSignal; timeout?: number },
  ): Promise<CommandResult | undefined> {
    try {
      return await this.#loop.driver.execute(place, command, { timeout: 20, ...data });
    } catch (error) {
      if (!(error instanceof CommandAborted)) throw error;
      this.#round.count("commands aborted");
      return undefined;
    }
  }

  async #manage(): Promise<void> {
    const place = places[this.#random.below(places.length)];
    const subtype = this.#random.below(8);
    const response = await this.#loop.driver.manageTasks(subtype, place, BigInt(this.#random.below(1000)));
    this.#round.count(`task management ${subtype}`);
    const target = this.#loop.bus.target(targetOf(place));
    if (target === undefined) assert.equal(response, ScsiResponse.BadTarget);
    else if (subtype !== TaskManagement.NexusReset && target.unit(lunOf(place)) === undefined) {
      assert.equal(response, ScsiResponse.IncorrectLun);
    } else assert.notEqual(response, ScsiResponse.BadTarget);
  }

  #hotplug(): void {
    const { bus } = this.#loop;
    const place = places[3];
    if (this.#busy.has(place)) return;
    if (this.#models.delete(place)) bus.detach(targetOf(place), lunOf(place));
    else {
      bus.attach(targetOf(place), lunOf(place), new Disk(new MemoryStore(diskBytes)));
      this.#models.set(place, freshModel());
    }
    this.#round.count("units plugged");
  }

  /** Freezes the driver in the middle of it all; what is sent until it is restored waits, or runs out of time. */
  async #freeze(): Promise<void> {
    const { driver, machine } = this.#loop;
    const freezing = driver.freeze();
    if (this.#random.chance(0.5)) this.#transfer();
    await freezing;
    if (this.#random.chance(0.5)) this.#transfer();
    if (this.#random.chance(0.3)) await machine.idle(this.#random.below(40));
    assert.equal(driver.inFlight, 0, "a frozen driver's device has requests");
    await driver.restore();
    this.#round.count("frozen and restored");
  }

  async #callOff(): Promise<void> {
    const place = places[0];
    if (this.#busy.has(place)) return;
    this.#busy.add(place);
    this.#faults.next = { kind: "never" };
    const controller = new AbortController();
    const sent = this.#send(place, cdb.testUnitReady(), { signal: controller.signal, timeout: 0 });
    controller.abort();
    await sent;
    this.#busy.delete(place);
  }

  async #verify(place: UnitAddress, model: Model): Promise<void> {
    this.#faults.next = undefined;
    const data = new Uint8Array(diskBytes);
    for (let attempt = 0; attempt < 12; attempt++) {
      const result = await this.#send(place, cdb.read10(0, diskBytes / blockSize), { dataIn: data });
      assert.ok(result !== undefined, "a disk without a fault answered nothing");
      if (result.status !== ScsiStatus.Good) continue; // Unit attentions of what happened before.
      compare(data, model, 0);
      return;
    }
    assert.fail("the disk never became ready");
  }
}

function freshModel(): Model {
  return new Array<number | undefined>(diskBytes / blockSize).fill(0);
}

function compare(data: Uint8Array, model: Model, lba: number): void {
  for (let block = 0; block < data.length / blockSize; block++) {
    const value = model[lba + block];
    if (value === undefined) continue;
    const bytes = data.subarray(block * blockSize, (block + 1) * blockSize);
    assert.ok(
      bytes.every((byte) => byte === value),
      `block ${lba + block}: 0x${bytes[0].toString(16)}, expected 0x${value.toString(16)}`,
    );
  }
}

async function run(round: Round): Promise<void> {
  const { random } = round;
  const faults = new Faults();
  const piece = 1 + random.below(8192);
  const rings = randomRings(random);
  const loop = await createLoopback({
    ...rings,
    units: places.slice(0, 3).map((place) => memoryDisk(targetOf(place), lunOf(place), diskBytes)),
    poison: { pieceLength: (left) => Math.min(left, left > 40 * piece ? left : piece) },
    device: { queueSize: 2 ** (6 + random.below(3)), requestQueues: 1 + random.below(3) },
    driver: { requestQueues: 3 },
    faults,
  });
  loop.driver.onFailure((error) => {
    if (error instanceof ProtocolError) round.count(error.code);
  });
  await new StackRun(round, loop, faults).run();
  assert.equal(loop.driver.failure, undefined, "the driver gave its device up");
  await loop.close();
  round.count(ringsKind(rings));
}

export const stack: Soak = {
  name: "stack",
  title: "everything at once, with data compared",
  quickRounds: 12,
  start: () => run,
  goals(counts, rounds) {
    if (rounds >= 100)
      requireCounts(
        counts,
        ["reads compared", "writes", "commands aborted", "units plugged", "frozen and restored"],
        50,
      );
    if (rounds >= 500) requireCounts(counts, modernKinds, 5);
  },
};
