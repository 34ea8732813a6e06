/**
 * What firmware does before anyone can reach a PCI function, for machines on which no firmware ran. What is on
 * already stays as it is.
 */
import type { BridgeDescription, BridgeWindow } from "./bridge-description.js";
import { functionAddress, openConfigAccess, type ProcessorSpaces, processorWindow } from "./config-access.js";
import { commandBits, configRegisters } from "./config-layout.js";
import { type Mv64361Window, mv64361NoSwap, mv64361Registers, mv64361Windows } from "./mv64361-registers.js";

/** Makes the windows of `bridge` reachable. Bridges other than the MV64361 decode theirs from power-on. */
export function prepareBridge(spaces: ProcessorSpaces, bridge: BridgeDescription): void {
  if (bridge.kind === "mv64361") prepareMv64361(spaces, bridge);
}

function prepareMv64361(spaces: ProcessorSpaces, bridge: BridgeDescription): void {
  const unit = bridge.unit;
  if (unit === undefined) throw new RangeError(`${bridge.name}: the description names no unit of the MV64361`);
  const memoryWindows = mv64361Windows.filter((window) => window.unit === unit.index && window.space === "memory");
  const ioWindows = mv64361Windows.filter((window) => window.unit === unit.index && window.space === "io");
  for (const [index, window] of bridge.memory.entries()) {
    openWindow(spaces, unit.registers, memoryWindows[index], window);
  }
  for (const [index, window] of bridge.io.entries()) openWindow(spaces, unit.registers, ioWindows[index], window);
  const config = openConfigAccess(spaces, bridge.config);
  const self = functionAddress(bridge.bus, 0, 0);
  const command = config.read(self, configRegisters.command.offset, 2);
  const wanted = command | commandBits.io | commandBits.memory | commandBits.busMaster;
  if (wanted !== command) config.write(self, configRegisters.command.offset, 2, wanted);
}

function openWindow(
  spaces: ProcessorSpaces,
  registersAt: number,
  registers: Mv64361Window | undefined,
  window: BridgeWindow,
): void {
  if (registers === undefined) throw new RangeError("the MV64361 has four memory windows and one I/O window a unit");
  const memory = processorWindow(spaces, "memory");
  const enableRegister = registersAt + mv64361Registers.baseAddressEnable;
  const disabled = memory.read32(enableRegister);
  const bit = 1 << registers.enableBit;
  if ((disabled & bit) === 0) return;
  memory.write32(registersAt + registers.base, (window.cpuBase / 0x1_0000) | mv64361NoSwap);
  memory.write32(registersAt + registers.size, window.size / 0x1_0000 - 1);
  // High half first: on QEMU it takes the low half with it.
  if (registers.remapHigh !== undefined) memory.write32(registersAt + registers.remapHigh, 0);
  memory.write32(registersAt + registers.remap, window.pciBase / 0x1_0000);
  memory.write32(enableRegister, (disabled & ~bit) >>> 0);
}
