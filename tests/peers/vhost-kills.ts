/** Kills a back end again and again while a Linux guest writes, and looks whether anything acknowledged is lost. */
import assert from "node:assert/strict";
import { rmSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type SeededRandom, seededRandom } from "../../src/testing/index.js";
import { startGuest } from "./linux/guest.js";
import { AcknowledgedWrites, numberedWriter, writersScript } from "./linux/numbered-writes.js";
import { type BackEndProcess, startBackEnd, startProcess } from "./vhost-processes.js";

/** What is killed, how often. */
export interface KillPlan {
  readonly kind: "blk" | "scsi";
  readonly queues: 1 | 2;
  readonly kills: number;
  readonly seed: number;
  /** The guest's rings are packed. */
  readonly packed?: boolean;
  /** Another QEMU than the one on PATH. */
  readonly qemu?: string | undefined;
  /** `ringside serve` as users start it, not the tests' back end. It takes no notice of the fields below. */
  readonly servesByCommand?: boolean;
  /** With `ringside serve`: threads that serve. */
  readonly threads?: number;
  /** With threads: one of them throws, instead of the process being killed; the server then ends by itself. */
  readonly threadThrows?: boolean;
  /** Bits of the protocol that the back end does not offer. */
  readonly without?: bigint;
  /** Every life of the server answers late and out of order; otherwise some do. */
  readonly alwaysSlow?: boolean;
}

/** How it went. */
export interface KillReport {
  /** Writes that were acknowledged. */
  readonly writes: number;
  /** The guest's writes in flight at each kill, as it said last. */
  readonly inFlight: readonly number[];
}

const imageSize = 8 << 20;
const blocksPerWriter = 384;
const depth = 24;
/** Seconds that the guest waits for an answer; a reconnection of QEMU's takes one. */
const patience = 8;
const longestDelay = 12;

/**
 * Runs the plan in `folder`.
 * @throws Error when a write that was acknowledged is not in the image or not what the guest wrote, or the guest waits for
 * an answer that does not come.
 */
export async function killAgainAndAgain(folder: string, plan: KillPlan): Promise<KillReport> {
  const { kind, queues, kills, seed } = plan;
  const random = seededRandom(seed);
  const image = join(folder, `kills-${kind}-${queues}-${seed}.img`);
  const socket = join(folder, `kills-${kind}-${queues}-${seed}.sock`);
  writeFileSync(image, "");
  truncateSync(image, imageSize);
  const start = () => startServer(socket, image, plan, random);
  let server = await start();
  const acknowledged = new AcknowledgedWrites();
  const inFlight: number[] = [];
  const disk = kind === "blk" ? "/dev/vda" : "/dev/sda";
  const writers = Array.from({ length: queues }, (_, index) => {
    return { disk, first: index * blocksPerWriter, count: blocksPerWriter, depth, seed: seed + index, patience };
  });
  const queueOption = kind === "blk" ? `num-queues=${queues}` : `num_queues=${queues}`;
  const guest = startGuest({
    script: writersScript(writers),
    modules: kind === "blk" ? ["virtio_blk"] : ["virtio_scsi", "sd_mod"],
    programs: ["perl"],
    files: { "writer.pl": numberedWriter },
    devices: [
      ...["-chardev", `socket,id=c,path=${socket},reconnect=1`],
      ...["-device", `vhost-user-${kind}-pci,chardev=c,${queueOption}${plan.packed === true ? ",packed=on" : ""}`],
    ],
    processors: queues,
    timeout: 60_000 + kills * 5000,
    onLine: (line) => acknowledged.take(line),
    ...(plan.qemu === undefined ? {} : { qemu: plan.qemu }),
  });
  let hasEnded = false;
  const ended = guest.ended.finally(() => {
    hasEnded = true;
  });
  ended.catch(() => {});
  const hasFailed = () => hasEnded || acknowledged.failure !== undefined;
  const progress = async (count: number) => {
    const target = acknowledged.count + count;
    while (!hasFailed() && acknowledged.count < target) await pause(2);
  };
  try {
    for (let kill = 0; kill < kills && !hasFailed(); kill++) {
      await progress(1 + random.below(400));
      await pause(random.below(25));
      if (hasFailed()) break;
      inFlight.push(acknowledged.inFlight);
      if (plan.threadThrows === true) await endByThread(server, folder);
      else await server.stop("SIGKILL");
      // What the guest has been told already, whatever of it is still on the way to us.
      assert.deepEqual(acknowledged.compare(image, true), [], `after kill ${kill + 1}, seed ${seed}`);
      if (random.chance(0.3)) await pause(random.below(1500));
      server = await start();
    }
    await progress(200);
    // A process whose request is never answered cannot end.
    if (acknowledged.failure !== undefined) guest.kill();
    guest.say("stop");
    await ended.catch((error: Error) => {
      const after = `after kill ${inFlight.length}, ${acknowledged.count} writes`;
      const said = `the server said ${JSON.stringify(server.output())}`;
      throw new Error(`seed ${seed}: ${acknowledged.failure ?? error.message} ${after}; ${said}`, { cause: error });
    });
    assert.equal(acknowledged.failure, undefined);
    assert.deepEqual(acknowledged.compare(image, false), [], `at the end, seed ${seed}`);
    return { writes: acknowledged.count, inFlight };
  } finally {
    guest.kill();
    await server.stop("SIGKILL");
  }
}

/** Some lives answer late and out of order, the others as fast as the file does. */
function startServer(socket: string, image: string, plan: KillPlan, random: SeededRandom): Promise<BackEndProcess> {
  if (plan.servesByCommand === true) {
    const program = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
    const words = ["serve", image, "--socket", socket, "--device", plan.kind, "--queues", `${plan.queues}`];
    if (plan.threads !== undefined) words.push("--threads", `${plan.threads}`);
    const env = plan.threadThrows === true ? { NODE_OPTIONS: `--require=${throwingThreads(dirname(image))}` } : {};
    return startProcess(process.execPath, [program, ...words], (output) => output.includes("Ctrl-C ends it."), env);
  }
  const options = ["--queues", `${plan.queues}`, "--without", `${plan.without ?? 0n}`];
  if (plan.alwaysSlow === true || random.chance(0.6)) options.push("--slow", `${1 + random.below(longestDelay)}`);
  return startBackEnd(socket, plan.kind, image, ...options);
}

/** Writes the preload that makes a thread throw when a file appears. */
function throwingThreads(folder: string): string {
  const path = join(folder, "throwing-threads.cjs");
  const code = `
    const { isMainThread, threadId } = require("node:worker_threads");
    const look = () => { if (require("node:fs").existsSync(${JSON.stringify(join(folder, "throw"))})) throw new Error("made to throw"); };
    if (!isMainThread && threadId % 2 === 1) setInterval(look, 1).unref();`;
  writeFileSync(path, code);
  return path;
}

async function endByThread(server: BackEndProcess, folder: string): Promise<void> {
  const file = join(folder, "throw");
  writeFileSync(file, "");
  const late = setTimeout(() => server.child.kill("SIGKILL"), 10_000);
  await server.ended;
  clearTimeout(late);
  rmSync(file);
  assert.equal(server.child.exitCode, 1);
  assert.match(server.output(), /^ringside: a thread that serves queues ended: made to throw$/m);
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
