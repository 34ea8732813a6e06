import type { AccessWidth } from "../bytes/index.js";
import { barBits, commandBits, configRegisters, configSpaceSize, statusBits } from "./config-layout.js";
import type { PciBar, PciBarOptions, PciCapability, PciFunction, PciFunctionHost } from "./function.js";
import type { MsixTable } from "./msix.js";

/** What a PCI function is made of. */
export interface PciDeviceOptions {
  readonly vendorId: number;
  readonly deviceId: number;
  /** Default 0. */
  readonly revision?: number;
  /** 24 bits: base class, subclass, programming interface. */
  readonly classCode: number;
  /** Default 0. */
  readonly subsystemVendorId?: number;
  /** Default 0. */
  readonly subsystemId?: number;
  /** 0 none, 1–4 for INTA–INTD. Default 0. */
  readonly interruptPin?: number;
  /** Other functions share the slot. Default false; only function 0 needs it. */
  readonly multiFunction?: boolean;
  /** By register index; a memory64 BAR takes two, so the next entry must be undefined. */
  readonly bars?: readonly (PciBarOptions | undefined)[];
  /** In list order. Those without a place of their own get free ones from the end of the list to its start. */
  readonly capabilities?: readonly PciCapability[];
  /** The MSI-X table whose capability is in `capabilities`. */
  readonly msix?: MsixTable;
  /** Bytes that read differently from the above after power-on, by offset (chipset functions). */
  readonly initial?: Readonly<Record<number, number>>;
  /** More writable bits, one mask byte by offset (chipset functions). */
  readonly writable?: Readonly<Record<number, number>>;
  /** Called after the command register changed. */
  onCommand?(command: number): void;
  /** Called on RST#, after the configuration space went back. */
  onReset?(): void;
}

/** One BAR's state. */
class BarState implements PciBar {
  readonly index: number;
  readonly space: "io" | "memory";
  readonly size: number;
  readonly window: PciBarOptions["window"];
  readonly wide: boolean;
  base = 0;
  decoding = false;

  constructor(index: number, options: PciBarOptions) {
    this.index = index;
    this.space = options.kind === "io" ? "io" : "memory";
    this.size = options.size;
    this.window = options.window;
    this.wide = options.kind === "memory64";
  }
}

/** Command bits that a driver may write (parity and SERR are kept, without effect). */
const writableCommand =
  commandBits.io | commandBits.memory | commandBits.busMaster | commandBits.serr | commandBits.interruptDisable;

/**
 * A PCI function made of data: configuration space with write masks, BARs that answer sizing, command and status
 * register, capability list, INTx as a level (PCI 3.0 chapter 6).
 */
export class PciDeviceFunction implements PciFunction {
  readonly bars: readonly PciBar[];
  readonly interruptPin: number;
  readonly msix: MsixTable | undefined;
  readonly #options: PciDeviceOptions;
  readonly #config = new DataView(new ArrayBuffer(configSpaceSize));
  readonly #mask = new Uint8Array(configSpaceSize);
  readonly #bars: readonly BarState[];
  /** Which capability a byte belongs to. */
  readonly #owner: (PciCapability | undefined)[] = new Array<PciCapability | undefined>(configSpaceSize).fill(
    undefined,
  );
  readonly #places = new Map<PciCapability, { readonly at: number; readonly initial: Uint8Array }>();
  #host: PciFunctionHost | undefined;
  #wanted = false;
  #level = false;

  /** @throws RangeError when a BAR or a capability is impossible. */
  constructor(options: PciDeviceOptions) {
    this.#options = options;
    this.interruptPin = options.interruptPin ?? 0;
    this.msix = options.msix;
    this.#bars = makeBars(options.bars ?? []);
    this.bars = this.#bars;
    this.#placeCapabilities(options.capabilities ?? []);
    this.#makeMask();
    options.msix?.connect((address, data) => this.sendMessage(address, data));
    this.#powerOn();
  }

  get command(): number {
    return this.#config.getUint16(configRegisters.command.offset, true);
  }

  /** The device may read and write memory. */
  get busMaster(): boolean {
    return (this.command & commandBits.busMaster) !== 0;
  }

  get interruptLevel(): boolean {
    return this.#level;
  }

  attach(host: PciFunctionHost | undefined): void {
    this.#host = host;
  }

  /** Sets the level that the device wants on its INTx pin; INTx Disable and MSI-X keep it from the bus. */
  setInterruptLevel(level: boolean): void {
    this.#wanted = level;
    this.#updateInterrupt();
  }

  /** A message-signalled interrupt: a memory write, so only with bus mastering on (PCI 3.0 §6.8.3). */
  sendMessage(address: number, data: number): void {
    if (this.busMaster) this.#host?.sendMessage(address, data);
  }

  reset(): void {
    this.#powerOn();
    this.#options.onReset?.();
  }

  /** Configuration space as it is, for a snapshot. Reading it has no effect on the device. */
  saveConfig(): Uint8Array {
    return Uint8Array.from({ length: configSpaceSize }, (_, at) => this.#byte(at));
  }

  /** Puts configuration space back to what {@link PciDeviceFunction.saveConfig} gave. */
  restoreConfig(bytes: Uint8Array): void {
    for (let at = 0; at < configSpaceSize; at++) this.#setByte(at, bytes[at]);
    this.#options.onCommand?.(this.command);
    this.#updateMappings();
    this.#updateInterrupt();
  }

  readConfig(offset: number, width: AccessWidth): number {
    const owner = this.#owner[offset];
    if (owner?.onRead !== undefined) owner.onRead(offset - this.#placeOf(owner), width);
    let value = 0;
    for (let index = 0; index < width; index++) value += this.#byte(offset + index) * 2 ** (8 * index);
    return value;
  }

  writeConfig(offset: number, width: AccessWidth, value: number): void {
    for (let index = 0; index < width; index++) {
      const at = offset + index;
      if (at >= configSpaceSize) break;
      const mask = this.#mask[at];
      const byte = (this.#byte(at) & ~mask) | ((value >>> (8 * index)) & mask);
      this.#setByte(at, byte & 0xff);
    }
    const { command, status } = configRegisters;
    if (offset < status.offset && offset + width > command.offset) this.#options.onCommand?.(this.command);
    if (offset < configRegisters.bar5.offset + 4) {
      this.#updateMappings();
      this.#updateInterrupt();
    }
    const owner = this.#owner[offset];
    if (owner?.onWrite !== undefined) {
      owner.onWrite(offset - this.#placeOf(owner), width);
      this.#updateInterrupt();
    }
  }

  #updateInterrupt(): void {
    const at = configRegisters.status.offset;
    const status = this.#config.getUint16(at, true);
    const next = this.#wanted ? status | statusBits.interrupt : status & ~statusBits.interrupt;
    this.#config.setUint16(at, next, true);
    const disabled = (this.command & commandBits.interruptDisable) !== 0 || this.msix?.enabled === true;
    const level = this.#wanted && !disabled;
    if (level === this.#level) return;
    this.#level = level;
    this.#host?.interruptChanged(level);
  }

  #updateMappings(): void {
    let changed = false;
    for (const bar of this.#bars) {
      const register = configRegisters.bar0.offset + 4 * bar.index;
      const low = this.#config.getUint32(register, true);
      const flags = bar.space === "io" ? barBits.ioFlagsMask : barBits.memoryFlagsMask;
      const high = bar.wide ? this.#config.getUint32(register + 4, true) : 0;
      const base = high * 0x1_0000_0000 + ((low & ~flags) >>> 0);
      const enable = bar.space === "io" ? commandBits.io : commandBits.memory;
      const limit = bar.wide ? 2 ** 53 : 2 ** 32;
      const decoding = (this.command & enable) !== 0 && base !== 0 && base + bar.size < limit;
      if (base === bar.base && decoding === bar.decoding) continue;
      changed ||= decoding || bar.decoding;
      bar.base = base;
      bar.decoding = decoding;
    }
    if (changed) this.#host?.mappingChanged();
  }

  #placeOf(capability: PciCapability): number {
    return this.#places.get(capability)?.at ?? 0;
  }

  #byte(at: number): number {
    if (at >= configSpaceSize) return 0xff;
    const owner = this.#owner[at];
    return owner === undefined ? this.#config.getUint8(at) : owner.bytes[at - this.#placeOf(owner)];
  }

  #setByte(at: number, value: number): void {
    const owner = this.#owner[at];
    if (owner === undefined) this.#config.setUint8(at, value);
    else owner.bytes[at - this.#placeOf(owner)] = value;
  }

  #placeCapabilities(capabilities: readonly PciCapability[]): void {
    // From the last to the first, as if each had been put in front of those before it.
    let next = 0;
    for (const capability of [...capabilities].reverse()) {
      const { bytes } = capability;
      const at = capability.at ?? this.#firstFree(bytes.length);
      if (at % 4 !== 0 || at < 0x40 || at + bytes.length > configSpaceSize || bytes.length < 2) {
        throw new RangeError(`no place for a capability of ${bytes.length} bytes at ${at}`);
      }
      for (let index = 0; index < bytes.length; index++) {
        if (this.#owner[at + index] !== undefined) throw new RangeError(`two capabilities at ${at + index}`);
        this.#owner[at + index] = capability;
      }
      bytes[1] = next;
      next = at;
      this.#places.set(capability, { at, initial: bytes.slice() });
    }
    this.#config.setUint8(configRegisters.capabilitiesPointer.offset, next);
  }

  #firstFree(size: number): number {
    for (let at = 0x40; at + size <= configSpaceSize; at += 4) {
      let free = true;
      for (let index = 0; index < size; index++) free &&= this.#owner[at + index] === undefined;
      if (free) return at;
    }
    throw new RangeError("the capabilities do not fit into configuration space");
  }

  #makeMask(): void {
    const mask = this.#mask;
    const view = new DataView(mask.buffer);
    view.setUint16(configRegisters.command.offset, writableCommand, true);
    mask[configRegisters.cacheLineSize.offset] = 0xff;
    mask[configRegisters.latencyTimer.offset] = 0xff;
    mask[configRegisters.interruptLine.offset] = 0xff;
    for (const bar of this.#bars) {
      const register = configRegisters.bar0.offset + 4 * bar.index;
      view.setUint32(register, bar.size >= 2 ** 32 ? 0 : -bar.size >>> 0, true);
      if (bar.wide) view.setUint32(register + 4, 2 ** 32 - Math.max(1, bar.size / 2 ** 32), true);
    }
    for (const [capability, { at }] of this.#places) {
      const writable = capability.writable;
      if (writable !== undefined)
        for (let index = 2; index < capability.bytes.length; index++) mask[at + index] = writable[index] ?? 0;
    }
    for (const [at, bits] of Object.entries(this.#options.writable ?? {})) mask[Number(at)] = bits;
  }

  #powerOn(): void {
    const { vendorId, deviceId, revision = 0, classCode, subsystemVendorId = 0, subsystemId = 0 } = this.#options;
    const config = this.#config;
    const pointer = config.getUint8(configRegisters.capabilitiesPointer.offset);
    for (let at = 0; at < configSpaceSize; at++) config.setUint8(at, 0);
    config.setUint8(configRegisters.capabilitiesPointer.offset, pointer);
    config.setUint16(configRegisters.vendorId.offset, vendorId, true);
    config.setUint16(configRegisters.deviceId.offset, deviceId, true);
    if (pointer !== 0) config.setUint16(configRegisters.status.offset, statusBits.capabilityList, true);
    config.setUint32(configRegisters.revision.offset, ((classCode << 8) | revision) >>> 0, true);
    config.setUint8(configRegisters.headerType.offset, this.#options.multiFunction ? 0x80 : 0);
    config.setUint16(configRegisters.subsystemVendorId.offset, subsystemVendorId, true);
    config.setUint16(configRegisters.subsystemId.offset, subsystemId, true);
    config.setUint8(configRegisters.interruptPin.offset, this.interruptPin);
    const bars = this.#options.bars ?? [];
    for (const bar of this.#bars) {
      config.setUint32(configRegisters.bar0.offset + 4 * bar.index, barFlags(bars[bar.index] as PciBarOptions), true);
    }
    for (const [at, byte] of Object.entries(this.#options.initial ?? {})) config.setUint8(Number(at), byte);
    for (const [capability, { initial }] of this.#places) {
      capability.bytes.set(initial);
      capability.onReset?.();
    }
    this.#wanted = false;
    this.#updateMappings();
    this.#updateInterrupt();
  }
}

function barFlags(bar: PciBarOptions): number {
  if (bar.kind === "io") return barBits.io;
  return (bar.kind === "memory64" ? barBits.memory64 : 0) | (bar.prefetchable ? barBits.prefetchable : 0);
}

function makeBars(options: readonly (PciBarOptions | undefined)[]): BarState[] {
  if (options.length > 6) throw new RangeError("a function has six BARs at most");
  const bars: BarState[] = [];
  for (const [index, bar] of options.entries()) {
    if (bar === undefined) continue;
    const least = bar.kind === "io" ? 4 : 16;
    const limit = bar.kind === "memory64" ? 2 ** 52 : 2 ** 31;
    if (bar.size < least || bar.size > limit || !Number.isInteger(Math.log2(bar.size))) {
      throw new RangeError(`BAR ${index}: a size of ${bar.size} is no power of two from ${least} to ${limit}`);
    }
    if (bar.kind === "memory64" && (index === 5 || options[index + 1] !== undefined)) {
      throw new RangeError(`BAR ${index} is 64 bits wide and needs register ${index + 1} too`);
    }
    bars.push(new BarState(index, bar));
  }
  return bars;
}
