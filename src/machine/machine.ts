/**
 * A running machine as its drivers see it, whoever gives it: our device halves in this process, QEMU, an emulator.
 */
import type { RegisterWindow } from "../bytes/index.js";
import type { DmaMemory, GuestMemory } from "../memory/index.js";
import type { OnboardScsi } from "../os/index.js";
import type { ZorroInterrupt } from "../zorro/index.js";
import type { Board } from "./board.js";

/** Interrupts as a driver gets them. The platform decides when; never from inside a register access. */
export interface Interrupts {
  /** Calls `handler` while a PCI function's INTx line is raised. Returns the way to stop. */
  attachLine(place: { bridge: number; bus: number; slot: number; pin: number }, handler: () => void): () => void;
  /** The same for an input of the board's interrupt controller. Undefined on boards without virtio-mmio. */
  attachInput?(irq: number, handler: () => void): () => void;
  /** The same for an interrupt line of a Zorro bus, which all its boards share. Undefined on boards without one. */
  attachZorro?(line: ZorroInterrupt, handler: () => void): () => void;
  /**
   * A message for one MSI-X vector: the device writes `data` to `address`, then `handler` is called. Undefined where
   * the board has no message interrupts.
   */
  attachMessage?(handler: () => void): { address: number; data: number; detach: () => void };
}

export interface Machine {
  readonly board: Board;
  /** The processor's physical address space. Values are as the PCI device defines them (little-endian registers). */
  readonly memorySpace: RegisterWindow;
  /** Port I/O, where the processor has it. */
  readonly portSpace: RegisterWindow | undefined;
  readonly memory: GuestMemory;
  readonly dma: DmaMemory;
  readonly interrupts: Interrupts;
  /** The Amiga 3000's own SCSI, where the platform has it and units are behind it. */
  readonly onboardScsi?: OnboardScsi | undefined;
  /**
   * Lets the platform's devices and interrupts make progress for up to `milliseconds`; resolves earlier when an
   * interrupt was delivered.
   */
  idle(milliseconds: number): Promise<void>;
  close(): Promise<void>;
}
