/** A thread that serves queues, as the control plane has it: asks, and gets answers. */
import { Worker } from "node:worker_threads";
import { ProtocolError } from "../../errors/index.js";
import type { ThreadNews, ThreadRequest, ThreadWork } from "./queue-thread-messages.js";

/** What a thread tells of its own accord. */
export interface ThreadEvents {
  configChanged(): void;
  ringFailed(index: number): void;
  forgotten(key: string, count: number): void;
}

interface Pending {
  readonly resolve: (value: number | undefined) => void;
  readonly reject: (error: ProtocolError) => void;
}

export class OwnedThread {
  /** Done when its device is open; fails with its words when that cannot be opened. */
  readonly ready: Promise<void>;
  /** Fails when the thread ended that was not asked to. */
  readonly failure: Promise<never>;
  readonly #worker: Worker;
  readonly #events: ThreadEvents;
  readonly #pending = new Map<number, Pending>();
  /** Who waits until the memory of before a move is not used any more. */
  readonly #releases = new Map<number, () => void>();
  readonly #exited: Promise<void>;
  #nextId = 1;
  #isEnded = false;
  #isClosing = false;
  #becomeReady: () => void = () => {};
  #becomeUnfit: (error: Error) => void = () => {};
  #fail: (error: Error) => void = () => {};

  constructor(module: URL, workerData: unknown, events: ThreadEvents) {
    this.#events = events;
    this.ready = new Promise((resolve, reject) => {
      this.#becomeReady = resolve;
      this.#becomeUnfit = reject;
    });
    this.failure = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.ready.catch(() => {});
    this.failure.catch(() => {});
    this.#worker = new Worker(module, { workerData, execArgv: [] });
    this.#worker.on("message", (news: ThreadNews) => this.#take(news));
    this.#worker.on("error", (error) => this.#end(error instanceof Error ? error.message : String(error)));
    this.#exited = new Promise((resolve) => {
      this.#worker.once("exit", (code) => {
        this.#end(`exit code ${code}`);
        resolve();
      });
    });
  }

  /**
   * Asks for work. @param released for a move. @returns what came of it; undefined when the thread has ended.
   * @throws ProtocolError what the front end did wrong
   */
  ask(work: ThreadWork, released?: () => void): Promise<number | undefined> {
    if (this.#isEnded) {
      released?.();
      return Promise.resolve(undefined);
    }
    const id = this.#nextId++;
    if (released !== undefined) this.#releases.set(id, released);
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#worker.postMessage({ ...work, id } satisfies ThreadRequest);
    });
  }

  /** Ends the thread when its device is closed. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await this.ask({ kind: "close" });
    await this.#exited;
  }

  #take(news: ThreadNews): void {
    switch (news.kind) {
      case "ready":
        this.#becomeReady();
        break;
      case "unfit":
        this.#isClosing = true;
        this.#becomeUnfit(new Error(news.message));
        break;
      case "done":
        this.#answer(news.id)?.resolve(news.value);
        break;
      case "refused": {
        this.#releases.delete(news.id);
        const place = news.queue === undefined ? {} : { queue: news.queue };
        this.#answer(news.id)?.reject(new ProtocolError(news.code, place));
        break;
      }
      case "released":
        this.#releases.get(news.id)?.();
        this.#releases.delete(news.id);
        break;
      case "config-changed":
        this.#events.configChanged();
        break;
      case "ring-failed":
        this.#events.ringFailed(news.index);
        break;
      case "forgotten":
        this.#events.forgotten(news.key, news.count);
        break;
    }
  }

  #answer(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }

  /** Nobody waits for a thread that is gone. */
  #end(why: string): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    const error = new Error(`a thread that serves queues ended: ${why.split("\n")[0]}`);
    this.#becomeUnfit(error);
    if (!this.#isClosing) this.#fail(error);
    for (const { resolve } of this.#pending.values()) resolve(undefined);
    for (const released of this.#releases.values()) released();
    this.#pending.clear();
    this.#releases.clear();
  }
}
