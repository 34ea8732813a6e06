/** Finds every PCI function behind a board's host bridges and assigns the BARs that no firmware assigned. */
import { BarAllocator } from "./bar-allocator.js";
import type { BridgeDescription } from "./bridge-description.js";
import { functionAddress, openConfigAccess, type PciConfigAccess, type ProcessorSpaces } from "./config-access.js";
import { configRegisters, headerTypeBits } from "./config-layout.js";
import { PciFunctionHandle } from "./function-handle.js";
import { prepareBridge } from "./prepare-bridge.js";

/** How functions are enumerated. */
export interface EnumerateOptions {
  /** Which functions get addresses. Default: every one that is no bridge (base class 6). */
  readonly assign?: (fn: PciFunctionHandle) => boolean;
  /** Wraps the configuration access of a bridge, to record it. */
  readonly wrapConfig?: (access: PciConfigAccess, bridgeIndex: number) => PciConfigAccess;
}

/** Secondary bus number of a PCI-to-PCI bridge (PCI-to-PCI Bridge 1.2 §3.2.5.3). */
const secondaryBusRegister = 0x19;
const bridgeClass = 0x06;

/**
 * All functions of all bridges, in the order of bridges, buses and slots. Buses behind PCI-to-PCI bridges are looked
 * at when firmware numbered them. No configuration space, however hostile, makes this hang.
 */
export function enumeratePci(
  spaces: ProcessorSpaces,
  bridges: readonly BridgeDescription[],
  options: EnumerateOptions = {},
): PciFunctionHandle[] {
  const all: PciFunctionHandle[] = [];
  for (const [bridgeIndex, bridge] of bridges.entries()) {
    prepareBridge(spaces, bridge);
    const plain = openConfigAccess(spaces, bridge.config);
    const config = options.wrapConfig?.(plain, bridgeIndex) ?? plain;
    const allocator = new BarAllocator(bridge);
    const found: PciFunctionHandle[] = [];
    const buses = [bridge.bus];
    const seen = new Set(buses);
    for (const bus of buses) {
      for (const address of presentFunctions(config, bus)) {
        const fn = new PciFunctionHandle({ spaces, bridge, bridgeIndex, config, address, allocator });
        found.push(fn);
        if (fn.headerType !== headerTypeBits.bridge) continue;
        const secondary = fn.readConfig(secondaryBusRegister, 1);
        if (secondary === 0 || secondary === 0xff || seen.has(secondary)) continue;
        seen.add(secondary);
        buses.push(secondary);
      }
    }
    const wanted = options.assign ?? ((fn: PciFunctionHandle) => fn.classCode >>> 16 !== bridgeClass);
    // After every function was seen: only now it is known which addresses are taken. What firmware left out behind a
    // PCI-to-PCI bridge stays out: that bridge's windows would not lead there.
    for (const fn of found) if (fn.bus === bridge.bus && wanted(fn)) fn.assignBars();
    all.push(...found);
  }
  return all;
}

/** Addresses of the functions that answer on one bus (PCI 3.0 §6.1: vendor ID 0xFFFF is nobody). */
function* presentFunctions(config: PciConfigAccess, bus: number): Generator<number> {
  for (let slot = 0; slot < 32; slot++) {
    const first = functionAddress(bus, slot, 0);
    if (config.read(first, configRegisters.vendorId.offset, 2) === 0xffff) continue;
    yield first;
    const header = config.read(first, configRegisters.headerType.offset, 1);
    if ((header & headerTypeBits.multiFunction) === 0) continue;
    for (let fn = 1; fn < 8; fn++) {
      const address = functionAddress(bus, slot, fn);
      if (config.read(address, configRegisters.vendorId.offset, 2) !== 0xffff) yield address;
    }
  }
}
