/**
 * The A4091 under Amix at random: seven targets through the block driver, the pass-through and tagged commands beside
 * them; disconnection, lost interrupts, commands that hang or fail, parity errors, resets; data against a model.
 */
import assert from "node:assert/strict";
import { RequestAborted } from "../../src/errors/index.js";
import { a4000 } from "../../src/machine/index.js";
import type { DmaMemory } from "../../src/memory/index.js";
import type { A4091Board, ChipOptions, NcrHostAdapter, TargetOptions } from "../../src/ncr53c710/index.js";
import type { CommandFault, FaultHook, TraceEvent, WireFault } from "../../src/observe/index.js";
import { type AmixKernel, gsioInquiry, openAmix } from "../../src/os/index.js";
import { EmbeddedMachine } from "../../src/platform/embedded/index.js";
import { cdb, Disk, parseSense, ScsiBus, ScsiResponse, ScsiStatus, unitAddress } from "../../src/scsi/index.js";
import { MemoryStore, StoreError } from "../../src/storage/index.js";
import { FailingStore, PoisoningDma, type SeededRandom, SlowStore } from "../../src/testing/index.js";
import { blockSize, DiskModel, stampedRun } from "./disk-model.js";
import { type Round, requireCounts, type Soak } from "./soak.js";

const targets = 7;
/** Blocks of a lane: what it has to itself, so that what is there is known whatever the order. */
const laneBlocks = 32;
/** The block driver's lane, and those of tagged commands. */
const lanes = 7;
const diskBlocks = lanes * laneBlocks;
const largest = 12;
/** Reads of these fail in the store, later. */
const isBad = (block: number) => block % 11 === 10;
/** Additional sense of the faults below; the qualifier says which command it is of. */
const markedSense = 0x77;

class Faults implements FaultHook {
  isOn = false;
  readonly #random: SeededRandom;
  readonly #count: Round["count"];

  constructor({ random, count }: Round) {
    this.#random = random;
    this.#count = count;
  }

  command({ cdb: command }: { cdb: Uint8Array }): CommandFault | undefined {
    const random = this.#random;
    if (!this.isOn || (command[0] !== 0x28 && command[0] !== 0x2a) || random.chance(0.8)) return undefined;
    const kinds: readonly CommandFault[] = [
      { kind: "delay", milliseconds: random.below(4) },
      { kind: "error", key: 3, asc: markedSense, ascq: command[5] },
      { kind: "error", key: 3, asc: markedSense, ascq: command[5] },
      random.chance(0.15) ? { kind: "never" } : { kind: "response", response: 5 },
    ];
    const fault = kinds[random.below(kinds.length)];
    this.#count(`fault ${fault.kind}`);
    return fault;
  }

  loseInterrupt(): boolean {
    const isLost = this.isOn && this.#random.chance(0.05);
    if (isLost) this.#count("interrupts lost");
    return isLost;
  }

  wireTransfer(): WireFault | undefined {
    if (!this.isOn || !this.#random.chance(0.002)) return undefined;
    this.#count("parity errors");
    return "parity";
  }
}

/** What a round's lanes share. */
interface Stack {
  readonly round: Round;
  readonly kernel: AmixKernel;
  /** Undefined in the strict profile. */
  readonly adapter: NcrHostAdapter | undefined;
  readonly board: A4091Board;
  readonly dma: DmaMemory;
  readonly models: readonly DiskModel[];
}

function place(random: SeededRandom, lane: number): { block: number; count: number } {
  const count = 1 + random.below(random.chance(0.1) ? largest : 3);
  return { block: lane * laneBlocks + random.below(laneBlocks - count + 1), count };
}

/** Reads and writes through the block driver, one after the other. */
async function useBlockDriver(stack: Stack, unit: number, steps: number): Promise<void> {
  const { round, kernel, dma, models } = stack;
  const { random } = round;
  const block = dma.allocate(largest * blockSize, blockSize);
  const all = block.region.bytes.subarray(block.offset, block.offset + block.size);
  for (let step = 0; step < steps; step++) {
    const { block: first, count } = place(random, 0);
    const bytes = all.subarray(0, count * blockSize);
    const write = random.chance(0.5);
    const stamp = random.below(256);
    bytes.set(write ? stampedRun(stamp, first, count) : new Uint8Array(bytes.length));
    const where = { card: 0, unit, slice: 0, block: first, bcount: bytes.length, addr: block.address };
    const isGood = await kernel.disks.transfer({ ...where, write });
    round.count(isGood ? (write ? "dd writes" : "dd reads compared") : "dd errors");
    if (write) models[unit].written(first, count, isGood ? stamp : undefined);
    else if (isGood) models[unit].compare(bytes, first, `dd, target ${unit}`);
    if (random.chance(0.1) && (await gsioInquiry(kernel.passThrough, { card: 0, unit })) !== undefined) {
      round.count("passed through");
    }
  }
  dma.free(block);
}

/** Tagged commands of the adapter's driver. */
async function useAdapter(stack: Stack, adapter: NcrHostAdapter, unit: number, lane: number, steps: number) {
  const { round, models } = stack;
  const { random, count: tell } = round;
  // Where a write was called off the next one goes: that one has to win.
  let again: { block: number; count: number } | undefined;
  for (let step = 0; step < steps; step++) {
    const { block, count } = again ?? place(random, lane);
    again = undefined;
    const isWrite = random.chance(0.5);
    const stamp = random.below(256);
    const bytes = isWrite ? stampedRun(stamp, block, count) : new Uint8Array(count * blockSize);
    const controller = new AbortController();
    if (random.chance(0.08)) setTimeout(() => controller.abort(), random.below(5));
    try {
      const command = isWrite ? cdb.write10(block, count) : cdb.read10(block, count);
      const data = isWrite ? { dataOut: bytes } : { dataIn: bytes };
      const how = { ...data, attribute: random.below(3), signal: controller.signal };
      const { response, status, sense, residual } = await adapter.execute(unitAddress(unit, 0), command, how);
      const isGood = response === ScsiResponse.Ok && status === ScsiStatus.Good;
      if (isGood) assert.equal(residual, 0);
      if (isWrite) models[unit].written(block, count, isGood ? stamp : undefined);
      else if (isGood) models[unit].compare(bytes, block, `target ${unit}`);
      tell(isGood ? (isWrite ? "tagged writes" : "tagged reads compared") : `response ${response} status ${status}`);
      if (response === ScsiResponse.Ok && status === ScsiStatus.CheckCondition) checkSense(round, sense, block, count);
    } catch (error) {
      assert.ok(error instanceof RequestAborted, String(error));
      tell("commands called off");
      if (!isWrite) continue;
      models[unit].written(block, count, undefined);
      again = { block, count };
    }
  }
}

/** Sense data has to be of the command that it came with. */
function checkSense({ count: tell }: Round, bytes: Uint8Array, block: number, count: number): void {
  const sense = parseSense(bytes);
  if (sense === undefined) tell("without sense");
  else if (sense.asc === markedSense) {
    assert.equal(sense.ascq, block & 0xff, "sense data of another command");
    tell("senses compared");
  } else if (sense.asc === 0x11) {
    const at = Number(sense.information ?? block);
    assert.ok(
      at >= block && at < block + count,
      `sense data of block ${at}, not of ${block} and ${count - 1} behind it`,
    );
    tell("senses compared");
  }
}

/** Resets, now and then, while the lanes are at work. */
async function disturb({ round, board }: Stack, adapter: NcrHostAdapter, isOver: () => boolean): Promise<void> {
  const { random, count } = round;
  for (let left = random.below(4); left > 0 && !isOver(); left--) {
    await new Promise((resolve) => setTimeout(resolve, 3 + random.below(15)));
    const kind = random.below(3);
    if (isOver()) return;
    count(["bus resets", "device resets", "resets by others"][kind]);
    if (kind === 0) await adapter.resetBus();
    else if (kind === 1) await adapter.resetTarget(random.below(targets));
    else board.chip.scsiResetWritten(true);
  }
}

async function verify({ kernel, models, dma, round }: Stack): Promise<void> {
  const bytes = 8 * blockSize;
  const block = dma.allocate(bytes, blockSize);
  const data = block.region.bytes.subarray(block.offset, block.offset + bytes);
  for (const [unit, model] of models.entries()) {
    for (let first = 0; first < diskBlocks; first += 8) {
      const where = { card: 0, unit, slice: 0, block: first, bcount: bytes, addr: block.address };
      let isGood = false;
      // What the resets left to say comes first.
      for (let tries = 0; tries < 4 && !isGood; tries++)
        isGood = await kernel.disks.transfer({ ...where, write: false });
      assert.ok(isGood, `target ${unit} does not read from block ${first} on`);
      model.compare(data, first, `at the end, target ${unit}`);
    }
  }
  dma.free(block);
  round.count("disks verified", models.length);
}

function randomTarget(random: SeededRandom): TargetOptions {
  return {
    disconnect: (["slow", "always", "always"] as const)[random.below(3)],
    ...(random.chance(0.5) ? { disconnectEvery: 300 + random.below(2000) } : {}),
    savesPointers: random.chance(0.7),
    synchronousPeriod: [0, 25, 50, 200][random.below(4)],
    rejectsNegotiation: random.chance(0.2),
    repeatsAfterError: random.below(2),
    maximumCommands: 2 + random.below(30),
  };
}

function randomChip(random: SeededRandom): ChipOptions {
  if (random.chance(0.3)) return { selectionTimeout: 1 };
  const schedule = (turn: () => void) => void setImmediate(turn);
  return { selectionTimeout: 1, turns: "scheduled", schedule, instructionsPerTurn: 5 + random.below(60) };
}

async function run(round: Round): Promise<void> {
  const { random } = round;
  const isStrict = round.number % 8 === 7;
  const hasTrouble = !isStrict && random.chance(0.8);
  const faults = new Faults(round);
  const machine = new EmbeddedMachine(a4000, { ramSize: 16 << 20, faults });
  const bus = new ScsiBus();
  const models: DiskModel[] = [];
  let failsReads = false;
  for (let unit = 0; unit < targets; unit++) {
    const isSlow = !isStrict && random.chance(0.5);
    models.push(new DiskModel(diskBlocks, unit));
    const rule = ({ kind, position, length }: { kind: string; position: number; length: number }) => {
      const last = (position + length) / blockSize;
      for (let at = position / blockSize; failsReads && kind === "read" && at < last; at++) {
        if (isBad(at)) return new StoreError("read", "a bad block");
      }
      return undefined;
    };
    const store = new FailingStore(MemoryStore.of(stampedRun(unit, 0, diskBlocks)), rule);
    const slow = isSlow ? new SlowStore(store, { seed: random.below(1000), longestDelay: 6 }) : store;
    bus.attach(unit, 0, new Disk(slow, { powerOnAttention: false, serial: `${unit}` }));
  }
  const board = machine.plugA4091(bus, {
    chip: isStrict ? { selectionTimeout: 0 } : { ...randomChip(random), faults },
    target: { ...(isStrict ? {} : randomTarget(random)), faults },
  });
  const dma = new PoisoningDma(machine.dma, { pieceLength: () => 1 + random.below(3000) });
  const view = Object.create(machine, { dma: { value: dma }, memory: { value: machine.memory } }) as EmbeddedMachine;
  const times = { timeout: 300, grace: 15, watch: 4, busSettle: 1 };
  const completion = random.chance(0.2) ? ("poll" as const) : ("interrupt" as const);
  let hasLostSense = false;
  // What the driver calls a violation, by name; with parity errors in messages there are some.
  const observer = {
    emit: ({ category, name }: TraceEvent) => {
      if (category === "violation") round.count(`violation ${name}`);
      hasLostSense ||= name === "sense-lost";
    },
  };
  const amix = await openAmix(view, {
    observer,
    profile: isStrict ? "strict" : "extended",
    adapter: { ...times, completion, tags: [0, 2, 8, 32][random.below(4)], disconnect: random.chance(0.9) },
  });
  const { kernel } = amix;
  const [adapter] = amix.adapters.values();
  const stack: Stack = { round, kernel, adapter, board, dma, models };
  for (let unit = 0; unit < targets; unit++) {
    assert.equal(await kernel.disks.open({ card: 0, unit, slice: 0 }), 0, `target ${unit} does not open`);
    adapter?.setQueueing(unitAddress(unit, 0), random.chance(0.8));
  }
  faults.isOn = hasTrouble;
  failsReads = hasTrouble;
  const steps = 3 + random.below(5);
  const work: Promise<void>[] = [];
  for (let unit = 0; unit < targets; unit++) {
    work.push(useBlockDriver(stack, unit, steps));
    for (let lane = 1; adapter !== undefined && lane < lanes; lane++) {
      work.push(useAdapter(stack, adapter, unit, lane, steps));
    }
  }
  let isOver = false;
  const all = Promise.all(work).finally(() => {
    isOver = true;
  });
  if (hasTrouble && adapter !== undefined) await Promise.all([all, disturb(stack, adapter, () => isOver)]);
  await all;
  faults.isOn = false;
  failsReads = false;
  assert.equal(adapter?.failure, undefined, "the driver gave its board up");
  assert.equal(adapter?.inFlight ?? 0, 0);
  assert.equal(hasLostSense, false, "a unit came back with a second failure before it was asked about the first");
  await verify(stack);
  for (const line of kernel.console) assert.match(line, /^A4091 SCSI: disk c\dd0s0: blk\d+ 0x[0-9a-f]+ 0x[0-9a-f]+$/);
  round.count("complaints of dd", kernel.console.length);
  if (adapter !== undefined) {
    const { reselections, lostInterrupts, aborts, deviceResets } = adapter.counters;
    for (const [name, by] of Object.entries({ reselections, lostInterrupts, aborts, deviceResets })) {
      round.count(`driver: ${name}`, by);
    }
  }
  await amix.close();
  dma.assertNothingAllocated();
  await machine.close();
  await bus.close();
  round.count(isStrict ? "strict" : "extended");
}

export const amix: Soak = {
  name: "amix",
  title: "the A4091 under Amix: seven targets, tags, disconnection, faults and resets, data and sense compared",
  quickRounds: 8,
  start: () => run,
  goals(counts, rounds) {
    if (rounds < 32) return;
    requireCounts(counts, ["dd reads compared", "tagged reads compared", "senses compared", "dd errors"], 100);
    requireCounts(counts, ["interrupts lost", "parity errors", "commands called off", "driver: reselections"], 50);
    requireCounts(counts, ["bus resets", "device resets", "resets by others", "strict"], 3);
  },
};
