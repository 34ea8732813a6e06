/** Finds out what a function's base address registers are and how large (PCI 3.0 §6.2.5.1). */

import type { FunctionAddress, PciConfigAccess } from "./config-access.js";
import { barBits, commandBits, configRegisters } from "./config-layout.js";

/** A BAR as its driver sees it. */
export interface FoundBar {
  /** Index of its (first) register. */
  readonly index: number;
  readonly space: "io" | "memory";
  /** Two registers. */
  readonly wide: boolean;
  readonly prefetchable: boolean;
  readonly size: number;
  /** PCI address that the registers hold. Rounded above 2^53. */
  base: number;
}

/** The BARs of a function and what was wrong with those that are left out. */
export interface FoundBars {
  readonly bars: FoundBar[];
  readonly problems: readonly string[];
}

const allOnes = 0xffff_ffff;

/**
 * Sizes `count` registers from 0x10 on. Decoding is off meanwhile; command and registers read afterwards as before.
 */
export function sizeBars(config: PciConfigAccess, address: FunctionAddress, count: number): FoundBars {
  const bars: FoundBar[] = [];
  const problems: string[] = [];
  const command = config.read(address, configRegisters.command.offset, 2);
  const decode = commandBits.io | commandBits.memory;
  const decoding = (command & decode) !== 0;
  if (decoding) config.write(address, configRegisters.command.offset, 2, command & ~decode);
  for (let index = 0; index < count; index++) {
    const low = probe(config, address, index);
    if (low.mask === 0) continue;
    const wide = (low.value & barBits.io) === 0 && (low.value & barBits.memoryTypeMask) === barBits.memory64;
    const high = wide && index + 1 < count ? probe(config, address, index + 1) : undefined;
    const found = wide && high === undefined ? "64 bits wide, without a second register" : decodeBar(index, low, high);
    if (typeof found === "string") problems.push(`BAR ${index}: ${found}`);
    else bars.push(found);
    if (wide) index++;
  }
  if (decoding) config.write(address, configRegisters.command.offset, 2, command);
  return { bars, problems };
}

interface Probe {
  readonly value: number;
  readonly mask: number;
}

function probe(config: PciConfigAccess, address: FunctionAddress, index: number): Probe {
  const register = configRegisters.bar0.offset + 4 * index;
  const value = config.read(address, register, 4);
  config.write(address, register, 4, allOnes);
  const mask = config.read(address, register, 4);
  config.write(address, register, 4, value);
  return { value, mask };
}

/** The BAR, or what is wrong with it. */
function decodeBar(index: number, low: Probe, high: Probe | undefined): FoundBar | string {
  const io = (low.value & barBits.io) !== 0;
  if (!io && (low.value & barBits.memoryTypeMask) === barBits.memoryTypeMask) return "reserved memory type";
  const flags = io ? barBits.ioFlagsMask : barBits.memoryFlagsMask;
  let lowMask = (low.mask & ~flags) >>> 0;
  // A 16-bit I/O decoder keeps its upper half at 0 (PCI 3.0 §6.2.5.1).
  if (io && lowMask !== 0 && lowMask < 0x1_0000) lowMask = (lowMask | 0xffff_0000) >>> 0;
  const size = high === undefined ? sizeOf(lowMask) : wideSizeOf(lowMask, high.mask);
  if (size === undefined) return `a size mask of 0x${low.mask.toString(16)} is no power of two`;
  const base = ((low.value & ~flags) >>> 0) + (high?.value ?? 0) * 0x1_0000_0000;
  const prefetchable = !io && (low.value & barBits.prefetchable) !== 0;
  return { index, space: io ? "io" : "memory", wide: high !== undefined, prefetchable, size, base };
}

function sizeOf(mask: number): number | undefined {
  const size = (~mask + 1) >>> 0;
  return size !== 0 && (size & (size - 1)) === 0 ? size : undefined;
}

function wideSizeOf(low: number, high: number): number | undefined {
  if (low !== 0) return high === allOnes ? sizeOf(low) : undefined;
  const upper = sizeOf(high);
  return upper === undefined ? undefined : upper * 0x1_0000_0000;
}
