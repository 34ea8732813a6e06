/** What the face needs of a machine: every `Machine` has it. */
import type { Endianness, RegisterWindow } from "../../../bytes/index.js";
import type { DmaMemory, GuestMemory } from "../../../memory/index.js";
import type { PciFunctionHandle } from "../../../pci/index.js";

/** A machine with PCI, as far as this driver looks at it. */
export interface AmigaMachine {
  readonly board: { readonly name: string; readonly endianness: Endianness };
  readonly memorySpace: RegisterWindow;
  readonly memory: GuestMemory;
  readonly dma: DmaMemory;
  readonly interrupts: {
    attachLine(place: { bridge: number; bus: number; slot: number; pin: number }, handler: () => void): () => void;
    attachMessage?(handler: () => void): { address: number; data: number; detach: () => void };
  };
  /** Lets devices and interrupts make progress for up to so many milliseconds; less after an interrupt. */
  idle(milliseconds: number): Promise<void>;
}

/** A PCI function that enumeration found: a `FoundPciAdapter` fits. */
export interface AmigaAdapter {
  readonly fn: PciFunctionHandle;
}

/** The PCI ids of virtio-scsi, 1.1 of the reference. */
export const virtioScsiIds = { transitional: 0x1004, modern: 0x1048 } as const;

/**
 * Controllers in the order in which a driver takes them. Version 1.5 looks for modern ones first and transitional ones
 * then, version 1.8 the other way round.
 */
export function controllersInOrder(
  adapters: readonly AmigaAdapter[],
  order: "modern-first" | "transitional-first",
): AmigaAdapter[] {
  const { modern, transitional } = virtioScsiIds;
  const ids = order === "modern-first" ? [modern, transitional] : [transitional, modern];
  return ids.flatMap((id) => adapters.filter(({ fn }) => fn.vendorId === 0x1af4 && fn.deviceId === id));
}
