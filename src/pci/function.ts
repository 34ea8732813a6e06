/**
 * The device half's contract: what a bus sees of a PCI function, and what a function gets from its bus. Virtio
 * transports and other devices build a {@link PciDeviceFunction}; buses route accesses to any {@link PciFunction}.
 */
import type { AccessWidth, RegisterWindow } from "../bytes/index.js";

/** A base address register as its device declares it. Sizes are powers of two: I/O ≥ 4, memory ≥ 16. */
export interface PciBarOptions {
  readonly kind: "io" | "memory32" | "memory64";
  readonly size: number;
  /** Memory only. Default false. */
  readonly prefetchable?: boolean;
  /** What answers accesses. Offsets are from the start of the BAR and always inside `size`. */
  readonly window: RegisterWindow;
}

/** A BAR as the bus routes to it. The object stays; its address and state change with the configuration registers. */
export interface PciBar {
  /** Index of its first register, 0–5. */
  readonly index: number;
  readonly space: "io" | "memory";
  readonly size: number;
  readonly window: RegisterWindow;
  /** PCI address as programmed (above 2^53 it is rounded, and never in reach of a window). */
  readonly base: number;
  /** The command register lets it decode, and its address is not the 0 or all-ones of a BAR nobody programmed. */
  readonly decoding: boolean;
}

/** A capability of the list at 0x34. `bytes` holds all of it: ID, next pointer (filled in by the function), body. */
export interface PciCapability {
  /** The capability as it reads, from its ID byte. The function writes the next pointer; the owner may change the rest. */
  readonly bytes: Uint8Array;
  /** Bits that the driver may write, same length as `bytes`. Default none. */
  readonly writable?: Uint8Array;
  /** Place in configuration space, a multiple of 4 from 0x40 on. Default: the first that is free. */
  readonly at?: number;
  /** Called before bytes `offset` … `offset + width − 1` of the capability are read: it may refresh `bytes`. */
  onRead?(offset: number, width: AccessWidth): void;
  /** Called after the driver's write went into `bytes` under the mask. */
  onWrite?(offset: number, width: AccessWidth): void;
  /** Puts `bytes` back to the state after power-on, where the mask alone is not enough. */
  onReset?(): void;
}

/** What a function needs of the bus that it is plugged into. None of these may call back into a driver. */
export interface PciFunctionHost {
  /** The level of the function's INTx output changed. A level only: the platform decides when anyone hears of it. */
  interruptChanged(level: boolean): void;
  /** A BAR's address or decoding changed. */
  mappingChanged(): void;
  /** Memory write of an MSI or MSI-X message; `address` is a PCI address. */
  sendMessage(address: number, data: number): void;
}

/** A function on a bus. Configuration offsets are 0–255; accesses do not cross a 4-byte boundary. */
export interface PciFunction {
  readConfig(offset: number, width: AccessWidth): number;
  writeConfig(offset: number, width: AccessWidth, value: number): void;
  /** The BARs that exist. */
  readonly bars: readonly PciBar[];
  /** Pin 1–4 (INTA–INTD), 0 for none. */
  readonly interruptPin: number;
  /** Level of the INTx output now. */
  readonly interruptLevel: boolean;
  /** Plugs it into a bus; undefined unplugs it. */
  attach(host: PciFunctionHost | undefined): void;
  /** RST#: back to the state after power-on. */
  reset(): void;
}
