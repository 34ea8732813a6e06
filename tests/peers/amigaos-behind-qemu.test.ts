/**
 * Checks of chapter 11 that ask for a device that fails or is silent, on QEMU's two machines: a vhost-user device there,
 * and behind it our own in another process (`amigaos-back-end.ts`), whose disks do what is asked of them. Machine,
 * registers, interrupts and memory are QEMU's. QEMU's own disks cannot be asked everything: see `abortsDeadlock`.
 */
import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { boards, type FoundPciAdapter, findVirtioAdapters } from "../../src/machine/index.js";
import { checkAttentions, checkErrors, type Strike } from "../../src/os/amigaos/commands/command-checks.test.js";
import { Program } from "../../src/os/amigaos/commands/command-rig.test.js";
import { type AmigaSystem, Command, type OpenAmigaOptions, openAmigaos } from "../../src/os/index.js";
import { cdb } from "../../src/scsi/index.js";
import { AmigaProgram, amigaPattern, inTime } from "../../src/testing/index.js";
import type { BackEndOrder, BackEndState } from "./amigaos-back-end.js";
import { profilePastB32 } from "./amigaos-profiles.js";
import { skipWithout, withDeviceOnQemu } from "./idle-processor.js";
import { test } from "./limited-test.js";

const content = amigaPattern(1 << 20);
const read = (data: number, offset = 0) => ({ command: Command.CMD_READ, offset, length: 512, data });
const pause = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

/** The back end's process. */
class BackEnd {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(socket: string): Promise<BackEnd> {
    const program = fileURLToPath(new URL("./amigaos-back-end.js", import.meta.url));
    const child = fork(program, [socket]);
    await once(child, "message");
    return new BackEnd(child);
  }

  async ask(order: BackEndOrder = {}): Promise<BackEndState> {
    const answer = once(this.#child, "message");
    this.#child.send(order);
    return (await answer)[0] as BackEndState;
  }

  async close(): Promise<void> {
    const ended = once(this.#child, "exit");
    this.#child.disconnect();
    await ended;
  }
}

interface Place {
  readonly system: AmigaSystem;
  readonly backEnd: BackEnd;
}

async function behindQemu(
  board: keyof typeof boards,
  options: OpenAmigaOptions,
  work: (place: Place) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "ringside-amiga-behind-"));
  const socket = join(folder, "socket");
  const backEnd = await BackEnd.start(socket);
  const device = (pci: (driver: string) => string) => [
    ...["-chardev", `socket,id=peer,path=${socket}`],
    ...["-device", `${pci("vhost-user-scsi-pci")},chardev=peer`],
  ];
  const mode = board === "amigaone" ? "legacy" : "modern";
  try {
    await withDeviceOnQemu({ board, device, deviceId: 8, mode, runs: true }, async ({ machine }) => {
      const adapters = findVirtioAdapters(machine).filter((one): one is FoundPciAdapter => one.on === "pci");
      const system = await openAmigaos(machine, adapters, options);
      assert.equal(system.controllers[0].kind, `pci-${mode}`);
      // Check 8: what says that no unit is connected (3/1) is none.
      assert.deepEqual(
        system.device.units.map((unit) => `${unit?.target}/${unit?.lun}`),
        ["0/0", "1/1", "2/0"],
      );
      await work({ system, backEnd });
      await system.close();
    });
  } finally {
    await backEnd.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Reads `count` times one after the other, and compares. */
async function readMany(program: AmigaProgram, count: number): Promise<void> {
  const data = program.buffer(512);
  for (let index = 0; index < count; index++) {
    const offset = 512 * (index % 64);
    program.system.memory.fill(data, 0, 512);
    assert.deepEqual(await inTime(program.do(read(data, offset)), 5000), { error: 0, actual: 512 });
    assert.deepEqual(program.system.memory.read(data, 512), content.subarray(offset, offset + 512));
  }
}

/** What the device said of resets. */
function resets(system: AmigaSystem): string[] {
  return system.messages.filter((text) => text.startsWith("resetting"));
}

for (const name of ["amigaone", "pegasos2"] as const) {
  const skip = skipWithout(name);

  for (const profile of ["strict", "extended"] as const) {
    const where = `QEMU's ${name}, ${profile}`;
    test(`check 25 behind ${where}: AbortIO of what is queued, and of what the device holds`, skip, () =>
      behindQemu(name, { profile: profilePastB32(boards[name], profile) }, async ({ system, backEnd }) => {
        const { exec } = system;
        const program = await AmigaProgram.open(system, 2);
        const requests = Array.from({ length: 4 }, () => program.send(read(program.buffer(512))));
        assert.equal(exec.abortIo(requests[3]), 0);
        assert.equal((await inTime(program.wait(requests[3]))).error, -2);
        for (let turn = 0; (await backEnd.ask()).held < 3; turn++) assert.ok(turn < 1000, "the device has three reads");
        assert.equal(exec.abortIo(requests[0]), profile === "strict" ? -3 : 0);
        if (profile === "extended") assert.equal((await inTime(program.wait(requests[0]))).error, -2);
        else await pause(50);
        assert.deepEqual(
          requests.map(({ state }) => state === "sent"),
          [profile === "strict", true, true, false],
        );
        await backEnd.ask({ release: true });
        for (const request of requests.slice(profile === "strict" ? 0 : 1, 3)) {
          assert.deepEqual(await inTime(program.wait(request), 2000), { error: 0, actual: 512 });
        }
        assert.equal(exec.abortIo(requests[1]), -3);
        await program.close();
        assert.deepEqual(resets(system), []);
      }),
    );

    test(`checks 20 and 21 behind ${where}: every response, sense key and status; unit attentions`, skip, () =>
      behindQemu(name, { profile }, async ({ system, backEnd }) => {
        const one = new Program(system);
        assert.equal(await one.open(0), 0);
        const rig = { system, program: async () => one };
        const strike = (opcode: number, how: Strike | undefined, times?: number) =>
          backEnd.ask({
            rules: how === undefined ? [] : [{ target: 0, opcodes: [opcode], strike: how, ...(times && { times }) }],
          });
        await checkErrors(rig, profile, (how) => strike(0x28, how));
        const attention = { kind: "error", key: 6, asc: 0x29, ascq: 0 } as const;
        await checkAttentions(rig, profile, (times) => strike(0, attention, times));
        await one.close();
      }),
    );
  }

  test(`check 27 behind QEMU's ${name}: a unit that never answers costs -7 in time, and others nothing`, skip, () =>
    behindQemu(name, { timeout: 600 }, async ({ system, backEnd }) => {
      const [living, dead] = [await AmigaProgram.open(system, 0), await AmigaProgram.open(system, 1)];
      await readMany(dead, 1);
      await backEnd.ask({ rules: [{ target: 1, strike: { kind: "never" } }] });
      const start = Date.now();
      const requests = Array.from({ length: 5 }, () => dead.send(read(dead.buffer(512))));
      const command = dead.send(dead.scsi(cdb.testUnitReady(), 16).what);
      await readMany(living, 60);
      for (const request of [...requests, command]) {
        assert.deepEqual(await inTime(dead.wait(request), 6000), { error: -7, actual: 0 });
      }
      assert.ok(Date.now() - start > 590, "not before its time");
      assert.equal((await backEnd.ask({ rules: [] })).struck, 6);
      await readMany(dead, 3);
      assert.deepEqual(resets(system), []);
      await living.close();
      await dead.close();
    }),
  );

  test(
    `an abort that is not answered behind QEMU's ${name} leads to a reset of the controller; other units go on`,
    skip,
    () =>
      behindQemu(name, { timeout: 600 }, async ({ system, backEnd }) => {
        const [living, dead] = [await AmigaProgram.open(system, 0), await AmigaProgram.open(system, 1)];
        await backEnd.ask({ rules: [{ target: 1, opcodes: [0x28], strike: { kind: "never" } }], isDeaf: true });
        const late = [0, 512].map((offset) => dead.send(read(dead.buffer(512), offset)));
        let reads = 0;
        for (; late.some(({ state }) => state === "sent"); reads += 10) {
          assert.ok(reads < 10_000, "the dead unit's requests come back");
          await readMany(living, 10);
          await pause(5);
        }
        for (const request of late) assert.deepEqual(await dead.wait(request), { error: -7, actual: 0 });
        assert.deepEqual(
          system.messages.filter((text) => text.startsWith("resetting the controller")),
          ["resetting the controller: an aborted request did not come back"],
        );
        assert.ok(reads > 50, `${reads}`);
        await backEnd.ask({ rules: [], isDeaf: false });
        await readMany(dead, 3);
        await readMany(living, 3);
        await dead.close();
        await living.close();
      }),
  );
}
