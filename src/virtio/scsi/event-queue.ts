/**
 * The device's half of the event queue, virtio 1.2 §5.6.6.3: buffers wait here for events, not the other way round. An
 * event that finds no buffer, or comes faster than the limit, is lost and the loss is told with the next buffer.
 */
import { ProtocolError } from "../../errors/index.js";
import type { DeviceHost } from "../../transport/index.js";
import type { Chain, QueueDevice } from "../../virtqueue/index.js";
import { publish, serveQueue } from "../device-base/index.js";
import { eventStructure, eventsMissed, ScsiEvent, ScsiQueue } from "./protocol.js";

/** How many events may come. */
export interface EventLimit {
  /** Events that may come at once. */
  burst: number;
  /** Events a second in the long run. */
  perSecond: number;
  /** Milliseconds, from any start. Default the system's clock. */
  now?: () => number;
}

export class EventQueue {
  /** An event was lost and the driver was not told yet. */
  missed = false;
  readonly #host: DeviceHost;
  readonly #limit: EventLimit;
  readonly #now: () => number;
  readonly #waiting: Chain[] = [];
  readonly #scratch = new DataView(new ArrayBuffer(eventStructure.size));
  #tokens: number;
  #refilled: number;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(host: DeviceHost, limit: EventLimit) {
    this.#host = host;
    this.#limit = limit;
    this.#now = limit.now ?? Date.now;
    this.#tokens = limit.burst;
    this.#refilled = this.#now();
  }

  /** The driver added buffers: too short ones go back at once, an earlier loss is told. */
  refill(): void {
    serveQueue(this.#host, ScsiQueue.Event, (chain, queue) => {
      if (chain.readable.byteLength > 0) {
        this.#host.fail(new ProtocolError("event-buffer-readable", { queue: queue.index, head: chain.head }));
        queue.push(chain, 0);
      } else if (chain.writable.byteLength < eventStructure.size) {
        this.#answer(queue, chain, ScsiEvent.None, undefined, 0);
      } else this.#waiting.push(chain);
    });
    if (this.missed) this.#tellLoss();
  }

  /** Reports an event, or remembers that one was lost. */
  report(event: number, lun: Uint8Array, reason: number): void {
    const queue = this.#host.queue(ScsiQueue.Event);
    if (queue === undefined) return;
    const chain = this.#takeToken() ? this.#waiting.shift() : undefined;
    if (chain === undefined) {
      this.missed = true;
      if (this.#waiting.length > 0) this.#tellLater();
      return;
    }
    this.#answer(queue, chain, event, lun, reason);
    publish(this.#host, queue);
  }

  reset(): void {
    this.#waiting.length = 0;
    this.missed = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #answer(queue: QueueDevice, chain: Chain, event: number, lun: Uint8Array | undefined, reason: number): void {
    const told = this.missed && chain.writable.byteLength >= 4 ? (event | eventsMissed) >>> 0 : event;
    if (told !== event) this.missed = false;
    const values = { event: told, lun: lun ?? new Uint8Array(8), reason };
    eventStructure.write(this.#scratch, 0, this.#host.endianness, values);
    queue.push(chain, chain.writable.write(new Uint8Array(this.#scratch.buffer)));
  }

  #tellLoss(): void {
    const queue = this.#host.queue(ScsiQueue.Event);
    if (queue === undefined || !this.missed || this.#waiting.length === 0) return;
    if (!this.#takeToken()) {
      this.#tellLater();
      return;
    }
    this.#answer(queue, this.#waiting.shift() as Chain, ScsiEvent.None, undefined, 0);
    publish(this.#host, queue);
  }

  #tellLater(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#tellLoss();
    }, 1000 / this.#limit.perSecond);
  }

  #takeToken(): boolean {
    const now = this.#now();
    const earned = ((now - this.#refilled) * this.#limit.perSecond) / 1000;
    this.#tokens = Math.min(this.#limit.burst, this.#tokens + earned);
    this.#refilled = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
