/** Who serves the queues of `ringside serve`: the main thread's event loop, or threads. */
import { setFlagsFromString } from "node:v8";
import { nodeEvents, ThreadRunner } from "../platform/vhost-user/index.js";
import type { Tally } from "../storage/index.js";
import { EventLoopRunner, type QueueRunner } from "../transport/index.js";
import { WorkFailed } from "./errors.js";
import type { ServedDevice } from "./served-device.js";

/** How queues are served. */
export interface PlaneOptions {
  /** 0: by the main thread. */
  readonly threads: number;
  /** Microseconds. */
  readonly spin: number;
  readonly tally: Tally;
}

/** A data plane. */
export interface ServePlane {
  readonly runner: QueueRunner;
  /** Fails when it cannot go on. */
  readonly failure: Promise<never>;
  close(): Promise<void>;
}

/** @throws WorkFailed when a thread cannot open the image */
export async function openPlane(served: ServedDevice, { threads, spin, tally }: PlaneOptions): Promise<ServePlane> {
  const { device, thread } = served;
  const plane =
    threads === 0 || thread === undefined
      ? onMainThread(new EventLoopRunner(device, { events: nodeEvents, spin }))
      : await inThreads(device, threads, () => thread(tally, spin));
  // V8 asks itself every 8 seconds whether to collect garbage, for ever, while the heap is small. With this flag it does
  // so at once and then sleeps.
  setFlagsFromString("--optimize-for-size");
  return plane;
}

function onMainThread(runner: QueueRunner): ServePlane {
  return { runner, failure: new Promise(() => {}), close: async () => {} };
}

async function inThreads(device: ServedDevice["device"], threads: number, data: () => unknown): Promise<ServePlane> {
  const module = new URL("./serve-thread.js", import.meta.url);
  const runner = await ThreadRunner.open(device, { threads, module, data }).catch((cause: unknown) => {
    throw new WorkFailed(cause instanceof Error ? cause.message : String(cause), { cause });
  });
  const failure = runner.failure.catch((cause: Error) => {
    throw new WorkFailed(cause.message, { cause });
  });
  failure.catch(() => {});
  return { runner, failure, close: () => runner.close() };
}
