/** `ringside serve` with a front end that asks for nothing: it sleeps, and is small. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ownMemory, voluntarySwitches } from "../../bench/idle.js";
import { test } from "./limited-test.js";
import { startProcess } from "./vhost-processes.js";
import { connectQueues } from "./vhost-queues.js";

const main = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
/** Until an engine that worked has tidied up (8 s after), and then how long is looked; in milliseconds. */
const settling = 14_000;
const watching = 10_000;
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

test("a server at rest goes to sleep and stays asleep, by the main thread and in threads; its own memory is below 100 MiB", {
  skip: process.platform !== "linux" && "vhost-user needs Linux",
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "ringside-rest-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const watchOne = async (threads: number) => {
    const path = join(folder, `socket-${threads}`);
    const image = join(folder, `disk-${threads}.img`);
    writeFileSync(image, new Uint8Array(1 << 20));
    const args = [main, "serve", image, "--socket", path, "--queues", "2", "--threads", `${threads}`];
    const server = await startProcess(process.execPath, args, () => existsSync(path));
    try {
      const pid = server.child.pid as number;
      const { fe, rings } = await connectQueues({ path });
      for (const ring of rings) await ring.verify(1 + ring.index);
      await pause(settling);
      const before = voluntarySwitches(pid);
      await pause(watching);
      // At most 5 in 30 seconds.
      const switches = voluntarySwitches(pid) - before;
      t.diagnostic(`${threads} threads: ${switches} switches, ${Math.round(ownMemory(pid) / 1024)} MiB`);
      assert.ok(switches <= 1, `${switches} in ${watching} ms`);
      assert.ok(ownMemory(pid) < 100 << 10);
      for (const ring of rings) await ring.verify(3 + ring.index);
      fe.close();
    } finally {
      await server.stop();
    }
  };
  await Promise.all([0, 2].map(watchOne));
});
