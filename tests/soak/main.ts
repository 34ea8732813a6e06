/**
 * `npm run soak -- [--seconds N] [--rounds N] [--seed N] [--from N] [name…]`: runs the soaks at length, each for
 * `--seconds` (default 20), as many at once as there are processors. Prints the seed and, when one fails, the command that repeats the failing round; exit
 * status 1 then, 2 for a wrong call.
 */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { soaks } from "./all.js";
import { numberOf, readCall, wrongCall } from "./call.js";
import { formatReport, repeatCommand, type SoakReport } from "./soak.js";
import type { WorkerInput } from "./worker.js";

/** A round that takes longer than this hangs. */
const roundLimitSeconds = 60;

type WorkerOutput = { report: SoakReport } | { failure: string };

/** Runs one soak in its thread; the text to print, and whether it was good. */
function runInThread(name: string, options: WorkerInput["options"]): Promise<{ good: boolean; text: string }> {
  const heartbeat = new Int32Array(new SharedArrayBuffer(4)).fill(-1);
  const input: WorkerInput = { name, options, heartbeat };
  const worker = new Worker(new URL("./worker.js", import.meta.url), { workerData: input });
  return new Promise((resolve) => {
    let seen = -1;
    let since = performance.now();
    const end = (good: boolean, text: string) => {
      clearInterval(watch);
      void worker.terminate();
      resolve({ good, text });
    };
    const watch = setInterval(() => {
      const round = Atomics.load(heartbeat, 0);
      if (round !== seen) {
        seen = round;
        since = performance.now();
      } else if (performance.now() - since > roundLimitSeconds * 1000) {
        const repeat = repeatCommand(name, options.seed, seen);
        end(false, `${name}: round ${seen} takes more than ${roundLimitSeconds} s\nrepeat with: ${repeat}`);
      }
    }, 1000);
    worker.on("message", (output: WorkerOutput) => {
      if ("report" in output) end(true, formatReport(output.report));
      else end(false, output.failure);
    });
    worker.on("error", (error) => {
      const repeat = repeatCommand(name, options.seed, Atomics.load(heartbeat, 0));
      end(false, `${name}: uncaught ${error instanceof Error ? (error.stack ?? error.message) : error}\n${repeat}`);
    });
  });
}

const { values, positionals } = readCall({
  options: {
    seconds: { type: "string" },
    rounds: { type: "string" },
    seed: { type: "string" },
    from: { type: "string" },
  },
  allowPositionals: true,
});
const number = (name: keyof typeof values, least = 0): number | undefined => {
  const text = values[name];
  return text === undefined ? undefined : numberOf(name, text, least);
};
const unknown = positionals.find((name) => soaks.every((soak) => soak.name !== name));
if (unknown !== undefined) wrongCall(`no soak called ${unknown}: one of ${soaks.map((soak) => soak.name).join(", ")}`);

const seed = number("seed") ?? Math.floor(Math.random() * 2 ** 31);
const rounds = number("rounds", 1);
const seconds = number("seconds", 0.1) ?? (rounds === undefined ? 20 : undefined);
const options: WorkerInput["options"] = {
  seed,
  from: number("from") ?? 0,
  ...(rounds === undefined ? {} : { rounds }),
  ...(seconds === undefined ? {} : { seconds }),
};
let failures = 0;
const chosen = soaks.filter(({ name }) => positionals.length === 0 || positionals.includes(name));

/** Runs soaks one after the other, as long as there are any. */
async function runAll(waiting: (typeof chosen)[number][]): Promise<void> {
  for (let soak = waiting.shift(); soak !== undefined; soak = waiting.shift()) {
    const { good, text } = await runInThread(soak.name, options);
    process.stdout.write(`${text}\n`);
    if (!good) failures++;
  }
}

const together = chosen.filter(({ runsAlone }) => runsAlone !== true);
await Promise.all(Array.from({ length: availableParallelism() }, () => runAll(together)));
await runAll(chosen.filter(({ runsAlone }) => runsAlone === true));
process.exitCode = failures > 0 ? 1 : 0;
