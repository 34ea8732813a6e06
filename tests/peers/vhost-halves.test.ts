/** Our driver half over vhost-user, on our own back end in another process and on QEMU's storage daemon. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type FrontEndOptions, openVhostUser, type VhostUserFrontEnd } from "../../src/platform/vhost-user/index.js";
import { unitAddress } from "../../src/scsi/index.js";
import { seededRandom } from "../../src/testing/index.js";
import { DeviceStatus, featureSet, ProtocolFeature } from "../../src/transport/index.js";
import { scsiConfig, VirtioBlkDriver, VirtioScsiDriver, virtioBlkId, virtioScsiId } from "../../src/virtio/index.js";
import { after, describe, test } from "./limited-test.js";
import { type BackEndProcess, startBackEnd, startStorageDaemon } from "./vhost-processes.js";

const folder = mkdtempSync(join(tmpdir(), "ringside-vhost-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let sockets = 0;
const newSocket = () => join(folder, `socket-${sockets++}`);
const noLinux = process.platform !== "linux" && "vhost-user needs Linux";
const noDaemon =
  noLinux || (spawnSync("qemu-storage-daemon", ["--version"]).status !== 0 && "qemu-storage-daemon is not installed");

/** The configuration that a front end for SCSI hosts makes up, as QEMU does. */
function scsiConfiguration(requestQueues: number): Uint8Array {
  const bytes = new Uint8Array(scsiConfig.size);
  const sizes = { eventInfoSize: 16, senseSize: 96, cdbSize: 32, maxChannel: 0, maxTarget: 255, maxLun: 16383 };
  const limits = { numQueues: requestQueues, segMax: 126, maxSectors: 0xffff, cmdPerLun: 128 };
  scsiConfig.write(new DataView(bytes.buffer), 0, "little", { ...limits, ...sizes });
  return bytes;
}

async function withFrontEnd(
  peer: BackEndProcess,
  options: FrontEndOptions,
  work: (frontEnd: VhostUserFrontEnd) => Promise<void>,
): Promise<void> {
  try {
    const frontEnd = await openVhostUser(options);
    try {
      await work(frontEnd);
    } finally {
      frontEnd.close();
    }
  } finally {
    await peer.stop();
  }
}

function randomBytes(length: number, seed: number): Uint8Array {
  const random = seededRandom(seed);
  const words = new Uint32Array(length / 4).map(() => random.below(2 ** 32));
  return new Uint8Array(words.buffer);
}

/** Writes and reads back, at several sizes and places. */
async function verifyBlk(driver: VirtioBlkDriver, sectors: number, queues = 1): Promise<void> {
  const random = seededRandom(7);
  const model = randomBytes(sectors * 512, 1);
  await driver.writeSectors(0, model);
  for (let round = 0; round < 60; round++) {
    const length = 1 + random.below(round % 10 === 0 ? 2048 : 32);
    const sector = random.below(sectors - length);
    const options = { queue: round % queues };
    if (round % 25 === 10) await freezeUnderLoad(driver);
    if (random.chance(0.5)) {
      const data = randomBytes(length * 512, round);
      model.set(data, sector * 512);
      await driver.writeSectors(sector, data, options);
    } else {
      const data = new Uint8Array(length * 512);
      await driver.readSectors(sector, data, options);
      assert.deepEqual(
        Buffer.compare(data, model.subarray(sector * 512, (sector + length) * 512)),
        0,
        `sector ${sector}`,
      );
    }
  }
  await driver.flushCache();
  const all = new Uint8Array(model.length);
  await driver.readSectors(0, all);
  assert.equal(Buffer.compare(all, model), 0);
}

/** Some reads are with the back end, some wait: none is lost, and the back end starts its rings anew. */
async function freezeUnderLoad(driver: VirtioBlkDriver): Promise<void> {
  const read = () => driver.readSectors(0, new Uint8Array(65536));
  const reads = [read(), read()];
  const freezing = driver.freeze();
  reads.push(read());
  await freezing;
  reads.push(read());
  await driver.restore();
  await Promise.all(reads);
}

const f = ProtocolFeature;
const blkCases: readonly { name: string; options?: Partial<FrontEndOptions>; args?: string[]; queues?: number }[] = [
  { name: "everything that both know" },
  { name: "without acknowledgements", options: { acknowledged: false } },
  { name: "memory as a table", options: { withoutProtocolFeatures: featureSet(f.CONFIGURE_MEM_SLOTS) } },
  { name: "without a record of what is in flight", options: { withoutProtocolFeatures: featureSet(f.INFLIGHT_SHMFD) } },
  { name: "two queues", args: ["--queues", "2"], queues: 2 },
  { name: "a store that answers late", args: ["--slow", "2"] },
  { name: "little-endian legacy", options: { legacy: true } },
  { name: "big-endian legacy", options: { legacy: true, guestEndianness: "big" } },
  { name: "small rings", options: { queueSize: 4 }, args: ["--queue-size", "4"] },
];

describe("our front end and our back end, two processes", { skip: noLinux }, () => {
  for (const { name, options, args = [], queues = 1 } of blkCases) {
    test(`virtio-blk: ${name}`, async () => {
      const socket = newSocket();
      const peer = await startBackEnd(socket, "blk", `${8 << 20}`, ...args);
      await withFrontEnd(
        peer,
        { place: { connect: socket }, deviceId: virtioBlkId, ...options },
        async ({ transport }) => {
          const driver = await VirtioBlkDriver.open(transport, { queues });
          await verifyBlk(driver, (8 << 20) / 512, queues);
          await driver.close();
        },
      );
      assert.match(peer.output(), /^ready\ngone\n$/);
    });
  }

  for (const legacy of [false, true]) {
    test(`virtio-scsi, ${legacy ? "big-endian legacy" : "modern"}`, async () => {
      const socket = newSocket();
      const peer = await startBackEnd(socket, "scsi", `${8 << 20}`);
      const options: FrontEndOptions = { place: { connect: socket }, deviceId: virtioScsiId };
      const endian = legacy ? ({ legacy, guestEndianness: "big" } as const) : {};
      await withFrontEnd(peer, { ...options, ...endian, localConfig: scsiConfiguration(1) }, async ({ transport }) => {
        assert.equal(transport.queueCount, 3);
        const driver = await VirtioScsiDriver.open(transport);
        const data = randomBytes(65536, 3);
        const address = unitAddress(0, 0);
        // The unit attention of a new nexus comes first.
        await driver.execute(address, new Uint8Array(6));
        const write = Uint8Array.from([0x2a, 0, 0, 0, 0, 8, 0, 0, 128, 0]);
        assert.equal((await driver.execute(address, write, { dataOut: data })).status, 0);
        const back = new Uint8Array(65536);
        const read = Uint8Array.from([0x28, 0, 0, 0, 0, 8, 0, 0, 128, 0]);
        assert.equal((await driver.execute(address, read, { dataIn: back })).status, 0);
        assert.equal(Buffer.compare(back, data), 0);
        await driver.close();
      });
    });
  }
});

describe("our front end and qemu-storage-daemon", { skip: noDaemon }, () => {
  const daemonCases: readonly { name: string; options?: Partial<FrontEndOptions>; args?: string[]; queues?: number }[] =
    [
      { name: "everything that both know" },
      { name: "without acknowledgements", options: { acknowledged: false } },
      { name: "memory as a table", options: { withoutProtocolFeatures: featureSet(f.CONFIGURE_MEM_SLOTS) } },
      { name: "two queues", args: ["num-queues=2"], queues: 2 },
    ];
  for (const { name, options, args = [], queues = 1 } of daemonCases) {
    test(name, async () => {
      const socket = newSocket();
      const image = join(folder, "daemon.img");
      writeFileSync(image, "");
      truncateSync(image, 8 << 20);
      const peer = await startStorageDaemon(socket, image, ...args);
      await withFrontEnd(
        peer,
        { place: { connect: socket }, patience: 5000, deviceId: virtioBlkId, queueSize: 128, ...options },
        async ({ transport }) => {
          const driver = await VirtioBlkDriver.open(transport, { queues });
          await verifyBlk(driver, (8 << 20) / 512, queues);
          const data = randomBytes(4096, 11);
          await driver.writeSectors(100, data);
          await driver.writeZeroes([{ sector: 0, sectors: 64 }], { unmap: true });
          await driver.flushCache();
          await driver.close();
          const file = readFileSync(image);
          assert.equal(Buffer.compare(file.subarray(51200, 55296), data), 0);
          assert.ok(file.subarray(0, 64 * 512).every((byte) => byte === 0));
        },
      );
    });
  }

  test("death of the back end fails what is in flight, quickly", async () => {
    const socket = newSocket();
    const image = join(folder, "death.img");
    writeFileSync(image, "");
    truncateSync(image, 8 << 20);
    const peer = await startStorageDaemon(socket, image);
    await withFrontEnd(
      peer,
      { place: { connect: socket }, patience: 5000, deviceId: virtioBlkId, queueSize: 128 },
      async ({ transport }) => {
        const driver = await VirtioBlkDriver.open(transport);
        await driver.writeSectors(0, randomBytes(4096, 1));
        await peer.stop("SIGKILL");
        const start = performance.now();
        await assert.rejects(driver.writeSectors(0, randomBytes(4096, 1)));
        assert.ok(performance.now() - start < 1000);
        assert.equal(transport.isGone, true);
        await driver.close();
      },
    );
  });
});

describe("a back end that dies and comes back", { skip: noLinux }, () => {
  test("without anybody to come back, what is in flight fails at once", async () => {
    const socket = newSocket();
    const peer = await startBackEnd(socket, "blk", `${8 << 20}`, "--slow", "1000000000");
    await withFrontEnd(peer, { place: { connect: socket }, deviceId: virtioBlkId }, async ({ transport }) => {
      const driver = await VirtioBlkDriver.open(transport);
      const lost = [0, 8, 16].map((sector) =>
        assert.rejects(driver.writeSectors(sector, randomBytes(4096, sector + 1))),
      );
      await new Promise((resolve) => setTimeout(resolve, 20));
      const start = performance.now();
      await peer.stop("SIGKILL");
      await Promise.all(lost);
      assert.ok(performance.now() - start < 1000);
      await driver.close();
    });
  });

  test("a back end that dies while it is told DRIVER_OK fails the first request at once", async () => {
    const socket = newSocket();
    const peer = await startBackEnd(socket, "blk", `${8 << 20}`);
    await withFrontEnd(peer, { place: { connect: socket }, deviceId: virtioBlkId }, async ({ transport }) => {
      const writeStatus = transport.writeStatus.bind(transport);
      transport.writeStatus = (value) => {
        if ((value & DeviceStatus.DriverOk) !== 0) {
          peer.child.kill("SIGKILL");
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
        }
        writeStatus(value);
      };
      const start = performance.now();
      const driver = await VirtioBlkDriver.open(transport);
      await assert.rejects(driver.readSectors(0, new Uint8Array(4096)));
      assert.ok(performance.now() - start < 5000);
      await driver.close();
    });
  });

  /**
   * Writes while the back end is killed again and again; `timeout` is how long a write may take, in milliseconds.
   * @returns how many writes were in flight at a death. @throws when a write is lost, fails or ends twice.
   */
  async function dieOften(deaths: number, withoutProtocolFeatures: bigint, timeout: number): Promise<number> {
    const socket = newSocket();
    const image = join(folder, `again-${sockets}.img`);
    const sectors = 4096;
    writeFileSync(image, randomBytes(sectors * 512, 1));
    const model = new Uint8Array(readFileSync(image));
    let peer = await startBackEnd(socket, "blk", image, "--slow", "20");
    const place = { connect: socket };
    const frontEnd = await openVhostUser({ place, deviceId: virtioBlkId, onLost: () => {}, withoutProtocolFeatures });
    try {
      const driver = await VirtioBlkDriver.open(frontEnd.transport, { timeout, grace: 10 });
      const random = seededRandom(3);
      let inFlight = 0;
      for (let death = 0; death < deaths; death++) {
        let ended = 0;
        const writes = Array.from({ length: 24 }, async (_, index) => {
          const sector = index * 128 + random.below(120);
          const data = randomBytes(8 * 512, death * 100 + index + 1);
          await driver.writeSectors(sector, data);
          model.set(data, sector * 512);
          ended++;
        });
        const all = Promise.all(writes);
        all.catch(() => {});
        const some = random.below(12);
        while (ended < some) await new Promise<void>((resolve) => setTimeout(resolve, 1));
        await peer.stop("SIGKILL");
        inFlight += 24 - ended;
        peer = await startBackEnd(socket, "blk", image, "--slow", "20");
        await frontEnd.reconnect(5000);
        await all;
        assert.equal(ended, 24);
        const whole = new Uint8Array(model.length);
        await driver.readSectors(0, whole);
        assert.equal(Buffer.compare(whole, model), 0, `after death ${death}`);
      }
      await driver.close();
      return inFlight;
    } finally {
      frontEnd.close();
      await peer.stop();
    }
  }

  test("with a record of what is in flight nothing is lost and everything ends once, over 10 deaths", async () => {
    assert.ok((await dieOften(10, 0n, 30_000)) >= 30);
  });

  test("without the record the same goes wrong", async () => {
    await assert.rejects(dieOften(10, featureSet(f.INFLIGHT_SHMFD), 1000));
  });
});

describe("the load generator of bench/ on our back end", { skip: noCompiler() }, () => {
  const program = join(folder, "vhost-blk-load");
  const variants = [
    ["--info"],
    ["--verify"],
    ["--verify", "--no-indirect"],
    ["--verify", "--no-event-idx"],
    ["--verify", "--no-reply-ack"],
    ["--verify", "--no-mem-slots", "--regions", "2"],
    ["--verify", "--regions", "2", "--inflight"],
    ["--verify", "--notify", "poll", "--no-event-idx", "--no-indirect"],
    ["--verify", "--queue", "1", "--queue-size", "16", "--qd", "4"],
    ["--verify", "--seg", "1024", "--bs", "16k", "--wce", "0"],
    ["--verify", "--bs", "1m", "--qd", "4"],
  ];
  test("every option", async () => {
    const socket = newSocket();
    const source = fileURLToPath(new URL("../../../bench/vhost-blk-load.c", import.meta.url));
    const compiled = spawnSync("cc", ["-O2", "-o", program, existsSync(source) ? source : "bench/vhost-blk-load.c"]);
    assert.equal(compiled.status, 0, compiled.stderr.toString());
    const peer = await startBackEnd(socket, "blk", `${32 << 20}`, "--queues", "2");
    try {
      for (const options of variants) {
        const load = await run(program, ["--socket", socket, "--span", "16m", ...options]);
        assert.equal(load.status, 0, `${options.join(" ")}: ${load.output}`);
        if (options[0] === "--verify") assert.match(load.output, / 0 differ, 0 failed, 0 with another used.len/);
      }
    } finally {
      await peer.stop();
    }
    assert.deepEqual(new Set(peer.output().trim().split("\n")), new Set(["ready", "gone"]));
  });
});

function noCompiler(): string | false {
  return noLinux || (spawnSync("cc", ["--version"]).status !== 0 && "there is no C compiler");
}

async function run(program: string, args: readonly string[]): Promise<{ status: number | null; output: string }> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout.on("data", (text) => (output += text));
  child.stderr.on("data", (text) => (output += text));
  const [status] = await once(child, "exit");
  return { status, output };
}
