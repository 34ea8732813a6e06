/** `ringside bench ring`: the ring round trip against the same work in C. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ringFormats } from "../src/virtqueue/index.js";
import { buildC, median } from "./compare.js";
import type { RingLoopOptions } from "./ring-round-trip.js";

const rounds = 5;
const perRound = 3_000_000;

type Variant = Omit<RingLoopOptions, "rounds">;

const plain: Variant = {
  ...{ format: "split", indirect: false, eventIndex: false, inOrder: false },
  ...{ endianness: "little", shared: false },
};

/** What every ring format is measured with. */
const features: readonly { name: string; options: Partial<Variant> }[] = [
  { name: "direct", options: {} },
  { name: "direct, event index", options: { eventIndex: true } },
  { name: "indirect", options: { indirect: true } },
  { name: "indirect, event index", options: { indirect: true, eventIndex: true } },
  { name: "direct, in order", options: { inOrder: true } },
  { name: "indirect, event index, in order", options: { indirect: true, eventIndex: true, inOrder: true } },
  { name: "direct, shared memory", options: { shared: true } },
  { name: "direct, observed", options: { observed: true } },
];

const variants: readonly { name: string; options: Variant }[] = [
  ...ringFormats.flatMap((format) =>
    features.map(({ name, options }) => ({ name: `${format}, ${name}`, options: { ...plain, format, ...options } })),
  ),
  // Legacy rings only.
  { name: "split, direct, big-endian", options: { ...plain, endianness: "big" } },
];

const nameWidth = Math.max(...variants.map(({ name }) => name.length));

/**
 * Nanoseconds per round trip in a process that does nothing else: where several formats share one, the compiler has the
 * calls of all of them in mind, and what is measured depends on what was measured before.
 */
function inOwnProcess(options: RingLoopOptions): number {
  const module = JSON.stringify(new URL("./ring-round-trip.js", import.meta.url).href);
  const script = `console.log((await import(${module})).ringRoundTrip(${JSON.stringify(options)}))`;
  return Number(execFileSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" }));
}

/** The C yardstick, built from bench/ring-loop.c. */
export class RingLoopInC {
  readonly #folder = mkdtempSync(join(tmpdir(), "ringside-bench-"));
  readonly #program = buildC("ring-loop.c", this.#folder);

  /** Nanoseconds per round trip. */
  run(): number {
    return Number.parseFloat(execFileSync(this.#program, { encoding: "utf8" }));
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

export async function benchRing(print: (line: string) => void): Promise<void> {
  const yardstick = new RingLoopInC();
  try {
    print(`ring round trip, chain of 3 descriptors, medians of ${rounds} alternating rounds`);
    const inC: number[] = [];
    const ours = new Map<string, number[]>(variants.map(({ name }) => [name, []]));
    for (let round = 0; round < rounds; round++) {
      inC.push(yardstick.run());
      for (const { name, options } of variants) ours.get(name)?.push(inOwnProcess({ ...options, rounds: perRound }));
    }
    const base = median(inC);
    print(`${"C, -O2".padEnd(nameWidth)} ${base.toFixed(1).padStart(7)} ns`);
    for (const [name, values] of ours) {
      const value = median(values);
      print(`${name.padEnd(nameWidth)} ${value.toFixed(1).padStart(7)} ns   ${(value / base).toFixed(1)} × C`);
    }
  } finally {
    yardstick.close();
  }
}
