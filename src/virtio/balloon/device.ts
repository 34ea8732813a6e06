/**
 * The device half of virtio-balloon (virtio 1.2 §5.5; 0.9.5 appendix G): says how many pages it wants, takes them and
 * gives them back, and asks for statistics. What becomes of a page is its owner's to decide.
 */
import type { SavedFields, SavedReader } from "../../bytes/index.js";
import { DeviceError } from "../../errors/index.js";
import type { Observer } from "../../observe/index.js";
import { type DeviceHost, type DeviceType, featureSet } from "../../transport/index.js";
import type { Chain, QueueDevice } from "../../virtqueue/index.js";
import { reportViolation, serveQueue } from "../device-base/index.js";
import { StatisticsQueue } from "./device-statistics.js";
import { PageSet } from "./page-set.js";
import { BalloonQueue, type BalloonStatistics, balloonConfig, balloonFeatures, virtioBalloonId } from "./protocol.js";

/** What the device offers and knows of its guest. */
export interface VirtioBalloonOptions {
  /** Pages of 4096 bytes up to the end of the guest's memory: page numbers from here on are refused. Default 2^20. */
  readonly pageLimit?: number;
  /** Have pages told before they are used again (MUST_TELL_HOST). Default false. */
  readonly mustTellHost?: boolean;
  /** Offer the statistics queue. Default true. */
  readonly statistics?: boolean;
  /** Allow the driver to take pages back when it runs out of memory (DEFLATE_ON_OOM). Default false. */
  readonly deflateOnOom?: boolean;
  /** A page came into the balloon: its content is not needed any more. */
  readonly inflated?: (page: number) => void;
  /** A page left the balloon. */
  readonly deflated?: (page: number) => void;
  /** The driver wrote how many pages it thinks are in the balloon. */
  readonly actualChanged?: (pages: number) => void;
  /** Largest size of each queue. Default 128. */
  readonly queueSize?: number;
  readonly observer?: Observer | undefined;
}

/** Page numbers in one buffer, at most: a guest of 256 MiB in one go. Drivers send 256. */
const mostPages = 65_536;
const sliceBytes = 4096;
/** Of what it keeps in a snapshot. */
const stateVersion = 1;

/** The device: give it to a transport. */
export class VirtioBalloonDevice implements DeviceType {
  readonly deviceId = virtioBalloonId;
  readonly name = "virtio-balloon";
  readonly featureTable = balloonFeatures;
  readonly features: bigint;
  readonly queueSizes: readonly number[];
  readonly configSize = balloonConfig.size;
  readonly #options: VirtioBalloonOptions;
  readonly #pages: PageSet;
  readonly #slice = new DataView(new ArrayBuffer(sliceBytes));
  readonly #sliceBytes = new Uint8Array(this.#slice.buffer);
  #host: DeviceHost | undefined;
  #statistics: StatisticsQueue | undefined;
  #target = 0;
  #actual = 0;

  /** @throws RangeError when the page limit is no number of pages. */
  constructor(options: VirtioBalloonOptions = {}) {
    const { mustTellHost = false, statistics = true, deflateOnOom = false } = options;
    const { pageLimit = 2 ** 20, queueSize = 128 } = options;
    if (!Number.isInteger(pageLimit) || pageLimit < 1 || pageLimit > 2 ** 32) {
      throw new RangeError(`the page limit must be 1 to 2^32, got ${pageLimit}`);
    }
    const { MUST_TELL_HOST, STATS_VQ, DEFLATE_ON_OOM } = balloonFeatures;
    this.features = featureSet(
      ...(mustTellHost ? [MUST_TELL_HOST] : []),
      ...(statistics ? [STATS_VQ] : []),
      ...(deflateOnOom ? [DEFLATE_ON_OOM] : []),
    );
    this.queueSizes = new Array<number>(statistics ? 3 : 2).fill(queueSize);
    this.#options = options;
    this.#pages = new PageSet(pageLimit);
  }

  /** Pages that the driver was asked for. */
  get target(): number {
    return this.#target;
  }

  /** Pages that the driver says are in the balloon. */
  get actual(): number {
    return this.#actual;
  }

  /** Pages that are in the balloon. */
  get pages(): number {
    return this.#pages.size;
  }

  /** Whether a page is in the balloon. */
  holds(page: number): boolean {
    return this.#pages.has(page);
  }

  /** What the driver told last. */
  get statistics(): BalloonStatistics {
    return this.#statistics?.last ?? new Map();
  }

  /** Asks the driver for so many pages, more or fewer than it gave. @throws RangeError */
  setTarget(pages: number): void {
    if (!Number.isInteger(pages) || pages < 0 || pages >= 2 ** 32) throw new RangeError(`no number of pages: ${pages}`);
    if (pages === this.#target) return;
    this.#target = pages;
    this.#host?.configChanged();
  }

  /** Asks the driver for its numbers. @throws DeviceError when no driver is there to tell them. */
  askStatistics(): Promise<BalloonStatistics> {
    return this.#statistics?.ask() ?? Promise.reject(new DeviceError("the balloon is in no machine"));
  }

  attach(host: DeviceHost): void {
    this.#host = host;
    this.#statistics = new StatisticsQueue(host, this.#options.observer);
  }

  /** Little-endian in any case: 0.9.5 made this one exception. */
  readConfig(view: DataView): void {
    balloonConfig.write(view, 0, "little", { numPages: this.#target, actual: this.#actual });
  }

  /** The driver may write `actual` only. */
  writeConfig(view: DataView): void {
    const { actual } = balloonConfig.read(view, 0, "little");
    if (actual === this.#actual) return;
    this.#actual = actual;
    this.#options.actualChanged?.(actual);
  }

  notified(index: number): void {
    const host = this.#host;
    if (host === undefined) return;
    if (index === BalloonQueue.Statistics) this.#statistics?.take();
    else serveQueue(host, index, index === BalloonQueue.Inflate ? this.#inflate : this.#deflate);
  }

  /** The driver starts anew: its pages are its own again. */
  reset(): void {
    this.#statistics?.reset("the balloon's driver was reset");
    this.#pages.clear();
    this.#actual = 0;
  }

  resetQueue(index: number): void {
    if (index === BalloonQueue.Statistics) this.#statistics?.reset("the statistics queue was reset");
  }

  keepsChains(index: number): boolean {
    return index === BalloonQueue.Statistics;
  }

  saveState(): SavedFields {
    return { version: stateVersion, target: this.#target, actual: this.#actual, pages: this.#pages.toBits() };
  }

  /** Who owns the memory is told of each page that is in the balloon. */
  readState(saved: SavedReader): () => void {
    saved.version(stateVersion);
    const target = saved.whole("target", 2 ** 32 - 1);
    const actual = saved.whole("actual", 2 ** 32 - 1);
    const { limit } = this.#pages;
    const pages = saved.bytes("pages", Math.ceil(limit / 8));
    const pastLimit = 8 * pages.length > limit && pages[pages.length - 1] >>> (limit & 7) !== 0;
    if (pastLimit) saved.refuse("pages", `has pages past the ${limit} that there are`);
    return () => {
      this.#target = target;
      this.#actual = actual;
      this.#pages.addBits(pages, (page) => this.#options.inflated?.(page));
    };
  }

  /** Those who wait for statistics get none. */
  close(): void {
    this.#statistics?.reset("the balloon was taken out");
  }

  readonly #inflate = (chain: Chain, queue: QueueDevice) => {
    this.#eachPage(chain, queue, (page) => {
      if (this.#pages.add(page)) this.#options.inflated?.(page);
    });
  };

  readonly #deflate = (chain: Chain, queue: QueueDevice) => {
    this.#eachPage(chain, queue, (page) => {
      if (this.#pages.delete(page)) this.#options.deflated?.(page);
    });
  };

  #eachPage(chain: Chain, queue: QueueDevice, use: (page: number) => void): void {
    const host = this.#host as DeviceHost;
    const little = host.endianness === "little";
    const { readable } = chain;
    const { observer } = this.#options;
    const told = readable.byteLength / 4;
    const count = Math.min(Math.floor(told), mostPages);
    if (!Number.isInteger(told) || told === 0) {
      const detail = `${readable.byteLength} bytes are no whole number of pages`;
      reportViolation(host, observer, { queue, chain, code: "request-data-length", detail });
    } else if (told > mostPages) {
      const detail = `${told} pages at once, of which ${mostPages} are taken`;
      reportViolation(host, observer, { queue, chain, code: "request-over-limit", detail });
    }
    let outside = 0;
    for (let done = 0; done < count; ) {
      const entries = Math.min(count - done, sliceBytes / 4);
      readable.copyOut(this.#sliceBytes, 0, entries * 4);
      readable.dropFront(entries * 4);
      for (let entry = 0; entry < entries; entry++) {
        const page = this.#slice.getUint32(entry * 4, little);
        if (page < this.#pages.limit) use(page);
        else outside++;
      }
      done += entries;
    }
    if (outside > 0) {
      const detail = `${outside} of ${count} pages`;
      reportViolation(host, observer, { queue, chain, code: "address-outside-memory", detail });
    }
    queue.push(chain, 0);
  }
}
