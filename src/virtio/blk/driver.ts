/**
 * The driver half of virtio-blk (virtio 1.2 §5.2). At ring level it is synchronous: `submit`, `flush`, `poll`, with
 * reusable requests and no allocation. Above that, transfers, flushes and the rest are promises, cut to the device's
 * limits.
 */
import { DeviceError, UnsupportedError } from "../../errors/index.js";
import {
  type DriverLink,
  type DriverTransport,
  featureSet,
  modernRingFeatures,
  ringFeatures,
} from "../../transport/index.js";
import {
  type Lending,
  type RequestAborted,
  RequestDriver,
  type RequestDriverOptions,
  type WantedOfDevice,
} from "../driver-base/index.js";
import { type BlkInfo, checkSameDisk, isSameInfo, readBlkInfo } from "./driver-info.js";
import { type PacketResult, packetAnswerLength, parsePacketAnswer } from "./driver-packet.js";
import { encodeRanges, type SectorRange, splitRanges } from "./driver-ranges.js";
import { BlkRequest } from "./driver-request.js";
import {
  BlkStatus,
  BlkType,
  blkConfig,
  blkFeatures,
  blkIdLength,
  blkStatusName,
  blkTypeName,
  sectorSize,
  unmapFlag,
} from "./protocol.js";
import { splitTransfer } from "./split-transfer.js";

/** What the driver takes and how long it waits. `features` default to all that it knows. */
export interface BlkDriverOptions extends RequestDriverOptions {
  /** Request queues to use, at most what the device has. Default 1. */
  readonly queues?: number;
  /** Milliseconds that a device has to give back a request that nobody waits for, before it is reset. Default 10000. */
  readonly grace?: number;
  /** Bytes of one request, at most. Default 1 MiB. */
  readonly requestBytes?: number;
  /** Bytes of a transfer that are lent to the device at once. Default 8 MiB. */
  readonly windowBytes?: number;
}

/** Patience with one operation, and its queue. */
export interface BlkOptions {
  /** Milliseconds for each of its requests; default the driver's. 0 for ever. */
  readonly timeout?: number | undefined;
  /** Stops the waiting. Memory stays lent until the device gave it back. */
  readonly signal?: AbortSignal | undefined;
  /** Request queue to use. Default 0. */
  readonly queue?: number;
}

/** A request ended with a status other than OK. */
export class BlkRequestError extends DeviceError {
  override readonly name = "BlkRequestError";
  readonly status: number;
  readonly type: number;

  constructor(what: string, type: number, status: number) {
    super(`${what}: ${blkStatusName(status)}`);
    this.type = type;
    this.status = status;
  }
}

/** The options of an operation as each of its requests takes them. */
interface Course {
  readonly queue: number;
  readonly timeout: number | undefined;
  readonly signal: AbortSignal | undefined;
}

/** All features that the driver half knows; BARRIER and SCSI of 0.9.5 only when asked for. */
export const knownBlkFeatures = featureSet(
  blkFeatures.SIZE_MAX,
  blkFeatures.SEG_MAX,
  blkFeatures.GEOMETRY,
  blkFeatures.RO,
  blkFeatures.BLK_SIZE,
  blkFeatures.FLUSH,
  blkFeatures.TOPOLOGY,
  blkFeatures.CONFIG_WCE,
  blkFeatures.MQ,
  blkFeatures.DISCARD,
  blkFeatures.WRITE_ZEROES,
  ringFeatures.INDIRECT_DESC,
  ringFeatures.EVENT_IDX,
  ...modernRingFeatures,
);

/** The driver of one device. */
export class VirtioBlkDriver extends RequestDriver<BlkRequest> {
  readonly #options: BlkDriverOptions;
  readonly #onChange = new Set<(info: BlkInfo) => void>();
  #info!: BlkInfo;
  /** As it was when the device was taken down last. */
  #before: BlkInfo | undefined;
  /** As the caller switched it. */
  #writeCache: boolean | undefined;

  private constructor(transport: DriverTransport, options: BlkDriverOptions) {
    super(transport, options);
    this.#options = options;
  }

  /**
   * Brings the device up.
   * @throws ProtocolError when the device breaks the rules of initialisation.
   */
  static async open(transport: DriverTransport, options: BlkDriverOptions = {}): Promise<VirtioBlkDriver> {
    const driver = new VirtioBlkDriver(transport, options);
    await driver.bringUp();
    return driver;
  }

  /** The device as its configuration said last. */
  get info(): BlkInfo {
    return this.#info;
  }

  /** Called when the configuration changed: another capacity, another cache mode. Returns the way to stop. */
  onChange(listener: (info: BlkInfo) => void): () => void {
    this.#onChange.add(listener);
    return () => this.#onChange.delete(listener);
  }

  /** Fills `bytes`, a whole number of sectors, from `sector` on. @throws BlkRequestError, RangeError */
  readSectors(sector: number, bytes: Uint8Array, options: BlkOptions = {}): Promise<void> {
    return this.#operation(options, (course) => this.#transfer(BlkType.In, sector, bytes, course));
  }

  /** Writes `bytes`, a whole number of sectors, from `sector` on. @throws BlkRequestError, RangeError */
  writeSectors(sector: number, bytes: Uint8Array, options: BlkOptions = {}): Promise<void> {
    return this.#operation(options, (course) => this.#transfer(BlkType.Out, sector, bytes, course));
  }

  /** What was written before is durable when this ends. @throws BlkRequestError */
  async flushCache(options: BlkOptions = {}): Promise<void> {
    // Without the feature there is nothing to flush: every write was durable when it ended.
    if (!this.has(blkFeatures.FLUSH)) return;
    await this.#operation(options, (course) => this.#simple(BlkType.Flush, [], course));
  }

  /** The device's name, at most 20 characters. @throws BlkRequestError */
  async identify(options: BlkOptions = {}): Promise<string> {
    const bytes = new Uint8Array(blkIdLength);
    await this.#operation(options, (course) =>
      this.#simple(BlkType.GetId, [{ bytes, direction: "from-device" }], course),
    );
    const end = bytes.indexOf(0);
    return String.fromCharCode(...bytes.subarray(0, end < 0 ? blkIdLength : end)).trimEnd();
  }

  /** Tells the device that nobody needs these sectors. @throws UnsupportedError, BlkRequestError, RangeError */
  async discard(ranges: readonly SectorRange[], options: BlkOptions = {}): Promise<void> {
    const limits = this.#info.discard;
    if (limits === undefined) throw new UnsupportedError("the device has no DISCARD");
    await this.#operation(options, (course) => this.#rangeRequests(BlkType.Discard, ranges, limits, 0, course));
  }

  /**
   * Makes the sectors read as zeros.
   * @param options.unmap lets the device give the space back. Default false.
   * @throws UnsupportedError, BlkRequestError, RangeError
   */
  async writeZeroes(
    ranges: readonly SectorRange[],
    options: BlkOptions & { readonly unmap?: boolean } = {},
  ): Promise<void> {
    const limits = this.#info.writeZeroes;
    if (limits === undefined) throw new UnsupportedError("the device has no WRITE_ZEROES");
    const flags = options.unmap === true ? unmapFlag : 0;
    await this.#operation(options, (course) => this.#rangeRequests(BlkType.WriteZeroes, ranges, limits, flags, course));
  }

  /**
   * One SCSI packet command of 0.9.5; take the SCSI feature for it. `data` has at most one direction.
   * @throws UnsupportedError where the feature was not negotiated, BlkRequestError
   */
  async executeScsi(
    cdb: Uint8Array,
    data: { readonly dataOut?: Uint8Array; readonly dataIn?: Uint8Array } = {},
    options: BlkOptions = {},
  ): Promise<PacketResult> {
    if (!this.has(blkFeatures.SCSI)) throw new UnsupportedError("the device takes no SCSI commands");
    const tail = new Uint8Array(packetAnswerLength);
    const { dataOut = new Uint8Array(0), dataIn = new Uint8Array(0) } = data;
    const out = [cdb, dataOut].filter(({ length }) => length > 0);
    const back = [dataIn, tail].filter(({ length }) => length > 0);
    const buffers: Lending[] = [
      ...out.map((bytes) => ({ bytes, direction: "to-device" as const })),
      ...back.map((bytes) => ({ bytes, direction: "from-device" as const })),
    ];
    await this.#operation(options, (course) => this.#simple(BlkType.ScsiCommand, buffers, course));
    return parsePacketAnswer(tail, this.transport.endianness);
  }

  /** Switches the write cache; it stays so over a freeze. @throws UnsupportedError without CONFIG_WCE */
  setWriteCache(isOn: boolean): void {
    if (!this.#info.canSwitchCache) throw new UnsupportedError("the device's write cache cannot be switched");
    this.#switchCache(this.link, isOn);
    this.#writeCache = isOn;
    this.configured();
  }

  protected wanted(): WantedOfDevice {
    const { features = knownBlkFeatures, queues = 1 } = this.#options;
    return { features, queues: Math.max(1, queues), featureTable: blkFeatures };
  }

  protected setUp(link: DriverLink): void {
    this.#info = readBlkInfo(link);
    if (this.#before !== undefined) checkSameDisk(this.#before, this.#info);
    this.openRings(link, 0, Math.max(1, Math.min(this.#options.queues ?? 1, this.#info.queues)));
  }

  /** What was asked of the device before a freeze is asked again; a change meanwhile is told like any other. */
  protected override started(): void {
    if (this.#writeCache !== undefined) this.#switchCache(this.link, this.#writeCache);
    if (this.#before !== undefined) {
      this.#info = readBlkInfo(this.link);
      if (!isSameInfo(this.#before, this.#info)) this.#tellChange();
    }
    super.started();
  }

  protected override configured(): void {
    this.#info = readBlkInfo(this.link);
    this.#tellChange();
  }

  protected override takenDown(keepsMemory: boolean): void {
    this.#before = this.#info;
    super.takenDown(keepsMemory);
  }

  protected createRequest(): BlkRequest {
    const { dma, endianness } = this.transport;
    return new BlkRequest(dma.allocate(BlkRequest.slotSize, 16), endianness === "little");
  }

  /** A request that nobody waits for any more: there is no way to take a single one back. */
  protected callOff(request: BlkRequest, error: RequestAborted): void {
    this.giveUpUnlessReturned(request, this.#options.grace ?? 10_000, error);
  }

  #tellChange(): void {
    for (const listener of [...this.#onChange]) listener(this.#info);
  }

  #switchCache({ transport }: DriverLink, isOn: boolean): void {
    transport.writeConfig(blkConfig.offset.writeback, 1, isOn ? 1 : 0);
  }

  async #operation({ queue = 0, timeout, signal }: BlkOptions, work: (course: Course) => Promise<void>): Promise<void> {
    await work({ queue: Math.min(queue, this.requestQueues - 1), timeout, signal });
  }

  async #transfer(type: number, sector: number, bytes: Uint8Array, course: Course): Promise<void> {
    this.#checkSectors(sector, bytes.length / sectorSize);
    const { windowBytes = 8 << 20 } = this.#options;
    const step = Math.max(this.#info.blockSize, windowBytes - (windowBytes % this.#info.blockSize));
    for (let done = 0; done < bytes.length; done += step) {
      await this.#window(type, sector + done / sectorSize, bytes.subarray(done, done + step), course);
    }
  }

  /** Lends `bytes` to the device and sends all the requests that move them at once. */
  async #window(type: number, sector: number, bytes: Uint8Array, course: Course): Promise<void> {
    const isWrite = type === BlkType.Out;
    const { requestBytes = 1 << 20 } = this.#options;
    const { segMax, sizeMax, blockSize } = this.#info;
    const shared = this.transport.dma.share(bytes, isWrite ? "to-device" : "from-device");
    let open = 1;
    const giveBack = () => {
      if (--open === 0) this.unshare([shared]);
    };
    try {
      const parts = splitTransfer(sector, shared.segments, {
        // Header and status take two descriptors of a chain.
        segMax: Math.max(1, Math.min(segMax, this.queueSize(course.queue) - 2)),
        sizeMax,
        maxBytes: Math.max(requestBytes, blockSize),
        granule: blockSize,
      });
      const sent = parts.map(async (part) => {
        const request = this.acquireRequest();
        request.setHeader(type, part.sector);
        for (const { address, length } of part.segments) {
          if (isWrite) request.addOut(address, length);
          else request.addIn(address, length);
        }
        open++;
        const what = () => `${isWrite ? "write" : "read"} of ${part.byteLength / sectorSize} sectors at ${part.sector}`;
        return this.#sendRequest(request, type, what, course, giveBack);
      });
      await everyOne(sent);
    } finally {
      giveBack();
    }
  }

  /** One request with these buffers: first those for the device, then those from it. */
  async #simple(type: number, data: readonly Lending[], course: Course): Promise<void> {
    const request = this.acquireRequest();
    request.setHeader(type, 0);
    const buffers = this.lend(request, course.queue, data);
    await this.#sendRequest(
      request,
      type,
      () => blkTypeName(type),
      course,
      () => this.unshare(buffers),
    );
  }

  async #rangeRequests(
    type: number,
    ranges: readonly SectorRange[],
    limits: { readonly maxSectors: number; readonly maxRanges: number },
    flags: number,
    course: Course,
  ): Promise<void> {
    for (const { sector, sectors } of ranges) this.#checkSectors(sector, sectors);
    const { endianness } = this.transport;
    const requests = splitRanges(ranges, limits).map((some) => encodeRanges(some, flags, endianness));
    await everyOne(requests.map((bytes) => this.#simple(type, [{ bytes, direction: "to-device" }], course)));
  }

  #sendRequest(
    request: BlkRequest,
    type: number,
    describe: () => string,
    course: Course,
    onReturn: () => void,
  ): Promise<void> {
    return this.send(request, course.queue, {
      timeout: course.timeout,
      signal: course.signal,
      describe,
      result: ({ status }) => {
        if (status !== BlkStatus.Ok) throw new BlkRequestError(describe(), type, status);
      },
      onReturn,
    });
  }

  #checkSectors(sector: number, sectors: number): void {
    const { capacity } = this.#info;
    if (!(Number.isSafeInteger(sector) && Number.isSafeInteger(sectors) && sector >= 0 && sectors >= 0)) {
      throw new RangeError(`${sectors} sectors at ${sector}: not whole sectors`);
    }
    if (sector > capacity - sectors) throw new RangeError(`${sectors} sectors at ${sector} of ${capacity}`);
  }
}

/** Waits for all, then throws the first failure: a buffer is nobody's while one request still uses it. */
async function everyOne(promises: readonly Promise<void>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(promises)) if (outcome.status === "rejected") throw outcome.reason;
}
