/**
 * Marvell MV64361, device half: two PCI units with a configuration mechanism each, and ten processor-to-PCI windows
 * that firmware moves and switches. Only what leads to PCI is here; other registers read 0.
 */
import { type RegisterWindow, readRegister, subWindow, windowOf, writeRegister } from "../bytes/index.js";
import { allOnes, type DecodePiece } from "./address-decoder.js";
import type { BridgeDescription } from "./bridge-description.js";
import { ConfigMechanismDevice } from "./config-mechanism.js";
import { type BridgeBus, type HostBridge, makeBridgeBus } from "./host-bridge.js";
import {
  type Mv64361Window,
  mv64361ConfigRegisters,
  mv64361FirstInterruptPin,
  mv64361KeepRemap,
  mv64361RegisterSize,
  mv64361Registers,
  mv64361ResetConfiguration,
  mv64361ResetEnable,
  mv64361Windows,
} from "./mv64361-registers.js";

const registersEnableBit = 20;

interface WindowState {
  readonly registers: Mv64361Window;
  base: number;
  size: number;
  remap: number;
  remapHigh: number;
}

export class Mv64361 implements HostBridge {
  readonly buses: readonly BridgeBus[];
  onPiecesChanged: (() => void) | undefined;
  readonly #config = new Map<number, ConfigMechanismDevice>();
  readonly #units = new Map<number, BridgeBus>();
  readonly #windows: readonly WindowState[];
  readonly #registers: RegisterWindow;
  readonly #powerOnBase: number;
  #disabled = mv64361ResetEnable;
  #configuration = mv64361ResetConfiguration;
  #internalBase = 0;

  /** @param descriptions one for each unit that the board uses, all with the same register address. */
  constructor(descriptions: readonly BridgeDescription[]) {
    this.buses = descriptions.map(makeBridgeBus);
    let registers: number | undefined;
    for (const made of this.buses) {
      const unit = made.description.unit;
      if (unit === undefined || (registers !== undefined && registers !== unit.registers)) {
        throw new RangeError(`${made.description.name}: not a unit of this MV64361`);
      }
      registers = unit.registers;
      this.#units.set(unit.index, made);
      this.#config.set(unit.index, new ConfigMechanismDevice(made.bus));
    }
    this.#powerOnBase = (registers ?? 0) / 0x1_0000;
    this.#windows = mv64361Windows.map((window) => ({ registers: window, base: 0, size: 0, remap: 0, remapHigh: 0 }));
    this.#registers = windowOf(
      (offset, width) => {
        const configured = this.#configWindow(offset, (window, at) => readRegister(window, at, width));
        return configured ?? (this.#read(offset) & allOnes(width)) >>> 0;
      },
      (offset, width, value) => {
        const done = this.#configWindow(offset, (window, at) => {
          writeRegister(window, at, width, value);
          return true;
        });
        if (done === undefined) this.#write(offset, value);
      },
    );
    this.#powerOn();
  }

  pieces(): readonly DecodePiece[] {
    const pieces: DecodePiece[] = [];
    if (!this.#isDisabled(registersEnableBit)) {
      const base = (this.#internalBase & 0xfffff) * 0x1_0000;
      pieces.push({ space: "memory", base, size: mv64361RegisterSize, window: this.#registers });
    }
    for (const { registers, base, size, remap, remapHigh } of this.#windows) {
      const made = this.#units.get(registers.unit);
      if (made === undefined || this.#isDisabled(registers.enableBit)) continue;
      const space = registers.space === "io" ? made.bus.io : made.bus.memory;
      pieces.push({
        space: "memory",
        base: (base & 0xfffff) * 0x1_0000,
        size: (size + 1) * 0x1_0000,
        window: subWindow(space, remapHigh * 0x1_0000_0000 + remap * 0x1_0000),
      });
    }
    return pieces;
  }

  reset(): void {
    this.#powerOn();
    for (const config of this.#config.values()) config.reset();
    for (const { bus } of this.buses) bus.reset();
    this.onPiecesChanged?.();
  }

  #powerOn(): void {
    this.#disabled = mv64361ResetEnable;
    this.#configuration = mv64361ResetConfiguration;
    this.#internalBase = this.#powerOnBase;
    for (const window of this.#windows) {
      window.base = window.registers.resetBase;
      window.size = window.registers.resetSize;
      window.remap = window.registers.resetRemap;
      window.remapHigh = 0;
    }
  }

  #isDisabled(bit: number): boolean {
    return (this.#disabled & (1 << bit)) !== 0;
  }

  #configWindow<T>(offset: number, use: (window: RegisterWindow, at: number) => T): T | undefined {
    for (const [unit, config] of this.#config) {
      const { address, data } = mv64361ConfigRegisters[unit as 0 | 1];
      if (offset === address) return use(config.addressRegister, 0);
      if (offset >= data && offset < data + 4) return use(config.dataRegister, offset - data);
    }
    return undefined;
  }

  #read(offset: number): number {
    if (offset === mv64361Registers.cpuConfiguration) return this.#configuration;
    if (offset === mv64361Registers.baseAddressEnable) return this.#disabled;
    if (offset === mv64361Registers.internalSpaceBase) return this.#internalBase;
    if (offset === mv64361Registers.pinValue) return this.#pins();
    for (const window of this.#windows) {
      if (offset === window.registers.base) return window.base;
      if (offset === window.registers.size) return window.size;
      if (offset === window.registers.remap) return window.remap;
      if (offset === window.registers.remapHigh) return window.remapHigh;
    }
    return 0;
  }

  /** The interrupt lines of both units, wired together. */
  #pins(): number {
    let pins = 0;
    for (const { bus, description } of this.buses) {
      for (let line = 0; line < description.interrupts.lines; line++) {
        if (bus.lineLevel(line)) pins |= 1 << (mv64361FirstInterruptPin + line);
      }
    }
    return pins;
  }

  #write(offset: number, value: number): void {
    if (offset === mv64361Registers.cpuConfiguration) this.#configuration = value >>> 0;
    else if (offset === mv64361Registers.baseAddressEnable) this.#disabled = value & 0x1fffff;
    else if (offset === mv64361Registers.internalSpaceBase) this.#internalBase = value & 0xfffff;
    else if (!this.#writeWindow(offset, value)) return;
    this.onPiecesChanged?.();
  }

  #writeWindow(offset: number, value: number): boolean {
    for (const window of this.#windows) {
      const { base, size, remap, remapHigh, space } = window.registers;
      if (offset === base) {
        window.base = value & (space === "io" ? 0x30fffff : 0x70fffff);
        if ((this.#configuration & mv64361KeepRemap) === 0) window.remap = value & 0xffff;
      } else if (offset === size) window.size = value & 0xffff;
      else if (offset === remap) window.remap = value & 0xffff;
      else if (offset === remapHigh) window.remapHigh = value >>> 0;
      else continue;
      return true;
    }
    return false;
  }
}
