/**
 * Checks of chapter 11 that ask for commands, sizes and errors, on QEMU's two machines in both profiles: 4, 6,
 * 14, 16 to 20 and 22 to 25. Those of queues and the register traces are in `amigaos-on-qemu.test.ts`, 15 and 21 in `amigaos-commands.test.ts`.
 */
import assert from "node:assert/strict";
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
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
import {
  type CheckRig,
  checkActual,
  checkClasses,
  checkDeviceQuery,
  checkForwarded,
  checkGeometry,
  checkHighOffsets,
  checkLocalAnswers,
  hugeDiskSize,
} from "../../src/os/amigaos/commands/command-checks.test.js";
import { Program, patternBytes } from "../../src/os/amigaos/commands/command-rig.test.js";
import { checkHeldRequests, checkOrphans } from "../../src/os/amigaos/device/held-checks.test.js";
import { type AmigaSystem, Command, type OpenAmigaOptions, openAmigaos } from "../../src/os/index.js";
import { commandBits, type PciFunctionHandle } from "../../src/pci/index.js";
import { findQemu, type QemuDisk, type QemuMachine, startQemuMachine } from "../../src/platform/qemu/index.js";
import { AmigaProgram, inTime } from "../../src/testing/index.js";
import { profilePastB32 } from "./amigaos-profiles.js";
import { after, before, test } from "./limited-test.js";

const mebibyte = 1 << 20;
const small = patternBytes(mebibyte);
const large = patternBytes(66 << 20);
let folder = "";
const path = (name: string) => join(folder, name);
before(() => {
  folder = mkdtempSync(join(tmpdir(), "ringside-amiga-checks-"));
  writeFileSync(path("small"), small);
  writeFileSync(path("large"), large);
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** A file of holes. */
function sparse(name: string, size: number): string {
  const file = openSync(path(name), "w");
  ftruncateSync(file, size);
  closeSync(file);
  return path(name);
}

function missing(board: Board): string | false {
  try {
    findQemu(board);
    return false;
  } catch (error) {
    return (error as Error).message;
  }
}

/** A system on QEMU, and programs on it that are closed in the end. */
interface QemuRig extends CheckRig {
  readonly system: AmigaSystem;
  readonly machine: QemuMachine;
  /** The adapter. */
  readonly fn: PciFunctionHandle;
}

async function onQemu(
  board: Board,
  disks: readonly QemuDisk[],
  options: OpenAmigaOptions,
  work: (rig: QemuRig) => Promise<void>,
  prepare?: (machine: QemuMachine, fn: PciFunctionHandle) => Promise<void>,
): Promise<void> {
  const machine = await startQemuMachine({ board, adapters: [{ kind: "virtio-scsi", disks }] });
  try {
    const adapters = findVirtioAdapters(machine).filter(
      (adapter): adapter is FoundPciAdapter => adapter.on === "pci" && adapter.deviceId === 8,
    );
    const { fn } = adapters[0];
    await prepare?.(machine, fn);
    const system = await settle(machine, openAmigaos(machine, adapters, { timeout: 5000, ...options }));
    const run = async () => {
      const programs: Program[] = [];
      const program = async (unit = 0) => {
        const one = new Program(system);
        assert.equal(await one.open(unit), 0, `unit ${unit} opens`);
        programs.push(one);
        return one;
      };
      // The unit attention after power-on is repeated here; version 1.5's first transfer would end with it (check 21).
      for (let unit = 0; unit < disks.length; unit++) {
        const one = await program(unit);
        assert.equal((await one.geometry(Command.TD_GETGEOMETRY)).error, 0);
        await one.close();
      }
      await work({ system, machine, fn, program });
      for (const one of programs) await one.close();
      await system.close();
    };
    await settle(machine, run());
  } finally {
    await machine.close();
  }
}

const disk = (image: string, target = 0, lun = 0): QemuDisk => ({ image: path(image), target, lun });

/** What QEMU answers when the host's file fails so, and the error of 5.7 for it. */
const hostErrors = [
  { errno: 5, error: 20, what: "EIO: ABORTED COMMAND" },
  { errno: 61, error: 27, what: "ENODATA: MEDIUM ERROR" },
  { errno: 121, error: 33, what: "EREMOTEIO: HARDWARE ERROR" },
  { errno: 123, error: 33, what: "ENOMEDIUM: NOT READY" },
  { errno: 22, error: -3, what: "EINVAL: ILLEGAL REQUEST" },
  { errno: 28, error: 28, what: "ENOSPC: DATA PROTECT" },
  { errno: 52, error: 45, what: "EBADE: status RESERVATION CONFLICT" },
] as const;

for (const board of [amigaone, pegasos2]) {
  const skip = missing(board);
  const noAborts = !skip && standsStillInAborts(board);
  for (const profile of ["strict", "extended"] as const) {
    const where = `QEMU's ${board.name}, ${profile}`;
    test(`check 6 on ${where}: a command that moves less than there is room for says how much`, { skip }, () =>
      onQemu(board, [disk("small")], { profile }, async ({ program }) => {
        const answer = await (await program()).scsi([0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], { room: 100 });
        assert.equal(answer.error, 0);
        // B32: version 1.5 takes a modern device's residual for a word of the processor's own order.
        assert.equal(answer.scsiActual === 8, profile === "extended" || board === amigaone);
      }),
    );

    test(`check 14 on ${where}: 256 KiB at 0 and 512, 1 MiB, 33 MiB and 64 MiB in one request`, { skip }, async () => {
      for (const pages of ["contiguous", "scattered"] as const) {
        await onQemu(board, [disk("large")], { profile, pages }, async ({ program }) => {
          const one = await program();
          for (const [offset, length, strictly] of [
            [0, 256 << 10, pages === "contiguous"],
            [512, 256 << 10, pages === "contiguous"],
            [512, mebibyte, pages === "contiguous"],
            [0, 33 << 20, false],
            [1024, 64 << 20, false],
          ] as const) {
            const read = await one.read(Command.CMD_READ, offset, length);
            const isRight =
              read.error === 0 &&
              read.actual === length &&
              Buffer.compare(read.bytes, large.subarray(offset, offset + length)) === 0;
            assert.equal(isRight, profile === "extended" || strictly, `${length} bytes, ${pages}`);
          }
        });
      }
    });

    test(`check 16 on ${where}: 5 GiB and more than 2 TiB, the high word in io_Actual`, { skip }, () => {
      const image = sparse(`high-${board.name}-${profile}`, 3 * 2 ** 40);
      return onQemu(board, [{ image, target: 0, lun: 0, write: true }], { profile }, checkHighOffsets);
    });

    test(`checks 17, 18, 22, 23 on ${where}: classes, DEVICEQUERY, local answers, sense`, { skip }, () =>
      onQemu(board, [disk("small"), { ...disk("small", 3, 2), serial: "S3" }], { profile }, async (rig) => {
        // QEMU says of whatever failed that no byte is missing.
        await checkForwarded(rig, profile, 512);
        await checkLocalAnswers(rig, profile, profile === "strict" ? 0 : 512);
        await checkDeviceQuery(rig, profile);
        await checkActual(rig, profile);
        await checkClasses(rig, profile);
      }),
    );

    test(`check 19 on ${where}: geometry in the profile's shape, 64 bits where they are needed`, { skip }, () => {
      const image = sparse(`huge-${board.name}-${profile}`, hugeDiskSize);
      const disks = [{ image, target: 0, lun: 0 }, disk("small", 1, 1)];
      return onQemu(board, disks, { profile }, (rig) => checkGeometry(rig, profile));
    });

    test(`check 20 on ${where}: what QEMU makes of the host's errors, on both ways to the device`, { skip }, () => {
      const errors = hostErrors.map(({ errno }, index) => ({ on: "read" as const, sector: 100 + 100 * index, errno }));
      return onQemu(board, [{ ...disk("small"), errors }, disk("small", 1, 1)], { profile }, async (rig) => {
        const one = await rig.program();
        for (const [index, { error, what }] of hostErrors.entries()) {
          const sector = 100 + 100 * index;
          const read = await one.read(Command.CMD_READ, 512 * sector, 512);
          assert.deepEqual([read.error, read.actual], [error, 0], what);
          const scsi = await one.scsi([0x28, 0, 0, 0, sector >> 8, sector & 255, 0, 0, 1, 0], { room: 512 });
          assert.equal(scsi.error, error, `${what}, HD_SCSICMD`);
        }
        assert.equal((await one.read(Command.CMD_READ, 0, 512)).error, 0);
        const past = await one.read(Command.CMD_READ, mebibyte, 512);
        assert.deepEqual([past.error, past.actual], [-3, 0]);
        // A unit that is gone: virtio's BAD TARGET.
        const other = await rig.program(1);
        await rig.machine.unplugDisk("adapter0-unit1");
        const { error } = await other.read(Command.CMD_READ, 0, 512);
        if (profile === "strict") assert.equal(error, 20);
        else assert.notEqual(error, 0);
      });
    });

    test(`check 24 on ${where}: requests that wait for a change`, { skip }, () =>
      onQemu(board, [disk("small")], { profile }, ({ system }) =>
        profile === "strict" ? checkOrphans(system) : checkHeldRequests(system),
      ),
    );

    test(
      `check 25 on ${where}: AbortIO of what is queued, and of what the device has`,
      {
        skip: skip || (profile === "extended" && noAborts),
      },
      () =>
        onQemu(
          board,
          [disk("small")],
          { profile: profilePastB32(board, profile) },
          async ({ system, machine }) => {
            const { exec } = system;
            const program = await AmigaProgram.open(system, 1);
            const read = () => program.send({ command: Command.CMD_READ, length: 512, data: program.buffer(512) });
            const geometry = { command: Command.TD_GETGEOMETRY, length: 32, data: program.buffer(32) };
            assert.equal((await program.do(geometry)).error, 0);
            await onHeldDisk(machine, "break read_aio held");
            const requests = [read(), read(), read(), read()];
            assert.equal(exec.abortIo(requests[3]), 0);
            assert.equal((await inTime(program.wait(requests[3]))).error, -2);
            await pause(30);
            assert.equal(requests[0].state, "sent");
            assert.equal(exec.abortIo(requests[0]), profile === "strict" ? -3 : 0);
            await pause(10);
            await onHeldDisk(machine, "resume held");
            const errors = [];
            for (const request of requests.slice(0, 3)) errors.push((await inTime(program.wait(request), 2000)).error);
            assert.deepEqual(errors, [profile === "strict" ? 0 : -2, 0, 0]);
            assert.equal(exec.abortIo(requests[0]), -3);
            // Whatever the device has done with them meanwhile: each is answered once, and the unit goes on.
            for (let round = 0; round < 10; round++) {
              const requests = Array.from({ length: 8 }, read);
              await Promise.resolve();
              for (const request of requests.slice(0, 4)) exec.abortIo(request);
              for (const [index, request] of requests.entries()) {
                const { error } = await inTime(program.wait(request), 2000);
                assert.ok(error === 0 || (index < 4 && error === -2), `${index}: ${error}`);
              }
            }
            assert.deepEqual(
              system.messages.filter((text) => text.startsWith("resetting")),
              [],
            );
            await program.close();
          },
          addHeldDisk,
        ),
    );
  }

  test(`check 4 on QEMU's ${board.name}: memory space and bus mastering, whichever was on before`, {
    skip,
  }, async () => {
    const both = commandBits.memory | commandBits.busMaster;
    for (const first of [commandBits.memory, commandBits.busMaster, 0]) {
      await onQemu(
        board,
        [disk("small")],
        {},
        async ({ program, fn }) => {
          assert.equal(fn.command & both, both);
          assert.deepEqual((await (await program()).read(Command.CMD_READ, 512, 512)).bytes, small.slice(512, 1024));
        },
        async (_, fn) => fn.setCommand(first, both & ~first),
      );
    }
  });

  test(
    `an abort that QEMU's ${board.name} does not answer leads to a reset of the controller`,
    {
      skip: skip || noAborts,
    },
    () =>
      onQemu(board, [disk("small"), disk("small", 1, 1)], { timeout: 300 }, async ({ system, machine }) => {
        const [slow, other] = [await AmigaProgram.open(system, 0), await AmigaProgram.open(system, 1)];
        // A read that its speed limit holds back cannot be cancelled: QEMU keeps request and abort for four seconds.
        await limitSpeed(machine, "adapter0-unit0", 1);
        const read = { command: Command.CMD_READ, length: 512 };
        const requests = Array.from({ length: 5 }, () => slow.send({ ...read, data: slow.buffer(512) }));
        const data = other.buffer(512);
        const start = Date.now();
        let reads = 0;
        for (; requests.some(({ state }) => state === "sent") && Date.now() - start < 3500; reads++) {
          const offset = 512 * (reads % 64);
          assert.deepEqual(await inTime(other.do({ ...read, offset, data })), { error: 0, actual: 512 });
          assert.deepEqual(system.memory.read(data, 8), small.subarray(offset, offset + 8));
          await pause(5);
        }
        const errors = [];
        for (const request of requests) errors.push((await inTime(slow.wait(request))).error);
        assert.equal(errors.at(-1), -7, errors.join());
        assert.ok(
          system.messages.some((text) => text.startsWith("resetting the controller")),
          system.messages.join("; "),
        );
        assert.ok(reads > 50, `${reads}`);
        await limitSpeed(machine, "adapter0-unit0", 0);
        assert.deepEqual((await slow.read(512, 512)).subarray(0, 8), small.subarray(512, 520));
        await slow.close();
        await other.close();
      }),
  );
}

/** Lets a disk do so many requests a second; 0: as many as it can. */
async function limitSpeed(machine: QemuMachine, id: string, iops: number): Promise<void> {
  const none = { bps: 0, bps_rd: 0, bps_wr: 0, iops_rd: 0, iops_wr: 0 };
  await machine.qmp.execute("block_set_io_throttle", { id, iops, ...none });
}

/**
 * Why a request in flight must not be aborted on this QEMU, if so: there it takes the lock of the disk's list of requests
 * that it holds already, and the whole program waits for itself. Mended in 10.2, 10.1.3 and 10.0.7.
 */
function standsStillInAborts(board: Board): string | false {
  const { version } = findQemu(board);
  const [major, minor = 0, patch = 0] = version.split(".").map(Number);
  const isMended = major !== 10 || minor > 1 || patch >= [7, 3][minor];
  return !isMended && `QEMU ${version} locks itself up when a request is aborted; "behind QEMU" has this check`;
}

/** A disk at 1/0 whose reads can be held. */
async function addHeldDisk({ qmp }: QemuMachine): Promise<void> {
  const file = { driver: "blkdebug", image: { driver: "file", filename: path("small") } };
  await qmp.execute("blockdev-add", { driver: "raw", "node-name": "held", "read-only": true, file });
  const place = { bus: "adapter0.0", "scsi-id": 1, lun: 0, drive: "held", id: "held-disk" };
  await qmp.execute("device_add", { driver: "scsi-hd", ...place });
}

/** Tells the held disk's QEMU what to hold, and what to let go. */
async function onHeldDisk({ qmp }: QemuMachine, line: string): Promise<void> {
  await qmp.execute("human-monitor-command", { "command-line": `qemu-io -d held-disk "${line}"` });
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
