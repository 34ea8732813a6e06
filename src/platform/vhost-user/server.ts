/** A back end that front ends reach: by a path they connect to, an inherited listening socket, or a path we connect to. */
import { lstatSync, rmSync } from "node:fs";
import type { ProtocolError } from "../../errors/index.js";
import { type ReadableWatch, SystemCallError, UnixListener, UnixSocket, watchReadable } from "../../linux/index.js";
import type { VhostUserBackEnd } from "../../transport/index.js";
import { BackEndConnection } from "./connection.js";

/** Where front ends are found. */
export type ServerPlace =
  /** Listen on a path. A socket that nobody listens on any more is replaced. */
  | { readonly listen: string }
  /** A descriptor that listens already. */
  | { readonly descriptor: number }
  /** Connect to a front end that listens, again whenever the connection ends. */
  | { readonly connect: string };

/** Who is told what the server does. */
export interface ServerEvents {
  connected?(): void;
  /** A front end is gone. @param error what it did wrong, if that was the reason. */
  disconnected?(error: ProtocolError | undefined): void;
}

/** Between attempts to connect, in milliseconds. */
const retryInterval = 250;

/** Serves one front end after the other; those that come meanwhile wait. */
export class VhostUserServer {
  /** Done when the server was closed; fails when it cannot go on. */
  readonly finished: Promise<void>;
  readonly #backEnd: VhostUserBackEnd;
  readonly #place: ServerPlace;
  readonly #events: ServerEvents;
  readonly #listener: UnixListener | undefined;
  readonly #watch: ReadableWatch | undefined;
  #connection: BackEndConnection | undefined;
  #isClosed = false;
  #wake: () => void = () => {};

  /** @throws SystemCallError (`EADDRINUSE` …), RangeError for a long path */
  constructor(backEnd: VhostUserBackEnd, place: ServerPlace, events: ServerEvents = {}) {
    this.#backEnd = backEnd;
    this.#place = place;
    this.#events = events;
    if ("listen" in place) this.#listener = listen(place.listen);
    else if ("descriptor" in place) this.#listener = new UnixListener(place.descriptor);
    if (this.#listener !== undefined) {
      this.#watch = watchReadable(this.#listener.descriptor, () => this.#wake());
    }
    this.finished = this.#run();
  }

  /** A front end is connected. */
  get isConnected(): boolean {
    return this.#connection !== undefined;
  }

  /** Ends the connection, finishes what is in flight, takes the socket away. */
  close(): Promise<void> {
    this.#isClosed = true;
    this.#connection?.close();
    this.#wake();
    return this.finished;
  }

  async #run(): Promise<void> {
    try {
      while (!this.#isClosed) {
        const socket = await this.#next();
        if (socket === undefined) continue;
        this.#connection = new BackEndConnection(socket, this.#backEnd.connect());
        this.#events.connected?.();
        const error = await this.#connection.ended;
        this.#connection = undefined;
        this.#events.disconnected?.(error);
      }
    } finally {
      this.#watch?.close();
      this.#listener?.close();
      if ("listen" in this.#place) rmSync(this.#place.listen, { force: true });
    }
  }

  async #next(): Promise<UnixSocket | undefined> {
    if (this.#listener === undefined) return this.#connect();
    const waiting = this.#listener.accept(0);
    if (waiting !== undefined) return waiting;
    await this.#pause(() => this.#watch?.arm());
    return undefined;
  }

  async #connect(): Promise<UnixSocket | undefined> {
    if (!("connect" in this.#place)) return undefined;
    try {
      return UnixSocket.connect(this.#place.connect);
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      let timer: ReturnType<typeof setTimeout> | undefined;
      await this.#pause((wake) => {
        timer = setTimeout(wake, retryInterval);
      });
      clearTimeout(timer);
      return undefined;
    }
  }

  #pause(begin: (wake: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      begin(resolve);
    });
  }
}

/** @throws SystemCallError `EADDRINUSE` when somebody listens there */
function listen(path: string): UnixListener {
  try {
    return new UnixListener(path);
  } catch (error) {
    if (!(error instanceof SystemCallError) || error.code !== "EADDRINUSE" || !isDead(path)) throw error;
    rmSync(path, { force: true });
    return new UnixListener(path);
  }
}

/** A socket file that a server left behind when it ended. */
function isDead(path: string): boolean {
  try {
    UnixSocket.connect(path).close();
    return false;
  } catch (error) {
    return error instanceof SystemCallError && error.code === "ECONNREFUSED" && isSocket(path);
  }
}

function isSocket(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true;
}
