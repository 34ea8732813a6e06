/** A board made of our device halves, in this process. */
import type { Board, Machine } from "../../machine/index.js";
import { DmaAllocator, type DmaMemory, GuestDma, GuestMemory } from "../../memory/index.js";
import type { A4091Board } from "../../ncr53c710/index.js";
import type { FaultHook, Observer } from "../../observe/index.js";
import { makeHostBridges, type PciFunction, ProcessorDecoder } from "../../pci/index.js";
import type { ScsiBus } from "../../scsi/index.js";
import {
  type DeviceType,
  legacyPageSize,
  type MmioVersion,
  VirtioMmioDevice,
  VirtioPciDevice,
  type VirtioPciFlavour,
} from "../../transport/index.js";
import type { ZorroBoard, ZorroBus } from "../../zorro/index.js";
import type { A3000Scsi } from "./a3000-scsi.js";
import { AmigaChips } from "./amiga-chips.js";
import { InterruptController } from "./interrupt-controller.js";
import { MmioBay } from "./mmio-bay.js";
import { type EmbeddedA4091Options, ZorroSlots } from "./zorro-slots.js";

/** How the machine is built. */
export interface EmbeddedOptions {
  /** Bytes of memory. Default the board's. */
  ramSize?: number;
  /** Copy every buffer that is shared with a device, so that a forgotten unshare shows. Default false. */
  bounceAll?: boolean;
  observer?: Observer | undefined;
  faults?: FaultHook | undefined;
}

/** How a virtio device is plugged in. */
export interface EmbeddedVirtioOptions {
  /** PCI class code, 24 bits. */
  classCode: number;
  /** Register interfaces. Default what the board's operating system expects. */
  flavour?: VirtioPciFlavour;
  /** MSI-X vectors. Default: one for the configuration and each queue; none on a board without message interrupts. */
  vectors?: number;
  /** Ring features that the device offers. */
  ringFeatures?: bigint;
  /** Index that rings start at; for tests. */
  startIndex?: number;
  /** Default the next free one of the board. */
  slot?: number;
}

/** How a virtio device is put into a virtio-mmio window. */
export interface EmbeddedMmioOptions {
  /** Register layout. Default 2. */
  version?: MmioVersion;
  /** Serve drivers that set FEATURES_OK without VERSION_1 (xv6 does). Default false: they are refused. */
  tolerant?: boolean;
  /** Ring features that the device offers. */
  ringFeatures?: bigint;
  /** Index that rings start at; for tests. */
  startIndex?: number;
  /** Index among the board's windows. Default the next free one. */
  slot?: number;
}

/** A board in this process. */
export class EmbeddedMachine implements Machine {
  readonly board: Board;
  readonly memorySpace: Machine["memorySpace"];
  readonly portSpace: Machine["portSpace"];
  readonly memory: GuestMemory;
  readonly dma: DmaMemory;
  readonly interrupts: InterruptController;
  /** The A3000's own SCSI, once it has units. */
  onboardScsi: A3000Scsi | undefined;
  readonly #options: EmbeddedOptions;
  readonly #bridges: ReturnType<typeof makeHostBridges>;
  readonly #bay: MmioBay;
  readonly #zorro: ZorroSlots;
  readonly #amiga: AmigaChips;

  constructor(board: Board, options: EmbeddedOptions = {}) {
    const ramSize = options.ramSize ?? board.defaultRamSize;
    this.board = board;
    this.#options = options;
    this.memory = GuestMemory.ofSize(ramSize, board.ramBase);
    // Page 0 is left out: a legacy queue at address 0 is no queue (virtio 0.9.5 §2.3).
    const allocator = new DmaAllocator(this.memory, board.ramBase + legacyPageSize, ramSize - legacyPageSize);
    this.dma = new GuestDma(this.memory, allocator, { bounceAll: options.bounceAll ?? false });
    this.#bridges = makeHostBridges(board.bridges);
    const windows = board.mmio?.windows ?? [];
    this.#bay = new MmioBay(windows, board.mmio?.vendorId ?? 0);
    this.#zorro = new ZorroSlots(board, this.memory, options.observer);
    this.#amiga = new AmigaChips(board.amiga, this.memory, options.observer);
    const others = [...this.#bay.pieces, ...this.#zorro.pieces, ...this.#amiga.pieces];
    const spaces = new ProcessorDecoder(this.#bridges.chips, others);
    this.memorySpace = spaces.memorySpace;
    this.portSpace = spaces.portSpace;
    const { memory, dma } = this;
    this.interrupts = new InterruptController({
      bridges: board.bridges,
      buses: this.#bridges.buses,
      memory,
      dma,
      faults: options.faults,
      inputs: windows.map(({ irq }) => irq),
      zorro: this.#zorro.bus,
    });
  }

  /** Puts a virtio device into a slot. @throws RangeError when the board has no slot left. */
  plugVirtio(type: DeviceType, options: EmbeddedVirtioOptions): VirtioPciDevice {
    const { slot, ...rest } = options;
    const place = this.board.adapters;
    // Without message interrupts a board's firmware and systems know of no MSI-X.
    const messages = place !== undefined && this.board.bridges[place.bridge].messageInterrupts;
    const device = new VirtioPciDevice(type, {
      flavour: place?.virtio ?? "transitional",
      ...(messages ? {} : { vectors: 0 }),
      ...rest,
      memory: this.memory,
      guestEndianness: this.board.endianness,
      observer: this.#options.observer,
    });
    this.plug(device.function, slot);
    return device;
  }

  /** Puts a virtio device into a virtio-mmio window. @throws RangeError when the board has no such window left. */
  plugMmio(type: DeviceType, options: EmbeddedMmioOptions = {}): VirtioMmioDevice {
    const { slot, tolerant = false, ...rest } = options;
    const device = new VirtioMmioDevice(type, {
      ...rest,
      requiresVersion1: !tolerant,
      vendorId: this.#bay.vendorId,
      memory: this.memory,
      guestEndianness: this.board.endianness,
      observer: this.#options.observer,
    });
    const irq = this.#bay.plug(device, slot);
    if (irq === undefined) throw new RangeError(`${this.board.name} has no free virtio-mmio window left`);
    device.onLineChange = () => this.interrupts.setInput(irq, this.#bay.isRaised(irq));
    return device;
  }

  /** The Zorro bus; undefined on a board without one. */
  get zorro(): ZorroBus | undefined {
    return this.#zorro.bus;
  }

  /** Puts a board into the next Zorro slot. @throws RangeError when the machine has none left. */
  plugZorro(board: ZorroBoard): void {
    this.#zorro.plug(board);
  }

  /**
   * Puts an A4091 into the next Zorro slot, with the targets of `bus` on its SCSI bus.
   * @throws RangeError when the machine has no slot left.
   */
  plugA4091(bus: ScsiBus, options: EmbeddedA4091Options = {}): A4091Board {
    return this.#zorro.plugA4091(bus, options);
  }

  /** Puts units behind the A3000's own SCSI. @throws RangeError when the board has none, or it has units already. */
  plugOnboardScsi(bus: ScsiBus): A3000Scsi {
    this.onboardScsi = this.#amiga.plugScsi(bus);
    return this.onboardScsi;
  }

  /**
   * Puts a PCI function into a slot of the adapters' bus: the lowest free one, unless it is said which.
   * @throws RangeError when it is taken, or there is none left.
   */
  plug(fn: PciFunction, slot?: number): void {
    const place = this.board.adapters;
    const bus = place === undefined ? undefined : this.#bridges.buses[place.bridge].bus;
    const free = slot ?? place?.slots.find((at) => bus?.at(at, 0) === undefined);
    if (bus === undefined || free === undefined) throw new RangeError(`${this.board.name} has no free slot left`);
    bus.plug(free, 0, fn);
  }

  /**
   * Takes a virtio device out at any time, as a hand would: whoever looks for it reads all ones (an empty window shows
   * a device of type 0), it touches no memory any more, and its slot or window is free for the next one. Nothing happens when
   * it is not plugged in.
   */
  unplug(device: VirtioPciDevice | VirtioMmioDevice): void {
    if (device instanceof VirtioMmioDevice) this.#bay.unplug(device);
    else for (const { bus } of this.#bridges.buses) bus.remove(device.function);
    device.core.reset();
  }

  idle(milliseconds: number): Promise<void> {
    return this.interrupts.wait(milliseconds);
  }

  async close(): Promise<void> {
    for (const chip of this.#bridges.chips) chip.reset();
    this.#bay.reset();
    this.#zorro.close();
    this.#amiga.close();
  }
}
