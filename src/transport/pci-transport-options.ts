import type { Endianness } from "../bytes/index.js";
import type { DmaMemory, GuestMemory } from "../memory/index.js";
import type { Observer } from "../observe/index.js";
import type { FunctionInterrupts, InterruptPreference } from "./pci-interrupts.js";

/** What the driver half of a virtio PCI device is opened with. */
export interface PciTransportOptions {
  memory: GuestMemory;
  dma: DmaMemory;
  interrupts: FunctionInterrupts;
  /** The processor's byte order: that of a legacy device's rings and configuration. */
  guestEndianness: Endianness;
  /** Interrupts to try first. Default MSI-X. */
  prefer?: InterruptPreference | undefined;
  /** Register interface to use. Default `auto`: modern where the device has it. */
  registers?: "auto" | "legacy" | "modern" | undefined;
  observer?: Observer | undefined;
}
