/** A device type with queues and nothing else: no bus, no registers. For tests that send exact bytes. */
import type { Endianness } from "../bytes/index.js";
import type { ProtocolError, ViolationCode } from "../errors/index.js";
import { blockBytes, DmaAllocator, type DmaBlock, GuestDma, GuestMemory } from "../memory/index.js";
import {
  type DeviceHost,
  type DeviceType,
  featureSet,
  hasFeature,
  ringFeatures,
  ringFormatOf,
} from "../transport/index.js";
import {
  ChainPieces,
  compactLayout,
  createQueueDevice,
  createQueueDriver,
  layoutAt,
  type QueueDevice,
  type QueueDriver,
  ringPlace,
} from "../virtqueue/index.js";

/** A chain that was sent. */
export interface Submission {
  /** The device has used it. */
  done: boolean;
  /** Bytes that the device says it wrote. */
  written: number;
  /** The writable part, as a view of guest memory. */
  readonly answer: Uint8Array;
}

/** How the queues are set up. */
export interface BareQueuesOptions {
  /** Negotiated features besides VERSION_1, which little-endian rings imply. Default all ring features and the type's. */
  features?: bigint;
  /** Default little. */
  endianness?: Endianness;
  /** Default 16. */
  queueSize?: number;
  /** Chains (packed: descriptors) behind the rings. Default 65530, so that indices wrap soon. */
  startIndex?: number;
}

export class BareQueues implements DeviceHost {
  readonly endianness: Endianness;
  readonly memory = GuestMemory.ofSize(4 << 20, 0x1000);
  readonly dma = new GuestDma(this.memory, new DmaAllocator(this.memory, 0x1000, 4 << 20));
  /** Violations in the order in which they came. */
  readonly violations: ViolationCode[] = [];
  /** Of these, the ones after which the device needs a reset. */
  readonly failures: ProtocolError[] = [];
  /** Interrupts by queue. */
  readonly signals: number[] = [];
  configurationChanges = 0;
  readonly #type: DeviceType;
  readonly #features: bigint;
  readonly #devices: QueueDevice[] = [];
  readonly #drivers: QueueDriver<Submission>[] = [];

  constructor(type: DeviceType, options: BareQueuesOptions = {}) {
    const { INDIRECT_DESC, EVENT_IDX, VERSION_1 } = ringFeatures;
    this.#type = type;
    this.endianness = options.endianness ?? "little";
    const version = this.endianness === "little" ? featureSet(VERSION_1) : 0n;
    this.#features = (options.features ?? type.features | featureSet(INDIRECT_DESC, EVENT_IDX)) | version;
    const { queueSize: size = 16, startIndex: past = 65_530 } = options;
    const format = ringFormatOf(this.#features);
    const startIndex = ringPlace(format, past, size);
    const layout = compactLayout(size);
    for (const index of type.queueSizes.keys()) {
      const addresses = layoutAt(layout, this.dma.allocate(layout.byteLength, layout.alignment).address);
      const indirect = this.has(INDIRECT_DESC);
      const eventIndex = this.has(EVENT_IDX);
      const common = { index, size, addresses, endianness: this.endianness, indirect, eventIndex, startIndex };
      this.#drivers.push(createQueueDriver<Submission>(format, this.memory, { ...common, dma: this.dma }));
      this.#devices.push(createQueueDevice(format, this.memory, common));
      this.signals.push(0);
    }
    type.attach(this);
  }

  has(feature: number): boolean {
    return hasFeature(this.#features, feature);
  }

  queue(index: number): QueueDevice | undefined {
    return this.#devices[index];
  }

  signal(index: number): void {
    this.signals[index]++;
  }

  configChanged(): void {
    this.configurationChanges++;
  }

  fail(error: ProtocolError): void {
    this.failures.push(error);
    this.count(error.code);
  }

  count(code: ViolationCode): void {
    this.violations.push(code);
  }

  /**
   * Makes a chain available, without telling the device.
   * @param cuts where the readable part is cut into descriptors, ascending.
   * @param writableCuts as `cuts`, for the writable part.
   * @throws RangeError when the ring is full.
   */
  submit(
    index: number,
    readable: Uint8Array,
    writable: number,
    cuts: readonly number[] = [],
    writableCuts: readonly number[] = [],
  ): Submission {
    const pieces = new ChainPieces();
    const block = this.dma.allocate(readable.length + writable + 1);
    blockBytes(block).set(readable);
    let from = 0;
    for (const to of [...cuts, readable.length]) {
      if (to > from) pieces.addReadable(block.address + from, to - from);
      from = to;
    }
    from = 0;
    for (const to of [...writableCuts, writable]) {
      if (to > from) pieces.addWritable(block.address + readable.length + from, to - from);
      from = to;
    }
    const submission = { done: false, written: 0, answer: answerOf(block, readable.length, writable) };
    if (!this.#drivers[index].add(pieces, submission)) throw new RangeError(`queue ${index} is full`);
    this.#drivers[index].publish();
    return submission;
  }

  /** Tells the device, then looks for used chains. */
  notify(index: number): void {
    this.#type.notified(index);
    this.poll();
  }

  /** Takes used chains off all queues, in their order. Returns them. */
  poll(): Submission[] {
    const used: Submission[] = [];
    for (const driver of this.#drivers) {
      for (let submission = driver.reap(); submission !== undefined; submission = driver.reap()) {
        submission.done = true;
        submission.written = driver.usedLength;
        used.push(submission);
      }
    }
    return used;
  }

  /** Sends one chain and looks for its answer. */
  send(
    index: number,
    readable: Uint8Array,
    writable: number,
    cuts: readonly number[] = [],
    writableCuts: readonly number[] = [],
  ): Submission {
    const submission = this.submit(index, readable, writable, cuts, writableCuts);
    this.notify(index);
    return submission;
  }
}

function answerOf(block: DmaBlock, from: number, length: number): Uint8Array {
  return blockBytes(block).subarray(from, from + length);
}
