/** Synchronous transfers: what the chip can do, and which register values a period and an offset are. */
import type { SyncAgreement } from "./contract.js";

/** Shortest period that the driver asks for, in units of 4 ns: 100 ns, ten million transfers a second. */
export const shortestPeriod = 25;
/** Largest offset that the chip keeps. */
export const largestOffset = 8;

/** Register values of a transfer: SXFER, and SBCL's clock choice. Both 0 for asynchronous transfers. */
export interface SyncTiming {
  readonly sxfer: number;
  readonly clock: number;
}

/** Asynchronous. */
export const asynchronous: SyncTiming = { sxfer: 0, clock: 0 };

const nanoseconds = 4;
/** The transfer clock's period with SCLK of 50 MHz divided by 1, 1.5 and 2, and what SBCL has for it. */
const clocks = [
  { period: 20, choice: 1 },
  { period: 30, choice: 2 },
  { period: 40, choice: 3 },
] as const;
/** A transfer takes four clocks and up to seven more. */
const fixedClocks = 4;
const mostExtra = 7;

/** The fastest timing that is not faster than agreed; undefined when the period is longer than the chip's longest. */
export function timingOf({ period, offset }: SyncAgreement): SyncTiming | undefined {
  for (const { period: tick, choice } of clocks) {
    const extra = Math.max(0, Math.ceil((period * nanoseconds) / tick) - fixedClocks);
    if (extra <= mostExtra) return { sxfer: (extra << 4) | offset, clock: choice };
  }
  return undefined;
}
