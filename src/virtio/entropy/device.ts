/**
 * The device half of virtio-entropy (virtio 1.2 §5.4; 0.9.5 appendix F): fills every buffer completely, as 0.9.5 wants it,
 * at the rate that its owner allows. A long buffer is filled in turns, so that no driver holds the others up.
 */
import type { SavedFields, SavedReader } from "../../bytes/index.js";
import { PageViews } from "../../memory/index.js";
import type { Observer } from "../../observe/index.js";
import type { DeviceHost, DeviceType } from "../../transport/index.js";
import type { Chain, QueueDevice } from "../../virtqueue/index.js";
import { publish, reportViolation, serveQueue } from "../device-base/index.js";
import { type EntropyRate, FillBudget } from "./fill-budget.js";
import { entropyFeatures, entropyQueue, virtioEntropyId } from "./protocol.js";

/** What the device gives, and how fast. */
export interface VirtioEntropyOptions {
  /** Fills `bytes` with random ones. Default: the platform's cryptographic source. */
  readonly source?: (bytes: Uint8Array) => void;
  /** Default: as fast as it is asked. */
  readonly rate?: EntropyRate;
  /** Milliseconds, from any start. Default the system's clock. */
  readonly now?: () => number;
  /** Largest size of the queue. Default 8. */
  readonly queueSize?: number;
  readonly observer?: Observer | undefined;
}

/** Bytes that are made at once, and filled without letting others run. */
const sliceSize = 4096;
const turnSize = 64 * sliceSize;
/** Of what it keeps in a snapshot. */
const stateVersion = 1;

/** The device: give it to a transport. */
export class VirtioEntropyDevice implements DeviceType {
  readonly deviceId = virtioEntropyId;
  readonly name = "virtio-entropy";
  readonly featureTable = entropyFeatures;
  readonly features = 0n;
  readonly queueSizes: readonly number[];
  readonly configSize = 0;
  readonly #source: (bytes: Uint8Array) => void;
  readonly #observer: Observer | undefined;
  readonly #budget: FillBudget;
  readonly #slice = new Uint8Array(sliceSize);
  readonly #views = new PageViews(this.#slice);
  #host: DeviceHost | undefined;
  /** The chain that is being filled, its queue, and how far it is. */
  #chain: Chain | undefined;
  #queue: QueueDevice | undefined;
  #filled = 0;
  #turnLeft = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #given = 0;
  readonly #begin = (chain: Chain, queue: QueueDevice) => this.#start(chain, queue);
  readonly #isFree = () => this.#chain === undefined;

  /** @throws RangeError for a rate that would never give a byte. */
  constructor(options: VirtioEntropyOptions = {}) {
    this.#source = options.source ?? fillFromPlatform;
    this.#observer = options.observer;
    this.#budget = new FillBudget(options.rate, options.now ?? Date.now);
    this.queueSizes = [options.queueSize ?? 8];
  }

  /** Random bytes that were given since the device was made. */
  get bytesGiven(): number {
    return this.#given;
  }

  attach(host: DeviceHost): void {
    this.#host = host;
  }

  readConfig(): void {}
  writeConfig(): void {}

  notified(): void {
    if (this.#timer === undefined) this.#serve();
  }

  reset(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#chain = undefined;
    this.#queue = undefined;
  }

  resetQueue(): void {
    this.reset();
  }

  saveState(): SavedFields {
    return { version: stateVersion, ...this.#budget.save() };
  }

  readState(saved: SavedReader): () => void {
    saved.version(stateVersion);
    const left = saved.whole("left", Number.MAX_SAFE_INTEGER);
    const period = saved.amount("period", Number.MAX_VALUE);
    return () => this.#budget.restore(left, period);
  }

  /** Gives up what it was filling. */
  close(): void {
    this.reset();
  }

  #serve(): void {
    const host = this.#host;
    if (host === undefined) return;
    this.#turnLeft = turnSize;
    const queue = this.#queue;
    if (queue !== undefined) {
      this.#fill();
      publish(host, queue);
    }
    serveQueue(host, entropyQueue, this.#begin, this.#isFree);
  }

  #start(chain: Chain, queue: QueueDevice): void {
    const host = this.#host;
    if (host !== undefined && chain.readable.byteLength > 0) {
      // virtio 1.2 §5.4.6.1: only writable buffers. What is writable is filled all the same.
      reportViolation(host, this.#observer, { queue, chain, code: "request-data-direction" });
    }
    this.#chain = chain;
    this.#queue = queue;
    this.#filled = 0;
    this.#fill();
  }

  #fill(): void {
    const chain = this.#chain as Chain;
    const { writable } = chain;
    while (writable.byteLength > 0) {
      const wanted = Math.min(writable.byteLength, sliceSize, this.#turnLeft);
      const length = this.#budget.take(wanted);
      if (length === 0) {
        this.#timer = setTimeout(() => this.#goOn(), this.#budget.wait);
        return;
      }
      this.#source(length === sliceSize ? this.#slice : this.#slice.subarray(0, length));
      writable.copyIn(this.#views, 0, length);
      writable.dropFront(length);
      this.#turnLeft -= length;
      this.#filled += length;
      this.#given += length;
    }
    this.#slice.fill(0);
    this.#queue?.push(chain, this.#filled);
    this.#chain = undefined;
    this.#queue = undefined;
  }

  #goOn(): void {
    this.#timer = undefined;
    this.#serve();
  }
}

function fillFromPlatform(bytes: Uint8Array): void {
  crypto.getRandomValues(bytes as Uint8Array<ArrayBuffer>);
}
