/**
 * The device half of virtio-blk over a {@link Store} (virtio 1.2 §5.2; 0.9.5 appendix D). It knows rings as chains only,
 * and nothing of PCI. A request is answered at once where the store answers at once; then nothing is allocated for it.
 */
import type { Endianness, SavedFields, SavedReader } from "../../bytes/index.js";
import { ProtocolError, type ViolationCode } from "../../errors/index.js";
import type { BlockFault } from "../../observe/index.js";
import type { Store } from "../../storage/index.js";
import type { DeviceHost, DeviceType } from "../../transport/index.js";
import type { Chain, QueueDevice } from "../../virtqueue/index.js";
import { observeViolation, RunningRequests } from "../device-base/index.js";
import { BlkCommands, type BlkModes, capacityOf, type Outcome } from "./device-commands.js";
import {
  type BlkTraits,
  blkTraits,
  legacyBlkFeatures,
  offeredFeatures,
  type VirtioBlkOptions,
} from "./device-options.js";
import { BlkDeviceRequest } from "./device-request.js";
import { observeAnswer, observeFailure, observeFault, observeRequest } from "./device-trace.js";
import { BlkStatus, blkConfig, blkFeatures, blkHeader, virtioBlkId } from "./protocol.js";

/** Before a driver chose anything: nothing beyond the basic requests, and every write durable. */
const initialModes: BlkModes = {
  endianness: "little",
  writesThrough: true,
  limits: { segMax: 0, sizeMax: 0 },
  hasPackets: false,
  hasDiscard: false,
  hasWriteZeroes: false,
};

/** The version of what it keeps in a snapshot. */
const stateVersion = 1;

/** The device: give it to a transport. */
export class VirtioBlkDevice implements DeviceType {
  readonly deviceId = virtioBlkId;
  readonly name = "virtio-blk";
  readonly featureTable = blkFeatures;
  readonly features: bigint;
  readonly legacyFeatures = legacyBlkFeatures;
  readonly queueSizes: readonly number[];
  readonly configSize = blkConfig.size;
  readonly store: Store;
  /** Requests that wait for the store or a fault. */
  readonly running = new RunningRequests<BlkDeviceRequest>();
  readonly #traits: BlkTraits;
  readonly #options: VirtioBlkOptions;
  readonly #commands: BlkCommands;
  #host: DeviceHost | undefined;
  /** The configuration's writeback field. */
  #writeback = true;
  #hasBarriers = false;
  /** A request with the barrier flag that waits for those before it, or that those behind it wait for. */
  #barrier: BlkDeviceRequest | undefined;

  /** @throws RangeError when an option is out of range or the store holds less than a block. */
  constructor(store: Store, options: VirtioBlkOptions = {}) {
    const traits = blkTraits(store, options);
    this.store = store;
    this.#traits = traits;
    this.#options = options;
    this.features = offeredFeatures(traits);
    this.queueSizes = new Array<number>(traits.queues).fill(traits.queueSize);
    this.#commands = new BlkCommands(store, traits, initialModes, (request, code, detail) =>
      this.#violation(request, code, detail),
    );
  }

  /** Sectors that the device has now. */
  get capacity(): number {
    return this.#commands.capacity;
  }

  attach(host: DeviceHost): void {
    this.#host = host;
    this.featuresChanged();
  }

  featuresChanged(): void {
    const host = this.#host;
    if (host === undefined) return;
    this.#hasBarriers = host.has(blkFeatures.BARRIER);
    // §5.2.5.2: with CONFIG_WCE but without FLUSH the field starts at 0.
    const { FLUSH, CONFIG_WCE } = blkFeatures;
    this.#writeback = this.#traits.cache !== "through" && (host.has(FLUSH) || !host.has(CONFIG_WCE));
    this.#chooseModes(host);
  }

  /**
   * The store has another size now: the driver is told.
   * @throws RangeError when that is less than a block.
   */
  resized(storeByteLength = this.store.byteLength): void {
    const capacity = capacityOf(storeByteLength, this.#traits.blockSize);
    if (capacity === this.capacity) return;
    this.#commands.capacity = capacity;
    this.#host?.configChanged();
  }

  readConfig(view: DataView, endianness: Endianness): void {
    const { geometry, discard, writeZeroes } = this.#traits;
    blkConfig.write(view, 0, endianness, {
      capacity: BigInt(this.capacity),
      sizeMax: this.#traits.sizeMax ?? 0,
      segMax: this.#traits.segMax,
      cylinders: geometry?.cylinders ?? 0,
      heads: geometry?.heads ?? 0,
      sectors: geometry?.sectors ?? 0,
      blkSize: this.#traits.blockSize,
      physicalBlockExp: this.#traits.physicalExponent,
      alignmentOffset: this.#traits.alignmentOffset,
      minIoSize: this.#traits.minimumIo,
      optIoSize: this.#traits.optimalIo,
      writeback: this.#writeback ? 1 : 0,
      numQueues: this.#traits.queues,
      maxDiscardSectors: discard?.maxSectors ?? 0,
      maxDiscardSeg: discard?.maxRanges ?? 0,
      discardSectorAlignment: discard?.alignment ?? 0,
      maxWriteZeroesSectors: writeZeroes?.maxSectors ?? 0,
      maxWriteZeroesSeg: writeZeroes?.maxRanges ?? 0,
      writeZeroesMayUnmap: writeZeroes === undefined ? 0 : 1,
    });
  }

  /** §5.2.4: the driver may write `writeback` when CONFIG_WCE was negotiated; everything else is read-only. */
  writeConfig(view: DataView): void {
    const host = this.#host;
    if (host?.has(blkFeatures.CONFIG_WCE) !== true) return;
    this.#writeback = view.getUint8(blkConfig.offset.writeback) !== 0;
    this.#chooseModes(host);
  }

  notified(index: number): void {
    if (this.#host !== undefined) this.#serve(this.#host, index);
  }

  reset(): void {
    this.running.cancel();
    this.#barrier = undefined;
  }

  resetQueue(index: number): void {
    this.running.cancel(({ queue }) => queue.index === index);
    const barrier = this.#barrier;
    if (barrier === undefined) return;
    if (barrier.queue.index === index) this.#barrier = undefined;
    else if (barrier.state === "idle" && this.running.size === 0) {
      // Those that it waited for were of this queue.
      this.#begin(barrier);
      this.#publish(barrier.queue);
    }
    if (this.#barrier === undefined) for (const other of this.queueSizes.keys()) this.notified(other);
  }

  /** The capacity is the store's to know. */
  saveState(): SavedFields {
    return { version: stateVersion, writeback: this.#writeback };
  }

  readState(saved: SavedReader): () => void {
    saved.version(stateVersion);
    const writeback = saved.flag("writeback");
    return () => {
      this.#writeback = writeback;
      if (this.#host !== undefined) this.#chooseModes(this.#host);
    };
  }

  /** Gives up what is in flight. The store is its owner's to close. */
  close(): void {
    this.reset();
  }

  #chooseModes(host: DeviceHost): void {
    const { SEG_MAX, SIZE_MAX, SCSI, DISCARD, WRITE_ZEROES, FLUSH, CONFIG_WCE } = blkFeatures;
    // §5.2.6.2: when a write has to be durable before its request ends.
    const hasCache = host.has(CONFIG_WCE) ? this.#writeback : host.has(FLUSH);
    this.#commands.modes = {
      endianness: host.endianness,
      writesThrough: this.#traits.cache === "through" || !hasCache,
      limits: {
        segMax: host.has(SEG_MAX) ? this.#traits.segMax : 0,
        sizeMax: host.has(SIZE_MAX) ? (this.#traits.sizeMax ?? 0) : 0,
      },
      hasPackets: host.has(SCSI),
      hasDiscard: host.has(DISCARD),
      hasWriteZeroes: host.has(WRITE_ZEROES),
    };
  }

  #serve(host: DeviceHost, index: number): void {
    const queue = host.queue(index);
    if (queue === undefined || this.#barrier !== undefined) return;
    try {
      do {
        queue.disableNotifications();
        for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
          this.#request(queue, chain);
          // Notifications stay off: when the barrier ends, all queues are served.
          if (this.#barrier !== undefined) break;
        }
      } while (this.#barrier === undefined && !queue.enableNotifications());
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      host.fail(error);
    }
    if (queue.publish()) host.signal(index);
  }

  #request(queue: QueueDevice, chain: Chain): void {
    const request = (chain.context ??= new BlkDeviceRequest(chain)) as BlkDeviceRequest;
    request.queue = queue;
    request.written = 1;
    if (chain.writable.byteLength === 0) {
      this.#violation(request, "response-space-short", "no byte for the status");
      queue.push(chain, 0);
      return;
    }
    request.findStatus();
    const length = chain.readable.byteLength;
    if (length < blkHeader.size) {
      this.#violation(request, "request-header-short", `${length} of ${blkHeader.size} bytes`);
      this.#answer(request, BlkStatus.IoError);
      return;
    }
    request.takeHeader(this.#commands.modes.endianness === "little", this.#hasBarriers);
    if (this.#options.observer !== undefined) observeRequest(this.#options.observer, request);
    if (request.hasBarrier) {
      this.#barrier = request;
      if (this.running.size > 0) return;
    }
    this.#begin(request);
  }

  /** Carries a request out, or what a fault says instead; answers it now or later. */
  #begin(request: BlkDeviceRequest): void {
    const fault = this.#options.faults?.blockRequest?.({
      type: request.type,
      sector: request.sector,
      byteLength: request.chain.readable.byteLength + request.roomIn,
      queue: request.queue.index,
    });
    let outcome: Outcome;
    try {
      outcome = fault === undefined ? this.#commands.execute(request) : this.#fault(fault, request);
    } catch (error) {
      outcome = this.#failed(request, error);
    }
    if (typeof outcome === "number") this.#answer(request, outcome);
    else {
      const status = outcome.catch((error: unknown) => this.#failed(request, error));
      this.running.beginUntil(request, status, (value) => this.#endLate(request, value));
    }
  }

  #endLate(request: BlkDeviceRequest, status: number): void {
    const wasBlocked = this.#barrier !== undefined;
    this.#answer(request, status);
    this.#publish(request.queue);
    const waiting = this.#barrier;
    if (waiting !== undefined && this.running.size === 0) {
      this.#begin(waiting);
      this.#publish(waiting.queue);
    }
    if (!wasBlocked || this.#barrier !== undefined) return;
    for (const index of this.queueSizes.keys()) this.notified(index);
  }

  #publish(queue: QueueDevice): void {
    if (queue.publish()) this.#host?.signal(queue.index);
  }

  #answer(request: BlkDeviceRequest, status: number): void {
    request.state = "idle";
    if (this.#barrier === request) this.#barrier = undefined;
    if (status !== BlkStatus.Ok) request.written = 1;
    request.writeStatus(status);
    if (this.#options.observer !== undefined) observeAnswer(this.#options.observer, request, status);
    request.queue.push(request.chain, request.written);
  }

  #fault(fault: BlockFault, request: BlkDeviceRequest): Outcome {
    if (this.#options.observer !== undefined) observeFault(this.#options.observer, request, fault.kind);
    switch (fault.kind) {
      case "status":
        return fault.status;
      case "never":
        return new Promise(() => {});
      case "delay":
        return new Promise<void>((resolve) => setTimeout(resolve, fault.milliseconds)).then(() =>
          request.state === "running" ? this.#commands.execute(request) : BlkStatus.IoError,
        );
    }
  }

  /** The store threw or rejected: whatever it was, the request failed and the device lives on. */
  #failed(request: BlkDeviceRequest, error: unknown): number {
    if (this.#options.observer !== undefined) observeFailure(this.#options.observer, request, error);
    return BlkStatus.IoError;
  }

  /** A request that breaks a rule: counted and told, also when it is answered. */
  #violation(request: BlkDeviceRequest, code: ViolationCode, detail: string): void {
    this.#host?.count(code);
    const { observer } = this.#options;
    if (observer === undefined) return;
    const place = { queue: request.queue.index, head: request.chain.head, detail };
    observeViolation(observer, request.queue.index, new ProtocolError(code, place));
  }
}
