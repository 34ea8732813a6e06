/** The monitor in a real fs-uae: accesses, transfers, exceptions, waiting, and how the machine ends. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PseudoTerminal } from "../../src/linux/index.js";
import { blockBytes } from "../../src/memory/index.js";
import {
  type FsUaeMachine,
  type FsUaeModel,
  findFsUae,
  fsUaeModels,
  launchFsUae,
  ProcessorException,
  startFsUaeMachine,
  transferSum,
} from "../../src/platform/fs-uae/index.js";
import { seededRandom } from "../../src/testing/index.js";
import { noFsUae } from "./fs-uae-rig.js";
import { after, before, describe, test } from "./limited-test.js";

/** Free memory that no test shares. */
const scratch = 0x4_0000;
/** Nobody is there, and FatGary says so when it is told to. */
const nobody = 0xd0_0000;
const garyTimeout = 0xde_0001;

const vectorOf = (work: () => unknown): number => {
  try {
    work();
  } catch (error) {
    if (error instanceof ProcessorException) return error.vector;
    throw error;
  }
  return 0;
};

for (const model of Object.keys(fsUaeModels) as FsUaeModel[]) {
  describe(`${model} with the monitor`, { skip: noFsUae }, () => {
    let machine: FsUaeMachine;
    before(async () => {
      machine = await startFsUaeMachine({ model });
    });
    after(() => machine?.close());

    test("reads and writes 8, 16 and 32 bits, big-endian, near each other and far apart", () => {
      const { memorySpace: space } = machine;
      space.write32(scratch, 0x0102_0304);
      assert.deepEqual(
        [0, 1, 2, 3].map((byte) => space.read8(scratch + byte)),
        [1, 2, 3, 4],
      );
      assert.equal(space.read16(scratch + 2), 0x0304);
      space.write16(scratch, 0xfffe);
      space.write8(scratch + 3, 0x80);
      assert.equal(space.read32(scratch), 0xfffe_0380);
      for (const step of [2, 0x100, 0x1_0000]) {
        for (let index = 0; index < 8; index++) space.write16(scratch + index * step, index * 0x1111);
        for (let index = 1; index < 8; index++) assert.equal(space.read16(scratch + index * step), index * 0x1111);
      }
    });

    test("accesses within a page take three bytes and one round trip each, once the page is known", () => {
      machine.memorySpace.read8(scratch);
      machine.memorySpace.read8(scratch + 1);
      const first = machine.cost;
      for (let index = 0; index < 10; index++) machine.memorySpace.write8(scratch + index, index);
      const { roundTrips, bytesSent, bytesReceived } = machine.cost;
      assert.deepEqual(
        [roundTrips - first.roundTrips, bytesSent - first.bytesSent, bytesReceived - first.bytesReceived],
        [10, 30, 10],
      );
    });

    test("bytes of every value go up and come down, in blocks of any length", () => {
      const random = seededRandom(7);
      for (const length of [0, 1, 255, 2048, 2049, 40_001]) {
        const bytes = Uint8Array.from({ length }, () => random.below(256));
        machine.monitor.upload(scratch + 1, bytes);
        assert.equal(machine.monitor.sum(scratch + 1, length), transferSum(bytes));
        const back = new Uint8Array(length);
        machine.monitor.download(scratch + 1, back);
        assert.deepEqual(back, bytes);
      }
      machine.monitor.fill(scratch, 1000, 0xa5);
      assert.deepEqual(machine.monitor.snapshot(scratch + 996, 1, 4), [0xa5, 0xa5, 0xa5, 0xa5]);
      assert.deepEqual(machine.monitor.snapshot(scratch, 4, 2), [0xa5a5_a5a5, 0xa5a5_a5a5]);
    });

    test("a routine of ours runs with its argument in D0", () => {
      // ADDQ.L #1,D0; RTS
      machine.monitor.upload(scratch, Uint8Array.of(0x52, 0x80, 0x4e, 0x75));
      assert.equal(machine.monitor.call(scratch, 41), 42);
    });

    test("exceptions are named, and the monitor goes on: illegal and line F instructions, odd addresses, division", () => {
      const { monitor } = machine;
      const run = (...bytes: number[]) => {
        monitor.upload(scratch, Uint8Array.from(bytes));
        return vectorOf(() => monitor.call(scratch));
      };
      assert.equal(run(0x4a, 0xfc), 4);
      assert.equal(run(0xff, 0xff), 11);
      assert.equal(run(0xa0, 0x00), 10);
      // MOVEQ #0,D0; DIVU D0,D0
      assert.equal(run(0x70, 0, 0x80, 0xc0), 5);
      assert.equal(
        vectorOf(() => monitor.call(scratch + 1)),
        3,
      );
      monitor.hello();
    });

    test("bus errors are named, and the monitor goes on, in the middle of transfers too", () => {
      const { monitor, memorySpace } = machine;
      memorySpace.write8(garyTimeout, 0x80);
      assert.throws(
        () => memorySpace.read32(nobody),
        (error) =>
          error instanceof ProcessorException &&
          error.vector === 2 &&
          /^bus error at read 0x00d00000 \(/.test(error.message),
      );
      assert.equal(
        vectorOf(() => monitor.sum(nobody, 10)),
        2,
      );
      assert.equal(
        vectorOf(() => monitor.download(nobody, new Uint8Array(5000))),
        2,
      );
      assert.equal(
        vectorOf(() => monitor.snapshot(nobody, 4, 3)),
        2,
      );
      assert.equal(
        vectorOf(() => monitor.poll(nobody, 1, 1, 0, 5)),
        2,
      );
      // Without an MMU in its processor this emulator lets writes pass.
      const onWrite = model === "a3000" ? 2 : 0;
      assert.equal(
        vectorOf(() => memorySpace.write8(nobody, 1)),
        onWrite,
      );
      assert.equal(
        vectorOf(() => monitor.upload(nobody, new Uint8Array(3000))),
        onWrite,
      );
      memorySpace.write8(garyTimeout, 0);
      monitor.hello();
    });

    test("the processor waits for a bit that changes, and no longer than it is told", () => {
      const { monitor } = machine;
      monitor.upload(scratch, Uint8Array.of(0, 0, 0x12, 0x34));
      assert.deepEqual(monitor.poll(scratch, 4, 0x1000, 0, 100), { value: 0x1234, matched: true, lines: 0 });
      const waited = monitor.poll(scratch, 4, 0x8000, 0, 100);
      assert.deepEqual(waited, { value: 0x1234, matched: false, lines: 100 });
      // The raster position changes by itself.
      assert.equal(monitor.poll(0xdf_f006, 1, 0xff, monitor.read(0xdf_f006, 1), 1000).matched, true);
      assert.throws(() => monitor.poll(scratch, 1, 1, 0, 0), RangeError);
    });

    test("memory is mirrored: share sends what changed, unshare fetches what the machine wrote", () => {
      const { dma, monitor } = machine;
      const block = dma.allocate(3000);
      const bytes = blockBytes(block);
      assert.equal(monitor.sum(block.address, 3000), 0);
      bytes.set([1, 2, 3], 100);
      bytes.set([4], 2000);
      assert.equal(monitor.read(block.address + 101, 1), 0, "not shared yet");
      const before = machine.cost.bytesSent;
      const shared = dma.share(bytes, "both");
      assert.deepEqual(shared.segments, [{ address: block.address, length: 3000 }]);
      assert.ok(machine.cost.bytesSent - before < 100, "only what changed was sent");
      assert.deepEqual(monitor.snapshot(block.address + 100, 1, 4), [1, 2, 3, 0]);
      monitor.write(block.address + 4, 4, 0xdead_beef);
      assert.equal(bytes[4], 0);
      dma.unshare(shared);
      assert.deepEqual([...bytes.subarray(4, 8)], [0xde, 0xad, 0xbe, 0xef]);
      dma.free(block);
      const own = Uint8Array.of(9, 8, 7, 6, 5);
      const lent = dma.share(own, "both");
      const [{ address }] = lent.segments;
      assert.deepEqual(monitor.snapshot(address, 1, 5), [...own]);
      monitor.write(address + 4, 1, 0x77);
      dma.unshare(lent);
      assert.deepEqual([...own], [9, 8, 7, 6, 0x77]);
      assert.equal(dma.allocatedBytes, 0);
      // What was there before must not come back to who shares the same place next.
      const empty = dma.share(new Uint8Array(5), "from-device");
      dma.unshare(empty);
      assert.deepEqual([...empty.bytes], [0, 0, 0, 0, 0]);
    });
  });
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

test("closing ends fs-uae and removes its folder; later accesses say so", { skip: noFsUae }, async () => {
  const machine = await startFsUaeMachine();
  const { pid, folder } = machine;
  assert.ok(isAlive(pid) && existsSync(folder));
  await machine.close();
  await machine.close();
  assert.ok(!isAlive(pid) && !existsSync(folder));
  assert.throws(() => machine.memorySpace.read8(0), /^FsUaeError: the machine is closed$/);
});

test("an fs-uae that dies is one line with its name, at once", { skip: noFsUae }, async () => {
  const machine = await startFsUaeMachine();
  process.kill(machine.pid, "SIGKILL");
  const start = performance.now();
  assert.throws(() => {
    for (;;) machine.memorySpace.read8(scratch);
  }, /^FsUaeError: fs-uae (ended|takes no more requests)[^\n]*$/);
  assert.ok(performance.now() - start < 5000);
  await machine.close();
});

test("an fs-uae that hangs is given up after the time limit", { skip: noFsUae }, async () => {
  const machine = await startFsUaeMachine({ timeout: 2000 });
  process.kill(machine.pid, "SIGSTOP");
  assert.throws(() => {
    // It stops when the kernel gets to it.
    for (;;) machine.memorySpace.read8(scratch);
  }, /did not answer read 0x00040000 within 2000 ms/);
  await machine.close();
  assert.ok(!isAlive(machine.pid));
});

test("when our process is killed, fs-uae ends and its folder goes", { skip: noFsUae }, async () => {
  const module_ = new URL("../../src/platform/fs-uae/index.js", import.meta.url).href;
  const source = `
    const { startFsUaeMachine } = await import(${JSON.stringify(module_)});
    const { pid, folder } = await startFsUaeMachine();
    console.log(JSON.stringify({ pid, folder }));
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", source], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = await once(child.stdout, "data");
  const { pid, folder } = JSON.parse(String(line)) as { pid: number; folder: string };
  assert.ok(isAlive(pid) && existsSync(folder));
  child.kill("SIGKILL");
  const end = performance.now() + 5000;
  while ((isAlive(pid) || existsSync(folder)) && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.ok(!isAlive(pid) && !existsSync(folder));
});

test("what cannot be started says why in one line", { skip: noFsUae }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "ringside-fs-uae-test-"));
  try {
    const small = join(folder, "small");
    writeFileSync(small, "x");
    const image = join(folder, "image");
    writeFileSync(image, new Uint8Array(512));
    assert.throws(() => findFsUae(join(folder, "none")), /^UnsupportedError: .*there is no such file$/);
    assert.throws(() => findFsUae(small), /^UnsupportedError: .*not a program/);
    assert.throws(() => findFsUae("/bin/true"), /^UnsupportedError: \/bin\/true is not fs-uae/);
    const fails = (disks: NonNullable<Parameters<typeof launchFsUae>[0]>["disks"], words: RegExp) =>
      assert.rejects(launchFsUae({ disks: disks ?? [] }), words);
    await fails([{ image: join(folder, "none") }], /^FsUaeError: no image at /);
    await fails([{ image: folder }], /^FsUaeError: .* is not a regular file$/);
    await fails([{ image: small }], /^FsUaeError: .* is smaller than a block$/);
    await fails([{ image, target: 7 }], /^RangeError: no disk can have SCSI id 7$/);
    await fails([{ image }, { image, target: 0 }], /^RangeError: two disks have SCSI id 0$/);
    await assert.rejects(startFsUaeMachine({ memorySize: 1 << 21 }), RangeError);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a pseudo-terminal passes every byte as it is, and tells of the other end's end", () => {
  const line = new PseudoTerminal();
  const other = new PseudoTerminal();
  try {
    assert.notEqual(line.path, other.path);
    const end = openSync(line.path, "r+");
    const all = Uint8Array.from({ length: 256 }, (_, index) => index);
    line.send(all, 256, 1000);
    const got = new Uint8Array(256);
    for (let done = 0; done < 256; ) done += readSync(end, got, done, 256 - done, null);
    assert.deepEqual(got, all);
    writeSync(end, all);
    const back = new Uint8Array(256);
    for (let done = 0; done < 256; ) done += line.receive(back.subarray(done), 1000);
    assert.deepEqual(back, all);
    assert.equal(line.receive(back, 10), -1);
    line.leaveOtherEnd();
    closeSync(end);
    assert.equal(line.receive(back, 1000), 0);
    line.close();
    line.close();
    assert.throws(() => line.send(all, 1, 0), /closed/);
  } finally {
    line.close();
    other.close();
  }
});
