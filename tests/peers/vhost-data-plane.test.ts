/** `ringside serve` under load and at rest: what others do to its image and its memory never ends it. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  ftruncateSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { signalEvent } from "../../src/linux/index.js";
import { featureSet, ProtocolFeature } from "../../src/transport/index.js";
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

async function serveWith(engine: readonly string[], options: readonly string[]) {
  const socket = join(folder, "socket");
  const args = [...engine, main, "serve", image, "--socket", socket, ...options];
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

for (const options of [[], inThreads]) {
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
        for (let round = 0; round < 5; round++) {
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
        assert.equal(held[4][1], 0);
        assert.equal((await load(program, socket, "--rw", "randread", "--runtime", "0.2", ...queues)).errors, 0);
      } finally {
        await server.stop();
      }
      assert.equal(server.child.exitCode, 0);
    });
  }
});
