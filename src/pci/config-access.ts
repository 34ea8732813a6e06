/**
 * Configuration mechanism #1 (PCI 3.0 §3.2.2.3.2), driver half: one implementation for every bridge that has an
 * address and a data register somewhere.
 */
import { type AccessWidth, type RegisterWindow, readRegister, writeRegister } from "../bytes/index.js";
import type { ConfigMechanism, ProcessorSpace } from "./bridge-description.js";

/** The processor's address spaces: what a `Machine` gives. */
export interface ProcessorSpaces {
  readonly memorySpace: RegisterWindow;
  readonly portSpace: RegisterWindow | undefined;
}

/** Bus, slot and function in one number, as CONFIG_ADDRESS has them: bus ≪ 16, slot ≪ 11, function ≪ 8. */
export type FunctionAddress = number;

/** @returns the packed address of a function. */
export function functionAddress(bus: number, slot: number, fn: number): FunctionAddress {
  return ((bus & 0xff) << 16) | ((slot & 0x1f) << 11) | ((fn & 7) << 8);
}

/** `00:02.0`: bus and slot in hexadecimal. */
export function formatFunctionAddress(address: FunctionAddress): string {
  const digits = (value: number) => value.toString(16).padStart(2, "0");
  return `${digits((address >>> 16) & 0xff)}:${digits((address >>> 11) & 0x1f)}.${(address >>> 8) & 7}`;
}

/** Configuration space by function address. `offset` is 0–255 and a multiple of the width. */
export interface PciConfigAccess {
  read(address: FunctionAddress, offset: number, width: AccessWidth): number;
  write(address: FunctionAddress, offset: number, width: AccessWidth, value: number): void;
}

/** The window of a processor space. @throws RangeError when the machine has no port space. */
export function processorWindow(spaces: ProcessorSpaces, space: ProcessorSpace): RegisterWindow {
  if (space === "memory") return spaces.memorySpace;
  if (spaces.portSpace === undefined) throw new RangeError("this machine has no port I/O");
  return spaces.portSpace;
}

/** Configuration accesses through a bridge's address and data register. */
export function openConfigAccess(spaces: ProcessorSpaces, mechanism: ConfigMechanism): PciConfigAccess {
  const window = processorWindow(spaces, mechanism.space);
  const select = (address: FunctionAddress, offset: number) =>
    window.write32(mechanism.addressRegister, (0x8000_0000 | address | (offset & 0xfc)) >>> 0);
  return {
    read(address, offset, width) {
      select(address, offset);
      return readRegister(window, mechanism.dataRegister + (offset & 3), width);
    },
    write(address, offset, width, value) {
      select(address, offset);
      writeRegister(window, mechanism.dataRegister + (offset & 3), width, value);
    },
  };
}
