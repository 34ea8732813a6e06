/** Runs one soak in a thread of its own, so that a hang is noticed from outside. */
import { parentPort, workerData } from "node:worker_threads";
import { soaks } from "./all.js";
import { runSoak, type SoakOptions } from "./soak.js";

/** What the thread is started with. */
export interface WorkerInput {
  readonly name: string;
  readonly options: Omit<SoakOptions, "onRound">;
  /** One word: the number of the round that runs. */
  readonly heartbeat: Int32Array;
}

const { name, options, heartbeat } = workerData as WorkerInput;
const soak = soaks.find((candidate) => candidate.name === name);
if (soak === undefined || parentPort === null) throw new Error(`no soak called ${name}`);
try {
  const report = await runSoak(soak, { ...options, onRound: (round) => Atomics.store(heartbeat, 0, round) });
  parentPort.postMessage({ report });
} catch (error) {
  parentPort.postMessage({ failure: error instanceof Error ? error.message : String(error) });
}
