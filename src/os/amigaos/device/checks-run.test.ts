/** Chapter 11 of the reference, checks 9 to 13 and 24 to 29: requests, interrupts, closing, misbehaving devices. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { pc } from "../../../machine/index.js";
import { cdb, Disk, type LogicalUnit, type ScsiTask } from "../../../scsi/index.js";
import {
  type AmigaLoop,
  type AmigaLoopOptions,
  type AmigaProgram,
  amigaPattern,
  HostileDevice,
  inTime,
  openAmigaLoop,
  patternDisk,
  patternStore,
  seededRandom,
} from "../../../testing/index.js";
import { featureSet, ringFeatures } from "../../../transport/index.js";
import { Command } from "../commands/index.js";
import { ExecTask, IoRequest, MessagePort, poisonedHandle, SoftwarePort } from "../exec/index.js";
import { type AmigaProfile, amigaProfiles } from "../profile.js";
import { checkHeldRequests, checkOrphans } from "./held-checks.test.js";
import { gatedDisk, gathered, pause, profileWith } from "./scenario.test.js";

const content = amigaPattern(1 << 20);
const boards = ["amigaone", "pegasos2"] as const;
const profiles = ["strict", "extended"] as const;
const read = (data: number, offset = 0, length = 512) => ({ command: Command.CMD_READ, offset, length, data });

/** On a modern device version 1.5 loses interrupts as soon as two requests are in flight (B32): with that mended. */
function pastB32(name: (typeof profiles)[number]): AmigaProfile {
  const { behaviour, ...rest } = amigaProfiles[name];
  return { ...rest, behaviour: { ...behaviour, usedEventOrder: "ring" } };
}

async function eachWay(
  work: (loop: AmigaLoop, name: (typeof profiles)[number]) => Promise<void>,
  options: AmigaLoopOptions = {},
): Promise<void> {
  for (const board of boards) {
    for (const profile of profiles) {
      const loop = await openAmigaLoop({ board, profile, poison: false, ...options });
      await work(loop, profile);
      await loop.close();
    }
  }
}

/** Reads `count` times one after the other, `length` bytes at block `offset(index)`, and compares. */
async function readMany(program: AmigaProgram, count: number, length: number): Promise<void> {
  const data = program.buffer(length);
  for (let index = 0; index < count; index++) {
    const offset = 512 * (index % 64);
    assert.deepEqual(await program.do(read(data, offset, length)), { error: 0, actual: length });
    assert.deepEqual(program.system.memory.read(data, 8), content.subarray(offset, offset + 8));
  }
}

for (const board of boards) {
  for (const name of profiles) {
    test(`check 9 on ${board}, ${name}: 16 requests are in flight on one unit`, async () => {
      const disk = gatedDisk(0, 0);
      const loop = await openAmigaLoop({ board, profile: pastB32(name), units: [disk], poison: false });
      const program = await loop.open();
      const requests = Array.from({ length: 16 }, (_, index) => program.send(read(program.buffer(512), 512 * index)));
      await gathered(disk.gate, 16);
      assert.equal(program.unit.transfersInFlight, 16);
      void disk.gate.releaseAll();
      for (const request of requests) assert.deepEqual(await inTime(program.wait(request)), { error: 0, actual: 512 });
      await loop.close();
    });
  }
}

test("check 10: two units at once, 200 and 200 reads, then 100 small beside 20 large ones", () =>
  eachWay(async (loop) => {
    const [one, other] = [await loop.open(0), await loop.open(1)];
    await inTime(Promise.all([readMany(one, 200, 512), readMany(other, 200, 512)]), 5000);
    await inTime(Promise.all([readMany(one, 100, 512), readMany(other, 20, 32768)]), 5000);
  }));

test("check 11: one notification for each batch of 8, one interrupt for each burst", () =>
  eachWay(async (loop, profile) => {
    const program = await loop.open();
    const data = Array.from({ length: 8 }, () => program.buffer(512));
    await readMany(program, 2, 512);
    const [io] = loop.system.controllers;
    const before = { ...io.counters };
    for (let burst = 0; burst < 20; burst++) {
      const requests = data.map((address, index) => program.send(read(address, 512 * index)));
      for (const request of requests) assert.equal((await inTime(program.wait(request))).error, 0);
    }
    assert.equal(io.counters.completions - before.completions, 160);
    assert.equal(io.counters.notifies - before.notifies, 20, profile);
    assert.equal(io.counters.interrupts - before.interrupts, 20, profile);
  }));

for (const board of boards) {
  test(`check 11 on ${board}: with N in flight used_event is last + N - 1, when idle the next completion interrupts`, async () => {
    const disk = gatedDisk(0, 0);
    const loop = await openAmigaLoop({ board, profile: pastB32("strict"), units: [disk], poison: false });
    const program = await loop.open();
    const requests = [0, 1, 2, 3].map((block) => program.send(read(program.buffer(512), 512 * block)));
    await gathered(disk.gate, 4);
    const { addresses, size } = loop.function.core.queues[2];
    const usedEvent = () => {
      const [first, second] = loop.machine.memory.read(addresses.available + 4 + 2 * size, 2);
      return board === "amigaone" ? first * 256 + second : second * 256 + first;
    };
    const last = usedEvent();
    disk.gate.releaseOne();
    await pause(5);
    assert.equal(usedEvent(), last + 1 + 3 - 1);
    void disk.gate.releaseAll();
    for (const request of requests) await inTime(program.wait(request));
    assert.equal(usedEvent(), last + 4);
    await loop.close();
  });
}

test("check 12: 70 000 requests on one queue, at depth 16", () =>
  eachWay(async (loop) => {
    const program = await loop.open();
    const { exec } = loop.system;
    let left = 70_000;
    let ended = 0;
    let failed = 0;
    await new Promise<void>((resolve) => {
      const port = new SoftwarePort(new ExecTask("lanes"), (message) => {
        const request = message as IoRequest;
        ended++;
        if (request.ioError !== 0 || request.ioActual !== 512) failed++;
        if (left-- > 0) exec.sendIo(Object.assign(request, read(request.ioData)));
        else if (ended === 70_016) resolve();
      });
      for (let lane = 0; lane < 16; lane++) {
        const request = program.request(read(program.buffer(512)));
        request.replyPort = port;
        exec.sendIo(request);
      }
    });
    assert.equal(failed, 0);
  }));

test("check 13: through a buffer of the slot or by scatter-gather the data are the same, at odd addresses too", () =>
  eachWay(
    async (loop) => {
      const program = await loop.open();
      const data = program.buffer(210 * 1024, "scattered");
      for (const length of [512, 4096, 4608, 65536, 66048, 200 * 1024]) {
        for (const odd of [0, 1, 511]) {
          assert.deepEqual(await program.do(read(data + odd, 1024, length)), { error: 0, actual: length });
          assert.ok(Buffer.compare(loop.memory.read(data + odd, length), content.subarray(1024, 1024 + length)) === 0);
        }
      }
    },
    { ramSize: 16 << 20 },
  ));

test("where a board has message interrupts the extended profile takes them", async () => {
  const loop = await openAmigaLoop({ board: pc });
  assert.equal(loop.system.controllers[0].interruptMode, "msix");
  await readMany(await loop.open(), 10, 512);
  await loop.close();
});

test("check 24: requests for a change are held; replaced -2, taken back 0, at the last close -2, not before", async () => {
  for (const board of boards) {
    const loop = await openAmigaLoop({ board });
    await checkHeldRequests(loop.system);
    await loop.close();
  }
});

test("check 24: version 1.5 orphans what is replaced", async () => {
  for (const board of boards) {
    const loop = await openAmigaLoop({ board, profile: "strict" });
    await checkOrphans(loop.system);
    await loop.close();
  }
});

for (const board of boards) {
  for (const name of profiles) {
    test(`check 25 on ${board}, ${name}: AbortIO takes what is queued; what is in flight it aborts or leaves alone`, async () => {
      const disk = gatedDisk(0, 0);
      const loop = await openAmigaLoop({ board, profile: pastB32(name), units: [disk], poison: false });
      const program = await loop.open();
      const { exec } = loop.system;
      const requests = Array.from({ length: 4 }, () => program.send(read(program.buffer(512))));
      assert.equal(exec.abortIo(requests[3]), 0);
      assert.equal((await inTime(program.wait(requests[3]))).error, -2);
      await gathered(disk.gate, 3);
      assert.equal(exec.abortIo(requests[0]), name === "strict" ? -3 : 0);
      if (name === "extended") assert.equal((await inTime(program.wait(requests[0]))).error, -2);
      void disk.gate.releaseAll();
      const left = name === "strict" ? requests.slice(0, 3) : requests.slice(1, 3);
      for (const request of left) assert.equal((await inTime(program.wait(request))).error, 0);
      assert.equal(exec.abortIo(requests[1]), -3);
      await loop.close();
    });
  }
}

test("check 26: a unit that is not there: -1 and poisoned handles; two opens share a task; exec keeps an open device", () =>
  eachWay(async (loop) => {
    for (const unit of [2, 8, 255, -1]) {
      const request = new IoRequest(new MessagePort(new ExecTask("program")));
      assert.equal(await loop.system.exec.openDevice("virtioscsi.device", unit, request), -1);
      assert.deepEqual([request.ioDevice, request.ioUnit], [poisonedHandle, poisonedHandle]);
    }
    const [first, second] = [await loop.open(1), await loop.open(1)];
    assert.equal(first.unit, second.unit);
    assert.equal(first.unit.workers, 1);
    assert.equal(await loop.driver.expunge(), false);
    await first.close();
    assert.equal(first.opened.ioUnit, poisonedHandle);
    await readMany(second, 3, 512);
    await second.close();
    assert.equal(loop.driver.openCount, 0);
    assert.ok(loop.driver.isExpunged);
  }));

test("check 26: the last close under load answers everything", () =>
  eachWay(async (loop) => {
    for (let round = 0; round < 5; round++) {
      const program = await loop.open(0);
      const requests = Array.from({ length: 40 }, (_, index) => program.send(read(program.buffer(512), 512 * index)));
      await inTime(program.close(), 2000);
      for (const request of requests) {
        const { error } = await inTime(program.wait(request));
        assert.ok(error === 0 || error === -2, `${error}`);
      }
    }
  }));

for (const board of boards) {
  test(`check 27 on ${board}: a unit that never answers costs -7 in time, and others nothing`, async () => {
    const faults = {
      command: ({ target, cdb: [opcode] }: { target: number; cdb: Uint8Array }) =>
        target === 1 && isDead && opcode !== 0x12 ? ({ kind: "never" } as const) : undefined,
    };
    let isDead = false;
    const loop = await openAmigaLoop({ board, faults, timeout: 250 });
    const [living, dead] = [await loop.open(0), await loop.open(1)];
    await readMany(dead, 1, 512);
    isDead = true;
    const requests = Array.from({ length: 5 }, () => dead.send(read(dead.buffer(512))));
    const command = dead.send(dead.scsi(cdb.testUnitReady(), 16).what);
    await readMany(living, 60, 512);
    for (const request of [...requests, command]) {
      assert.deepEqual(await inTime(dead.wait(request), 4000), { error: -7, actual: 0 });
    }
    isDead = false;
    await readMany(dead, 3, 512);
    assert.ok(!loop.system.messages.some((text) => text.startsWith("resetting")), "aborting was enough");
    await loop.close();
  });
}

test("check 28: without interrupts all commands complete (extended), version 1.5 serves the synchronous ones", async () => {
  for (const board of boards) {
    const loop = await openAmigaLoop({ board, interrupts: "none" });
    const program = await loop.open();
    await readMany(program, 20, 512);
    const requests = Array.from({ length: 30 }, (_, index) => program.send(read(program.buffer(512), 512 * index)));
    for (const request of requests) assert.equal((await inTime(program.wait(request))).error, 0);
    await loop.close();
  }
  const loop = await openAmigaLoop({ profile: "strict", interrupts: "none" });
  const program = await loop.open();
  const geometry = { command: Command.TD_GETGEOMETRY, length: 32, data: program.buffer(32) };
  assert.equal((await inTime(program.do(geometry))).error, 0);
  const hanging = program.send(read(program.buffer(512)));
  await assert.rejects(inTime(program.wait(hanging), 100));
  await loop.close();
});

/** A ring whose device is hostile: our own device half never hears of what the driver adds. */
async function hostileRun(
  board: (typeof boards)[number],
  seed: number,
  profile: AmigaProfile | "strict" | "extended",
): Promise<void> {
  const features = featureSet(ringFeatures.EVENT_IDX);
  const loop = await openAmigaLoop({
    board,
    profile,
    features,
    timeout: 60,
    poison: false,
    units: [patternDisk(0, 0)],
  });
  const program = await loop.open();
  const random = seededRandom(seed);
  try {
    await readMany(program, 1, 512);
    const { core } = loop.function;
    const { addresses, size } = core.queues[2];
    const endianness = loop.system.controllers[0].kind === "pci-modern" ? "little" : "big";
    const used = loop.machine.memory.read(addresses.used + 2, 2);
    const startIndex = endianness === "little" ? used[0] + 256 * used[1] : used[1] + 256 * used[0];
    const hostile = new HostileDevice(loop.machine.memory, {
      random,
      addresses,
      size,
      endianness,
      startIndex,
      hostility: 0.5,
    });
    const notify = core.notify.bind(core);
    let isHostile = true;
    core.notify = (queue) => {
      if (queue !== 2 || !isHostile) notify(queue);
    };
    const requests = Array.from({ length: 8 }, () => program.send(read(program.buffer(512))));
    await pause(2);
    for (let count = 0; count < 8; count++) hostile.take(620);
    for (let step = 0; step < 12; step++) {
      hostile.step(1 + random.below(2));
      core.signal(2);
      await pause(1);
    }
    isHostile = false;
    const closing = program.close();
    for (const request of requests) {
      const { error, actual } = await inTime(program.wait(request), 3000);
      assert.ok(actual >= 0 && actual <= 512, `${error} ${actual}`);
    }
    await inTime(closing, 3000);
  } finally {
    await loop.system.close().catch(() => {});
    await loop.unplug();
  }
}

test("check 29: a device that breaks the ring's rules costs errors, not the program (seeds 1 to 12, three drivers)", async () => {
  for (let seed = 1; seed <= 12; seed++) {
    for (const profile of ["strict", "extended", profileWith([])] as const) {
      await hostileRun("pegasos2", seed, profile);
      if (seed <= 4) await hostileRun("amigaone", seed, profile);
    }
  }
});

/** A disk whose answers say that less than nothing was moved. */
function overstating(unit: LogicalUnit): LogicalUnit {
  return new Proxy(unit, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (key === "execute") {
        return (task: ScsiTask) => {
          const answer = target.execute(task);
          if (task.cdb[0] === 0x28) task.transferredOut = -1_000_000;
          return answer;
        };
      }
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

test("check 29: a residual that is more than was asked for leaves io_Actual within 0 and the length", async () => {
  for (const profile of profiles) {
    const units = [{ target: 0, lun: 0, unit: overstating(new Disk(patternStore(1 << 16), {})) }];
    const loop = await openAmigaLoop({ board: "amigaone", profile, units });
    const program = await loop.open();
    await program.do(program.scsi(cdb.testUnitReady(), 16).what);
    assert.deepEqual(await program.do(read(program.buffer(512))), { error: 0, actual: 0 });
    assert.deepEqual(await program.do(program.scsi(cdb.read10(0, 1), 512).what), { error: 0, actual: 0 });
    await loop.close();
  }
});
