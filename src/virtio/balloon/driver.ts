/**
 * The driver half of virtio-balloon (virtio 1.2 §5.5; 0.9.5 appendix G): gives pages and takes them back until there are
 * as many in the balloon as the device wants, and tells statistics.
 */
import { swap32 } from "../../bytes/index.js";
import { RequestAborted } from "../../errors/index.js";
import {
  type DriverLink,
  type DriverTransport,
  featureSet,
  modernRingFeatures,
  ringFeatures,
} from "../../transport/index.js";
import { DeviceDriver, type DeviceDriverOptions, SendQueue } from "../driver-base/index.js";
import { type BalloonMemory, DmaBalloonMemory } from "./driver-pages.js";
import { StatisticsTeller } from "./driver-statistics.js";
import { BalloonQueue, type BalloonStatistics, balloonConfig, balloonFeatures } from "./protocol.js";

/** Where pages and numbers come from. */
export interface BalloonDriverOptions extends DeviceDriverOptions {
  /** Default: the transport's DMA memory. */
  readonly memory?: BalloonMemory;
  /** Pages that are given at most, whatever the device wants. Default: all that the memory has. */
  readonly mostPages?: number;
  /** Numbers for the statistics queue, at least one. Without it the queue is not used. */
  readonly statistics?: () => BalloonStatistics;
  /** Milliseconds that the device has to take what it is told. Default 30 000. */
  readonly timeout?: number;
  /** Milliseconds until memory that ran out is asked again. Default 1000. */
  readonly retryDelay?: number;
}

/** All features that the driver half knows; STATS_VQ only with something to tell. */
export const knownBalloonFeatures = featureSet(
  balloonFeatures.MUST_TELL_HOST,
  balloonFeatures.STATS_VQ,
  ringFeatures.INDIRECT_DESC,
  ringFeatures.EVENT_IDX,
  ...modernRingFeatures,
);

/** Page numbers in one buffer: what other drivers send too. */
const pagesAtOnce = 256;
/** Buffers after which timers and other devices have their turn. */
const roundsOfATurn = 16;

/** The driver of one balloon. */
export class VirtioBalloonDriver extends DeviceDriver {
  readonly #options: BalloonDriverOptions;
  readonly #memory: BalloonMemory;
  /** In the balloon, oldest first. */
  #pages: number[] = [];
  readonly #listeners = new Set<(pages: number) => void>();
  #inflate: SendQueue | undefined;
  #deflate: SendQueue | undefined;
  #teller: StatisticsTeller | undefined;
  #working: Promise<void> | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  /** Looks at the device's wish so far. */
  #rounds = 0;
  /** A freeze is on its way: the device's wishes do not count. */
  #isEmptying = false;

  private constructor(transport: DriverTransport, options: BalloonDriverOptions) {
    super(transport, options);
    this.#options = options;
    this.#memory = options.memory ?? new DmaBalloonMemory(transport.dma);
  }

  /** Brings the device up and begins to do what it wants. @throws ProtocolError when it breaks the rules of initialisation. */
  static async open(transport: DriverTransport, options: BalloonDriverOptions = {}): Promise<VirtioBalloonDriver> {
    const driver = new VirtioBalloonDriver(transport, options);
    await driver.bringUp();
    return driver;
  }

  /** Pages in the balloon. */
  get pages(): number {
    return this.#pages.length;
  }

  /** Pages that the device wants to have. @throws the reason when the driver is not up. */
  get target(): number {
    return this.link.readConfig((transport) => littleEndian(transport, transport.readConfig(0, 4)));
  }

  /** Listens to changes of {@link VirtioBalloonDriver.pages}. Returns the way to stop. */
  onChange(listener: (pages: number) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ends when nothing is under way: the device has what it wants, or the memory has no more. */
  async settled(): Promise<void> {
    while (this.#working !== undefined) await this.#working;
  }

  protected wanted() {
    const features = this.#options.features ?? knownBalloonFeatures;
    const stats = featureSet(balloonFeatures.STATS_VQ);
    return {
      features: this.#options.statistics === undefined ? features & ~stats : features,
      queues: (agreed: bigint) => ((agreed & stats) === 0n ? 2 : 3),
    };
  }

  protected setUp(link: DriverLink): void {
    const lists = { slots: 1, slotSize: 4 * pagesAtOnce };
    this.#inflate = this.own(BalloonQueue.Inflate, new SendQueue(link, BalloonQueue.Inflate, lists));
    this.#deflate = this.own(BalloonQueue.Deflate, new SendQueue(link, BalloonQueue.Deflate, lists));
    const { statistics } = this.#options;
    if (statistics === undefined || !link.has(balloonFeatures.STATS_VQ)) return;
    this.#teller = this.own(BalloonQueue.Statistics, new StatisticsTeller(link, statistics));
  }

  protected override started(): void {
    this.#isEmptying = false;
    this.#teller?.start((error) => this.giveUp(error));
    this.configured();
  }

  protected override configured(): void {
    if (this.#isEmptying) return;
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  /** Brings all pages home: what a device that is reset thinks of them does not matter then. */
  protected override async prepareFreeze(): Promise<void> {
    this.#isEmptying = true;
    await this.settled();
    while (this.#pages.length > 0 && this.state === "up") await this.#giveBack(this.#pages.length);
  }

  protected override takenDown(keepsMemory: boolean): void {
    clearTimeout(this.#retry);
    this.#inflate = undefined;
    this.#deflate = undefined;
    this.#teller = undefined;
    const pages = this.#pages.splice(0);
    // A device that did not reset may still throw away what lies in them.
    if (!keepsMemory) for (const page of pages) this.#memory.give(page);
    if (pages.length > 0) this.#tellChange();
  }

  async #work(): Promise<void> {
    // One turn later: a wish that is told while one is looked at is seen by that look or the next.
    await undefined;
    clearTimeout(this.#retry);
    try {
      while (this.state === "up" && !this.#isEmptying) {
        // A device in this process may answer at once and never be content: everything else has its turn now and then.
        if (++this.#rounds % roundsOfATurn === 0) await new Promise((resolve) => setTimeout(resolve));
        const missing = Math.min(this.target, this.#options.mostPages ?? Number.POSITIVE_INFINITY) - this.#pages.length;
        if (missing === 0) return;
        if (missing < 0) await this.#giveBack(-missing);
        else if (!(await this.#fill(missing))) {
          this.#retry = setTimeout(() => this.guarded(() => this.configured()), this.#options.retryDelay ?? 1000);
          return;
        }
      }
    } catch (error) {
      this.giveUp(error);
    }
  }

  /** Puts pages into the balloon; false when there are none. */
  async #fill(missing: number): Promise<boolean> {
    const pages: number[] = [];
    while (pages.length < Math.min(missing, pagesAtOnce)) {
      const page = this.#memory.take();
      if (page === undefined) break;
      pages.push(page);
    }
    if (pages.length === 0) return false;
    // They are the balloon's from here on: should the driver go now, they come home with the others.
    this.#pages.push(...pages);
    if (await this.#tell(this.#inflate, pages)) this.#writeActual();
    return true;
  }

  async #giveBack(count: number): Promise<void> {
    const first = Math.max(0, this.#pages.length - Math.min(count, pagesAtOnce));
    const pages = this.#pages.slice(first);
    const mustTell = this.link.has(balloonFeatures.MUST_TELL_HOST);
    if (!mustTell) this.#comeHome(first, pages);
    if (!(await this.#tell(this.#deflate, pages))) return;
    if (mustTell) this.#comeHome(first, pages);
    this.#writeActual();
  }

  #comeHome(first: number, pages: readonly number[]): void {
    this.#pages.length = first;
    for (const page of pages) this.#memory.give(page);
  }

  /** Tells the device of pages. False when the driver went away meanwhile. */
  async #tell(queue: SendQueue | undefined, pages: readonly number[]): Promise<boolean> {
    const list = new DataView(new ArrayBuffer(4 * pages.length));
    const little = this.transport.endianness === "little";
    for (const [index, page] of pages.entries()) list.setUint32(4 * index, page, little);
    const timeout = this.#options.timeout ?? 30_000;
    const late = () =>
      this.giveUp(new RequestAborted(`the balloon did not take ${pages.length} pages in ${timeout} ms`));
    const timer = setTimeout(late, timeout);
    try {
      await this.inUse(queue).send(new Uint8Array(list.buffer));
      return true;
    } catch (error) {
      if (this.state === "up") throw error;
      return false;
    } finally {
      clearTimeout(timer);
    }
  }

  #writeActual(): void {
    const { transport } = this.link;
    transport.writeConfig(balloonConfig.offset.actual, 4, littleEndian(transport, this.#pages.length));
    this.#tellChange();
  }

  #tellChange(): void {
    for (const listener of this.#listeners) listener(this.#pages.length);
  }
}

/** The configuration is little-endian also where everything else has the guest's order (0.9.5 appendix G). */
function littleEndian(transport: DriverTransport, value: number): number {
  return transport.endianness === "big" ? swap32(value) : value;
}
