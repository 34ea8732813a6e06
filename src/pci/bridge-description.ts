/**
 * A PCI host bridge as data: where its registers and windows are. Drivers work from this alone; the `embedded`
 * platform builds the device half from it.
 */

/** In which address space of the processor something lies. */
export type ProcessorSpace = "memory" | "port";

/** Where configuration mechanism #1 (PCI 3.0 §3.2.2.3.2) has its two registers. Both are little-endian. */
export interface ConfigMechanism {
  readonly space: ProcessorSpace;
  /** CONFIG_ADDRESS, 32 bits. */
  readonly addressRegister: number;
  /** CONFIG_DATA, 4 bytes that take accesses of any width. */
  readonly dataRegister: number;
}

/** A range of processor addresses that the bridge turns into PCI addresses. */
export interface BridgeWindow {
  /** Processor space that the window is seen in. */
  readonly space: ProcessorSpace;
  /** First processor address. */
  readonly cpuBase: number;
  /** First PCI address. */
  readonly pciBase: number;
  readonly size: number;
  /** PCI addresses from which BARs are assigned when no firmware did: `pciBase` … unless said otherwise. */
  readonly assign?: { readonly base: number; readonly size: number };
}

/** Where software finds the bridge's interrupt lines, besides taking the interrupt. */
export type InterruptSense =
  /** PIIX3: one routing register a line in configuration space, with the ISA interrupt's number (0x80: off). */
  | { readonly kind: "piix3"; readonly slot: number; readonly function: number; readonly routing: number }
  /** The lines are wired to inputs of the I/O APIC, from `firstInput` on (ICH9: PIRQA–H at 16–23). */
  | { readonly kind: "ioapic"; readonly firstInput: number }
  /** MV64361: the levels are bits of the general-purpose pins' value register, from `firstBit` on. */
  | { readonly kind: "mv64361"; readonly valueRegister: number; readonly firstBit: number };

/** How INTx pins become the bridge's interrupt lines: line = (slot + pin − 1 + `offset`) mod `lines`. */
export interface InterruptRouting {
  readonly lines: number;
  readonly offset: number;
  readonly sense?: InterruptSense;
}

/** A BAR of an on-board function; nothing answers behind it. */
export interface OnboardBar {
  readonly kind: "io" | "memory32";
  readonly size: number;
}

/** A function that the board itself has, as far as an enumeration sees it. */
export interface OnboardFunction {
  readonly slot: number;
  readonly function: number;
  readonly name: string;
  readonly vendorId: number;
  readonly deviceId: number;
  readonly revision: number;
  readonly classCode: number;
  readonly subsystemVendorId?: number;
  readonly subsystemId?: number;
  readonly interruptPin?: number;
  readonly multiFunction?: boolean;
  readonly bars?: readonly (OnboardBar | undefined)[];
  /** Bytes of configuration space that read differently after power-on, by offset. */
  readonly initial?: Readonly<Record<number, number>>;
  /** Write masks that differ from the usual ones, by offset. */
  readonly writable?: Readonly<Record<number, number>>;
}

/** The host bridges that there are. */
export type BridgeKind = "articia" | "mv64361" | "i440fx" | "q35";

export interface BridgeDescription {
  readonly kind: BridgeKind;
  /** For people: `PCI1 of the MV64361`. */
  readonly name: string;
  /** Number of the bus behind it, as configuration addresses name it. */
  readonly bus: number;
  readonly config: ConfigMechanism;
  /** Windows to PCI memory space; BARs are assigned from the first one that has room. */
  readonly memory: readonly BridgeWindow[];
  /** Windows to PCI I/O space. */
  readonly io: readonly BridgeWindow[];
  readonly interrupts: InterruptRouting;
  /** Memory writes of functions can be interrupts (MSI-X) on this board. */
  readonly messageInterrupts: boolean;
  /** What the board has on this bus, the bridge's own function included. */
  readonly onboard: readonly OnboardFunction[];
  /** MV64361 only: which of its two PCI units, and where the chip's registers are. */
  readonly unit?: { readonly index: 0 | 1; readonly registers: number };
}
