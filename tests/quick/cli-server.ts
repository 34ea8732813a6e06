/** `ringside serve` as a process, for tests of what connects to it. */
import { once } from "node:events";
import { createConnection } from "node:net";
import { createInterface } from "node:readline";
import type { CliFolder, CliResult, CliRun } from "./cli-process.js";

export class CliServer {
  readonly run: CliRun;
  readonly #output: () => string;

  private constructor(run: CliRun, output: () => string) {
    this.run = run;
    this.#output = output;
  }

  /** Starts `serve` and waits until it serves. */
  static async start(folder: CliFolder, ...words: string[]): Promise<CliServer> {
    const run = folder.start(["serve", ...words]);
    let output = "";
    run.child.stdout?.on("data", (text: string) => (output += text));
    const deadline = Date.now() + 10_000;
    while (!output.includes("Ctrl-C ends it.\n")) {
      if (run.child.exitCode !== null || Date.now() > deadline) {
        run.child.kill("SIGKILL");
        throw new Error(`serve ${words.join(" ")} did not get ready: ${output}${run.stderr()}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return new CliServer(run, () => output);
  }

  /** What it printed so far. */
  get output(): string {
    return this.#output();
  }

  /** Waits until it has printed `text`. */
  async says(text: string): Promise<void> {
    const deadline = Date.now() + 10_000;
    while (!this.output.includes(text)) {
      if (Date.now() > deadline) throw new Error(`the server does not say ${text}: ${this.output}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Ends it, and waits. */
  stop(signal: NodeJS.Signals = "SIGTERM"): Promise<CliResult> {
    this.run.child.kill(signal);
    return this.run.ended;
  }
}

/** Sends lines to a control socket and gives as many answers. */
export async function control(path: string, ...requests: unknown[]): Promise<Record<string, unknown>[]> {
  const socket = createConnection(path);
  await once(socket, "connect");
  const answers: Record<string, unknown>[] = [];
  for (const request of requests) socket.write(`${typeof request === "string" ? request : JSON.stringify(request)}\n`);
  for await (const line of createInterface(socket)) {
    answers.push(JSON.parse(line));
    if (answers.length === requests.length) break;
  }
  socket.destroy();
  return answers;
}
