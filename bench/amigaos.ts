/**
 * `ringside bench amigaos`: figures that the original never published. Reads of 4 KiB through virtioscsi.device in both
 * profiles, at depth 1, 8, 16 and 64, on our boards and QEMU's; and what each improvement does by itself.
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
const readBytes = 4096;
const depths = [1, 8, 16, 64] as const;
/** Milliseconds without a completion, after which a run has hung: version 1.5 does that. */
const hangsAfter = 1500;

interface Place {
  readonly name: string;
  readonly requests: number;
  open(): Promise<Machine>;
}

interface Subject {
  readonly name: string;
  readonly options: OpenAmigaOptions;
}

const { strict, extended } = amigaProfiles;
const strictWith = (change: Partial<AmigaProfile["behaviour"]>): AmigaProfile => ({
  ...strict,
  behaviour: { ...strict.behaviour, ...change },
});
const extendedWith = (change: Partial<AmigaProfile["commands"]>): AmigaProfile => ({
  ...extended,
  commands: { ...extended.commands, ...change },
});
const without = (...bits: readonly number[]) => knownScsiFeatures & ~featureSet(...bits);

const profiles: readonly Subject[] = [
  { name: "strict", options: { profile: "strict" } },
  { name: "extended", options: { profile: "extended" } },
];

/** Version 1.5 with one improvement, and the extended profile without one. */
const improvements: readonly Subject[] = [
  { name: "strict", options: { profile: "strict" } },
  { name: "strict + used_event in ring order (B32)", options: { profile: strictWith({ usedEventOrder: "ring" }) } },
  { name: "strict + kicks as needed", options: { profile: strictWith({ usedEventOrder: "ring", kick: "as-needed" }) } },
  {
    name: "strict + own slot for commands, waiting",
    options: { profile: strictWith({ usedEventOrder: "ring", synchronousSlot: "own", overflow: "waits" }) },
  },
  { name: "strict + no coalescing", options: { profile: strictWith({ coalescing: "none" }) } },
  { name: "extended", options: {} },
  { name: "extended, legacy registers", options: { registers: "legacy" } },
  { name: "extended without indirect tables", options: { features: without(ringFeatures.INDIRECT_DESC) } },
  { name: "extended without event indices", options: { features: without(ringFeatures.EVENT_IDX) } },
  { name: "extended with 4 KiB bounce buffers (v1.5)", options: { profile: extendedWith({ bounceBytes: 4096 }) } },
  { name: "extended, reads by scatter-gather", options: { profile: extendedWith({ bounceBytes: 512 }) } },
  { name: "extended with 16 slots", options: { profile: { ...extended, slots: 16 } } },
  { name: "extended, polling", options: { interrupts: "none" } },
];

const heading =
  "                                          depth     IOPS    MB/s  latency µs  notifies/req  interrupts/req";

export async function benchAmigaos(print: (line: string) => void): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "ringside-bench-"));
  const image = join(folder, "disk.img");
  writeFileSync(image, new Uint8Array(imageBytes).fill(0x5a));
  try {
    print(`reads of ${readBytes} bytes through BeginIO, a new one at each answer`);
    for (const board of [amigaone, pegasos2]) {
      for (const place of placesOf(board, image)) {
        print(`${place.name}\n${heading}`);
        for (const subject of profiles) {
          for (const depth of depths) print(await measure(place, subject, depth));
        }
      }
    }
    const [place] = placesOf(amigaone, image).slice(-1);
    print(`each improvement alone, ${place.name}, depth 16\n${heading}`);
    for (const subject of improvements) print(await measure(place, subject, 16));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function placesOf(board: Board, image: string): Place[] {
  const ours: Place = {
    name: `${board.name}, ours`,
    requests: 60_000,
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
  return [ours, { name: `${board.name}, QEMU's`, requests: 8_000, open }];
}

async function measure(place: Place, { name, options }: Subject, depth: number): Promise<string> {
  const machine = await place.open();
  const label = `${name.padEnd(42)}${String(depth).padStart(5)}`;
  try {
    const adapters = findVirtioAdapters(machine).filter((adapter): adapter is FoundPciAdapter => adapter.on === "pci");
    const system = await settle(machine, openAmigaos(machine, adapters, options));
    const program = await AmigaProgram.open(system, 0);
    // What a unit attention costs version 1.5, and what is compiled late.
    await settle(machine, run(system, program, place.requests / 10, depth));
    const { counters } = system.controllers[0];
    const before = { ...counters };
    const { seconds, done, latency } = await settle(machine, run(system, program, place.requests, depth));
    if (done < place.requests) return `${label}  hangs after ${done} requests (B32: a lost interrupt)`;
    const rate = done / seconds;
    const figures = [
      String(Math.round(rate)).padStart(9),
      ((rate * readBytes) / 1e6).toFixed(1).padStart(8),
      ((latency / done) * 1e3).toFixed(1).padStart(12),
      ((counters.notifies - before.notifies) / done).toFixed(3).padStart(14),
      ((counters.interrupts - before.interrupts) / done).toFixed(3).padStart(16),
    ];
    await settle(machine, program.close());
    await settle(machine, system.close());
    return label + figures.join("");
  } finally {
    await machine.close();
  }
}

/** Ends when `requests` were answered, or when nothing was for a while. `latency`: milliseconds of all together. */
async function run(system: AmigaSystem, program: AmigaProgram, requests: number, depth: number) {
  const { exec } = system;
  const sent = new Map<IoRequest, number>();
  let left = requests - depth;
  let done = 0;
  let latency = 0;
  let last = performance.now();
  const started = last;
  await new Promise<void>((resolve) => {
    const port: MessagePort = new SoftwarePort(new ExecTask("lanes"), (message) => {
      const request = message as IoRequest;
      last = performance.now();
      latency += last - (sent.get(request) ?? last);
      if (++done === requests) {
        clearInterval(watch);
        resolve();
      } else if (left-- > 0) begin(request);
    });
    const begin = (request: IoRequest) => {
      request.ioCommand = Command.CMD_READ;
      request.ioOffset = (done % 2048) * readBytes;
      request.ioLength = readBytes;
      sent.set(request, performance.now());
      exec.sendIo(request);
    };
    const watch = setInterval(() => {
      if (performance.now() - last < hangsAfter) return;
      clearInterval(watch);
      resolve();
    }, 100);
    for (let lane = 0; lane < depth; lane++) {
      const request = program.request({ command: Command.CMD_READ, data: program.buffer(readBytes) });
      request.replyPort = port;
      begin(request);
    }
  });
  return { seconds: (last - started) / 1000, done, latency };
}
