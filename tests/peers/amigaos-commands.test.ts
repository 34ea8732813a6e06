/** The original's test program on both of its machines, in both profiles: our boards, and QEMU's. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { amigaone, type Board, findVirtioAdapters, pegasos2, settle } from "../../src/machine/index.js";
import { Program, patternBytes, patternDisk, withRig } from "../../src/os/amigaos/commands/command-rig.test.js";
import { type AmigaSystem, Command, IoError, openAmigaos } from "../../src/os/index.js";
import { findQemu, type QemuDisk, startQemuMachine } from "../../src/platform/qemu/index.js";
import { profilePastB32 } from "./amigaos-profiles.js";
import { programChecks, type TestBench } from "./amigaos-test-program.js";
import { after, before, test } from "./limited-test.js";

const machines = { amigaone, pegasos2 } as const;
const profiles = ["strict", "extended"] as const;
const imageSize = 2 << 20;
const content: TestBench["content"] = [patternBytes(imageSize, 1), patternBytes(imageSize, 2)];
let folder = "";
before(() => {
  folder = mkdtempSync(join(tmpdir(), "ringside-amigaos-"));
  for (const [index, bytes] of content.entries()) writeFileSync(join(folder, `${index}.hdf`), bytes);
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

/** Starts QEMU's machine with two disks, as the original's instructions place them. */
async function withQemu(
  board: Board,
  profile: (typeof profiles)[number],
  disks: readonly QemuDisk[],
  work: (system: AmigaSystem) => Promise<void>,
): Promise<void> {
  const machine = await startQemuMachine({ board, adapters: [{ kind: "virtio-scsi", disks }] });
  try {
    const adapters = findVirtioAdapters(machine).filter((adapter) => adapter.on === "pci");
    const system = await settle(
      machine,
      openAmigaos(machine, adapters, { profile: profilePastB32(board, profile), timeout: 5000 }),
    );
    await settle(machine, work(system));
    await settle(machine, system.close());
  } finally {
    await machine.close();
  }
}

/** For one check: version 1.5 has no time-outs, and what a failed check leaves behind may keep the next ones waiting. */
const patience = { timeout: 30_000 };

/** What mounter.library does first; by this the unit attention after power-on is met where it is repeated. */
async function askGeometry(system: AmigaSystem): Promise<void> {
  for (const unit of [0, 1]) {
    const program = new Program(system);
    assert.equal(await program.open(unit), 0);
    assert.equal((await program.geometry(Command.TD_GETGEOMETRY)).error, 0);
    await program.close();
  }
}

const twoDisks = (): QemuDisk[] => [
  { image: join(folder, "0.hdf"), target: 0, lun: 0 },
  { image: join(folder, "1.hdf"), target: 1, lun: 1 },
];

for (const [name, board] of Object.entries(machines)) {
  const machine = name as keyof typeof machines;
  const skip = missing(board);
  for (const profile of profiles) {
    test(`the test program on ${name}, ours, ${profile}`, async (t) => {
      const units = content.map((bytes, index) =>
        patternDisk(index, index, { byteLength: bytes.length, seed: index + 1 }),
      );
      await withRig({ machine, profile, units }, async ({ system }) => {
        for (const check of programChecks)
          await t.test(check.name, patience, () => check.run({ system, profile, content }));
      });
    });

    test(`the test program on ${name}, QEMU's, ${profile}`, { skip }, async (t) => {
      await withQemu(board, profile, twoDisks(), async (system) => {
        await askGeometry(system);
        for (const check of programChecks)
          await t.test(check.name, patience, () => check.run({ system, profile, content }));
      });
    });
  }

  test(`21 on ${name}, QEMU's: the unit attention after power-on ends v1.5's first read, and nothing else`, {
    skip,
  }, async () => {
    for (const profile of profiles) {
      await withQemu(board, profile, twoDisks(), async (system) => {
        const [first, second] = [new Program(system), new Program(system)];
        assert.deepEqual([await first.open(0), await second.open(1)], [0, 0]);
        const read = () => first.read(Command.CMD_READ, 0, 512).then(({ error }) => error);
        assert.deepEqual([await read(), await read()], [profile === "strict" ? IoError.DiskChanged : 0, 0]);
        // The synchronous path repeats.
        assert.equal((await second.geometry(Command.TD_GETGEOMETRY)).error, 0);
        assert.equal((await second.read(Command.CMD_READ, 0, 512)).error, 0);
        await first.close();
        await second.close();
      });
    }
  });

  test(`5.7 on ${name}, QEMU's: a write-protected disk, and one that fails`, { skip }, async () => {
    const disks: QemuDisk[] = [
      { image: join(folder, "0.hdf"), target: 0, lun: 0, readOnly: true },
      { image: join(folder, "1.hdf"), target: 1, lun: 1, errors: [{ on: "read", sector: 100 }] },
    ];
    for (const profile of profiles) {
      await withQemu(board, profile, disks, async (system) => {
        await askGeometry(system);
        const locked = new Program(system);
        assert.equal(await locked.open(0), 0);
        assert.equal((await locked.write(Command.CMD_WRITE, 0, new Uint8Array(512))).error, IoError.WriteProt);
        const protection = await locked.do({ command: Command.TD_PROTSTATUS });
        assert.deepEqual(protection, { error: 0, actual: profile === "strict" ? 0 : 1 });
        await locked.close();
        const failing = new Program(system);
        assert.equal(await failing.open(1), 0);
        assert.equal((await failing.read(Command.CMD_READ, 0, 512)).error, 0);
        // QEMU tells an I/O error as ABORTED COMMAND 00/06.
        const bad = await failing.read(Command.CMD_READ, 100 * 512, 512);
        assert.deepEqual([bad.error, bad.actual], [IoError.NotSpecified, 0]);
        await failing.close();
      });
    }
  });

  test(`15 on ${name}, QEMU's: blocks of 4096 whose first command is CMD_READ`, { skip }, async () => {
    const disks: QemuDisk[] = [{ image: join(folder, "0.hdf"), target: 0, lun: 0, blockSize: 4096 }];
    for (const profile of profiles) {
      await withQemu(board, profile, disks, async (system) => {
        const one = new Program(system);
        assert.equal(await one.open(0), 0);
        const read = await one.read(Command.CMD_READ, 65536, 8192);
        const isRight = read.error === 0 && Buffer.compare(read.bytes, content[0].subarray(65536, 73728)) === 0;
        assert.equal(isRight, profile === "extended");
        await one.close();
      });
    }
  });
}
