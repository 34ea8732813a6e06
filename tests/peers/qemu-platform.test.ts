/** QEMU as a machine: what the platform promises, on every board that a QEMU here has. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Board, findVirtioAdapters, openAdapter, pciBoards } from "../../src/machine/index.js";
import { openConfigAccess } from "../../src/pci/index.js";
import {
  findQemu,
  type InjectedError,
  type QemuAdapter,
  QemuError,
  type QemuMachine,
  startQemuMachine,
} from "../../src/platform/qemu/index.js";
import { unitAddress } from "../../src/scsi/index.js";
import { DeviceStatus, type DriverTransport, type InterruptPreference } from "../../src/transport/index.js";
import { VirtioScsiDriver } from "../../src/virtio/scsi/index.js";
import { after, before, test } from "./limited-test.js";

const folder = mkdtempSync(join(tmpdir(), "ringside-qemu-platform-"));
const image = join(folder, "disk,with comma.img");
before(() => writeFileSync(image, new Uint8Array(1 << 20).fill(0x5a)));
after(() => rmSync(folder, { recursive: true }));

/** False when a QEMU has the board, otherwise why the test is skipped. */
function missing(board: Board): string | false {
  try {
    findQemu(board);
    return false;
  } catch (error) {
    return (error as Error).message;
  }
}

const isAlive = (pid: number) =>
  existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
const descriptors = () => readdirSync("/proc/self/fd").length;
const scratchFolders = () =>
  readdirSync(tmpdir()).filter((name) => name.startsWith("ringside-qemu-") && !folder.endsWith(name));

async function waitUntil(condition: () => boolean, what: string): Promise<void> {
  for (let round = 0; !condition(); round++) {
    if (round > 500) assert.fail(`still not so after 5 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function withMachine(board: Board, adapters: QemuAdapter[], use: (machine: QemuMachine) => Promise<void> | void) {
  const machine = await startQemuMachine({ board, adapters });
  try {
    await use(machine);
  } finally {
    await machine.close();
  }
}

const blk: QemuAdapter = { kind: "virtio-blk", disks: [{ image }] };
const scsi: QemuAdapter = { kind: "virtio-scsi", disks: [{ image }] };

/** Takes a virtio-blk device to DRIVER_OK without queues: enough for configuration interrupts. Returns how they come. */
function bringUp(transport: DriverTransport, handlers: { config: () => void }): string {
  transport.writeStatus(0);
  transport.writeStatus(DeviceStatus.Acknowledge);
  transport.writeStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver);
  const offered = transport.readFeatures();
  transport.writeFeatures(transport.isLegacy ? 0n : offered & (1n << 32n));
  const ready = DeviceStatus.Acknowledge | DeviceStatus.Driver | (transport.isLegacy ? 0 : DeviceStatus.FeaturesOk);
  transport.writeStatus(ready);
  const mode = transport.openInterrupts(1, { queue: () => {}, config: handlers.config });
  transport.writeStatus(ready | DeviceStatus.DriverOk);
  return mode;
}

for (const board of pciBoards) {
  if (board.qemu === undefined) continue;
  const skip = missing(board);

  test(`${board.name}: memory is one and the same on both sides, from the first byte to the last`, { skip }, () =>
    withMachine(board, [], async (machine) => {
      const { bytes, size } = machine.memory.regions[0];
      assert.equal(size, board.defaultRamSize);
      const end = board.ramBase + size;
      const { memorySpace } = machine;
      for (const address of [board.ramBase + 0x1000, board.ramBase + (size >> 1), end - 8]) {
        const offset = address - board.ramBase;
        bytes.set([0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88], offset);
        assert.equal(memorySpace.read32(address), 0x44332211);
        assert.equal(memorySpace.read16(address + 4), 0x6655);
        assert.equal(memorySpace.read8(address + 7), 0x88);
        memorySpace.write32(address, 0xdeadbeef);
        memorySpace.write16(address + 4, 0x1234);
        memorySpace.write8(address + 6, 0xff);
        assert.deepEqual([...bytes.subarray(offset, offset + 8)], [0xef, 0xbe, 0xad, 0xde, 0x34, 0x12, 0xff, 0x88]);
      }
      const block = machine.dma.allocate(4096, 4096);
      assert.ok(machine.memory.findRange(block.address, block.size));
      assert.ok(block.address >= board.ramBase + (1 << 20));
      block.region.bytes[block.offset + 4095] = 0x77;
      assert.equal(memorySpace.read8(block.address + 4095), 0x77);
    }),
  );

  test(`${board.name}: each host bridge answers with its identity through configuration registers`, { skip }, () =>
    withMachine(board, [], (machine) => {
      assert.equal(machine.portSpace !== undefined, board.bridges[0].config.space === "port");
      for (const bridge of board.bridges) {
        const config = openConfigAccess(machine, bridge.config);
        const self = bridge.onboard.find((fn) => fn.slot === 0 && fn.function === 0);
        assert.equal(config.read(0, 0, 2), self?.vendorId);
        assert.equal(config.read(0, 2, 2), self?.deviceId);
      }
    }),
  );

  for (const slots of [[0], [0, 1, 2]]) {
    test(`${board.name}: an INTx interrupt of ${slots.length} adapters reaches the right handler, once`, { skip }, () =>
      withMachine(
        board,
        slots.map(() => blk),
        async (machine) => {
          const adapters = findVirtioAdapters(machine);
          assert.equal(adapters.length, slots.length);
          const seen = adapters.map(() => 0);
          const transports = adapters.map((adapter, index) => {
            const transport = openAdapter(machine, adapter, { prefer: "intx" as InterruptPreference });
            assert.equal(bringUp(transport, { config: () => seen[index]++ }), "intx");
            return transport;
          });
          await machine.idle(20);
          assert.deepEqual(
            seen,
            adapters.map(() => 0),
          );
          for (const index of [...slots, ...slots].reverse()) {
            seen.fill(0);
            const capacity = transports[index].readConfig(0, 4);
            await machine.qmp.execute("block_resize", {
              "node-name": `adapter${index}-disk0-layer`,
              size: (capacity + 8) * 512,
            });
            const access = machine.accesses;
            const start = performance.now();
            for (let round = 0; round < 100 && seen[index] === 0; round++) await machine.idle(50);
            assert.ok(performance.now() - start < 2000, "idle ends when an interrupt was delivered");
            assert.ok(
              machine.accesses - access < 40,
              `${machine.accesses - access} register accesses for one interrupt`,
            );
            await machine.idle(10);
            assert.deepEqual(
              seen,
              adapters.map((_, other) => (other === index ? 1 : 0)),
            );
            assert.equal(transports[index].readConfig(0, 4), capacity + 8);
          }
          for (const transport of transports) transport.closeInterrupts();
        },
      ),
    );
  }

  test(`${board.name}: messages (MSI-X) arrive where the board has them, and are not offered elsewhere`, { skip }, () =>
    withMachine(board, [blk], async (machine) => {
      const [adapter] = findVirtioAdapters(machine);
      let seen = 0;
      const transport = openAdapter(machine, adapter, { prefer: "msix" as InterruptPreference });
      const mode = bringUp(transport, { config: () => seen++ });
      assert.equal(mode.startsWith("msix"), machine.interrupts.attachMessage !== undefined);
      assert.equal(machine.interrupts.attachMessage !== undefined, board.bridges[0].messageInterrupts);
      await machine.qmp.execute("block_resize", { "node-name": "adapter0-disk0-layer", size: 8192 });
      for (let round = 0; round < 100 && seen === 0; round++) await machine.idle(50);
      await machine.idle(10);
      assert.equal(seen, 1);
      transport.closeInterrupts();
    }),
  );

  for (const write of [false, true]) {
    const outcome = write ? "with `write`, change the image" : "leave the image as it was";
    test(`${board.name}: reads see the disk, an injected error comes as sense, writes ${outcome}`, {
      skip,
    }, async () => {
      const own = join(folder, `${board.name}-${write}.img`);
      writeFileSync(own, new Uint8Array(1 << 20).fill(0x5a));
      const errors: InjectedError[] = [{ on: "read", sector: 100 }];
      await withMachine(board, [{ kind: "virtio-scsi", disks: [{ image: own, errors, write }] }], async (machine) => {
        const [adapter] = findVirtioAdapters(machine);
        const driver = await VirtioScsiDriver.open(openAdapter(machine, adapter), { timeout: 2000 });
        let running = true;
        const pump = (async () => {
          while (running) await machine.idle(20);
        })();
        try {
          const read = (block: number, dataIn: Uint8Array) =>
            driver.execute(unitAddress(0, 0), new Uint8Array([0x28, 0, 0, 0, 0, block, 0, 0, 1, 0]), { dataIn });
          // The first command of an initiator is answered with a unit attention (power on).
          assert.equal((await driver.execute(unitAddress(0, 0), new Uint8Array(6))).status, 2);
          const data = new Uint8Array(512);
          assert.equal((await read(7, data)).status, 0);
          assert.ok(data.every((byte) => byte === 0x5a));
          const command = { "command-line": 'qemu-io -d adapter0-unit0 "write -P 0xc3 3584 512"' };
          await machine.qmp.execute("human-monitor-command", command);
          assert.equal((await read(7, data)).status, 0);
          assert.ok(data.every((byte) => byte === 0xc3));
          const bad = await read(100, data);
          assert.equal(bad.status, 2);
          assert.equal(bad.sense[2] & 0xf, 0xb, "QEMU tells EIO as ABORTED COMMAND");
        } finally {
          running = false;
          await pump;
        }
      });
      const after = readFileSync(own);
      assert.ok(after.subarray(3584, 4096).every((byte) => byte === (write ? 0xc3 : 0x5a)));
      after.fill(0x5a, 3584, 4096);
      assert.ok(after.every((byte) => byte === 0x5a));
    });
  }

  test(
    `${board.name}: no INTx interrupt is lost in 1 200 reads, four at a time on each of two adapters`,
    { skip },
    () =>
      withMachine(board, [scsi, scsi], async (machine) => {
        const found = findVirtioAdapters(machine);
        const drivers: VirtioScsiDriver[] = [];
        for (const adapter of found) {
          drivers.push(
            await VirtioScsiDriver.open(openAdapter(machine, adapter, { prefer: "intx" }), { timeout: 2000 }),
          );
        }
        let running = true;
        const pump = (async () => {
          while (running) await machine.idle(20);
        })();
        try {
          for (const driver of drivers) await driver.execute(unitAddress(0, 0), new Uint8Array(6));
          const reader = async (driver: VirtioScsiDriver) => {
            const data = new Uint8Array(512);
            for (let n = 0; n < 150; n++) {
              data.fill(0);
              const command = new Uint8Array([0x28, 0, 0, 0, 0, n, 0, 0, 1, 0]);
              assert.equal((await driver.execute(unitAddress(0, 0), command, { dataIn: data })).status, 0);
              assert.ok(data[0] === 0x5a && data[511] === 0x5a);
            }
          };
          await Promise.all(drivers.flatMap((driver) => [1, 2, 3, 4].map(() => reader(driver))));
        } finally {
          running = false;
          await pump;
        }
      }),
  );

  test(`${board.name}: a QEMU that is killed in the middle is a clear error at once, for registers, idle and monitor`, {
    skip,
  }, async () => {
    const machine = await startQemuMachine({ board, adapters: [scsi] });
    process.kill(machine.pid, "SIGKILL");
    await waitUntil(() => !isAlive(machine.pid), "QEMU ended");
    const ended = (error: unknown) =>
      error instanceof QemuError && /QEMU ended|connection broke|no more commands/.test(error.message);
    assert.throws(() => machine.memorySpace.read32(0x1000), ended);
    await assert.rejects(machine.idle(10), ended);
    await assert.rejects(machine.qmp.execute("query-status"), ended);
    await machine.close();
    assert.equal(existsSync(machine.folder), false);
  });

  test(`${board.name}: a QEMU that hangs is an error within the time limit, and is ended`, { skip }, async () => {
    const machine = await startQemuMachine({ board, timeout: 300 });
    process.kill(machine.pid, "SIGSTOP");
    const start = performance.now();
    assert.throws(() => machine.memorySpace.read32(0x1000), /did not answer "readl 0x1000" within 300 ms/);
    assert.ok(performance.now() - start < 3000);
    await machine.close();
    assert.equal(isAlive(machine.pid), false);
  });
}

const board = pciBoards.find((candidate) => candidate.qemu !== undefined && missing(candidate) === false);
const skip = board === undefined ? "no QEMU here has any of the boards" : false;
const some = board as Board;

test("idle waits without using the processor when nothing happens", { skip }, () =>
  withMachine(some, [], async (machine) => {
    const before = process.cpuUsage();
    const start = performance.now();
    await machine.idle(1000);
    const elapsed = performance.now() - start;
    const { user, system } = process.cpuUsage(before);
    assert.ok(elapsed >= 995 && elapsed < 3000, `${elapsed} ms`);
    assert.ok(user + system < 300_000, `${user + system} µs of processor time in one second`);
  }),
);

test("disks come and go on a running adapter", { skip }, () =>
  withMachine(some, [{ kind: "virtio-scsi", disks: [] }], async (machine) => {
    const id = await machine.plugDisk(0, { image, target: 3, lun: 2, serial: "hot" });
    const tree = async () => JSON.stringify(await machine.qmp.execute("query-block"));
    assert.match(await tree(), /plugged0/);
    await machine.unplugDisk(id);
    assert.doesNotMatch(await tree(), new RegExp(`"qdev": ?"${id}"`));
    await assert.rejects(machine.plugDisk(0, { image: join(folder, "none") }), /no image at/);
    await assert.rejects(machine.plugDisk(7, { image }), /adapter7/);
  }),
);

test(
  "a disk that is plugged in gets the lowest free number, however many came and went, and no two have one",
  {
    skip,
  },
  () =>
    withMachine(some, [{ kind: "virtio-scsi", disks: [] }], async (machine) => {
      const first = await machine.plugDisk(0, { image });
      const second = await machine.plugDisk(0, { image });
      assert.deepEqual([first, second], ["plugged0", "plugged1"]);
      await assert.rejects(machine.plugDisk(7, { image }), /adapter7/);
      // More than there are targets on a bus, which the number is where none is given.
      for (let time = 0; time < 300; time++) {
        await machine.unplugDisk("plugged0");
        assert.equal(await machine.plugDisk(0, { image }), "plugged0");
      }
      assert.equal(await machine.plugDisk(0, { image }), "plugged2");
      const nodes = (await machine.qmp.execute("query-named-block-nodes", { flat: true })) as unknown[];
      assert.ok(nodes.length <= 12, `${nodes.length} nodes: what was behind the others is gone`);
    }),
);

test("a start that fails says why in one line, with QEMU's words, and leaves nothing behind", { skip }, async () => {
  const machine = await startQemuMachine({ board: some });
  await machine.close();
  const before = { descriptors: descriptors(), folders: scratchFolders() };
  const wrong: [object, RegExp][] = [
    [{ extraArguments: ["-device", "no-such-device"] }, /^QEMU did not start: .*no-such-device/],
    [
      { adapters: [{ kind: "virtio-scsi", disks: [{ image: join(folder, "none.img") }] }] },
      /^no image at .*none\.img$/,
    ],
    [{ adapters: [{ kind: "virtio-scsi", disks: [{ image, target: 300 }] }] }, /^QEMU did not start: .*scsi-id/],
    [{ adapters: [{ kind: "virtio-blk", disks: [] }] }, /one disk, not 0/],
    [{ ramSize: 1000 }, /whole MiB/],
    [{ qemuPath: join(folder, "no-qemu") }, /there is no such file/],
  ];
  for (const [options, message] of wrong) {
    await assert.rejects(startQemuMachine({ board: some, ...options }), (error: Error) => {
      assert.match(error.message, message);
      assert.ok(!error.message.includes("\n"));
      return true;
    });
  }
  assert.deepEqual({ descriptors: descriptors(), folders: scratchFolders() }, before);
});

test("after close there is no process, folder, descriptor or listener left, and closing again does nothing", {
  skip,
}, async () => {
  const round = async () => {
    const machine = await startQemuMachine({ board: some, adapters: [scsi] });
    assert.ok(isAlive(machine.pid) && existsSync(machine.folder));
    await Promise.all([machine.close(), machine.close()]);
    await machine.close();
    assert.equal(isAlive(machine.pid), false);
    assert.equal(existsSync(machine.folder), false);
    assert.throws(() => machine.memorySpace.read32(0), /the machine is closed/);
    assert.equal(machine.memory.regions[0].bytes[0], 0);
  };
  await round();
  const before = { descriptors: descriptors(), listeners: process.listenerCount("exit") };
  for (let n = 0; n < 3; n++) await round();
  assert.deepEqual({ descriptors: descriptors(), listeners: process.listenerCount("exit") }, before);
});

for (const end of ["SIGKILL", "SIGINT", "SIGTERM", "exit", "throw"]) {
  test(`our process ends by ${end}: QEMU ends too and its folder goes`, { skip }, async () => {
    const url = (room: string) => JSON.stringify(new URL(`../../src/${room}/index.js`, import.meta.url).href);
    const script = `
      import { startQemuMachine } from ${url("platform/qemu")};
      import { boards } from ${url("machine")};
      const machine = await startQemuMachine({ board: boards[${JSON.stringify(some.name)}] });
      console.log(machine.pid, machine.folder);
      ${end === "exit" ? "process.exit(0)" : end === "throw" ? "throw new Error('on purpose')" : "setInterval(() => {}, 1000)"}`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    const line = await new Promise<string>((resolve) => {
      let text = "";
      child.stdout.on("data", (data) => (text += data));
      child.stdout.on("data", () => text.includes("\n") && resolve(text));
      child.stdout.on("end", () => resolve(text));
    });
    const [pid, scratch] = line.trim().split(" ");
    assert.ok(Number(pid) > 0, `the child printed "${line}"`);
    if (end.startsWith("SIG")) child.kill(end as NodeJS.Signals);
    await waitUntil(() => !isAlive(Number(pid)), `QEMU ${pid} ended`);
    await waitUntil(() => !existsSync(scratch), `${scratch} is gone`);
  });
}

test("an open machine alone does not keep our process from ending", { skip }, async () => {
  const url = (room: string) => JSON.stringify(new URL(`../../src/${room}/index.js`, import.meta.url).href);
  const script = `
    import { startQemuMachine } from ${url("platform/qemu")};
    import { boards } from ${url("machine")};
    await startQemuMachine({ board: boards[${JSON.stringify(some.name)}] });`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: "ignore", timeout: 20_000 });
  const [status, signal] = await new Promise<unknown[]>((resolve) => child.once("exit", (...how) => resolve(how)));
  assert.deepEqual([status, signal], [0, null]);
});
