/**
 * The Amiga device on QEMU's two machines: chapter 11's checks that concern a device, the stress checks of 9.5 as far as
 * they do without a file system, hotplug and media.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  amigaone,
  type Board,
  type FoundPciAdapter,
  findVirtioAdapters,
  pegasos2,
  settle,
} from "../../src/machine/index.js";
import { Scatter } from "../../src/memory/index.js";
import type { TraceEvent } from "../../src/observe/index.js";
import {
  type AmigaSystem,
  Command,
  ExecTask,
  type IoRequest,
  type OpenAmigaOptions,
  openAmigaos,
  SoftwarePort,
} from "../../src/os/index.js";
import { findQemu, type QemuDisk, type QemuMachine, startQemuMachine } from "../../src/platform/qemu/index.js";
import { cdb, Disk } from "../../src/scsi/index.js";
import { MemoryStore } from "../../src/storage/index.js";
import { AmigaProgram, amigaPattern, openAmigaLoop, seededRandom } from "../../src/testing/index.js";
import { profilePastB32 } from "./amigaos-profiles.js";
import { after, before, test } from "./limited-test.js";

const imageSize = 4 << 20;
const content = amigaPattern(imageSize, 5);
let folder = "";
let image = "";
before(() => {
  folder = mkdtempSync(join(tmpdir(), "ringside-amiga-qemu-"));
  image = join(folder, "disk.img");
  writeFileSync(image, content);
});
after(() => rmSync(folder, { recursive: true, force: true }));

function missing(board: Board): string | false {
  try {
    findQemu(board);
    return false;
  } catch (error) {
    return (error as Error).message;
  }
}

interface Place {
  readonly machine: QemuMachine;
  readonly system: AmigaSystem;
}

async function onQemu(
  board: Board,
  options: OpenAmigaOptions & { readonly disks?: readonly QemuDisk[] },
  work: (place: Place) => Promise<void>,
): Promise<void> {
  const disks = options.disks ?? [
    { image, target: 0, lun: 0 },
    { image, target: 1, lun: 1 },
  ];
  const machine = await startQemuMachine({ board, adapters: [{ kind: "virtio-scsi", disks }] });
  try {
    const adapters = findVirtioAdapters(machine).filter(
      (adapter): adapter is FoundPciAdapter => adapter.on === "pci" && adapter.deviceId === 8,
    );
    const system = await settle(machine, openAmigaos(machine, adapters, { timeout: 5000, ...options }));
    await settle(machine, work({ machine, system }));
    await settle(machine, system.close());
  } finally {
    await machine.close();
  }
}

/** A program. In version 1.5 the first transfer after power-on is what a unit attention costs (5.7). */
async function openUnit(system: AmigaSystem, unit: number): Promise<AmigaProgram> {
  const program = await AmigaProgram.open(system, unit);
  if (system.profile.name === "strict") assert.equal((await program.do(read(program.buffer(512)))).error, 29);
  return program;
}

const read = (data: number, offset = 0, length = 512) => ({ command: Command.CMD_READ, offset, length, data });
const hash = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const pause = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

/** INQUIRY and TD_GETGEOMETRY, four of each, and how their answers begin. */
function sendCommands(program: AmigaProgram): { request: IoRequest; data: number; expected: Uint8Array }[] {
  return Array.from({ length: 4 }, () => {
    const inquiry = program.scsi(cdb.inquiry(36), 36);
    const data = program.buffer(32);
    const geometry = { command: Command.TD_GETGEOMETRY, length: 32, data };
    return [
      { request: program.send(inquiry.what), data: inquiry.data + 8, expected: Buffer.from("QEMU    ") },
      { request: program.send(geometry), data, expected: Uint8Array.of(0, 0, 2, 0, 0, 0, 0x20, 0) },
    ].map((one) => ({ ...one, expected: Uint8Array.from(one.expected) }));
  }).flat();
}

async function readMany(program: AmigaProgram, count: number, length: number): Promise<void> {
  const data = program.buffer(length);
  for (let index = 0; index < count; index++) {
    const offset = 512 * (index % 64);
    assert.deepEqual(await program.do(read(data, offset, length)), { error: 0, actual: length });
    assert.deepEqual(program.system.memory.read(data, 8), content.subarray(offset, offset + 8));
  }
}

/** Requests one after the other on `depth` lanes, without a promise for each. */
async function lanes(program: AmigaProgram, requests: number, depth: number): Promise<void> {
  const { exec } = program.system;
  let left = requests - depth;
  let ended = 0;
  let failed = 0;
  await new Promise<void>((resolve) => {
    const port = new SoftwarePort(new ExecTask("lanes"), (message) => {
      const request = message as IoRequest;
      if (request.ioError !== 0 || request.ioActual !== 512) failed++;
      if (++ended === requests) resolve();
      else if (left-- > 0) exec.sendIo(Object.assign(request, read(request.ioData)));
    });
    for (let lane = 0; lane < depth; lane++) {
      const request = program.request(read(program.buffer(512)));
      request.replyPort = port;
      exec.sendIo(request);
    }
  });
  assert.equal(failed, 0);
}

/** Copies `length` bytes from one place of the disk to another, in pieces of 64 KiB. */
async function copy(program: AmigaProgram, from: number, to: number, length: number): Promise<void> {
  const data = program.buffer(65536);
  for (let at = 0; at < length; at += 65536) {
    const step = Math.min(65536, length - at);
    assert.equal((await program.do(read(data, from + at, step))).error, 0);
    const write = { command: Command.CMD_WRITE, offset: to + at, length: step, data };
    assert.deepEqual(await program.do(write), { error: 0, actual: step });
  }
}

/** Stress checks 1 to 3 as far as they do without a file system. */
async function stress(system: AmigaSystem): Promise<void> {
  const program = await openUnit(system, 0);
  const random = seededRandom(7);
  const data = program.buffer(96 * 1024);
  const roundTrip = async (offset: number, length: number) => {
    const bytes = Uint8Array.from({ length }, () => random.below(256));
    system.memory.write(data, bytes);
    const request = { offset, length, data };
    assert.equal((await program.do({ command: Command.CMD_WRITE, ...request })).error, 0);
    system.memory.fill(data, 0, length);
    assert.equal((await program.do({ command: Command.CMD_READ, ...request })).error, 0);
    assert.equal(hash(system.memory.read(data, length)), hash(bytes));
  };
  await roundTrip(0, 90 * 1024);
  for (let count = 0; count < 100; count++) await roundTrip(512 * count, 512);
  await copy(program, 1 << 20, 2 << 20, 554 * 1024);
  await copy(program, 0, 2 << 20, 1260 * 1024);
  await Promise.all([0, 1, 2].map((place) => copy(program, 1 << 20, (place + 2) * 600 * 1024, 554 * 1024)));
  for (let round = 0; round < 2; round++) {
    const again = await AmigaProgram.open(system, 0);
    assert.equal((await again.do(again.scsi(cdb.inquiry(36), 36).what)).error, 0);
    await again.close();
  }
  assert.equal((await program.do({ command: Command.CMD_UPDATE })).error, 0);
  await program.close();
}

/** What {@link stress} leaves on the disk. */
function checkCopies(written: Uint8Array): void {
  const source = written.subarray(1 << 20, (1 << 20) + 554 * 1024);
  assert.ok(source.some((byte) => byte !== 0));
  for (const place of [2, 3, 4]) {
    const at = place * 600 * 1024;
    // The first copy lies over the place that it was made from.
    if (at >= (1 << 20) + 554 * 1024) assert.equal(hash(written.subarray(at, at + source.length)), hash(source));
  }
}

for (const board of [amigaone, pegasos2]) {
  const skip = missing(board);
  const isLegacy = board === amigaone;

  test(`checks ${isLegacy ? 2 : 3}: version 1.5's registers on QEMU's ${board.name}`, { skip }, async () => {
    const lines: string[] = [];
    const emit = ({ category, source, name, fields }: TraceEvent) => {
      if (category !== "registers" || !source.startsWith("virtioscsi")) return;
      lines.push(`${name === "write" ? ">" : "<"} ${fields["register"]} ${Number(fields["value"]).toString(16)}`);
    };
    await onQemu(board, { profile: "strict", observer: { emit } }, async ({ system }) => {
      assert.equal(system.controllers[0].kind, isLegacy ? "pci-legacy" : "pci-modern");
      const expected = isLegacy
        ? [
            ...["> deviceStatus 0", "< isrStatus 0", "> deviceStatus 1", "> deviceStatus 3"],
            ...["< deviceFeatures 79000006", "> driverFeatures 20000000", "> queueSelect 0", "< queueSize 100"],
          ]
        : [
            ...["> deviceStatus 0", "< deviceStatus 0", "> deviceStatus 1", "> deviceStatus 3"],
            ...["> deviceFeatureSelect 0", "< deviceFeature 30000006", "> deviceFeatureSelect 1"],
          ];
      assert.deepEqual(lines.slice(0, expected.length), expected);
      assert.ok(lines.includes(isLegacy ? "< deviceStatus 7" : "< deviceStatus f"));
    });
  });

  for (const name of ["strict", "extended"] as const) {
    const profile = profilePastB32(board, name);
    test(`checks 8 to 11, 13, 26 on QEMU's ${board.name}, ${name}`, { skip }, async () => {
      await onQemu(board, { profile, pages: "contiguous" }, async ({ system }) => {
        assert.deepEqual(
          system.device.units.map((unit) => [unit?.target, unit?.lun]),
          [
            [0, 0],
            [1, 1],
          ],
        );
        const [one, other] = [await openUnit(system, 0), await openUnit(system, 1)];
        await Promise.all([readMany(one, 200, 512), readMany(other, 200, 512)]);
        await Promise.all([readMany(one, 100, 512), readMany(other, 20, 32768)]);
        // Sixteen, and where more wait for a slot (17, 32, 64), those too.
        for (const count of name === "strict" ? [8, 16] : [16, 17, 32, 64]) {
          const others: ReturnType<typeof sendCommands> = [];
          const requests = Array.from({ length: count }, (_, index) => {
            const data = one.buffer(512);
            // Commands between transfers use slot 0 in version 1.5, whoever has it (Q1).
            if (index % 8 === 7 && name === "extended") others.push(...sendCommands(one));
            return { data, offset: 512 * index, request: one.send(read(data, 512 * index)) };
          });
          for (const { data, offset, request } of requests) {
            assert.deepEqual(await one.wait(request), { error: 0, actual: 512 });
            assert.deepEqual(system.memory.read(data, 512), content.subarray(offset, offset + 512));
          }
          for (const { request, data, expected } of others) {
            assert.equal((await one.wait(request)).error, 0);
            assert.deepEqual(system.memory.read(data, expected.length), expected);
          }
        }
        for (const length of [4096, 4608, 65536, 66048, 256 * 1024]) {
          assert.ok(Buffer.compare(await one.read(512, length), content.subarray(512, 512 + length)) === 0);
        }
        const { counters } = system.controllers[0];
        assert.ok(counters.interrupts <= counters.completions + 300, JSON.stringify(counters));
        const loaded = Array.from({ length: 40 }, () => other.send(read(other.buffer(512))));
        await other.close();
        for (const request of loaded) assert.ok([0, -2].includes((await other.wait(request)).error));
        await one.close();
      });
    });

    test(`stress 1 to 3 of 9.5 on ${board.name}, ours, ${name}`, async () => {
      const store = MemoryStore.of(content.slice());
      const units = [{ target: 0, lun: 0, unit: new Disk(store, { powerOnAttention: true }) }];
      const loop = await openAmigaLoop({ board, profile, units, pages: "contiguous" });
      await stress(loop.system);
      const written = new Uint8Array(imageSize);
      await store.read(0, Scatter.of(written), imageSize);
      await loop.close();
      checkCopies(written);
    });

    test(`stress 1 to 3 of 9.5 on QEMU's ${board.name}, ${name}`, { skip }, async () => {
      const path = join(folder, `${board.name}-${name}.img`);
      copyFileSync(image, path);
      await onQemu(board, { profile, disks: [{ image: path, write: true }] }, ({ system }) => stress(system));
      checkCopies(readFileSync(path));
    });
  }

  test(`check 28 on QEMU's ${board.name}: without interrupts everything completes (extended)`, { skip }, () =>
    onQemu(board, { interrupts: "none" }, async ({ system }) => {
      assert.equal(system.controllers[0].interruptMode, "none");
      const program = await AmigaProgram.open(system, 0);
      await readMany(program, 20, 512);
      const geometry = { command: Command.TD_GETGEOMETRY, length: 32, data: program.buffer(32) };
      assert.equal((await program.do(geometry)).error, 0);
      await lanes(program, 200, 16);
      await program.close();
    }),
  );

  test(`stress 5.2 and 5.3 of 9.5 on QEMU's ${board.name}: a disk comes and goes`, { skip }, async () => {
    const said: string[] = [];
    const announce = (unit: number) => void said.push(`+${unit}`);
    const denounce = (unit: number) => void said.push(`-${unit}`);
    await onQemu(board, { announce, denounce }, async ({ machine, system }) => {
      const id = await machine.plugDisk(0, { image, target: 5, lun: 0 });
      for (let turn = 0; turn < 100 && said.length < 3; turn++) await pause(10);
      assert.deepEqual(said, ["+0", "+1", "+2"]);
      const program = await AmigaProgram.open(system, 2);
      assert.equal((await program.do(program.scsi(cdb.inquiry(36), 36).what)).error, 0);
      assert.equal((await program.do(program.scsi(cdb.readCapacity10(), 8).what)).error, 0);
      await readMany(program, 3, 512);
      const held = program.send({ command: Command.TD_REMOVE });
      await machine.unplugDisk(id);
      assert.equal((await program.wait(held)).error, 0);
      for (let turn = 0; turn < 100 && said.length < 4; turn++) await pause(10);
      assert.deepEqual(said.slice(3), ["-2"]);
      assert.notEqual((await program.do(program.scsi(cdb.inquiry(36), 36).what)).error, 0);
      await program.close();
    });
  });
}

test("two controllers on QEMU's pegasos2: version 1.5 uses the first, the extended profile both", {
  skip: missing(pegasos2),
}, async () => {
  for (const [profile, controllers, units] of [
    ["strict", 1, 1],
    ["extended", 2, 3],
  ] as const) {
    const machine = await startQemuMachine({
      board: pegasos2,
      adapters: [
        { kind: "virtio-scsi", disks: [{ image, target: 0, lun: 0 }] },
        {
          kind: "virtio-scsi",
          disks: [
            { image, target: 0, lun: 0 },
            { image, target: 60, lun: 3 },
          ],
        },
      ],
    });
    try {
      const adapters = findVirtioAdapters(machine).filter(
        (adapter): adapter is FoundPciAdapter => adapter.on === "pci",
      );
      const system = await settle(machine, openAmigaos(machine, adapters, { profile }));
      assert.equal(system.controllers.length, controllers);
      assert.equal(system.device.units.length, units);
      const program = await settle(machine, openUnit(system, units - 1));
      await settle(machine, readMany(program, 10, 512));
      await settle(machine, program.close());
      await settle(machine, system.close());
    } finally {
      await machine.close();
    }
  }
});

for (const board of [amigaone, pegasos2]) {
  for (const name of ["strict", "extended"] as const) {
    test(`check 12 on QEMU's ${board.name}, ${name}: 66 000 requests on one queue`, { skip: missing(board) }, () =>
      onQemu(board, { profile: profilePastB32(board, name) }, async ({ system }) => {
        const program = await openUnit(system, 0);
        await lanes(program, 66_000, 16);
        await program.close();
      }),
    );
  }
}

for (const board of [amigaone, pegasos2]) {
  test(`stress 5.4 of 9.5 on QEMU's ${board.name}: a CD is taken out and another put in`, {
    skip: missing(board),
  }, async () => {
    const disc = join(folder, "disc.iso");
    writeFileSync(disc, new Uint8Array(2048 * 100));
    await onQemu(board, {}, async ({ machine, system }) => {
      const id = await machine.plugDisk(0, { image: disc, target: 2, lun: 0, kind: "cd" });
      for (let turn = 0; turn < 100 && system.device.units.length < 3; turn++) await pause(10);
      const program = await AmigaProgram.open(system, 2);
      const capacity = async () => (await program.do(program.scsi(cdb.readCapacity10(), 8).what)).error;
      assert.equal(await capacity(), 0);
      const held = program.send({ command: Command.TD_ADDCHANGEINT });
      const before = await program.do({ command: Command.TD_CHANGENUM });
      await machine.qmp.execute("blockdev-open-tray", { id, force: true });
      await machine.qmp.execute("blockdev-remove-medium", { id });
      assert.notEqual(await capacity(), 0);
      assert.equal((await program.wait(held)).error, 0);
      assert.equal((await program.do({ command: Command.TD_CHANGESTATE })).actual, 1);
      await machine.qmp.execute("blockdev-add", {
        driver: "raw",
        "node-name": "new",
        file: { driver: "file", filename: disc },
      });
      await machine.qmp.execute("blockdev-insert-medium", { id, "node-name": "new" });
      await machine.qmp.execute("blockdev-close-tray", { id });
      await pause(50);
      assert.equal(await capacity(), 0);
      const after = await program.do({ command: Command.TD_CHANGENUM });
      assert.equal((await program.do({ command: Command.TD_CHANGESTATE })).actual, 0);
      assert.ok(after.actual > before.actual, `${before.actual} ${after.actual}`);
      await program.close();
    });
  });
}
