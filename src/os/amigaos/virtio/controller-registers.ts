/** A controller's registers as version 1.5 uses them, in the order in which it does: a trace of them is a test vector. */
import type { Endianness } from "../../../bytes/index.js";
import type { RingBlock } from "./ring-block.js";

/** What bringing a controller up needs. */
export interface BringUp {
  /** Features of the first word that are taken when offered. */
  readonly features: number;
  /** Memory for the ring of a queue, ready to be used: the features of the first word are agreed on. */
  readonly ring: (queue: number, size: number, features: number) => RingBlock;
  /** A line for the debug console. */
  readonly debug: (text: string) => void;
}

/** What was agreed on. */
export interface BroughtUp {
  /** Features of the first word. */
  readonly features: number;
  readonly isVersion1: boolean;
}

/** One controller. */
export interface ControllerRegisters {
  readonly kind: "pci-legacy" | "pci-modern";
  /** Byte order of rings and structures. */
  readonly endianness: Endianness;
  /** The handshake, 2.1 or 2.2 of the reference. Undefined: the device refused and was told FAILED. */
  bringUp(how: BringUp): BroughtUp | undefined;
  notify(queue: number): void;
  /** Reading acknowledges. */
  readIsr(): number;
  /** Writes 0 to the status. @returns whether it reads 0 then. */
  reset(): boolean;
}

/** Queues that are set up: control, event, requests. */
export const queueCount = 3;
/** The only one that is used. */
export const requestQueue = 2;
