/** The modern handshake through memory BARs, 2.2 of the reference. */
import { type RegisterWindow, windowOf } from "../../../bytes/index.js";
import { type Observer, tracedWindow } from "../../../observe/index.js";
import type { PciFunctionHandle } from "../../../pci/index.js";
import { commonRegisters as c, DeviceStatus } from "../../../transport/index.js";
import type { DeviceBehaviour } from "../device/behaviour.js";
import { type WalkedStructures, walkCapabilities } from "./capability-walk.js";
import { type BringUp, type BroughtUp, type ControllerRegisters, queueCount } from "./controller-registers.js";

/** Times that the status is read after a reset. */
const resetReads = 1000;

/** How registers are reached. */
export interface ModernOptions {
  readonly behaviour: DeviceBehaviour;
  /** The processor's address space: where a structure that was not found is looked for, at 0. */
  readonly memorySpace: RegisterWindow;
  readonly observer: Observer | undefined;
}

/** Reads of a port-style accessor on a memory BAR give 0 and its writes go nowhere. */
const deadWindow: RegisterWindow = windowOf(
  () => 0,
  () => {},
);

/**
 * Registers of a controller with a modern interface; undefined when it has none.
 * @throws ProtocolError `capability-invalid` when a structure is missing and missing ones are looked for.
 */
export function openModernController(fn: PciFunctionHandle, options: ModernOptions): ControllerRegisters | undefined {
  const { behaviour, observer, memorySpace } = options;
  const found = walkCapabilities(fn, behaviour.capabilities);
  if (found === undefined) return undefined;
  const traced = (window: RegisterWindow) => tracedWindow(window, c, `virtioscsi ${fn.place}`, observer);
  const reach = (window: RegisterWindow | undefined) =>
    behaviour.memoryAccess === "port-methods" ? deadWindow : (window ?? memorySpace);
  const notify = behaviour.notifyAddress === "bar-0" ? (fn.bar(0) ?? deadWindow) : reach(found.notify);
  return new ModernController({
    ...found,
    common: traced(reach(found.common)),
    isr: reach(found.isr),
    notify: tracedWindow(
      notify,
      { queueNotify: { offset: 0, width: 2, access: "write" } },
      `virtioscsi ${fn.place}`,
      observer,
    ),
  });
}

type Structures = WalkedStructures & { readonly notify: RegisterWindow; readonly isr: RegisterWindow };

class ModernController implements ControllerRegisters {
  readonly kind = "pci-modern";
  readonly endianness = "little";
  readonly #common: RegisterWindow;
  readonly #structures: Structures;
  readonly #notifyOffsets: number[] = [];

  constructor(structures: Structures) {
    this.#structures = structures;
    this.#common = structures.common;
  }

  bringUp({ features, ring, debug }: BringUp): BroughtUp | undefined {
    const common = this.#common;
    const { Acknowledge, Driver, FeaturesOk, DriverOk, Failed } = DeviceStatus;
    if (!this.reset()) debug("the device does not reset; going on");
    common.write8(c.deviceStatus.offset, Acknowledge);
    common.write8(c.deviceStatus.offset, Acknowledge | Driver);
    const low = (this.#readFeatures(0) & features) >>> 0;
    const high = this.#readFeatures(1) & 1;
    this.#writeFeatures(0, low);
    this.#writeFeatures(1, high);
    common.write8(c.deviceStatus.offset, Acknowledge | Driver | FeaturesOk);
    if ((common.read8(c.deviceStatus.offset) & FeaturesOk) === 0) {
      debug("the device refuses the features");
      common.write8(c.deviceStatus.offset, Failed);
      return undefined;
    }
    for (let queue = 0; queue < queueCount; queue++) this.#setUp(queue, low, ring);
    common.write8(c.deviceStatus.offset, Acknowledge | Driver | FeaturesOk | DriverOk);
    debug(`status 0x${common.read8(c.deviceStatus.offset).toString(16)}`);
    return { features: low, isVersion1: high !== 0 };
  }

  notify(queue: number): void {
    this.#structures.notify.write16(this.#notifyOffsets[queue] ?? 0, queue);
  }

  readIsr(): number {
    return this.#structures.isr.read8(0);
  }

  reset(): boolean {
    this.#common.write8(c.deviceStatus.offset, 0);
    for (let reads = 0; reads < resetReads; reads++) if (this.#common.read8(c.deviceStatus.offset) === 0) return true;
    return false;
  }

  #readFeatures(word: number): number {
    this.#common.write32(c.deviceFeatureSelect.offset, word);
    return this.#common.read32(c.deviceFeature.offset);
  }

  #writeFeatures(word: number, features: number): void {
    this.#common.write32(c.driverFeatureSelect.offset, word);
    this.#common.write32(c.driverFeature.offset, features);
  }

  #setUp(queue: number, features: number, ring: BringUp["ring"]): void {
    const common = this.#common;
    common.write16(c.queueSelect.offset, queue);
    const size = common.read16(c.queueSize.offset);
    if (size === 0) return;
    const { physical, layout } = ring(queue, size, features);
    for (const [register, offset] of [
      [c.queueDescriptorsLow.offset, layout.descriptors],
      [c.queueAvailableLow.offset, layout.available],
      [c.queueUsedLow.offset, layout.used],
    ]) {
      common.write32(register, physical + offset);
      common.write32(register + 4, 0);
    }
    common.write16(c.queueEnable.offset, 1);
    this.#notifyOffsets[queue] = common.read16(c.queueNotifyOffset.offset) * this.#structures.notifyMultiplier;
  }
}
