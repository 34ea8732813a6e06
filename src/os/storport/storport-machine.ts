/** What the face needs of a machine: every `Machine` has it. */
import type { Endianness, RegisterWindow } from "../../bytes/index.js";
import type { DmaMemory, GuestMemory } from "../../memory/index.js";
import type { PciFunctionHandle } from "../../pci/index.js";

/** A machine with PCI, as far as this driver looks at it. */
export interface StorportMachine {
  readonly board: { readonly name: string; readonly endianness: Endianness };
  readonly memory: GuestMemory;
  readonly dma: DmaMemory;
  readonly portSpace: RegisterWindow | undefined;
  readonly interrupts: {
    attachLine(place: { bridge: number; bus: number; slot: number; pin: number }, handler: () => void): () => void;
    attachMessage?(handler: () => void): { address: number; data: number; detach: () => void };
  };
}

/** Where the adapter is: a `FoundPciAdapter` fits. */
export interface StorportAdapter {
  readonly fn: PciFunctionHandle;
}
