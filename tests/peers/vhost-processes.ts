/** Starts back ends as processes of their own: ours (`vhost-back-end.ts`) and others'. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** A back end that runs. */
export interface BackEndProcess {
  readonly child: ChildProcess;
  /** What it has printed so far. */
  readonly output: () => string;
  /** Done when it has ended. */
  readonly ended: Promise<unknown>;
  /** Ends it; done when it is gone. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** Starts a program and waits until `isReady`. @param env added to ours. */
export async function startProcess(
  command: string,
  args: readonly string[],
  isReady: (output: string) => boolean,
  env: Readonly<Record<string, string>> = {},
): Promise<BackEndProcess> {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, ...env } });
  let output = "";
  child.stdout.on("data", (text) => (output += text));
  child.stderr.on("data", (text) => (output += text));
  const ended = once(child, "exit");
  const deadline = Date.now() + 10_000;
  while (!isReady(output)) {
    if (child.exitCode !== null || Date.now() > deadline) {
      child.kill("SIGKILL");
      throw new Error(`${command} ${args.join(" ")} did not get ready: ${output}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return {
    child,
    output: () => output,
    ended,
    async stop(signal = "SIGTERM") {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill(signal);
        await ended;
      }
    },
  };
}

/** Our back end on the event loop. */
export function startBackEnd(socket: string, kind: "blk" | "scsi", image: string, ...options: string[]) {
  const program = fileURLToPath(new URL("./vhost-back-end.js", import.meta.url));
  return startProcess(process.execPath, [program, socket, kind, image, ...options], (text) => text.includes("ready\n"));
}

/** QEMU's, with a raw file. */
export function startStorageDaemon(socket: string, image: string, ...options: string[]) {
  const exported = ["type=vhost-user-blk,id=export,node-name=disk,writable=on", `addr.type=unix,addr.path=${socket}`];
  const args = ["--blockdev", `driver=file,node-name=disk,filename=${image},discard=unmap`];
  args.push("--export", [...exported, ...options].join(","));
  return startProcess("qemu-storage-daemon", args, () => existsSync(socket));
}
