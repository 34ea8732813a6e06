/**
 * A virtio PCI device: one {@link DeviceCore} behind the legacy header (BAR 0, I/O), the modern structures (BAR 4) or
 * both, with MSI-X in BAR 1. Identity by virtio 1.2 §4.1.2.
 */
import { type AccessWidth, type RegisterWindow, readRegister, SavedReader, writeRegister } from "../bytes/index.js";
import { configSpaceSize, MsixTable, type PciBarOptions, PciDeviceFunction } from "../pci/index.js";
import { DeviceCore, type DeviceCoreOptions } from "./device-core.js";
import type { DeviceCoreState } from "./device-core-state.js";
import type { DeviceType } from "./device-type.js";
import { ringFeatures } from "./features.js";
import { legacyDeviceWindow } from "./pci-legacy/device.js";
import { modernCapabilities, modernDeviceWindow } from "./pci-modern/device.js";
import { type ModernLayout, modernIoLayout, modernLayout } from "./pci-modern/registers.js";
import type { SelectedRegisters } from "./selected-registers.js";
import { IsrStatus, noVector } from "./status.js";

/** Which register faces the device has. */
export type VirtioPciFlavour = "legacy" | "transitional" | "modern";

/** The PCI side of a device. */
export interface VirtioPciOptions extends DeviceCoreOptions {
  /** Default transitional: both faces, as most devices in the field are. */
  flavour?: VirtioPciFlavour;
  /** Where a modern device has its structures: memory (default), or I/O as some firmware and emulators prefer. */
  modernSpace?: "memory" | "io";
  /** PCI class code, 24 bits: 0x010000 for a SCSI controller. */
  classCode: number;
  /** MSI-X vectors; 0 leaves MSI-X out. Default: one for the configuration and one for each queue. */
  vectors?: number;
}

/** A device's state for a snapshot: plain data. */
export interface VirtioPciState {
  readonly core: DeviceCoreState;
  readonly config: Uint8Array;
  readonly isr: number;
  readonly configVector: number;
  readonly selected: Readonly<SelectedRegisters>;
}

const virtioVendorId = 0x1af4;
/** Vendor, device, subsystem vendor, subsystem: two bytes each. */
const identityAt = [0x00, 0x02, 0x2c, 0x2e];
/** Transitional device IDs, virtio 1.2 §4.1.2.1. */
const transitionalIds: Readonly<Record<number, number>> = {
  1: 0x1000,
  2: 0x1001,
  3: 0x1003,
  4: 0x1005,
  5: 0x1002,
  8: 0x1004,
  9: 0x1009,
};
/** Which ID of 0x1000 to 0x103F a legacy device has means nothing: 0.9.5 drivers look at the subsystem. */
const otherLegacyId = 0x103f;
const modernIdBase = 0x1040;

/** A virtio device in a PCI slot. */
export class VirtioPciDevice {
  readonly core: DeviceCore;
  readonly function: PciDeviceFunction;
  readonly #msix: MsixTable | undefined;
  #isr = 0;
  configVector: number = noVector;
  /** One for both faces: a driver uses one of them. */
  readonly selected: SelectedRegisters = { queue: 0, deviceFeatures: 0, driverFeatures: 0 };

  /** @throws RangeError for a transitional device of a type that has no transitional PCI ID. */
  constructor(type: DeviceType, options: VirtioPciOptions) {
    const flavour = options.flavour ?? "transitional";
    this.core = new DeviceCore(type, {
      ...options,
      offersVersion1: flavour !== "legacy",
      resetsQueues: flavour !== "legacy",
    });
    const vectors = options.vectors ?? type.queueSizes.length + 1;
    this.#msix = vectors > 0 ? new MsixTable({ vectors, bar: 1 }) : undefined;
    const layout = options.modernSpace === "io" ? modernIoLayout : modernLayout;
    const bars = this.#bars(flavour, type.configSize, layout);
    const throughConfig = (...access: [number, number, AccessWidth, number | undefined]) =>
      this.#throughConfig(bars, access);
    const modern = flavour !== "legacy" ? modernCapabilities(throughConfig, layout) : [];
    this.function = new PciDeviceFunction({
      ...identity(type, flavour),
      classCode: options.classCode,
      interruptPin: 1,
      bars,
      // Each capability is put in front of the list, as QEMU's devices have it.
      capabilities: [...modern, ...(this.#msix === undefined ? [] : [this.#msix.capability])].reverse(),
      ...(this.#msix === undefined ? {} : { msix: this.#msix }),
      onReset: () => {
        this.#setIsr(0);
        this.configVector = noVector;
        this.core.reset();
      },
    });
    this.core.connect({ queue: (index) => this.#signalQueue(index), config: () => this.#signalConfig() });
  }

  get msixEnabled(): boolean {
    return this.#msix?.enabled ?? false;
  }

  get vectors(): number {
    return this.#msix?.vectors ?? 0;
  }

  /** Reads and clears the ISR status, which lowers INTx (virtio 1.2 §4.1.4.5). */
  takeIsr(): number {
    const isr = this.#isr;
    this.#setIsr(0);
    return isr;
  }

  /** Where it stands. @throws RangeError while requests are in flight */
  save(): VirtioPciState {
    const { core, configVector } = this;
    const selected = { ...this.selected };
    return { core: core.save(), config: this.function.saveConfig(), isr: this.#isr, configVector, selected };
  }

  /**
   * Reads what {@link VirtioPciDevice.save} gave, and gives the step that goes on there.
   * @throws RangeError, UnsupportedError when this device cannot: nothing has changed
   */
  readState(state: VirtioPciState): () => void {
    const { name } = this.core.type;
    const saved = new SavedReader(state, name);
    const config = saved.bytes("config", configSpaceSize);
    const own = this.function.saveConfig();
    const isSame = (at: number) => config[at] === own[at] && config[at + 1] === own[at + 1];
    if (config.length < configSpaceSize) saved.refuse("config", `has ${config.length} bytes of ${configSpaceSize}`);
    if (!identityAt.every(isSame)) saved.refuse("config", "is that of another device");
    const isr = saved.whole("isr", IsrStatus.Queue | IsrStatus.Config);
    const configVector = saved.whole("configVector", noVector);
    const select = saved.part("selected");
    const word = (which: keyof SelectedRegisters) => select.whole(which, 0xffff_ffff);
    const selected: SelectedRegisters = {
      queue: select.whole("queue", 0xffff),
      deviceFeatures: word("deviceFeatures"),
      driverFeatures: word("driverFeatures"),
    };
    const goOn = this.core.readState(new SavedReader(state.core, name));
    return () => {
      this.function.restoreConfig(config);
      goOn();
      this.configVector = configVector;
      Object.assign(this.selected, selected);
      this.#setIsr(isr);
    };
  }

  #bars(flavour: VirtioPciFlavour, configSize: number, layout: ModernLayout): (PciBarOptions | undefined)[] {
    const bars: (PciBarOptions | undefined)[] = new Array(6).fill(undefined);
    if (flavour !== "modern") {
      // Header with vectors, then the configuration, at the next power of two.
      const size = 2 ** Math.ceil(Math.log2(Math.max(0x18 + configSize, 32)));
      bars[0] = { kind: "io", size, window: legacyDeviceWindow(this.core, this) };
    }
    if (this.#msix !== undefined) bars[1] = { kind: "memory32", size: 0x1000, window: this.#msix.window };
    if (flavour !== "legacy") {
      const { bar, size, space } = layout;
      const window = modernDeviceWindow(this.core, this, layout);
      bars[bar] =
        space === "io" ? { kind: "io", size, window } : { kind: "memory64", prefetchable: true, size, window };
    }
    return bars;
  }

  #throughConfig(
    bars: readonly (PciBarOptions | undefined)[],
    [bar, offset, width, value]: [number, number, AccessWidth, number | undefined],
  ): number {
    const target: RegisterWindow | undefined = bars[bar]?.window;
    if (target === undefined || offset + width > (bars[bar]?.size ?? 0)) return 0;
    if (value === undefined) return readRegister(target, offset, width);
    writeRegister(target, offset, width, value);
    return 0;
  }

  #signalQueue(index: number): void {
    if (this.#msix?.enabled) this.#msix.notify(this.core.queues[index].vector);
    else this.#setIsr(this.#isr | IsrStatus.Queue);
  }

  #signalConfig(): void {
    if (this.#msix?.enabled) {
      // virtio 1.2 §4.1.5.1.3.1: modern devices set the bit with MSI-X too; legacy ones leave ISR alone.
      if (this.core.has(ringFeatures.VERSION_1)) this.#isr |= IsrStatus.Config;
      this.#msix.notify(this.configVector);
    } else this.#setIsr(this.#isr | IsrStatus.Config);
  }

  #setIsr(isr: number): void {
    this.#isr = isr;
    this.function.setInterruptLevel(isr !== 0 && !this.msixEnabled);
  }
}

function identity(type: DeviceType, flavour: VirtioPciFlavour) {
  if (flavour === "modern") {
    const id = { deviceId: modernIdBase + type.deviceId, revision: 1 };
    return { vendorId: virtioVendorId, ...id, subsystemVendorId: virtioVendorId, subsystemId: 0x1100 };
  }
  const deviceId = transitionalIds[type.deviceId] ?? (flavour === "legacy" ? otherLegacyId : undefined);
  if (deviceId === undefined) throw new RangeError(`${type.name} has no transitional PCI ID: make it modern`);
  return {
    vendorId: virtioVendorId,
    deviceId,
    revision: 0,
    subsystemVendorId: virtioVendorId,
    subsystemId: type.deviceId,
  };
}
