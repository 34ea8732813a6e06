/**
 * Memory BARs of our functions in v86's map, which has four functions for each 128 KiB. It reads 16 bits as two bytes;
 * writes of 16 bits are put together again here, since a device acts on the whole register.
 */
import type { AccessWidth } from "../../bytes/index.js";
import { allOnes, type PciBar } from "../../pci/index.js";
import type { MappedRead, MappedWrite, V86Cpu } from "./emulator.js";
import type { RegisterGate } from "./register-gate.js";

const blockBits = 17;

/** What answered in a block before us. */
interface Original {
  readonly read8: MappedRead;
  readonly read32: MappedRead;
  readonly write8: MappedWrite;
  readonly write32: MappedWrite;
}

/** Memory that our BARs have now. */
export class MemoryDecoder {
  readonly #cpu: V86Cpu;
  readonly #gate: RegisterGate;
  readonly #originals = new Map<number, Original>();
  #bars: readonly PciBar[] = [];

  constructor(cpu: V86Cpu, gate: RegisterGate) {
    this.#cpu = cpu;
    this.#gate = gate;
    const write16 = cpu.mmap_write16.bind(cpu);
    cpu.mmap_write16 = (address, value) => {
      const bar = this.#find(address >>> 0);
      if (bar === undefined) write16(address, value);
      else this.#write(bar, address >>> 0, 2, value);
    };
  }

  /** Makes these BARs answer, and no others. v86 looks for registers above its RAM only. */
  map(bars: readonly PciBar[]): void {
    this.#bars = bars.filter(({ base, size }) => base >= this.#cpu.memory_size[0] && base + size <= 2 ** 32);
    for (const { base, size } of this.#bars) {
      const last = (base + size - 1) >>> blockBits;
      for (let block = base >>> blockBits; block <= last; block++) this.#take(block);
    }
  }

  /** Blocks stay taken: where no BAR is, what was there before answers. */
  #take(block: number): void {
    if (this.#originals.has(block)) return;
    const { memory_map_read8, memory_map_read32, memory_map_write8, memory_map_write32 } = this.#cpu;
    const original = {
      ...{ read8: memory_map_read8[block], read32: memory_map_read32[block] },
      ...{ write8: memory_map_write8[block], write32: memory_map_write32[block] },
    };
    this.#originals.set(block, original);
    memory_map_read8[block] = (address) => {
      const bar = this.#find(address >>> 0);
      return bar === undefined ? original.read8(address) : this.#read(bar, address >>> 0, 1);
    };
    memory_map_read32[block] = (address) => {
      const bar = this.#find(address >>> 0);
      return bar === undefined ? original.read32(address) : this.#read(bar, address >>> 0, 4);
    };
    memory_map_write8[block] = (address, value) => {
      const bar = this.#find(address >>> 0);
      if (bar === undefined) original.write8(address, value);
      else this.#write(bar, address >>> 0, 1, value);
    };
    memory_map_write32[block] = (address, value) => {
      const bar = this.#find(address >>> 0);
      if (bar === undefined) original.write32(address, value);
      else this.#write(bar, address >>> 0, 4, value);
    };
  }

  #find(address: number): PciBar | undefined {
    for (const bar of this.#bars) if (address >= bar.base && address - bar.base < bar.size) return bar;
    return undefined;
  }

  #read(bar: PciBar, address: number, width: AccessWidth): number {
    const offset = address - bar.base;
    if (offset + width > bar.size) return width === 4 ? -1 : allOnes(width);
    return this.#gate.read(bar.window, offset, width);
  }

  #write(bar: PciBar, address: number, width: AccessWidth, value: number): void {
    const offset = address - bar.base;
    if (offset + width <= bar.size) this.#gate.write(bar.window, offset, width, value);
  }
}
