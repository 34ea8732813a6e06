/**
 * A virtio device in an MMIO window: one {@link DeviceCore} behind the registers of version 1 or 2. What a driver may
 * not do changes nothing, is counted among the core's violations and told to the observer.
 */
import {
  type AccessWidth,
  type Register,
  type RegisterTable,
  type RegisterWindow,
  registerName,
  swap32,
  windowOf,
} from "../../bytes/index.js";
import type { ViolationCode } from "../../errors/index.js";
import { DeviceCore, type DeviceCoreOptions } from "../device-core.js";
import type { DeviceType } from "../device-type.js";
import { ringFeatures } from "../features.js";
import { IsrStatus } from "../status.js";
import {
  type MmioVersion,
  mmioConfigOffset,
  mmioLegacyRegisters,
  mmioMagic,
  mmioRegisters,
  qemuVendorId,
} from "./registers.js";
import { Version1Registers } from "./version1-device.js";
import { type SharedMemoryRegion, Version2Registers } from "./version2-device.js";

/** The MMIO side of a device. */
export interface VirtioMmioOptions extends Omit<DeviceCoreOptions, "offersVersion1" | "resetsQueues"> {
  /** Register layout. Default 2. */
  version?: MmioVersion;
  /** Default QEMU's: some drivers look for it. */
  vendorId?: number;
  /** Regions of memory that the device shares with its driver, by id (version 2). */
  sharedMemory?: Readonly<Record<number, SharedMemoryRegion>>;
}

/** A version's registers: what is not common to both. Offsets and directions were checked. */
export interface VersionRegisters {
  read(offset: number): number;
  /** Carries a write out, or says which rule it broke (then nothing was changed). */
  write(offset: number, value: number): ViolationCode | undefined;
  /** The driver wrote 0 to the status. */
  reset(): void;
}

const r = mmioRegisters;
const pendingMask = IsrStatus.Queue | IsrStatus.Config;

/** A device and its window. */
export class VirtioMmioDevice {
  readonly core: DeviceCore;
  readonly version: MmioVersion;
  /** The registers and, from 0x100 on, the configuration. */
  readonly window: RegisterWindow;
  /** Told when the interrupt line changes; the platform sets it. */
  onLineChange: ((raised: boolean) => void) | undefined;
  readonly #options: VirtioMmioOptions;
  readonly #table: RegisterTable;
  /** By offset / 4. */
  readonly #registers: (Register | undefined)[] = [];
  readonly #own: VersionRegisters;
  /** Registers have the byte order of a big-endian guest (0.9.5 appendix X: native endianness). */
  readonly #swap: boolean;
  #interruptStatus = 0;
  #deviceSelect = 0;
  #driverSelect = 0;
  #deviceSelected = false;
  #driverSelected = false;

  constructor(type: DeviceType, options: VirtioMmioOptions) {
    this.version = options.version ?? 2;
    const isLegacy = this.version === 1;
    this.core = new DeviceCore(type, { ...options, offersVersion1: !isLegacy, resetsQueues: !isLegacy });
    this.#options = options;
    this.#table = isLegacy ? mmioLegacyRegisters : mmioRegisters;
    for (const register of Object.values(this.#table)) this.#registers[register.offset / 4] = register;
    this.#own = isLegacy
      ? new Version1Registers(this.core)
      : new Version2Registers(this.core, options.sharedMemory ?? {});
    this.#swap = isLegacy && options.guestEndianness === "big";
    this.core.connect({
      queue: () => this.#setInterruptStatus(this.#interruptStatus | IsrStatus.Queue),
      config: () => this.#setInterruptStatus(this.#interruptStatus | IsrStatus.Config),
    });
    this.window = windowOf(
      (offset, width) => this.#read(offset, width),
      (offset, width, value) => this.#write(offset, width, value),
    );
  }

  /** The level of the interrupt line. */
  get lineRaised(): boolean {
    return this.#interruptStatus !== 0;
  }

  /** Back to the state after power-on. */
  reset(): void {
    this.core.reset();
    this.#afterReset();
  }

  #read(offset: number, width: AccessWidth): number {
    if (offset >= mmioConfigOffset) return this.core.readConfig(offset - mmioConfigOffset, width);
    const register = this.#check(offset, width, "write", undefined);
    if (register === undefined) return 0;
    const value = this.#register(offset);
    return this.#swap ? swap32(value) : value >>> 0;
  }

  #write(offset: number, width: AccessWidth, value: number): void {
    if (offset >= mmioConfigOffset) {
      this.core.writeConfig(offset - mmioConfigOffset, width, value);
      return;
    }
    if (this.#check(offset, width, "read", value) === undefined) return;
    const word = this.#swap ? swap32(value) : value >>> 0;
    const broken = this.#writeRegister(offset, word);
    if (broken !== undefined) this.#report(broken, offset, width, word);
  }

  /** The register at an offset, if it may be accessed so. */
  #check(offset: number, width: AccessWidth, forbidden: "read" | "write", value: number | undefined) {
    const register = offset % 4 === 0 ? this.#registers[offset / 4] : undefined;
    if (width !== 4 || offset % 4 !== 0) this.#report("register-width", offset, width, value);
    else if (register === undefined) this.#report("register-unknown", offset, width, value);
    else if (register.access === forbidden) this.#report("register-direction", offset, width, value);
    else return register;
    return undefined;
  }

  #register(offset: number): number {
    const { core } = this;
    switch (offset) {
      case r.magicValue.offset:
        return mmioMagic;
      case r.version.offset:
        return this.version;
      case r.deviceId.offset:
        return core.type.deviceId;
      case r.vendorId.offset:
        return this.#options.vendorId ?? qemuVendorId;
      case r.deviceFeatures.offset:
        // Served all the same, with selector 0: xv6 never writes one.
        if (!this.#deviceSelected) this.#report("register-order", offset, 4, undefined);
        return core.featureWord(core.offered(this.version === 1), this.#deviceSelect);
      case r.interruptStatus.offset:
        return this.#interruptStatus;
      case r.status.offset:
        return core.status;
    }
    return this.#own.read(offset);
  }

  #writeRegister(offset: number, value: number): ViolationCode | undefined {
    const { core } = this;
    switch (offset) {
      case r.deviceFeaturesSelect.offset:
        this.#deviceSelect = value;
        this.#deviceSelected = true;
        return undefined;
      case r.driverFeaturesSelect.offset:
        this.#driverSelect = value;
        this.#driverSelected = true;
        return undefined;
      case r.driverFeatures.offset:
        core.writeFeatures(this.#driverSelect, value, this.version === 1);
        return this.#driverSelected ? undefined : "register-order";
      case r.queueNotify.offset:
        return this.#notify(value);
      case r.interruptAck.offset:
        this.#setInterruptStatus(this.#interruptStatus & ~value);
        return (value & ~pendingMask) === 0 ? undefined : "register-value";
      case r.status.offset:
        return this.#writeStatus(value);
    }
    return this.#own.write(offset, value);
  }

  /** With NOTIFICATION_DATA the high half says where the driver is, which the ring says too. */
  #notify(value: number): ViolationCode | undefined {
    const { core } = this;
    const index = core.has(ringFeatures.NOTIFICATION_DATA) ? value & 0xffff : value;
    if (index >= core.queues.length) return "register-value";
    core.notify(index);
    return undefined;
  }

  /** Assigns, and tells of a bit that the driver cleared (0.9.5: "sets the status flags"; virtio 1.2 §2.1.1). */
  #writeStatus(value: number): ViolationCode | undefined {
    const cleared = this.core.status & ~value & 0xff;
    this.core.writeStatus(value, this.version === 1);
    if ((value & 0xff) === 0) {
      this.#afterReset();
      return undefined;
    }
    // NEEDS_RESET is the device's own: a driver writes it back or not.
    return (cleared & ~0x40) === 0 ? undefined : "status-bit-cleared";
  }

  #afterReset(): void {
    this.#deviceSelect = 0;
    this.#driverSelect = 0;
    this.#deviceSelected = false;
    this.#driverSelected = false;
    this.#own.reset();
    this.#setInterruptStatus(0);
  }

  #setInterruptStatus(status: number): void {
    const before = this.lineRaised;
    this.#interruptStatus = status & pendingMask;
    if (this.lineRaised !== before) this.onLineChange?.(this.lineRaised);
  }

  #report(code: ViolationCode, offset: number, width: AccessWidth, value: number | undefined): void {
    this.core.count(code);
    const { observer } = this.#options;
    if (observer === undefined) return;
    const access = value === undefined ? "read" : "write";
    const fields = { register: registerName(this.#table, offset), access, width };
    observer.emit({
      category: "violation",
      source: `mmio ${this.core.type.name}`,
      name: code,
      fields: value === undefined ? fields : { ...fields, value },
    });
  }
}
