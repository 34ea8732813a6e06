/** One port of the console's device half: bytes both ways, with a bound on what waits in either direction. */
import type { SavedFields, SavedReader } from "../../bytes/index.js";
import type { Observer } from "../../observe/index.js";
import type { DeviceHost } from "../../transport/index.js";
import type { Chain, QueueDevice } from "../../virtqueue/index.js";
import { reportViolation, serveQueue } from "../device-base/index.js";
import { mostPorts, receiveQueueOf, transmitQueueOf } from "./protocol.js";

/** What a port is. */
export interface ConsolePortOptions {
  /** For guests: Linux makes `/dev/virtio-ports/NAME` of it. */
  readonly name?: string;
  /** The guest is to use it as a console. Default: only port 0. */
  readonly isConsole?: boolean;
  /** Somebody is at our end. Default true. */
  readonly isOpen?: boolean;
  /** Bytes that may wait for the guest. Default 65 536. */
  readonly bufferLimit?: number;
}

/** A port in a snapshot. */
export interface SavedPort extends SavedFields {
  readonly id: number;
  readonly name: string | undefined;
  readonly isConsole: boolean;
  readonly isOpen: boolean;
  readonly guestOpen: boolean;
  readonly limit: number;
  /** Bytes that wait for the guest. */
  readonly waiting: Uint8Array;
}

/** Reads a port of a snapshot. @throws RangeError */
export function readSavedPort(saved: SavedReader): SavedPort {
  const limit = saved.whole("limit", Number.MAX_SAFE_INTEGER);
  return {
    id: saved.whole("id", mostPorts - 1),
    name: saved.has("name") ? saved.text("name") : undefined,
    isConsole: saved.flag("isConsole"),
    isOpen: saved.flag("isOpen"),
    guestOpen: saved.flag("guestOpen"),
    limit,
    waiting: saved.bytes("waiting", limit),
  };
}

/** Bytes of one of the guest's buffers that are taken; what is behind is lost. */
const mostBytes = 1 << 20;

/** A port of a {@link VirtioConsoleDevice}: our end of it. */
export class ConsoleDevicePort {
  readonly id: number;
  readonly name: string | undefined;
  readonly isConsole: boolean;
  /** Called with what the guest wrote; the bytes are the listener's. */
  onData: ((bytes: Uint8Array) => void) | undefined;
  /** Called when the guest opens or closes its end. */
  onGuestOpen: ((isOpen: boolean) => void) | undefined;
  /** Called when there is room again after `send` had to refuse bytes. */
  onRoom: (() => void) | undefined;
  readonly #host: () => DeviceHost | undefined;
  readonly #observer: Observer | undefined;
  readonly #limit: number;
  readonly #waiting: Uint8Array[] = [];
  /** Bytes of the first waiting piece that the guest has. */
  #sent = 0;
  #buffered = 0;
  #isFull = false;
  #isPaused = false;
  /** The guest's end is open, or the guest knows no ends. */
  #guestOpen = false;
  isOpen: boolean;

  /** @param host gives the device's host while the port is plugged in. */
  constructor(
    id: number,
    host: () => DeviceHost | undefined,
    options: ConsolePortOptions,
    observer: Observer | undefined,
  ) {
    this.id = id;
    this.name = options.name;
    this.isConsole = options.isConsole ?? id === 0;
    this.isOpen = options.isOpen ?? true;
    this.#host = host;
    this.#observer = observer;
    this.#limit = options.bufferLimit ?? 65_536;
  }

  /** Bytes that wait for the guest. */
  get buffered(): number {
    return this.#buffered;
  }

  get guestIsOpen(): boolean {
    return this.#guestOpen;
  }

  /** Sends bytes to the guest, now or when it has room. Returns how many were taken; see `onRoom` for the others. */
  send(bytes: Uint8Array): number {
    const taken = Math.min(bytes.length, Math.max(0, this.#limit - this.#buffered));
    if (taken > 0) {
      this.#waiting.push(bytes.slice(0, taken));
      this.#buffered += taken;
    }
    if (taken < bytes.length) this.#isFull = true;
    this.deliver();
    return taken;
  }

  /** The guest's bytes stay in its buffers until `resume`. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.collect();
  }

  /** The guest says whether its end is open. */
  setGuestOpen(isOpen: boolean): void {
    if (isOpen === this.#guestOpen) return;
    this.#guestOpen = isOpen;
    this.onGuestOpen?.(isOpen);
    if (isOpen) this.deliver();
  }

  /** Gives the guest what waits for it, as far as it gave buffers. */
  deliver(): void {
    const host = this.#host();
    if (host === undefined || !this.#guestOpen) return;
    serveQueue(host, receiveQueueOf(this.id), this.#fill, this.#hasWaiting);
    if (!this.#isFull || this.#buffered >= this.#limit) return;
    this.#isFull = false;
    this.onRoom?.();
  }

  /** Takes what the guest wrote. */
  collect(): void {
    const host = this.#host();
    if (host !== undefined) serveQueue(host, transmitQueueOf(this.id), this.#take, this.#isWanted);
  }

  /** The guest starts anew: what waited was for the one before. */
  reset(): void {
    this.#waiting.length = 0;
    this.#sent = 0;
    this.#buffered = 0;
    this.#isFull = false;
    this.setGuestOpen(false);
  }

  /** Where it stands, for a snapshot. Whether our end takes data now is for whoever is there to say. */
  save(): SavedPort {
    const { id, name, isConsole, isOpen } = this;
    const waiting = new Uint8Array(this.#buffered);
    let at = 0;
    for (const [index, piece] of this.#waiting.entries()) {
      const rest = index === 0 ? piece.subarray(this.#sent) : piece;
      waiting.set(rest, at);
      at += rest.length;
    }
    return { id, name, isConsole, isOpen, guestOpen: this.#guestOpen, limit: this.#limit, waiting };
  }

  /** After a reset: goes on where a port of a snapshot stood. Who listens is told that the guest's end is open. */
  restore({ isOpen, guestOpen, waiting }: SavedPort): void {
    this.isOpen = isOpen;
    if (waiting.length > 0) this.#waiting.push(waiting);
    this.#buffered = waiting.length;
    this.setGuestOpen(guestOpen);
  }

  readonly #hasWaiting = () => this.#buffered > 0;
  readonly #isWanted = () => !this.#isPaused;

  readonly #fill = (chain: Chain, queue: QueueDevice) => {
    const { writable, readable } = chain;
    if (readable.byteLength > 0) this.#violation(chain, queue, "a receive buffer has readable parts");
    let written = 0;
    while (written < writable.byteLength && this.#waiting.length > 0) {
      const piece = this.#waiting[0];
      const step = Math.min(piece.length - this.#sent, writable.byteLength - written);
      writable.write(piece.subarray(this.#sent, this.#sent + step), written);
      written += step;
      this.#sent += step;
      if (this.#sent < piece.length) break;
      this.#waiting.shift();
      this.#sent = 0;
    }
    this.#buffered -= written;
    queue.push(chain, written);
  };

  readonly #take = (chain: Chain, queue: QueueDevice) => {
    const { readable } = chain;
    const length = Math.min(readable.byteLength, mostBytes);
    if (readable.byteLength > length) this.#violation(chain, queue, `${readable.byteLength} bytes at once`);
    const bytes = new Uint8Array(length);
    readable.copyOut(bytes, 0, length);
    queue.push(chain, 0);
    // The listener may do anything, also send: what it answers comes after what it was told.
    if (length > 0) this.onData?.(bytes);
  };

  #violation(chain: Chain, queue: QueueDevice, detail: string): void {
    const host = this.#host();
    const code = chain.readable.byteLength > mostBytes ? "request-over-limit" : "request-data-direction";
    if (host !== undefined) reportViolation(host, this.#observer, { queue, chain, code, detail });
  }
}
