/**
 * `ringside bench amigaos`: figures that the original never published. Reads of 4 KiB through virtioscsi.device in both
 * profiles, at depth 1, 8, 16 and 64, on our boards and QEMU's; and what each improvement does by itself, on QEMU's.
 * A figure is the median of several short runs; those that are compared take turns, so that what else the processor
 * does meets all of them.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  amigaone,
  type Board,
  type FoundPciAdapter,
  findVirtioAdapters,
  type Machine,
  pegasos2,
  settle,
} from "../src/machine/index.js";
import {
  type AmigaProfile,
  type AmigaSystem,
  amigaProfiles,
  Command,
  ExecTask,
  type IoRequest,
  type MessagePort,
  type OpenAmigaOptions,
  openAmigaos,
  SoftwarePort,
} from "../src/os/index.js";
import { EmbeddedMachine } from "../src/platform/embedded/index.js";
import { findQemu, startQemuMachine } from "../src/platform/qemu/index.js";
import { Disk, ScsiBus } from "../src/scsi/index.js";
import { MemoryStore } from "../src/storage/index.js";
import { AmigaProgram } from "../src/testing/index.js";
import { featureSet, ringFeatures } from "../src/transport/index.js";
import { knownScsiFeatures, VirtioScsiDevice } from "../src/virtio/index.js";

const imageBytes = 16 << 20;
const usualBytes = 4096;
const depths = [1, 8, 16, 64] as const;
/** Milliseconds of one run, and of what is thrown away before it. */
const runFor = 350;
const warmUpFor = 100;
/** Runs of each row of the first table in one system, and rounds over all rows of a comparison with a system for each. */
const runs = 3;
const rounds = 3;
/** Milliseconds without a completion, after which a run has hung: version 1.5 does that. */
const hangsAfter = 1000;

interface Place {
  readonly name: string;
  readonly board: Board;
  open(): Promise<Machine>;
}

/** What is measured, and how much of it is asked for. */
interface Subject {
  readonly name: string;
  readonly options: OpenAmigaOptions;
  readonly depth: number;
  /** Of one read; default 4096. */
  readonly bytes?: number;
}

/** Subjects of which the first is what the others are compared with. */
interface Comparison {
  readonly title: string;
  readonly depth: number;
  readonly bytes?: number;
  readonly subjects: readonly Pick<Subject, "name" | "options">[];
}

/** One run. */
interface Run {
  readonly rate: number;
  /** Microseconds. */
  readonly latency: number;
  /** For each request. */
  readonly notifies: number;
  readonly interrupts: number;
  readonly failed: number;
}

type Outcome = readonly Run[] | { readonly hungAfter: number };

const { strict, extended } = amigaProfiles;
/** Version 1.5 with used_event in the ring's byte order: on a modern device the original hangs (B32). */
const mended: Partial<AmigaProfile["behaviour"]> = { usedEventOrder: "ring" };
const strictWith = (change: Partial<AmigaProfile["behaviour"]>): OpenAmigaOptions => ({
  profile: { ...strict, behaviour: { ...strict.behaviour, ...mended, ...change } },
});
const extendedWith = (change: Partial<AmigaProfile["commands"]>): OpenAmigaOptions => ({
  profile: { ...extended, commands: { ...extended.commands, ...change } },
});
const without = (...bits: readonly number[]): OpenAmigaOptions => ({
  features: knownScsiFeatures & ~featureSet(...bits),
});

/** The first table's rows on a board. Legacy rings are in the processor's own order: B32 is nothing there. */
function profilesOn(board: Board): readonly Pick<Subject, "name" | "options">[] {
  return [
    { name: "strict", options: { profile: "strict" } },
    ...(board === pegasos2 ? [{ name: "strict, used_event mended (B32)", options: strictWith({}) }] : []),
    { name: "extended", options: {} },
  ];
}

function comparisonsOn(board: Board): readonly Comparison[] {
  const isModern = board === pegasos2;
  const base = isModern ? "strict, used_event mended (B32)" : "strict";
  const scattered = { pages: "scattered" } as const;
  return [
    {
      title: "version 1.5 and one improvement",
      depth: 16,
      subjects: [
        { name: base, options: strictWith({}) },
        { name: "+ notifies only when asked to (B8)", options: strictWith({ kick: "as-needed" }) },
        { name: "+ an interrupt for each answer (Q9)", options: strictWith({ coalescing: "none" }) },
      ],
    },
    {
      title: "version 1.5 with more requests than slots",
      depth: 64,
      subjects: [
        { name: base, options: strictWith({}) },
        {
          name: "+ own slot for commands, others wait (Q1)",
          options: strictWith({ synchronousSlot: "own", overflow: "waits" }),
        },
      ],
    },
    {
      title: "extended, and without one thing",
      depth: 16,
      subjects: [
        { name: "extended", options: {} },
        ...(isModern ? [] : [{ name: "legacy registers", options: { registers: "legacy" } as const }]),
        { name: "no indirect tables", options: without(ringFeatures.INDIRECT_DESC) },
        { name: "no event indices", options: without(ringFeatures.EVENT_IDX) },
        { name: "no bounce buffers: scatter-gather", options: extendedWith({ bounceBytes: 512 }) },
        { name: "no interrupts: polling", options: { interrupts: "none" } },
      ],
    },
    {
      title: "extended, slots",
      depth: 64,
      subjects: [
        { name: "64 slots", options: {} },
        { name: "16 slots (v1.5)", options: { profile: { ...extended, slots: 16 } } },
      ],
    },
    {
      title: "extended, 32 KiB into scattered memory",
      depth: 16,
      bytes: 32768,
      subjects: [
        { name: "64 KiB bounce buffers", options: scattered },
        { name: "4 KiB bounce buffers (v1.5)", options: { ...scattered, ...extendedWith({ bounceBytes: 4096 }) } },
      ],
    },
  ];
}

const columns = "depth     IOPS  lowest-highest    MB/s  latency µs  notifies/req  interrupts/req";
const nameWidth = 44;

export async function benchAmigaos(print: (line: string) => void): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "ringside-bench-"));
  const image = join(folder, "disk.img");
  writeFileSync(image, new Uint8Array(imageBytes).fill(0x5a));
  try {
    print("reads of 4 KiB through BeginIO, a new one at each answer; medians");
    for (const board of [amigaone, pegasos2]) {
      for (const place of placesOf(board, image)) {
        print(`\n${place.name.padEnd(nameWidth)}${columns}`);
        for (const profile of profilesOn(board)) {
          for (const depth of depths)
            print(row({ ...profile, depth }, await measure(place, { ...profile, depth }, runs)));
        }
      }
    }
    for (const board of [amigaone, pegasos2]) {
      const place = placesOf(board, image).at(-1) as Place;
      for (const comparison of comparisonsOn(board)) {
        print(`\n${place.name}: ${comparison.title}\n${"".padEnd(nameWidth)}${columns}    times`);
        for (const line of await compare(place, comparison)) print(line);
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function placesOf(board: Board, image: string): Place[] {
  const ours: Place = {
    name: `${board.name}, ours`,
    board,
    async open() {
      const machine = new EmbeddedMachine(board, { ramSize: 32 << 20 });
      const bus = new ScsiBus();
      bus.attach(0, 0, new Disk(new MemoryStore(imageBytes), { powerOnAttention: false }));
      machine.plugVirtio(new VirtioScsiDevice(bus), { classCode: 0x010000 });
      return machine;
    },
  };
  try {
    findQemu(board);
  } catch {
    return [ours];
  }
  const open = () =>
    startQemuMachine({ board, adapters: [{ kind: "virtio-scsi", disks: [{ image, target: 0, lun: 0 }] }] });
  return [ours, { name: `${board.name}, QEMU's`, board, open }];
}

/** The lines of a comparison. */
async function compare(place: Place, { depth, bytes = usualBytes, subjects }: Comparison): Promise<string[]> {
  const outcomes: Outcome[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const [index, one] of subjects.entries()) {
      const before = outcomes[index] ?? [];
      if ("hungAfter" in before) continue;
      const outcome = await measure(place, { ...one, depth, bytes }, 1);
      outcomes[index] = "hungAfter" in outcome ? outcome : [...before, ...outcome];
    }
  }
  const [base] = outcomes;
  return subjects.map((one, index) => {
    const line = row({ ...one, depth, bytes }, outcomes[index]);
    const outcome = outcomes[index];
    if ("hungAfter" in outcome || "hungAfter" in base) return line;
    const times = median(outcome, "rate") / median(base, "rate");
    return line + times.toFixed(2).padStart(9);
  });
}

/** One row of a table. */
function row({ name, depth, bytes = usualBytes }: Subject, outcome: Outcome): string {
  const label = name.padEnd(nameWidth) + String(depth).padStart(5);
  if ("hungAfter" in outcome) return `${label}  hangs after ${outcome.hungAfter} reads: an interrupt is lost (B32)`;
  const rates = outcome.map(({ rate }) => rate).sort((a, b) => a - b);
  const range = `${Math.round(rates[0])}-${Math.round(rates[rates.length - 1])}`;
  const failed = outcome.reduce((sum, run) => sum + run.failed, 0);
  const figures = [
    String(Math.round(median(outcome, "rate"))).padStart(9),
    range.padStart(16),
    ((median(outcome, "rate") * bytes) / 1e6).toFixed(1).padStart(8),
    median(outcome, "latency").toFixed(1).padStart(12),
    median(outcome, "notifies").toFixed(3).padStart(14),
    median(outcome, "interrupts").toFixed(3).padStart(16),
  ];
  return label + figures.join("") + (failed === 0 ? "" : `  (${failed} failed)`);
}

function median(all: readonly Run[], field: keyof Run): number {
  const sorted = all.map((run) => run[field]).sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

/** Starts a system and runs the subject on it so many times. */
async function measure(place: Place, { options, depth, bytes = usualBytes }: Subject, times: number): Promise<Outcome> {
  const machine = await place.open();
  try {
    const adapters = findVirtioAdapters(machine).filter((adapter): adapter is FoundPciAdapter => adapter.on === "pci");
    const system = await settle(machine, openAmigaos(machine, adapters, options));
    const program = await AmigaProgram.open(system, 0);
    const requests = Array.from({ length: depth }, () =>
      program.request({ command: Command.CMD_READ, data: program.buffer(bytes) }),
    );
    const all: Run[] = [];
    for (let index = -1; index < times; index++) {
      // First what a unit attention costs version 1.5, and what is compiled late.
      const run = await settle(machine, runOnce(system, requests, bytes, index < 0 ? warmUpFor : runFor));
      if ("hungAfter" in run) return { hungAfter: run.hungAfter };
      if (index >= 0) all.push(run);
    }
    await settle(machine, program.close());
    await settle(machine, system.close());
    return all;
  } finally {
    await machine.close();
  }
}

/** Sends each request again as it is answered for so many milliseconds, and waits for the last ones; or nothing comes. */
async function runOnce(
  system: AmigaSystem,
  requests: readonly IoRequest[],
  bytes: number,
  milliseconds: number,
): Promise<Run | { hungAfter: number }> {
  const { exec } = system;
  const { counters } = system.controllers[0];
  const before = { ...counters };
  const sent = new Map<IoRequest, number>();
  const places = imageBytes / bytes;
  const started = performance.now();
  let last = started;
  let inFlight = requests.length;
  let done = 0;
  let failed = 0;
  let latency = 0;
  const isOver = await new Promise<boolean>((resolve) => {
    const begin = (request: IoRequest) => {
      request.ioCommand = Command.CMD_READ;
      request.ioOffset = (done % places) * bytes;
      request.ioLength = bytes;
      sent.set(request, performance.now());
      exec.sendIo(request);
    };
    const port: MessagePort = new SoftwarePort(new ExecTask("lanes"), (message) => {
      const request = message as IoRequest;
      last = performance.now();
      latency += last - (sent.get(request) ?? last);
      done++;
      if (request.ioError !== 0) failed++;
      if (last - started < milliseconds) begin(request);
      else if (--inFlight === 0) {
        clearInterval(watch);
        resolve(true);
      }
    });
    const watch = setInterval(() => {
      if (performance.now() - last < hangsAfter) return;
      clearInterval(watch);
      resolve(false);
    }, 100);
    for (const request of requests) {
      request.replyPort = port;
      begin(request);
    }
  });
  if (!isOver) return { hungAfter: done };
  return {
    rate: (done * 1000) / (last - started),
    latency: (latency / done) * 1000,
    notifies: (counters.notifies - before.notifies) / done,
    interrupts: (counters.interrupts - before.interrupts) / done,
    failed,
  };
}
