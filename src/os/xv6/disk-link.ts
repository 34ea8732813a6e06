/** The two ways to bring the disk up: as xv6's own driver does it, register by register, and as the specification says. */
import type { RegisterWindow } from "../../bytes/index.js";
import { ProtocolError } from "../../errors/index.js";
import type { DmaBlock } from "../../memory/index.js";
import { tracedWindow } from "../../observe/index.js";
import {
  DeviceStatus,
  DriverLink,
  IsrStatus,
  MmioTransport,
  type MmioTransportOptions,
  mmioMagic,
  mmioRegisters,
  qemuVendorId,
} from "../../transport/index.js";
import { virtioBlkId } from "../../virtio/index.js";
import { type QueueDriver, SplitDriver } from "../../virtqueue/index.js";
import { Xv6Panic } from "./panic.js";
import { type Xv6Profile, xv6RingSize } from "./profile.js";

/** What the kernel runs on: the disk's registers, memory and interrupt line. */
export interface Xv6Hardware extends Omit<MmioTransportOptions, "registers"> {
  readonly registers: RegisterWindow;
}

/** A disk that was brought up. */
export interface DiskLink<Cookie> {
  readonly queue: QueueDriver<Cookie>;
  /** Accepted features. */
  readonly features: bigint;
  /** Sectors of 512 bytes; undefined where the driver does not look. */
  readonly capacity: number | undefined;
  /** Publishes what was added, and notifies. */
  kick(): void;
  /** Looks at the interrupt and calls the handler when the ring is to be looked at; for machines without lines. */
  poll(): void;
  /** Resets the device; afterwards it touches no memory. @throws ProtocolError `reset-never-ends`: it keeps all of it. */
  close(): Promise<void>;
}

/** Brings the disk up. @throws Xv6Panic (strict), ProtocolError, UnsupportedError (extended) */
export function openDiskLink<Cookie>(
  profile: Xv6Profile,
  hardware: Xv6Hardware,
  onUsed: () => void,
): Promise<DiskLink<Cookie>> {
  return profile.bringUp === "xv6"
    ? Promise.resolve(new Xv6Link<Cookie>(profile, hardware, onUsed))
    : openBySpecification<Cookie>(profile, hardware, onUsed);
}

const r = mmioRegisters;
const pageSize = 4096;
const word32 = 0x1_0000_0000;
const { Acknowledge, Driver, FeaturesOk, DriverOk } = DeviceStatus;

/** Register for register what the kernel's `virtio_disk_init` does; the register trace is the test's golden list. */
class Xv6Link<Cookie> implements DiskLink<Cookie> {
  readonly queue: QueueDriver<Cookie>;
  readonly features: bigint;
  readonly capacity = undefined;
  readonly #registers: RegisterWindow;
  readonly #hardware: Xv6Hardware;
  readonly #onUsed: () => void;
  readonly #pages: DmaBlock[] = [];
  readonly #detach: (() => void) | undefined;

  constructor(profile: Xv6Profile, hardware: Xv6Hardware, onUsed: () => void) {
    const registers = tracedWindow(hardware.registers, r, "xv6 virtio_disk", hardware.observer);
    this.#registers = registers;
    this.#hardware = hardware;
    this.#onUsed = onUsed;
    const isDisk =
      registers.read32(r.magicValue.offset) === mmioMagic &&
      registers.read32(r.version.offset) === 2 &&
      registers.read32(r.deviceId.offset) === virtioBlkId &&
      registers.read32(r.vendorId.offset) === qemuVendorId;
    if (!isDisk) throw new Xv6Panic("could not find virtio disk");
    let status = 0;
    registers.write32(r.status.offset, status);
    status |= Acknowledge;
    registers.write32(r.status.offset, status);
    status |= Driver;
    registers.write32(r.status.offset, status);
    // No selector is written: word 0 is what a device shows after its reset.
    const offered = BigInt(registers.read32(r.deviceFeatures.offset));
    this.features = offered & ~profile.features;
    registers.write32(r.driverFeatures.offset, Number(this.features));
    status |= FeaturesOk;
    registers.write32(r.status.offset, status);
    status = registers.read32(r.status.offset);
    if ((status & FeaturesOk) === 0) throw new Xv6Panic("virtio disk FEATURES_OK unset");
    registers.write32(r.queueSelect.offset, 0);
    if (registers.read32(r.queueReady.offset) !== 0) throw new Xv6Panic("virtio disk should not be ready");
    const max = registers.read32(r.queueSizeMax.offset);
    if (max === 0) throw new Xv6Panic("virtio disk has no queue 0");
    if (max < xv6RingSize) throw new Xv6Panic("virtio disk max queue too short");
    const [descriptors, available, used] = [this.#page(), this.#page(), this.#page()];
    registers.write32(r.queueSize.offset, xv6RingSize);
    this.#writeAddress(r.queueDescriptorsLow.offset, descriptors);
    this.#writeAddress(r.queueAvailableLow.offset, available);
    this.#writeAddress(r.queueUsedLow.offset, used);
    registers.write32(r.queueReady.offset, 1);
    this.queue = new SplitDriver<Cookie>(hardware.memory, {
      index: 0,
      size: xv6RingSize,
      addresses: { descriptors, available, used },
      endianness: "little",
      indirect: false,
      eventIndex: false,
      dma: hardware.dma,
      // Without VERSION_1 a device may count as older ones did.
      excessUsedLength: "cut",
      observer: hardware.observer,
    });
    status |= DriverOk;
    registers.write32(r.status.offset, status);
    this.#detach = hardware.attachLine?.(() => this.poll());
  }

  kick(): void {
    // The kernel asks nobody whether the device wants to be notified.
    this.queue.publish();
    this.#registers.write32(r.queueNotify.offset, 0);
  }

  poll(): void {
    // Acknowledged before the used ring is looked at: what comes meanwhile raises another interrupt.
    const pending = this.#registers.read32(r.interruptStatus.offset) & (IsrStatus.Queue | IsrStatus.Config);
    this.#registers.write32(r.interruptAck.offset, pending);
    this.#onUsed();
  }

  async close(): Promise<void> {
    this.#registers.write32(r.status.offset, 0);
    this.#detach?.();
    // A device that does not reset keeps the memory.
    if (this.#registers.read32(r.status.offset) !== 0) throw new ProtocolError("reset-never-ends");
    for (const page of this.#pages.splice(0)) this.#hardware.dma.free(page);
  }

  #page(): number {
    const page = this.#hardware.dma.allocate(pageSize, pageSize);
    this.#pages.push(page);
    return page.address;
  }

  #writeAddress(low: number, address: number): void {
    this.#registers.write32(low, address % word32);
    this.#registers.write32(low + 4, Math.floor(address / word32));
  }
}

async function openBySpecification<Cookie>(
  profile: Xv6Profile,
  hardware: Xv6Hardware,
  onUsed: () => void,
): Promise<DiskLink<Cookie>> {
  const { registers: window, ...options } = hardware;
  const transport = new MmioTransport(window, { ...options, registers: "modern" });
  if (transport.deviceId !== virtioBlkId) throw new Xv6Panic("could not find virtio disk");
  const link = await DriverLink.open(transport, {
    features: profile.features,
    queues: 1,
    handlers: { queue: onUsed, config: () => {} },
    maxQueueSize: xv6RingSize,
    observer: hardware.observer,
  });
  try {
    const queue = link.createQueue<Cookie>(0);
    if (queue.size < 4) throw new ProtocolError("ring-size-invalid", { queue: 0, detail: `${queue.size} descriptors` });
    const capacity = link.readConfig((registers) => registers.readConfig(4, 4) * word32 + registers.readConfig(0, 4));
    link.start();
    const kick = () => {
      if (queue.publish()) transport.notify(0);
    };
    return { queue, features: link.features, capacity, kick, poll: onUsed, close: () => link.close() };
  } catch (error) {
    await link.close();
    throw error;
  }
}
