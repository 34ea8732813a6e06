/** A PCI function as its driver holds it. */
import { type AccessWidth, type RegisterWindow, subWindow } from "../bytes/index.js";
import { type BarAllocator, reach } from "./bar-allocator.js";
import { type FoundBar, sizeBars } from "./bar-sizing.js";
import type { BridgeDescription } from "./bridge-description.js";
import { type FoundCapability, walkCapabilities } from "./capability-walk.js";
import {
  type FunctionAddress,
  formatFunctionAddress,
  type PciConfigAccess,
  type ProcessorSpaces,
  processorWindow,
} from "./config-access.js";
import { commandBits, configRegisters, headerTypeBits } from "./config-layout.js";

/** What `enable` turns on. */
export interface PciEnable {
  readonly io?: boolean;
  readonly memory?: boolean;
  readonly busMaster?: boolean;
}

/** What a handle is made from. */
export interface PciFunctionSource {
  readonly spaces: ProcessorSpaces;
  readonly bridge: BridgeDescription;
  /** Index of the bridge in the board's list. */
  readonly bridgeIndex: number;
  readonly config: PciConfigAccess;
  readonly address: FunctionAddress;
  readonly allocator: BarAllocator;
}

/** A function that enumeration found. */
export class PciFunctionHandle {
  readonly address: FunctionAddress;
  readonly bridge: BridgeDescription;
  readonly bridgeIndex: number;
  readonly vendorId: number;
  readonly deviceId: number;
  readonly revision: number;
  /** 24 bits: base class, subclass, programming interface. */
  readonly classCode: number;
  readonly headerType: number;
  /** 0 where the header has none (bridges). */
  readonly subsystemVendorId: number;
  readonly subsystemId: number;
  readonly interruptPin: number;
  readonly interruptLine: number;
  readonly bars: readonly FoundBar[];
  readonly capabilities: readonly FoundCapability[];
  /** What is wrong with this configuration space, in words. Empty for a sound one. */
  readonly problems: readonly string[];
  readonly #source: PciFunctionSource;

  /** Reads the whole header, sizes the BARs and walks the capabilities. */
  constructor(source: PciFunctionSource) {
    this.#source = source;
    this.address = source.address;
    this.bridge = source.bridge;
    this.bridgeIndex = source.bridgeIndex;
    const read = (offset: number, width: AccessWidth) => this.readConfig(offset, width);
    const ids = read(configRegisters.vendorId.offset, 4);
    this.vendorId = ids & 0xffff;
    this.deviceId = ids >>> 16;
    const revision = read(configRegisters.revision.offset, 4);
    this.revision = revision & 0xff;
    this.classCode = revision >>> 8;
    this.headerType = read(configRegisters.headerType.offset, 1) & headerTypeBits.layoutMask;
    const isDevice = this.headerType === headerTypeBits.device;
    this.subsystemVendorId = isDevice ? read(configRegisters.subsystemVendorId.offset, 2) : 0;
    this.subsystemId = isDevice ? read(configRegisters.subsystemId.offset, 2) : 0;
    this.interruptLine = read(configRegisters.interruptLine.offset, 1);
    this.interruptPin = read(configRegisters.interruptPin.offset, 1);
    const found = sizeBars(source.config, source.address, isDevice ? 6 : this.headerType === 1 ? 2 : 0);
    const list = walkCapabilities(read);
    this.bars = found.bars;
    this.capabilities = list.capabilities;
    this.problems = list.problem === undefined ? found.problems : [...found.problems, list.problem];
    for (const bar of this.bars) this.#keepOrRepair(bar);
  }

  get bus(): number {
    return (this.address >>> 16) & 0xff;
  }

  get slot(): number {
    return (this.address >>> 11) & 0x1f;
  }

  get function(): number {
    return (this.address >>> 8) & 7;
  }

  /** Where it is, for people: `00:02.0`. */
  get place(): string {
    return formatFunctionAddress(this.address);
  }

  readConfig(offset: number, width: AccessWidth): number {
    return this.#source.config.read(this.address, offset, width);
  }

  writeConfig(offset: number, width: AccessWidth, value: number): void {
    this.#source.config.write(this.address, offset, width, value);
  }

  /** The first capability with this ID. */
  capability(id: number): FoundCapability | undefined {
    return this.capabilities.find((capability) => capability.id === id);
  }

  /** The function still answers: false once it was unplugged (its registers read all ones). */
  get present(): boolean {
    return this.readConfig(configRegisters.vendorId.offset, 2) !== 0xffff;
  }

  get command(): number {
    return this.readConfig(configRegisters.command.offset, 2);
  }

  /** Sets and clears bits of the command register; writes only when something changes. */
  setCommand(set: number, clear = 0): void {
    const command = this.command;
    const wanted = (command & ~clear) | set;
    if (wanted !== command) this.writeConfig(configRegisters.command.offset, 2, wanted);
  }

  /** Turns decoding and bus mastering on, each bit by itself. Bits that are not asked for stay. */
  enable(what: PciEnable): void {
    let bits = 0;
    if (what.io) bits |= commandBits.io;
    if (what.memory) bits |= commandBits.memory;
    if (what.busMaster) bits |= commandBits.busMaster;
    this.setCommand(bits);
  }

  /** Whether the function may raise its INTx pin. */
  setInterruptDisabled(disabled: boolean): void {
    if (disabled) this.setCommand(commandBits.interruptDisable);
    else this.setCommand(0, commandBits.interruptDisable);
  }

  /** BAR `index`, through the bridge's windows. Undefined when it does not exist or no window reaches it. */
  bar(index: number): RegisterWindow | undefined {
    const bar = this.bars.find((candidate) => candidate.index === index);
    if (bar === undefined || bar.base === 0) return undefined;
    const reached = reach(this.bridge, bar.space, bar.base, bar.size);
    if (reached === undefined) return undefined;
    return subWindow(processorWindow(this.#source.spaces, reached.window.space), reached.cpuAddress);
  }

  /** Bytes of BAR `index`, 0 when it does not exist. */
  barSize(index: number): number {
    return this.bars.find((candidate) => candidate.index === index)?.size ?? 0;
  }

  /**
   * Gives an address to every BAR that no window reaches, with the function's decoding off meanwhile.
   * @returns the BARs for which there was no room.
   */
  assignBars(): readonly FoundBar[] {
    const missing = this.bars.filter(
      (bar) => bar.base === 0 || reach(this.bridge, bar.space, bar.base, bar.size) === undefined,
    );
    if (missing.length === 0) return [];
    const command = this.command;
    const decode = commandBits.io | commandBits.memory;
    this.setCommand(0, decode);
    const failed: FoundBar[] = [];
    for (const bar of missing.sort((a, b) => b.size - a.size)) {
      const base = this.#source.allocator.allocate(bar);
      if (base === undefined) failed.push(bar);
      else this.#writeBase(bar, base);
    }
    this.setCommand(command & decode);
    return failed;
  }

  /**
   * What firmware assigned is kept. Firmware on the Articia S leaves the upper half of a 64-bit BAR at all ones after
   * sizing; such a BAR is meant to lie where its lower half says.
   */
  #keepOrRepair(bar: FoundBar): void {
    if (bar.base === 0) return;
    if (reach(this.bridge, bar.space, bar.base, bar.size) !== undefined) {
      this.#source.allocator.reserve(bar.space, bar.base, bar.size);
      return;
    }
    if (!bar.wide) return;
    const register = configRegisters.bar0.offset + 4 * bar.index;
    if (this.readConfig(register + 4, 4) !== 0xffff_ffff) return;
    const low = (this.readConfig(register, 4) & ~0xf) >>> 0;
    if (low === 0 || reach(this.bridge, bar.space, low, bar.size) === undefined) return;
    this.writeConfig(register + 4, 4, 0);
    bar.base = low;
    this.#source.allocator.reserve(bar.space, low, bar.size);
  }

  #writeBase(bar: FoundBar, base: number): void {
    const register = configRegisters.bar0.offset + 4 * bar.index;
    this.writeConfig(register, 4, base % 0x1_0000_0000);
    if (bar.wide) this.writeConfig(register + 4, 4, Math.floor(base / 0x1_0000_0000));
    bar.base = base;
  }
}
