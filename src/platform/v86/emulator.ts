/**
 * What this platform uses of v86 besides its public API, and the probe that says what of it is missing. These names are
 * promised by nobody: the package's version is pinned, and everything that knows them is in this folder.
 */
import { UnsupportedError } from "../../errors/index.js";

/** Reads of one port. v86 gives the port; it is of no use where BARs move. */
export type PortRead = () => number;
/** Writes of one port. */
export type PortWrite = (value: number) => void;

/** What answers at one port. */
export interface PortEntry {
  read8: PortRead;
  read16: PortRead;
  read32: PortRead;
  write8: PortWrite;
  write16: PortWrite;
  write32: PortWrite;
  device: object | undefined;
}

/** v86's port and memory decoding. */
export interface V86Io {
  readonly ports: PortEntry[];
}

/** v86's PCI host. */
export interface V86Pci {
  /** The configuration address register, and what the two registers read as. */
  readonly pci_addr: Uint8Array;
  readonly pci_status32: Int32Array;
  readonly pci_response32: Int32Array;
  /** By bus, slot and function; undefined where there is none. */
  readonly device_spaces: (Int32Array | undefined)[];
  /** The south bridge's configuration space: the interrupt routing is at 0x60. */
  readonly isa_bridge_space8: Uint8Array;
  pci_query(): void;
  pci_write8(address: number, value: number): void;
  pci_write16(address: number, value: number): void;
  pci_write32(address: number, value: number): void;
}

/** Reads memory-mapped registers, at an address with sign. */
export type MappedRead = (address: number) => number;
/** Writes memory-mapped registers. */
export type MappedWrite = (address: number, value: number) => void;

/** v86's processor. */
export interface V86Cpu {
  readonly io: V86Io;
  readonly devices: { readonly pci: V86Pci };
  /** Memory: of its pieces only the place is asked for. Every access to it makes a new view. */
  readonly mem8: { readonly byteOffset: number; readonly byteLength: number };
  readonly memory_size: ArrayLike<number>;
  readonly wasm_memory: { readonly buffer: ArrayBuffer };
  /** The flags register: of this, too, only the place is asked for. */
  readonly flags: { readonly byteOffset: number };
  /** What answers in each 128 KiB. */
  readonly memory_map_read8: MappedRead[];
  readonly memory_map_read32: MappedRead[];
  readonly memory_map_write8: MappedWrite[];
  readonly memory_map_write32: MappedWrite[];
  mmap_write16(address: number, value: number): void;
  device_raise_irq(line: number): void;
  device_lower_irq(line: number): void;
  /** Forgets what was compiled of the pages from `from` to `to`. */
  jit_dirty_cache(from: number, to: number): void;
  reboot_internal(): void;
  /** Takes that much of the heap and gives it back: after it the heap need not grow for a while. */
  zstd_create_ctx(bytes: number): number;
  zstd_free_ctx(context: number): void;
}

/** An emulator of v86's, as far as this platform uses it. */
export interface V86Emulator {
  readonly v86: {
    readonly cpu: V86Cpu;
    /** One turn of the processor. */
    do_tick(): void;
  };
  add_listener(event: string, listener: (argument: never) => void): void;
  remove_listener(event: string, listener: (argument: never) => void): void;
  run(): Promise<void>;
  stop(): Promise<void>;
  destroy(): Promise<void>;
  is_running(): boolean;
  restart(): void;
  serial0_send(text: string): void;
  serial_send_bytes(port: number, bytes: Uint8Array): void;
  save_state(): Promise<ArrayBuffer>;
  restore_state(state: ArrayBuffer): Promise<void>;
}

/** v86's class. */
export type V86Constructor = new (options: Readonly<Record<string, unknown>>) => V86Emulator;

/** The version that all this was written for. */
export const v86Version = "0.5.462";

const emulatorFunctions = [
  ...["add_listener", "remove_listener", "run", "stop", "destroy", "is_running", "restart"],
  ...["serial0_send", "serial_send_bytes", "save_state", "restore_state"],
];
const cpuFunctions = [
  ...["mmap_write16", "device_raise_irq", "device_lower_irq", "jit_dirty_cache", "reboot_internal"],
  ...["zstd_create_ctx", "zstd_free_ctx"],
];
const cpuObjects = [
  ...["io", "devices", "mem8", "memory_size", "wasm_memory", "flags"],
  ...["memory_map_read8", "memory_map_read32", "memory_map_write8", "memory_map_write32"],
];
const pciFunctions = ["pci_query", "pci_write8", "pci_write16", "pci_write32"];
const pciObjects = ["pci_addr", "pci_status32", "pci_response32", "device_spaces", "isa_bridge_space8"];
const portFunctions = ["read8", "read16", "read32", "write8", "write16", "write32"];

/**
 * The processor of an emulator that has loaded.
 * @throws UnsupportedError with every name that is not as it was in {@link v86Version}.
 */
export function probeV86(emulator: object): V86Cpu {
  const missing: string[] = [];
  const part = (owner: unknown, path: string, names: readonly string[], kind: "function" | "object") => {
    for (const name of names) {
      const value = owner === undefined || owner === null ? undefined : (owner as Record<string, unknown>)[name];
      if (typeof value !== kind || value === null) missing.push(`${path}.${name}`);
    }
  };
  const { v86 } = emulator as { v86?: { cpu?: V86Cpu } };
  const cpu = v86?.cpu;
  part(emulator, "emulator", emulatorFunctions, "function");
  part(v86, "emulator.v86", ["do_tick"], "function");
  part(cpu, "cpu", cpuFunctions, "function");
  part(cpu, "cpu", cpuObjects, "object");
  part(cpu?.io, "cpu.io", ["ports"], "object");
  part(cpu?.io?.ports?.[0], "cpu.io.ports[0]", portFunctions, "function");
  part(cpu?.devices, "cpu.devices", ["pci"], "object");
  part(cpu?.devices?.pci, "cpu.devices.pci", pciFunctions, "function");
  part(cpu?.devices?.pci, "cpu.devices.pci", pciObjects, "object");
  if (cpu !== undefined && typeof cpu.mem8?.byteOffset !== "number") missing.push("cpu.mem8.byteOffset");
  if (cpu !== undefined && typeof cpu.flags?.byteOffset !== "number") missing.push("cpu.flags.byteOffset");
  if (cpu !== undefined && !(cpu.wasm_memory?.buffer instanceof ArrayBuffer)) missing.push("cpu.wasm_memory.buffer");
  if (missing.length > 0 || cpu === undefined) {
    throw new UnsupportedError(`this v86 is not ${v86Version}, it has no ${missing.join(", ")}`);
  }
  return cpu;
}
