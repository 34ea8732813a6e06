import { type Endianness, type RegisterWindow, swap16, swap32 } from "../../bytes/index.js";
import { ProtocolError, UnsupportedError } from "../../errors/index.js";
import type { DmaBlock, DmaMemory, GuestMemory } from "../../memory/index.js";
import { tracedWindow } from "../../observe/index.js";
import type { PciFunctionHandle } from "../../pci/index.js";
import { isQueueSize, layoutAt, legacyLayout, type RingAddresses } from "../../virtqueue/index.js";
import type { DriverTransport, InterruptHandlers, InterruptMode } from "../driver-transport.js";
import { PciInterrupts } from "../pci-interrupts.js";
import type { PciTransportOptions } from "../pci-transport-options.js";
import { legacyConfigOffset, legacyMsixRegisters, legacyPageSize, legacyRegisters } from "./registers.js";

const { deviceFeatures, driverFeatures, queueAddress, queueSize, queueSelect } = legacyRegisters;
const { queueNotify, deviceStatus, isrStatus } = legacyRegisters;

/** The driver half of a legacy virtio PCI device: port I/O in BAR 0 (virtio 0.9.5 §2; virtio 1.2 §4.1.4.8). */
export class LegacyPciTransport implements DriverTransport {
  readonly kind = "pci-legacy";
  readonly isLegacy = true;
  readonly deviceId: number;
  readonly endianness: Endianness;
  readonly memory: GuestMemory;
  readonly dma: DmaMemory;
  readonly #registers: RegisterWindow;
  readonly #interrupts: PciInterrupts;
  readonly #rings: DmaBlock[] = [];
  #msixEnabled = false;

  /** @throws UnsupportedError when BAR 0 is no reachable I/O region. */
  constructor(fn: PciFunctionHandle, options: PciTransportOptions) {
    const window = fn.bars.find((bar) => bar.index === 0)?.space === "io" ? fn.bar(0) : undefined;
    if (window === undefined) throw new UnsupportedError(`${fn.place}: BAR 0 is no I/O region that can be reached`);
    this.deviceId = fn.subsystemId;
    this.endianness = options.guestEndianness;
    this.memory = options.memory;
    this.dma = options.dma;
    const table = { ...legacyRegisters, ...legacyMsixRegisters };
    this.#registers = tracedWindow(window, table, `${this.kind} ${fn.place}`, options.observer);
    this.#interrupts = new PciInterrupts(fn, options.interrupts, options.prefer ?? "msix");
    fn.enable({ io: true, memory: true, busMaster: true });
  }

  readStatus(): number {
    return this.#registers.read8(deviceStatus.offset);
  }

  writeStatus(value: number): void {
    this.#registers.write8(deviceStatus.offset, value);
  }

  readFeatures(): bigint {
    return BigInt(this.#registers.read32(deviceFeatures.offset));
  }

  writeFeatures(features: bigint): void {
    this.#registers.write32(driverFeatures.offset, Number(features & 0xffff_ffffn));
  }

  queueMaxSize(index: number): number {
    this.#registers.write16(queueSelect.offset, index);
    return this.#registers.read16(queueSize.offset);
  }

  setUpQueue(index: number, size: number): RingAddresses {
    if (!isQueueSize(size)) throw new ProtocolError("ring-size-invalid", { queue: index, detail: `size ${size}` });
    const layout = legacyLayout(size, legacyPageSize);
    const ring = this.dma.allocate(layout.byteLength, legacyPageSize);
    this.#rings.push(ring);
    // Address 0 takes a queue away.
    if (ring.address === 0) return this.setUpQueue(index, size);
    this.#registers.write16(queueSelect.offset, index);
    this.#registers.write32(queueAddress.offset, ring.address / legacyPageSize);
    return layoutAt(layout, ring.address);
  }

  freeQueues(): void {
    for (const ring of this.#rings.splice(0)) this.dma.free(ring);
  }

  notify(index: number): void {
    this.#registers.write16(queueNotify.offset, index);
  }

  /** The device-specific configuration is in the guest's byte order; the window is little-endian. */
  readConfig(offset: number, width: 1 | 2 | 4): number {
    const at = legacyConfigOffset(this.#msixEnabled) + offset;
    if (width === 1) return this.#registers.read8(at);
    const swap = this.endianness === "big";
    if (width === 2) return swap ? swap16(this.#registers.read16(at)) : this.#registers.read16(at);
    return swap ? swap32(this.#registers.read32(at)) : this.#registers.read32(at);
  }

  writeConfig(offset: number, width: 1 | 2 | 4, value: number): void {
    const at = legacyConfigOffset(this.#msixEnabled) + offset;
    const swap = this.endianness === "big";
    if (width === 1) this.#registers.write8(at, value);
    else if (width === 2) this.#registers.write16(at, swap ? swap16(value) : value);
    else this.#registers.write32(at, swap ? swap32(value) : value);
  }

  /** Legacy devices have no generation: fields are read once and may be torn. */
  configGeneration(): number {
    return 0;
  }

  openInterrupts(queues: number, handlers: InterruptHandlers): InterruptMode {
    const { configVector, queueVector } = legacyMsixRegisters;
    const mode = this.#interrupts.open(queues, handlers, {
      readIsr: () => this.#registers.read8(isrStatus.offset),
      mapConfig: (vector) => {
        this.#registers.write16(configVector.offset, vector);
        return this.#registers.read16(configVector.offset);
      },
      mapQueue: (queue, vector) => {
        this.#registers.write16(queueSelect.offset, queue);
        this.#registers.write16(queueVector.offset, vector);
        return this.#registers.read16(queueVector.offset);
      },
    });
    // Enabling MSI-X moved the device-specific configuration (0.9.5 §2.3).
    this.#msixEnabled = mode === "msix" || mode === "msix-shared";
    return mode;
  }

  closeInterrupts(): void {
    this.#interrupts.close();
    this.#msixEnabled = false;
  }
}
