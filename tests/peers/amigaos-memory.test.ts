/**
 * Stress check 4 of 9.5: what is copied and deleted again and again costs no memory, on our boards and on QEMU's machines. There
 * is no file system that writes here: a file of 88 kB is copied as its blocks, deleted as the block that names it. The
 * original's limits: less than 2 MB in all, and no more than 500 bytes a cycle.
 * `RINGSIDE_AMIGA_SOAK_SECONDS` is how long each machine works, default 1.5.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { amigaone, type Board, findVirtioAdapters, pegasos2, settle } from "../../src/machine/index.js";
import type { DmaBlock, DmaMemory } from "../../src/memory/index.js";
import { type AmigaSystem, Command, openAmigaos } from "../../src/os/index.js";
import { findQemu, startQemuMachine } from "../../src/platform/qemu/index.js";
import { AmigaProgram, amigaPattern, plugAmigaBay } from "../../src/testing/index.js";
import { after, before, test } from "./limited-test.js";

const seconds = Number(process.env["RINGSIDE_AMIGA_SOAK_SECONDS"] ?? 1.5);
const fileSize = 88 << 10;
const mostDrift = 2 << 20;
const mostPerCycle = 500;
/** Of each quarter. */
const leastCycles = 150;
const content = amigaPattern(1 << 20, 3);
let folder = "";
before(() => {
  folder = mkdtempSync(join(tmpdir(), "ringside-amiga-memory-"));
  writeFileSync(join(folder, "disk.img"), content);
});
after(() => rmSync(folder, { recursive: true, force: true }));

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Bytes that this process holds after all that is not needed is gone. */
async function heldBytes(): Promise<number> {
  for (let round = 0; round < 2; round++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Counts the bytes of the machine's memory that are allocated. */
function watchDma(dma: DmaMemory): () => number {
  let bytes = 0;
  const allocate = dma.allocate.bind(dma);
  const free = dma.free.bind(dma);
  dma.allocate = (...request: Parameters<DmaMemory["allocate"]>): DmaBlock => {
    const block = allocate(...request);
    bytes += block.size;
    return block;
  };
  dma.free = (block) => {
    bytes -= block.size;
    free(block);
  };
  return () => bytes;
}

/** Opens the unit, copies a file of 88 kB to another place, deletes it there, closes the unit. */
async function cycle(system: AmigaSystem, count: number): Promise<void> {
  const program = await AmigaProgram.open(system, 0);
  const piece = 32 << 10;
  const data = program.buffer(piece);
  const to = (512 << 10) + 512 * (count % 64);
  for (let at = 0; at < fileSize; at += piece) {
    const length = Math.min(piece, fileSize - at);
    const read = { command: Command.CMD_READ, offset: at, length, data };
    assert.deepEqual(await program.do(read), { error: 0, actual: length });
    assert.deepEqual(await program.do({ ...read, command: Command.CMD_WRITE, offset: to + at }), {
      error: 0,
      actual: length,
    });
  }
  system.memory.fill(data, 0, 512);
  const name = { command: Command.CMD_WRITE, offset: 1000 << 10, length: 512, data };
  assert.deepEqual(await program.do(name), { error: 0, actual: 512 });
  await program.close();
}

async function soak(system: AmigaSystem, dmaBytes: () => number): Promise<void> {
  let count = 0;
  const workFor = async (milliseconds: number) => {
    const end = performance.now() + milliseconds;
    // On a machine that is busy a few cycles would have to answer for what a compiler keeps meanwhile.
    const least = count + leastCycles;
    while (performance.now() < end || count < least) await cycle(system, count++);
  };
  // Version 1.5's first transfer would end with the unit attention of power-on.
  const first = await AmigaProgram.open(system, 0);
  const geometry = { command: Command.TD_GETGEOMETRY, length: 32, data: first.buffer(32) };
  assert.equal((await first.do(geometry)).error, 0);
  await first.close();
  // And the compiler has its say.
  await workFor(400);
  const before = { held: await heldBytes(), dma: dmaBytes(), exec: system.memory.allocations };
  const rates: number[] = [];
  for (let quarter = 0, held = before.held; quarter < 4; quarter++) {
    const first = count;
    await workFor(seconds * 250);
    const now = await heldBytes();
    rates.push((now - held) / (count - first));
    held = now;
  }
  const drift = (await heldBytes()) - before.held;
  const after = { dma: dmaBytes(), exec: system.memory.allocations };
  assert.deepEqual(after, { dma: before.dma, exec: before.exec }, "the machine's memory");
  assert.ok(drift < mostDrift, `${drift} bytes more than before`);
  // What is lost in each cycle shows in every quarter; what a compiler or a library keeps once does not.
  assert.ok(Math.min(...rates) <= mostPerCycle, `${rates.map(Math.round)} bytes a cycle, ${count} cycles`);
}

const everywhere = Object.entries({ amigaone, pegasos2 }).flatMap(([name, board]) =>
  (["strict", "extended"] as const).map((profile) => ({ name, board, profile })),
);
for (const { name, board, profile } of everywhere) {
  test(`stress 4 of 9.5 on ${name}, ours, ${profile}: copying and deleting costs no memory`, {
    timeout: limit(),
  }, async () => {
    const bay = plugAmigaBay({ board: name as "amigaone" | "pegasos2", poison: false, profile });
    const dmaBytes = watchDma(bay.machine.dma);
    const system = await bay.start();
    await soak(system, dmaBytes);
    await system.close();
    assert.equal(dmaBytes(), 0);
    await bay.unplug();
  });

  const skip = missing(board);
  test(`stress 4 of 9.5 on ${name}, QEMU's, ${profile}: copying and deleting costs no memory`, {
    skip,
    timeout: limit(),
  }, async () => {
    const disks = [{ image: join(folder, "disk.img"), target: 0, lun: 0 }];
    const machine = await startQemuMachine({ board, adapters: [{ kind: "virtio-scsi", disks }] });
    try {
      const dmaBytes = watchDma(machine.dma);
      const adapters = findVirtioAdapters(machine).filter((adapter) => adapter.on === "pci");
      const system = await settle(machine, openAmigaos(machine, adapters, { timeout: 5000, profile }));
      await settle(machine, soak(system, dmaBytes));
      await settle(machine, system.close());
      assert.equal(dmaBytes(), 0);
    } finally {
      await machine.close();
    }
  });
}

function limit(): number {
  return 60_000 + seconds * 2000;
}

function missing(board: Board): string | false {
  try {
    findQemu(board);
    return false;
  } catch (error) {
    return (error as Error).message;
  }
}
