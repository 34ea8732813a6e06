/**
 * QEMU's machine protocol (QMP): commands and events as JSON lines over a socket.
 */
import type { Socket } from "node:net";
import { QemuError } from "./qemu-error.js";

/** An event that QEMU told of. */
export interface QmpEvent {
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>>;
}

interface Waiting {
  readonly command: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/** An answer longer than this is not one (the longest known, the schema, has half a megabyte). */
const longestLine = 16 << 20;

/** A connection to QEMU's monitor. */
export class QmpClient {
  readonly #socket: Socket;
  readonly #timeout: number;
  readonly #lastWords: () => string;
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Set<(event: QmpEvent) => void>();
  #parts: string[] = [];
  #partsLength = 0;
  #nextId = 1;
  #failure: QemuError | undefined;

  /** Use {@link QmpClient.open}. */
  private constructor(socket: Socket, options: { timeout?: number; lastWords?: () => string }) {
    this.#socket = socket;
    this.#timeout = options.timeout ?? 10_000;
    this.#lastWords = options.lastWords ?? (() => "");
    socket.setEncoding("utf8");
    socket.on("data", (text: string) => this.#take(text));
    socket.on("error", (error) => this.#fail(`QEMU's monitor connection broke (${error.message})`));
    socket.on("close", () => this.#fail("QEMU ended"));
    socket.unref();
  }

  /**
   * Takes over a connected socket and negotiates.
   * @param options.timeout for each command, default 10 000 ms. @param options.lastWords what to add to an error.
   * @throws QemuError
   */
  static async open(socket: Socket, options: { timeout?: number; lastWords?: () => string } = {}): Promise<QmpClient> {
    const client = new QmpClient(socket, options);
    await client.execute("qmp_capabilities");
    return client;
  }

  /**
   * Carries out one command. @returns what QEMU returns for it.
   * @throws QemuError with QEMU's own description when it refuses, and when it ended or does not answer.
   */
  execute(command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new QemuError(`QEMU did not answer ${command} within ${this.#timeout} ms`));
      }, this.#timeout);
      this.#waiting.set(id, { command, resolve, reject, timer });
      this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    });
  }

  /** Calls `listener` for every event from now on. Returns the way to stop. */
  onEvent(listener: (event: QmpEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The next event of that name (and for which `matches`). @throws QemuError when none comes in time. */
  waitForEvent(
    name: string,
    matches: (event: QmpEvent) => boolean = () => true,
    timeout = this.#timeout,
  ): Promise<QmpEvent> {
    return new Promise((resolve, reject) => {
      const stop = this.onEvent((event) => {
        if (event.name !== name || !matches(event)) return;
        clearTimeout(timer);
        stop();
        resolve(event);
      });
      const timer = setTimeout(() => {
        stop();
        reject(new QemuError(`QEMU did not tell of ${name} within ${timeout} ms`));
      }, timeout);
    });
  }

  /** Ends the connection; commands that wait are rejected. */
  close(): void {
    this.#fail("the machine is closed");
    this.#socket.destroy();
  }

  #take(text: string): void {
    let start = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
      this.#parts.push(text.slice(start, end));
      const line = this.#parts.join("");
      this.#parts = [];
      this.#partsLength = 0;
      start = end + 1;
      if (line.trim() !== "") this.#takeMessage(line);
    }
    if (start < text.length) {
      this.#parts.push(text.slice(start));
      this.#partsLength += text.length - start;
      if (this.#partsLength > longestLine) this.#fail("QEMU's monitor sent a line without end");
    }
  }

  #takeMessage(line: string): void {
    let message: Record<string, unknown>;
    try {
      message = Object(JSON.parse(line)) as Record<string, unknown>;
    } catch {
      this.#fail("QEMU's monitor sent something that is not JSON");
      return;
    }
    if (typeof message["event"] === "string") {
      const event = { name: message["event"], data: (message["data"] ?? {}) as Record<string, unknown> };
      for (const listener of [...this.#listeners]) listener(event);
      return;
    }
    const waiting = this.#waiting.get(message["id"] as number);
    if (waiting === undefined) return;
    this.#waiting.delete(message["id"] as number);
    clearTimeout(waiting.timer);
    const error = message["error"] as { desc?: string } | undefined;
    if (error === undefined) waiting.resolve(message["return"]);
    else waiting.reject(new QemuError(`QEMU refused ${waiting.command}: ${error.desc ?? JSON.stringify(error)}`));
  }

  #fail(what: string): void {
    if (this.#failure !== undefined) return;
    const words = this.#lastWords();
    const failure = (this.#failure = new QemuError(words === "" ? what : `${what}; its last words: ${words}`));
    for (const waiting of this.#waiting.values()) {
      clearTimeout(waiting.timer);
      waiting.reject(failure);
    }
    this.#waiting.clear();
    this.#socket.destroy();
  }
}
