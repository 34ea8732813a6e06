/** `ringside serve --threads`: how many threads there are, what they count, and how the server ends when one does. */
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { describe, test } from "node:test";
import { type ServeOptions, serveThreads } from "../../src/cli/serve-options.js";
import { writeNoise } from "./cli-images.js";
import { CliFolder } from "./cli-process.js";
import { CliServer } from "./cli-server.js";

const skip = process.platform === "linux" ? false : "vhost-user needs Linux";
const attach = (...words: string[]) => ["attach", "--socket", "s", ...words];

/** Loaded into the server before its program: ends every thread when a file named `now` is there. */
const threadEnder = `
const threads = require("node:worker_threads");
const { existsSync } = require("node:fs");
if (threads.isMainThread) {
  threads.Worker = class extends threads.Worker {
    constructor(...words) {
      super(...words);
      const timer = setInterval(() => {
        if (!existsSync("now")) return;
        clearInterval(timer);
        void this.terminate();
      }, 10);
    }
  };
  require("node:module").syncBuiltinESMExports();
}
`;

describe("serve in threads", { skip }, () => {
  test("what threads did is counted in the end", async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), 2 << 20);
    writeNoise(folder.file("in"), 1 << 20, 2);
    const server = await CliServer.start(folder, "a.img", "--socket", "s", "--queues", "2", "--threads", "2");
    assert.equal((await folder.run(attach("read", "-o", "out", "--queues", "2"))).status, 0);
    assert.equal((await folder.run(attach("write", "-i", "in", "--queues", "2"))).status, 0);
    const { status, stdout, stderr } = await server.stop();
    assert.deepEqual([status, stderr], [0, ""]);
    assert.match(stdout, /\nserved \d+ reads \(2 MiB\), \d+ writes \(1 MiB\), 1 flushes\n$/);
  });

  test("an image that nobody may write is served by threads too, and writes to it are refused", async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), 1 << 20);
    writeNoise(folder.file("in"), 4096, 2);
    const words = ["a.img", "--socket", "s", "--queues", "2", "--threads", "2", "--read-only"];
    const server = await CliServer.start(folder, ...words);
    assert.equal((await folder.run(attach("read", "-o", "out"))).status, 0);
    assert.equal((await folder.run(attach("write", "-i", "in"))).status, 1);
    assert.equal((await server.stop()).status, 0);
  });

  test("a thread that ends takes the server with it: one line, status 1, no socket left", {
    timeout: 30_000,
  }, async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), 1 << 20);
    writeFileSync(folder.file("ender.cjs"), threadEnder);
    const words = ["serve", "a.img", "--socket", "s", "--queues", "2", "--threads", "2"];
    const run = folder.start(words, { NODE_OPTIONS: `--require ${folder.file("ender.cjs")}` });
    const deadline = Date.now() + 10_000;
    while (!existsSync(folder.file("s"))) {
      assert.ok(Date.now() < deadline && run.child.exitCode === null, run.stderr());
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    writeFileSync(folder.file("now"), "");
    const { status, stderr } = await run.ended;
    assert.deepEqual([status, stderr], [1, "ringside: a thread that serves queues ended: exit code 1\n"]);
    assert.equal(existsSync(folder.file("s")), false);
  });
});

test("there is a thread for each queue from two on, for at most as many as processors; as many as are asked for", () => {
  const options = (device: "blk" | "scsi", queues: number, threads?: number) =>
    ({ device, queues, ...(threads === undefined ? {} : { threads }) }) as ServeOptions;
  const most = Math.min(64, availableParallelism());
  assert.equal(serveThreads(options("blk", 1)), 0);
  assert.equal(serveThreads(options("blk", 64)), most > 1 ? most : 0);
  assert.equal(serveThreads(options("blk", 2, 0)), 0);
  assert.equal(serveThreads(options("blk", 2, 1)), 1);
  assert.equal(serveThreads(options("blk", 2, 64)), 2, "a queue has one thread");
  assert.equal(serveThreads(options("scsi", 2)), 0);
  assert.throws(() => serveThreads(options("scsi", 2, 1)), /--threads goes with --device blk/);
});
