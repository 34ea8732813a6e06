/**
 * The host's bus as the chip masters it: guest memory, and windows such as a board's own registers and ROM. Longwords
 * are big-endian, as on the 68030's bus. An address at which nobody answers gives -1 or false.
 */
import type { RegisterWindow } from "../../bytes/index.js";
import type { GuestMemory, MemoryRegion } from "../../memory/index.js";

/** A window at an address of the bus. */
export interface BusRange {
  readonly base: number;
  /** Bytes. */
  readonly size: number;
  readonly window: RegisterWindow;
}

/** Finds the window at an address, if there is one. */
export type FindRange = (address: number) => BusRange | undefined;

export class HostBus {
  readonly memory: GuestMemory;
  readonly #find: FindRange;

  constructor(memory: GuestMemory, find: FindRange = () => undefined) {
    this.memory = memory;
    this.#find = find;
  }

  /** The memory at an address, when it is memory. */
  region(address: number): MemoryRegion | undefined {
    return this.memory.find(address);
  }

  /** A longword at a multiple of 4; -1 when nobody answers. */
  read32(address: number): number {
    const region = this.memory.find(address);
    if (region !== undefined && address + 4 <= region.end) return region.view.getUint32(address - region.base);
    if (region !== undefined) return this.#readBytes(address);
    const range = this.#find(address);
    return range === undefined ? -1 : range.window.read32(address - range.base) >>> 0;
  }

  /** A byte; -1 when nobody answers. */
  read8(address: number): number {
    const region = this.memory.find(address);
    if (region !== undefined) return region.bytes[address - region.base];
    const range = this.#find(address);
    return range === undefined ? -1 : range.window.read8(address - range.base) & 0xff;
  }

  /** False when nobody answers. */
  write8(address: number, value: number): boolean {
    const region = this.memory.find(address);
    if (region !== undefined) {
      region.bytes[address - region.base] = value;
      return true;
    }
    const range = this.#find(address);
    range?.window.write8(address - range.base, value);
    return range !== undefined;
  }

  /** A longword at a multiple of 4; false when nobody answers. */
  write32(address: number, value: number): boolean {
    const region = this.memory.find(address);
    if (region === undefined) {
      const range = this.#find(address);
      range?.window.write32(address - range.base, value);
      return range !== undefined;
    }
    if (address + 4 <= region.end) {
      region.view.setUint32(address - region.base, value);
      return true;
    }
    for (let byte = 0; byte < 4; byte++)
      if (!this.write8(address + byte, (value >>> (24 - 8 * byte)) & 0xff)) return false;
    return true;
  }

  /** A longword that lies across the end of a region. */
  #readBytes(address: number): number {
    let value = 0;
    for (let byte = 0; byte < 4; byte++) {
      const part = this.read8(address + byte);
      if (part < 0) return -1;
      value = value * 256 + part;
    }
    return value;
  }
}
