/** What a benchmark sets up must not outlive the process, which Ctrl-C ends anywhere. */
import { type ChildProcess, spawn } from "node:child_process";

const undone = new Set<() => void>();
process.on("exit", () => {
  // The last one first: what was set up later may stand on what was there.
  for (const undo of [...undone].reverse()) undo();
});

/** Has `undo` carried out at the end of the process, or before that by the function that is returned. */
export function untilExit(undo: () => void): () => void {
  undone.add(undo);
  return () => {
    if (undone.delete(undo)) undo();
  };
}

/** A server that a benchmark measures. */
export interface Server {
  readonly child: ChildProcess;
  /** Asks it to end and waits until it has, also when it has ended already. */
  end(): Promise<void>;
}

/** Starts a server that writes nothing. */
export function startServer([program, ...words]: readonly string[]): Server {
  const child = spawn(program, words, { stdio: "ignore" });
  const stop = untilExit(() => child.kill("SIGTERM"));
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  return {
    child,
    end: () => {
      stop();
      return ended;
    },
  };
}
