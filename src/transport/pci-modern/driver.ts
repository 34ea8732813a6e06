import type { Register, RegisterWindow } from "../../bytes/index.js";
import { ProtocolError } from "../../errors/index.js";
import type { DmaBlock, DmaMemory, GuestMemory } from "../../memory/index.js";
import { tracedWindow } from "../../observe/index.js";
import type { PciFunctionHandle } from "../../pci/index.js";
import { compactLayout, layoutAt, type QueueDriver, type RingAddresses } from "../../virtqueue/index.js";
import type { DriverTransport, InterruptHandlers, InterruptMode } from "../driver-transport.js";
import { PciInterrupts } from "../pci-interrupts.js";
import type { PciTransportOptions } from "../pci-transport-options.js";
import { commonRegisters, commonSizeWithReset } from "./registers.js";
import { findModernStructures, type ModernStructures } from "./structures.js";

const r = commonRegisters;
const word32 = 0x1_0000_0000;
const modernIdBase = 0x1040;
/** Reads of a register that has to become 0, a millisecond apart. */
const patience = 1000;

/** The driver half of a modern virtio PCI device (virtio 1.2 §4.1). */
export class ModernPciTransport implements DriverTransport {
  readonly kind = "pci-modern";
  readonly isLegacy = false;
  readonly endianness = "little";
  readonly deviceId: number;
  readonly memory: GuestMemory;
  readonly dma: DmaMemory;
  readonly #structures: ModernStructures;
  readonly #common: RegisterWindow;
  readonly #notify: RegisterWindow;
  readonly #interrupts: PciInterrupts;
  readonly #rings = new Map<number, DmaBlock>();
  /** Per queue: where its notify register is. */
  readonly #notifyOffsets: number[] = [];
  /** Per queue: the vector that it was given, since a reset of the queue takes it away. */
  readonly #vectors: number[] = [];
  /** Queues whose notifications say where they stand. */
  readonly #places: (Pick<QueueDriver<unknown>, "index" | "position"> | undefined)[] = [];
  /** Names for the trace: a notify register for each queue that was set up. */
  readonly #notifyRegisters: Record<string, Register> = {};

  /** @throws ProtocolError `capability-invalid` */
  constructor(fn: PciFunctionHandle, options: PciTransportOptions) {
    this.deviceId = fn.deviceId >= modernIdBase ? fn.deviceId - modernIdBase : fn.subsystemId;
    this.memory = options.memory;
    this.dma = options.dma;
    // Memory decoding and bus mastering come first: without them registers read as 0 or all ones.
    fn.enable({ io: fn.bars.some((bar) => bar.space === "io"), memory: true, busMaster: true });
    this.#structures = findModernStructures(fn);
    const source = `${this.kind} ${fn.place}`;
    this.#common = tracedWindow(this.#structures.common.window, r, source, options.observer);
    this.#notify = tracedWindow(this.#structures.notify.window, this.#notifyRegisters, source, options.observer);
    this.#interrupts = new PciInterrupts(fn, options.interrupts, options.prefer ?? "msix");
  }

  readStatus(): number {
    return this.#common.read8(r.deviceStatus.offset);
  }

  writeStatus(value: number): void {
    this.#common.write8(r.deviceStatus.offset, value);
  }

  readFeatures(): bigint {
    return BigInt(this.#featureWord(0)) | (BigInt(this.#featureWord(1)) << 32n);
  }

  #featureWord(select: number): number {
    this.#common.write32(r.deviceFeatureSelect.offset, select);
    return this.#common.read32(r.deviceFeature.offset);
  }

  writeFeatures(features: bigint): void {
    for (const select of [0, 1]) {
      this.#common.write32(r.driverFeatureSelect.offset, select);
      this.#common.write32(r.driverFeature.offset, Number((features >> BigInt(32 * select)) & 0xffff_ffffn));
    }
  }

  queueMaxSize(index: number): number {
    if (index >= this.#common.read16(r.queueCount.offset)) return 0;
    this.#common.write16(r.queueSelect.offset, index);
    return this.#common.read16(r.queueSize.offset);
  }

  setUpQueue(index: number, size: number): RingAddresses {
    const common = this.#common;
    const layout = compactLayout(size);
    const ring = this.dma.allocate(layout.byteLength, layout.alignment);
    this.#rings.set(index, ring);
    const addresses = layoutAt(layout, ring.address);
    common.write16(r.queueSelect.offset, index);
    common.write16(r.queueSize.offset, size);
    if (common.read16(r.queueSize.offset) !== size) {
      throw new ProtocolError("ring-size-invalid", { queue: index, detail: `the device does not take ${size}` });
    }
    writeAddress(common, r.queueDescriptorsLow.offset, addresses.descriptors);
    writeAddress(common, r.queueAvailableLow.offset, addresses.available);
    writeAddress(common, r.queueUsedLow.offset, addresses.used);
    const notifyOffset = common.read16(r.queueNotifyOffset.offset) * this.#structures.notifyMultiplier;
    if (notifyOffset + 2 > this.#structures.notify.size) {
      const detail = `notify register at ${notifyOffset} of ${this.#structures.notify.size} bytes`;
      throw new ProtocolError("capability-invalid", { queue: index, detail });
    }
    this.#notifyOffsets[index] = notifyOffset;
    const vector = this.#vectors[index];
    if (vector !== undefined && common.read16(r.queueVector.offset) !== vector) {
      common.write16(r.queueVector.offset, vector);
    }
    this.#notifyRegisters[`queueNotify(${index})`] = { offset: notifyOffset, width: 2, access: "write" };
    common.write16(r.queueEnable.offset, 1);
    return addresses;
  }

  freeQueues(): void {
    for (const ring of this.#rings.values()) this.dma.free(ring);
    this.#rings.clear();
    this.#places.length = 0;
  }

  notify(index: number): void {
    const queue = this.#places[index];
    if (queue === undefined) this.#notify.write16(this.#notifyOffsets[index], index);
    else this.#notify.write32(this.#notifyOffsets[index], (index | (queue.position << 16)) >>> 0);
  }

  /** @throws ProtocolError `capability-invalid` when the notify register is not wide enough. */
  announcePlaces(queue: Pick<QueueDriver<unknown>, "index" | "position">): void {
    const { index } = queue;
    const { size } = this.#structures.notify;
    const offset = this.#notifyOffsets[index];
    if (offset + 4 > size) {
      const detail = `notify register of 4 bytes at ${offset} of ${size} bytes`;
      throw new ProtocolError("capability-invalid", { queue: index, detail });
    }
    this.#places[index] = queue;
    this.#notifyRegisters[`queueNotify(${index})`] = { offset, width: 4, access: "write" };
  }

  /** @throws ProtocolError `reset-never-ends`, `capability-invalid` */
  async resetQueue(index: number): Promise<void> {
    const common = this.#common;
    if (this.#structures.common.size < commonSizeWithReset) {
      const detail = `the common configuration of ${this.#structures.common.size} bytes has no queue_reset`;
      throw new ProtocolError("capability-invalid", { queue: index, detail });
    }
    common.write16(r.queueSelect.offset, index);
    common.write16(r.queueReset.offset, 1);
    for (let attempt = 0; ; attempt++) {
      common.write16(r.queueSelect.offset, index);
      if (common.read16(r.queueReset.offset) === 0 && common.read16(r.queueEnable.offset) === 0) break;
      if (attempt === patience) throw new ProtocolError("reset-never-ends", { queue: index });
      await new Promise<void>((resolve) => setTimeout(resolve, 1));
    }
    const ring = this.#rings.get(index);
    this.#rings.delete(index);
    this.#places[index] = undefined;
    if (ring !== undefined) this.dma.free(ring);
  }

  readConfig(offset: number, width: 1 | 2 | 4): number {
    const device = this.#deviceConfig();
    return width === 1 ? device.read8(offset) : width === 2 ? device.read16(offset) : device.read32(offset);
  }

  writeConfig(offset: number, width: 1 | 2 | 4, value: number): void {
    const device = this.#deviceConfig();
    if (width === 1) device.write8(offset, value);
    else if (width === 2) device.write16(offset, value);
    else device.write32(offset, value);
  }

  configGeneration(): number {
    return this.#common.read8(r.configGeneration.offset);
  }

  openInterrupts(queues: number, handlers: InterruptHandlers): InterruptMode {
    const common = this.#common;
    return this.#interrupts.open(queues, handlers, {
      readIsr: () => this.#structures.isr.window.read8(0),
      mapConfig: (vector) => {
        common.write16(r.configVector.offset, vector);
        return common.read16(r.configVector.offset);
      },
      mapQueue: (queue, vector) => {
        this.#vectors[queue] = vector;
        common.write16(r.queueSelect.offset, queue);
        common.write16(r.queueVector.offset, vector);
        return common.read16(r.queueVector.offset);
      },
    });
  }

  closeInterrupts(): void {
    this.#interrupts.close();
  }

  #deviceConfig(): RegisterWindow {
    const device = this.#structures.device;
    if (device === undefined) {
      throw new ProtocolError("capability-invalid", { detail: "the device has no configuration structure" });
    }
    return device.window;
  }
}

function writeAddress(common: RegisterWindow, low: number, address: number): void {
  common.write32(low, address % word32);
  common.write32(low + 4, Math.floor(address / word32));
}
