/** The statistics queue, driver half: one buffer at a time, which the device uses up to ask for the next. */

import type { DriverLink } from "../../transport/index.js";
import { type DriverQueue, SendQueue } from "../driver-base/index.js";
import { BalloonQueue, type BalloonStatistics, balloonStatistic } from "./protocol.js";

/** Statistics in one buffer, at most: more tags than there are. */
const mostEntries = 32;

/** The statistics queue of one driver. */
export class StatisticsTeller implements DriverQueue {
  readonly #queue: SendQueue;
  readonly #source: () => BalloonStatistics;
  readonly #little: boolean;
  /** Told again when the source has nothing to say: a buffer without a byte cannot be sent. */
  #last: Uint8Array | undefined;

  /** @throws ProtocolError `queue-missing` */
  constructor(link: DriverLink, source: () => BalloonStatistics) {
    this.#queue = new SendQueue(link, BalloonQueue.Statistics, {
      slots: 1,
      slotSize: mostEntries * balloonStatistic.size,
    });
    this.#source = source;
    this.#little = link.transport.endianness === "little";
  }

  /** Gives the device its first buffer, and another whenever it used one. @param failed told of a source that throws. */
  start(failed: (error: unknown) => void): void {
    const next = () => {
      try {
        // A send fails when the driver goes: then there is nobody to tell.
        this.#queue.send(this.#encode()).then(next, () => {});
      } catch (error) {
        failed(error);
      }
    };
    next();
  }

  poll(): void {
    this.#queue.poll();
  }

  close(error: Error, keepsMemory: boolean): void {
    this.#queue.close(error, keepsMemory);
  }

  #encode(): Uint8Array {
    const entries = [...this.#source()].slice(0, mostEntries);
    if (entries.length === 0) {
      if (this.#last === undefined) throw new RangeError("there are no statistics to tell");
      return this.#last;
    }
    const bytes = new Uint8Array(entries.length * balloonStatistic.size);
    const view = new DataView(bytes.buffer);
    for (const [index, [tag, value]] of entries.entries()) {
      const at = index * balloonStatistic.size;
      balloonStatistic.write(view, at, this.#little ? "little" : "big", { tag, value: BigInt.asUintN(64, value) });
    }
    this.#last = bytes;
    return bytes;
  }
}
