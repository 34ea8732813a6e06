/** `ringside serve` under load: what others do to its image and its memory never ends it. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { signalEvent } from "../../src/linux/index.js";
import { featureSet, ProtocolFeature } from "../../src/transport/index.js";
import { after, before, describe, test } from "./limited-test.js";
import { type BackEndProcess, startProcess } from "./vhost-processes.js";
import { numberOf, q, RawFrontEnd, RawRing, stateOf } from "./vhost-raw-front-end.js";

const main = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const imageSize = 64 << 20;
const noLinux = process.platform !== "linux" && "vhost-user needs Linux";
const noCompiler = noLinux || (spawnSync("cc", ["--version"]).status !== 0 && "there is no C compiler");

/** Options of a server whose queues are in threads. */
const inThreads = ["--queues", "2", "--threads", "2"];

let folder = "";
let image = "";
before(() => {
  folder = mkdtempSync(join(process.env["RINGSIDE_DISK_FOLDER"] ?? tmpdir(), "ringside-plane-"));
  image = join(folder, "disk.img");
});
after(() => rmSync(folder, { recursive: true, force: true }));

function newImage(): void {
  writeFileSync(image, Buffer.alloc(imageSize, 0x5a), { flush: true });
}

async function serve(...options: string[]): Promise<{ server: BackEndProcess; socket: string }> {
  return serveWith([], options);
}

async function serveWith(engine: readonly string[], options: readonly string[], served = image) {
  const socket = join(folder, "socket");
  const args = [...engine, main, "serve", served, "--socket", socket, ...options];
  return { server: await startProcess(process.execPath, args, () => existsSync(socket)), socket };
}

interface LoadResult {
  readonly iops: number;
  readonly errors: number;
}

function buildLoad(): string {
  const program = join(folder, "vhost-blk-load");
  const source = fileURLToPath(new URL("../../../bench/vhost-blk-load.c", import.meta.url));
  const compiled = spawnSync("cc", ["-O2", "-o", program, existsSync(source) ? source : "bench/vhost-blk-load.c"]);
  assert.equal(compiled.status, 0, compiled.stderr.toString());
  return program;
}

async function load(program: string, socket: string, ...options: string[]): Promise<LoadResult> {
  const args = ["--socket", socket, "--qd", "32", "--ramp", "0", "--json", ...options];
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (text) => (output += text));
  await once(child, "close");
  return JSON.parse(output) as LoadResult;
}

describe("the image is made shorter under load, and longer again", { skip: noCompiler }, () => {
  for (const options of [[], ["--no-mapped"], ["--direct"], ["--poll", "0"], inThreads]) {
    test(options.join(" ") || "by default", async () => {
      const program = buildLoad();
      newImage();
      const { server, socket } = await serve(...options);
      const runLoad = (program: string, socket: string, ...words: string[]) =>
        load(program, socket, ...words, ...(options === inThreads ? ["--queues", "2"] : []));
      try {
        const healthy = await runLoad(program, socket, "--rw", "randread", "--runtime", "0.3");
        assert.equal(healthy.errors, 0);
        const cut = runLoad(program, socket, "--rw", "randread", "--runtime", "1.2");
        await new Promise((resolve) => setTimeout(resolve, 400));
        truncateSync(image, imageSize / 4 + 100);
        assert.ok((await cut).errors > 0, "reads past the end are errors");
        truncateSync(image, 0);
        const gone = await runLoad(program, socket, "--rw", "randread", "--runtime", "0.3");
        assert.ok(gone.errors > 0);
        truncateSync(image, imageSize);
        const writes = await runLoad(program, socket, "--rw", "randwrite", "--runtime", "0.3");
        assert.equal(writes.errors, 0, "when it has its size again all is well");
        assert.equal(server.child.exitCode, null);
        assert.equal(server.child.signalCode, null);
      } finally {
        await server.stop();
      }
      assert.equal(server.child.exitCode, 0);
    });
  }
});

/** Sets queue 0 up, so that it runs. */
async function startRing(fe: RawFrontEnd): Promise<RawRing> {
  fe.send(q.SetProtocolFeatures, {
    payload: numberOf(featureSet(ProtocolFeature.REPLY_ACK, ProtocolFeature.MQ)),
  });
  const ring = new RawRing(fe, 0);
  const steps = [
    [q.SetFeatures, { payload: numberOf((1n << 30n) | (1n << 32n)) }],
    [q.SetMemoryTable, fe.table()],
    [q.SetVringSize, { payload: stateOf(0, ring.size) }],
    [q.SetVringAddress, { payload: ring.address() }],
    [q.SetVringCall, { payload: numberOf(0), descriptors: [ring.call] }],
    [q.SetVringKick, { payload: numberOf(0), descriptors: [ring.kick] }],
    [q.SetVringEnable, { payload: stateOf(0, 1) }],
  ] as const;
  for (const [request, message] of steps) assert.equal(await fe.acknowledged(request, message), 0n);
  return ring;
}

for (const options of [[], inThreads, [...inThreads, "--no-mapped"]]) {
  test(`a front end that makes its memory smaller ends nobody: the next one is served (${options.join(" ")})`, {
    skip: noLinux || (process.arch !== "x64" && "memory is guarded on x86-64 only"),
  }, async () => {
    newImage();
    const { server, socket } = await serve(...options);
    try {
      for (const left of [0, 4096]) {
        const fe = new RawFrontEnd(socket, 4 << 20, 0x10_0000, false);
        const ring = await startRing(fe);
        await ring.verify(3);
        ftruncateSync(fe.memoryFile, left);
        for (let kick = 0; kick < 20; kick++) {
          signalEvent(ring.kick);
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        assert.equal(server.child.signalCode, null);
        fe.close();
      }
      const good = new RawFrontEnd(socket);
      await (await startRing(good)).verify(5);
      good.close();
      assert.equal(server.child.signalCode, null);
    } finally {
      await server.stop();
    }
  });
}

for (const options of [[], inThreads]) {
  test(`a front end that writes to a read-only disk gets an error, and the image stays (${options.join(" ")})`, {
    skip: noLinux,
  }, async () => {
    newImage();
    const { server, socket } = await serve("--read-only", ...options);
    try {
      const fe = new RawFrontEnd(socket);
      await assert.rejects((await startRing(fe)).verify(3), /status 1/);
      fe.close();
    } finally {
      await server.stop();
    }
    assert.ok(readFileSync(image).every((byte) => byte === 0x5a));
  });
}

describe("front ends that are killed under load leave nothing behind", { skip: noCompiler }, () => {
  for (const options of [[], inThreads, [...inThreads, "--direct"]]) {
    test(options.join(" ") || "by default", async () => {
      const program = buildLoad();
      newImage();
      const { server, socket } = await serve(...options);
      const queues = options.length > 0 ? ["--queues", "2"] : [];
      const pid = server.child.pid as number;
      const gone = () => server.output().split("front end gone\n").length - 1;
      try {
        const held: (readonly number[])[] = [];
        for (let round = 0; round < 4; round++) {
          const words = ["--socket", socket, "--qd", "32", "--rw", "randwrite", "--runtime", "9", ...queues];
          // A group of its own: the load is a process for each queue.
          const child = spawn(program, words, { stdio: "ignore", detached: true });
          await new Promise((resolve) => setTimeout(resolve, 200));
          process.kill(-(child.pid as number), "SIGKILL");
          while (gone() <= round) await new Promise((resolve) => setTimeout(resolve, 5));
          await new Promise((resolve) => setTimeout(resolve, 20));
          const memory = readFileSync(`/proc/${pid}/maps`, "latin1").split("memfd:vhost-blk-load").length - 1;
          held.push([readdirSync(`/proc/${pid}/fd`).length, memory]);
        }
        assert.deepEqual(held.slice(2), held.slice(1, -1), "descriptors and mappings of guest memory");
        assert.equal(held[3][1], 0);
        assert.equal((await load(program, socket, "--rw", "randread", "--runtime", "0.2", ...queues)).errors, 0);
      } finally {
        await server.stop();
      }
      assert.equal(server.child.exitCode, 0);
    });
  }
});

describe("the medium fails under load", { skip: noCompiler || whyNoMounts() }, () => {
  for (const options of [["--direct"], [...inThreads, "--no-mapped"]]) {
    test(`a disk whose blocks are gone gives I/O errors (${options.join(" ")})`, async () => {
      const program = buildLoad();
      const backing = join(folder, "backing.img");
      writeFileSync(backing, Buffer.alloc(imageSize, 0x5a), { flush: true });
      const device = run("losetup", "--find", "--show", backing).trim();
      try {
        const { server, socket } = await serveWith([], options, device);
        const queues = options.includes("--threads") ? ["--queues", "2"] : [];
        try {
          for (const rw of ["randread", "randwrite"]) {
            const healthy = await load(program, socket, "--rw", rw, "--runtime", "0.1", ...queues);
            assert.equal(healthy.errors, 0);
          }
          // What is written out later would make the file longer again; what is cached is not asked of the medium.
          run("blockdev", "--flushbufs", device);
          truncateSync(backing, imageSize / 4);
          run("blockdev", "--flushbufs", device);
          const broken = await load(program, socket, "--rw", "randread", "--runtime", "0.3", ...queues);
          assert.ok(broken.errors > 0, "reads of lost blocks are errors");
          truncateSync(backing, imageSize);
          const again = await load(program, socket, "--rw", "randread", "--runtime", "0.2", ...queues);
          assert.equal(again.errors, 0);
          assert.equal(server.child.exitCode ?? server.child.signalCode, null);
        } finally {
          await server.stop();
        }
      } finally {
        run("losetup", "--detach", device);
      }
    });
  }

  for (const options of [[], inThreads]) {
    test(`a full file system gives errors to writes and goes on reading (${options.join(" ") || "by default"})`, async () => {
      const program = buildLoad();
      const disk = join(folder, "small.ext4");
      const mount = join(folder, "small");
      writeFileSync(disk, "");
      truncateSync(disk, 32 << 20);
      run("mkfs.ext4", "-q", disk);
      mkdirSync(mount, { recursive: true });
      run("mount", "-o", "loop", disk, mount);
      try {
        const sparse = join(mount, "sparse.img");
        writeFileSync(sparse, "");
        truncateSync(sparse, imageSize);
        const { server, socket } = await serveWith([], options, sparse);
        const queues = options.includes("--threads") ? ["--queues", "2"] : [];
        try {
          const words = ["--rw", "write", "--bs", "64k", "--runtime", "0.5", "--flush-every", "64", ...queues];
          assert.ok((await load(program, socket, ...words)).errors > 0, "writes without space are errors");
          assert.equal((await load(program, socket, "--rw", "randread", "--runtime", "0.2", ...queues)).errors, 0);
          assert.equal(server.child.exitCode ?? server.child.signalCode, null);
        } finally {
          await server.stop();
        }
      } finally {
        run("umount", mount);
      }
    });
  }
});

function run(command: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  assert.equal(status, 0, `${command} ${args.join(" ")}: ${stderr}`);
  return stdout;
}

/** Failing media are loop devices, which only root may make, where the system has them. */
function whyNoMounts(): string | false {
  if (process.geteuid?.() !== 0) return "loop devices need root";
  if (spawnSync("losetup", ["--find"]).status !== 0) return "there are no loop devices here";
  return spawnSync("mkfs.ext4", ["-V"]).status === 0 ? false : "there is no mkfs.ext4";
}
