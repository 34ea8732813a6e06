/**
 * The statistics queue, device half: a buffer of the driver's is kept; giving it back asks for the next, which brings
 * the numbers (virtio 1.2 §5.5.6.3).
 */
import { DeviceError } from "../../errors/index.js";
import type { Observer } from "../../observe/index.js";
import type { DeviceHost } from "../../transport/index.js";
import type { Chain, QueueDevice } from "../../virtqueue/index.js";
import { publish, reportViolation, serveQueue } from "../device-base/index.js";
import { BalloonQueue, type BalloonStatistics, balloonStatistic } from "./protocol.js";

/** Statistics that are looked at in one buffer: more tags than there are. */
const mostEntries = 64;

/** Somebody who waits for numbers. */
interface Waiting {
  readonly resolve: (statistics: BalloonStatistics) => void;
  readonly reject: (error: Error) => void;
}

/** The statistics queue of one device. */
export class StatisticsQueue {
  readonly #host: DeviceHost;
  readonly #observer: Observer | undefined;
  readonly #bytes = new Uint8Array(mostEntries * balloonStatistic.size);
  #waiting: Waiting[] = [];
  #chain: Chain | undefined;
  #queue: QueueDevice | undefined;
  #last: BalloonStatistics = new Map();

  constructor(host: DeviceHost, observer: Observer | undefined) {
    this.#host = host;
    this.#observer = observer;
  }

  /** What the driver told last. */
  get last(): BalloonStatistics {
    return this.#last;
  }

  /** Whether the driver gave a buffer that can be used to ask. */
  get canAsk(): boolean {
    return this.#chain !== undefined;
  }

  /** Asks for new numbers; those who ask while somebody waits get the same. */
  ask(): Promise<BalloonStatistics> {
    const chain = this.#chain;
    const queue = this.#queue;
    if (this.#waiting.length === 0 && (chain === undefined || queue === undefined)) {
      return Promise.reject(new DeviceError("no driver gave a buffer for statistics"));
    }
    const answer = new Promise<BalloonStatistics>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    if (chain !== undefined && queue !== undefined) {
      this.#chain = undefined;
      queue.push(chain, 0);
      publish(this.#host, queue);
    }
    return answer;
  }

  /** The driver added a buffer. */
  take(): void {
    serveQueue(this.#host, BalloonQueue.Statistics, (chain, queue) => this.#takeOne(chain, queue));
  }

  /** The driver is gone, and with it its buffer. */
  reset(why: string): void {
    this.#chain = undefined;
    this.#queue = undefined;
    this.#last = new Map();
    const error = new DeviceError(why);
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  #takeOne(chain: Chain, queue: QueueDevice): void {
    // One buffer goes to and fro: of two the older one goes back.
    if (this.#chain !== undefined) queue.push(this.#chain, 0);
    this.#chain = chain;
    this.#queue = queue;
    const { size } = balloonStatistic;
    const { byteLength } = chain.readable;
    if (byteLength % size !== 0 || byteLength > this.#bytes.length) {
      const detail = `${byteLength} bytes of statistics`;
      reportViolation(this.#host, this.#observer, { queue, chain, code: "request-data-length", detail });
    }
    const entries = Math.min(Math.floor(byteLength / size), mostEntries);
    chain.readable.copyOut(this.#bytes, 0, entries * size);
    const view = new DataView(this.#bytes.buffer);
    const statistics = new Map<number, bigint>();
    for (let entry = 0; entry < entries; entry++) {
      const { tag, value } = balloonStatistic.read(view, entry * size, this.#host.endianness);
      statistics.set(tag, value);
    }
    this.#last = statistics;
    for (const { resolve } of this.#waiting.splice(0)) resolve(statistics);
  }
}
