/** `ringside bench idle`: what a server costs that has nothing to do. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildC } from "./compare.js";
import { startServer } from "./until-exit.js";

const settleMilliseconds = 15_000;
const watchMilliseconds = 30_000;

export async function benchIdle(print: (line: string) => void): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "ringside-bench-"));
  const image = join(folder, "disk.img");
  const socket = join(folder, "socket");
  writeFileSync(image, new Uint8Array(64 << 20));
  const main = fileURLToPath(new URL("../src/cli/main.js", import.meta.url));
  const server = startServer([process.execPath, main, "serve", image, "--socket", socket]);
  try {
    while (!existsSync(socket)) await sleep(20);
    const load = buildC("vhost-blk-load.c", folder);
    execFileSync(load, ["--socket", socket, "--rw", "randread", "--runtime", "1"], { stdio: "ignore" });
    await sleep(settleMilliseconds);
    const pid = server.child.pid as number;
    const before = voluntarySwitches(pid);
    await sleep(watchMilliseconds);
    const switches = voluntarySwitches(pid) - before;
    print(`one disk, after a load, ${watchMilliseconds / 1000} s: ${switches} voluntary context switches`);
    print(`memory of its own (RssAnon): ${(ownMemory(pid) / 1024).toFixed(1)} MiB`);
  } finally {
    await server.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Times that the threads of a process went to sleep, together. */
export function voluntarySwitches(pid: number): number {
  let sum = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, "latin1");
    sum += Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1]);
  }
  return sum;
}

/** Memory that is a process's own (RssAnon), in KiB. */
export function ownMemory(pid: number): number {
  return Number(/^RssAnon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]);
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
