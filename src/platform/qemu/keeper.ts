/**
 * Nothing of ours stays behind when this process ends, however it ends: a shell waits for our end of a pipe to close
 * (the kernel does that even after SIGKILL), then ends QEMU by its number and removes its folder. It lives in a session
 * of its own, so that the terminal's Ctrl-C does not end it first.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { rmSync } from "node:fs";

const script = `trap '' HUP INT TERM; read -r _; kill -9 "$1" 2>/dev/null; rm -rf -- "$2"`;

const guarded = new Set<Keeper>();

function endAll(): void {
  for (const keeper of guarded) keeper.endNow();
}

/** Guards one process and one folder. */
export class Keeper {
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly #shell: ChildProcess;

  constructor(process_: ChildProcess, folder: string) {
    this.#process = process_;
    this.#folder = folder;
    this.#shell = spawn("/bin/sh", ["-c", script, "ringside-keeper", `${process_.pid}`, folder], {
      stdio: ["pipe", "ignore", "ignore"],
      detached: true,
    });
    this.#shell.on("error", () => {});
    this.#shell.stdin?.on("error", () => {});
    this.#shell.unref();
    (this.#shell.stdin as unknown as { unref?: () => void } | null)?.unref?.();
    if (guarded.size === 0) process.on("exit", endAll);
    guarded.add(this);
  }

  /** Ends the guard once the process is gone and the folder may go: removes the folder. */
  async release(): Promise<void> {
    guarded.delete(this);
    if (guarded.size === 0) process.off("exit", endAll);
    rmSync(this.#folder, { recursive: true, force: true });
    const shell = this.#shell;
    if (shell.pid === undefined || shell.exitCode !== null || shell.signalCode !== null) return;
    const ended = new Promise((resolve) => shell.once("exit", resolve));
    shell.ref();
    shell.kill("SIGKILL");
    await ended;
    shell.stdin?.destroy();
  }

  /** For the end of this process: no waiting. */
  endNow(): void {
    this.#process.kill("SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
