/**
 * `ringside bench faces`: requests a second and register accesses a request of the operating-system faces, on our device
 * halves and, where one is installed, on QEMU's hardware. A new request follows each completion.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  boards,
  type FoundMmioAdapter,
  type FoundPciAdapter,
  findVirtioAdapters,
  type Machine,
  mmioParts,
  settle,
} from "../src/machine/index.js";
import { openStorport, type StorportDisk, Xv6Kernel } from "../src/os/index.js";
import { EmbeddedMachine } from "../src/platform/embedded/index.js";
import { findQemu, type QemuMachine, startQemuMachine } from "../src/platform/qemu/index.js";
import { cdb } from "../src/scsi/index.js";
import { MemoryStore } from "../src/storage/index.js";
import { VirtioBlkDevice } from "../src/virtio/index.js";
import { countedMachine } from "./counted-machine.js";

const imageBytes = 16 << 20;

interface Place {
  readonly machine: Machine;
  /** Register accesses so far. */
  accesses(): number;
  close(): Promise<void>;
}

/** One line of the table: a face in a profile, and what it does at one depth. */
interface Face {
  readonly name: string;
  readonly board: keyof typeof boards;
  readonly depth: number;
  /** Requests on our halves; on QEMU a tenth of them. */
  readonly requests: number;
  start(machine: Machine): Promise<{ run(requests: number, depth: number): Promise<void>; close(): Promise<void> }>;
}

const faces: readonly Face[] = [
  ...(["strict", "extended"] as const).map((profile) => ({
    name: `xv6 ${profile}`,
    board: "riscv-virt",
    // Eight descriptors, three a request.
    depth: 2,
    requests: 40_000,
    start: (machine: Machine) => startXv6(machine, profile),
  })),
  ...(["seed", "current"] as const).map((profile) => ({
    name: `storport ${profile}`,
    board: "pc",
    depth: 32,
    requests: 100_000,
    start: (machine: Machine) => startStorport(machine, profile),
  })),
];

export async function benchFaces(print: (line: string) => void): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "ringside-bench-"));
  const image = join(folder, "disk.img");
  writeFileSync(image, new Uint8Array(imageBytes).fill(0x5a));
  try {
    print("face              depth  embedded req/s  accesses/req   QEMU req/s  accesses/req");
    for (const face of faces) {
      const embedded = await measure(face, openEmbedded(face.board), face.requests);
      const qemu = hasQemu(face.board)
        ? await measure(face, await openQemu(face.board, image), face.requests / 10)
        : undefined;
      print(
        `${face.name.padEnd(18)}${`${face.depth}`.padStart(5)}  ${embedded}  ${qemu ?? "no QEMU that has the machine"}`,
      );
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(face: Face, place: Place, requests: number): Promise<string> {
  try {
    const running = await settle(place.machine, face.start(place.machine));
    await settle(place.machine, running.run(requests / 10, face.depth));
    const accesses = place.accesses();
    const started = performance.now();
    await settle(place.machine, running.run(requests, face.depth));
    const seconds = (performance.now() - started) / 1000;
    const perRequest = (place.accesses() - accesses) / requests;
    await settle(place.machine, running.close());
    return `${Math.round(requests / seconds)}`.padStart(14) + perRequest.toFixed(3).padStart(14);
  } finally {
    await place.close();
  }
}

function openEmbedded(board: keyof typeof boards): Place {
  const machine = new EmbeddedMachine(boards[board], { ramSize: 64 << 20 });
  const store = new MemoryStore(imageBytes);
  const device = new VirtioBlkDevice(store);
  // The teaching kernel does not accept VERSION_1.
  if (boards[board].mmio === undefined) machine.plugVirtio(device, { classCode: 0x010000 });
  else machine.plugMmio(device, { tolerant: true });
  const counted = countedMachine(machine);
  return { machine: counted.machine, accesses: counted.accesses, close: () => machine.close() };
}

async function openQemu(board: keyof typeof boards, image: string): Promise<Place> {
  const machine: QemuMachine = await startQemuMachine({
    board: boards[board],
    adapters: [{ kind: "virtio-blk", disks: [{ image }] }],
  });
  return { machine, accesses: () => machine.accesses, close: () => machine.close() };
}

function hasQemu(board: keyof typeof boards): boolean {
  try {
    findQemu(boards[board]);
    return true;
  } catch {
    return false;
  }
}

async function startXv6(machine: Machine, profile: "strict" | "extended") {
  const [adapter] = findVirtioAdapters(machine);
  const kernel = await Xv6Kernel.start(mmioParts(machine, adapter as FoundMmioAdapter), { profile });
  let block = 0;
  return {
    async run(requests: number, depth: number) {
      let left = requests;
      await Promise.all(
        Array.from({ length: depth }, async () => {
          while (left-- > 0) {
            // More blocks in turn than the cache has buffers, so that each read is a request.
            block = (block + 1) % 4096;
            kernel.cache.release(await kernel.cache.read(block));
          }
        }),
      );
    },
    close: () => kernel.close(),
  };
}

async function startStorport(machine: Machine, profile: "seed" | "current") {
  const [adapter] = findVirtioAdapters(machine);
  const disk = await openStorport(machine, adapter as FoundPciAdapter, { profile });
  await disk.discover();
  return {
    run: (requests: number, depth: number) => readThrough(disk, machine, requests, depth),
    close: () => disk.close(),
  };
}

function readThrough(disk: StorportDisk, machine: Machine, requests: number, depth: number): Promise<void> {
  return new Promise((resolve) => {
    let left = requests;
    let ended = 0;
    for (let lane = 0; lane < depth; lane++) {
      const block = machine.dma.allocate(4096, 4096);
      const srb = disk.port.acquireSrb();
      srb.setCdb(cdb.read10(lane * 8, 8));
      srb.addSegment(block.address, 4096);
      const next = () => {
        left--;
        srb.dataLength = 4096;
        disk.port.submit(srb);
      };
      srb.onComplete = () => {
        if (++ended === requests) resolve();
        else if (left > 0) next();
      };
      next();
    }
  });
}
