/** Our back end in this process, for front ends that a test plays itself. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { linuxBackEndSystem, nodeEvents, ThreadRunner, VhostUserServer } from "../../src/platform/vhost-user/index.js";
import { MemoryStore, type Store } from "../../src/storage/index.js";
import { EventLoopRunner, VhostUserBackEnd } from "../../src/transport/index.js";
import { VirtioBlkDevice } from "../../src/virtio/index.js";
import type { BlkThreadData } from "./vhost-blk-thread.js";

export interface InProcessBackEnd {
  readonly path: string;
  readonly device: VirtioBlkDevice;
  readonly runner: EventLoopRunner | ThreadRunner;
  readonly backEnd: VhostUserBackEnd;
  readonly server: VhostUserServer;
  /** Front ends that went, each with what it had done wrong. */
  readonly gone: (string | undefined)[];
  close(): Promise<void>;
}

export function serveBlk(store: Store = new MemoryStore(1 << 20), queues = 2): InProcessBackEnd {
  const device = new VirtioBlkDevice(store, { queues, segMax: 126 });
  return serveBy(device, new EventLoopRunner(device, { events: nodeEvents, patience: 2000 }));
}

/** The same, each queue in a thread with a memory of its own. */
export async function serveBlkInThreads(data: BlkThreadData = {}, queues = 2): Promise<InProcessBackEnd> {
  const device = new VirtioBlkDevice(new MemoryStore(1 << 20), { queues, segMax: 126 });
  const module = new URL("./vhost-blk-thread.js", import.meta.url);
  const runner = await ThreadRunner.open(device, { threads: queues, module, data: () => ({ queues, ...data }) });
  return serveBy(device, runner);
}

function serveBy(device: VirtioBlkDevice, runner: EventLoopRunner | ThreadRunner): InProcessBackEnd {
  const folder = mkdtempSync(join(tmpdir(), "ringside-vhost-"));
  const path = join(folder, "socket");
  const backEnd = new VhostUserBackEnd({ device, runner, system: linuxBackEndSystem });
  const gone: (string | undefined)[] = [];
  const server = new VhostUserServer(backEnd, { listen: path }, { disconnected: (error) => gone.push(error?.code) });
  return {
    ...{ path, device, runner, backEnd, server, gone },
    async close() {
      await server.close();
      if (runner instanceof ThreadRunner) await runner.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Waits until so many front ends are gone. */
export async function untilGone({ gone }: InProcessBackEnd, count: number): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (gone.length < count) {
    if (Date.now() > deadline) throw new Error(`${gone.length} of ${count} front ends are gone`);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/** What this process holds: open descriptors, and mappings of memory files. */
export function heldResources(): { descriptors: number; mappings: number } {
  const mappings = readFileSync("/proc/self/maps", "latin1")
    .split("\n")
    .filter((line) => /memfd:(raw-front-end|ringside)/.test(line));
  return { descriptors: readdirSync("/proc/self/fd").length, mappings: mappings.length };
}
