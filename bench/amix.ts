/**
 * `ringside bench amix`: commands and bytes a second through Amix's block driver, `sd`, the A4091's driver, chip, wire,
 * target and memory store; interrupts and register accesses a command. A new request follows each end.
 */
import { a4000, type Machine } from "../src/machine/index.js";
import type { DmaBlock } from "../src/memory/index.js";
import { type AmixKernel, type Buf, openAmix } from "../src/os/index.js";
import { EmbeddedMachine } from "../src/platform/embedded/index.js";
import { Disk, ScsiBus } from "../src/scsi/index.js";
import { MemoryStore } from "../src/storage/index.js";
import { countedMachine } from "./counted-machine.js";

const storeBytes = 16 << 20;
const targets = 7;

interface Load {
  readonly profile: "strict" | "extended";
  /** Targets that have a request each. */
  readonly units: number;
  /** Bytes of a request. */
  readonly bytes: number;
  readonly commands: number;
}

const loads: readonly Load[] = (["strict", "extended"] as const).flatMap((profile) => [
  { profile, units: 1, bytes: 4096, commands: 30_000 },
  { profile, units: targets, bytes: 4096, commands: 30_000 },
  { profile, units: 1, bytes: 65_536, commands: 5000 },
  { profile, units: targets, bytes: 65_536, commands: 5000 },
]);

export async function benchAmix(print: (line: string) => void): Promise<void> {
  print("profile   units  bytes  commands/s      MB/s  interrupts/command  accesses/command");
  for (const load of loads) print(await measure(load));
}

async function measure({ profile, units, bytes, commands }: Load): Promise<string> {
  const machine = new EmbeddedMachine(a4000, { ramSize: 16 << 20 });
  const bus = new ScsiBus();
  for (let id = 0; id < targets; id++) {
    bus.attach(id, 0, new Disk(new MemoryStore(storeBytes), { powerOnAttention: false }));
  }
  machine.plugA4091(bus);
  const counted = countedMachine(machine);
  let interrupts = 0;
  const view = Object.create(counted.machine, {
    interrupts: { value: countedInterrupts(machine, () => interrupts++) },
    dma: { value: machine.dma },
    memory: { value: machine.memory },
  }) as Machine;
  const { kernel, close } = await openAmix(view, { profile, adapter: { busSettle: 0 } });
  const lanes: Lane[] = [];
  for (let unit = 0; unit < units; unit++) {
    await kernel.disks.open({ card: 0, unit, slice: 0 });
    lanes.push(new Lane(kernel, machine.dma.allocate(bytes, 4096), unit, bytes));
  }
  const run = (count: number) => Promise.all(lanes.map((lane) => lane.run(Math.ceil(count / units))));
  await run(commands / 10);
  const before = { interrupts, accesses: counted.accesses() };
  const started = performance.now();
  await run(commands);
  const seconds = (performance.now() - started) / 1000;
  const done = Math.ceil(commands / units) * units;
  const each = { interrupts: interrupts - before.interrupts, accesses: counted.accesses() - before.accesses };
  await close();
  await machine.close();
  await bus.close();
  return [
    `${profile.padEnd(8)}${`${units}`.padStart(7)}${`${bytes}`.padStart(7)}`,
    `${Math.round(done / seconds)}`.padStart(12),
    ((done * bytes) / seconds / 1e6).toFixed(1).padStart(10),
    (each.interrupts / done).toFixed(3).padStart(20),
    (each.accesses / done).toFixed(2).padStart(18),
  ].join("");
}

function countedInterrupts(machine: EmbeddedMachine, count: () => void): Machine["interrupts"] {
  const { interrupts } = machine;
  return {
    attachLine: (place, handler) => interrupts.attachLine(place, handler),
    attachZorro: (line, handler) => {
      const attach = interrupts.attachZorro;
      if (attach === undefined) throw new Error("the machine has no Zorro bus");
      return attach(line, () => {
        count();
        handler();
      });
    },
  };
}

/** One request after the other to a unit, without nesting where they end before `strategy` returns. */
class Lane {
  readonly #kernel: AmixKernel;
  readonly #buf: Buf;
  #left = 0;
  #isInside = false;
  #hasEnded = false;
  #resolve: () => void = () => {};

  constructor(kernel: AmixKernel, block: DmaBlock, unit: number, bytes: number) {
    this.#kernel = kernel;
    const place = { card: 0, unit, slice: 0, block: 8, write: false };
    this.#buf = {
      ...{ ...place, bcount: bytes, addr: block.address, error: false, resid: 0 },
      done: () => this.#ended(),
    };
  }

  run(count: number): Promise<void> {
    this.#left = count;
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.#go();
    });
  }

  #go(): void {
    this.#isInside = true;
    for (this.#hasEnded = true; this.#hasEnded && this.#left > 0; ) {
      this.#left--;
      this.#hasEnded = false;
      this.#kernel.disks.strategy(this.#buf);
    }
    this.#isInside = false;
    if (this.#hasEnded) this.#resolve();
  }

  #ended(): void {
    if (this.#buf.error) throw new Error("a request failed");
    this.#hasEnded = true;
    if (!this.#isInside) this.#go();
  }
}
