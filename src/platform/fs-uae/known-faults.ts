/**
 * What fs-uae 3.1.66 does otherwise than a 53C710: masks for {@link compareOn} with the right chip first and fs-uae
 * second. What the right chip may do either way (SCID after a reset, TEMP and DSA after a memory move) is set there
 * instead: 80h and "preserved".
 */
import type { NamedMask, SeenAtStep } from "./compare.js";
import type { RegisterName } from "./sequence.js";

/** DCMD of a block move in a data phase: the only ones for which its counters count. */
function isNoDataMove({ DCMD }: SeenAtStep): boolean {
  return typeof DCMD !== "number" || (DCMD & 0xc0) !== 0 || (DCMD & 0x07) > 1;
}

/** A step without DSP is about registers alone; after a script DCMD, DSPS, SDID and LCRC are compared. */
function isIdle({ DSP }: SeenAtStep): boolean {
  return DSP === undefined;
}

/** Every fault that shows in a register, by name. */
export const fsUaeFaults = {
  phaseForgotten: {
    name: "the latched phase is forgotten when the target leaves the bus",
    what: ["SSTAT2"],
    bits: 0x07,
  },
  phaseForgottenLong: {
    name: "the latched phase is forgotten when the target leaves the bus",
    what: ["long 0C"],
    bits: 0x0700_0000,
  },
  arbitrationStays: { name: "WOA stays set after the selection", what: ["SSTAT1"], bits: 0x04 },
  arbitrationStaysLong: { name: "WOA stays set after the selection", what: ["long 0C"], bits: 0x0004_0000 },
  parityNotShown: { name: "parity, latched and live, is not shown", what: ["long 0C"], bits: 0x0801_0000 },
  directionNotSet: { name: "CTEST5.DDIR does not reach CTEST0", what: ["CTEST0"], bits: 0x01 },
  neverConnected: { name: "ISTAT.CON is never set", what: ["ISTAT"], bits: 0x08 },
  linesNotShown: { name: "SBCL does not show BSY, and ATN stays", what: ["SBCL"], bits: 0x28 },
  countKept: {
    name: "DBC is the count of the last block move, and only those of data are counted down",
    what: ["DBC"],
    when: isNoDataMove,
  },
  addressKept: {
    name: "DNAD takes the address of I/O instructions, and counts in data phases only",
    what: ["DNAD"],
    when: isNoDataMove,
  },
  noFifoCount: { name: "DFIFO is always 0", what: ["DFIFO"], bits: 0x7f },
  fifosClosed: { name: "the FIFO ports are plain registers", what: ["CTEST1", "CTEST3", "CTEST6"] },
  hiddenRegisters: {
    name: "SFBR, SODL, SOCL, SBDL and DIEN read as 0",
    what: ["SFBR", "SODL", "SOCL", "SBDL", "DIEN"],
  },
  writesIgnored: {
    name: "DCMD, DSPS, SDID and LCRC cannot be written",
    what: ["DCMD", "DSPS", "SDID", "LCRC"],
    when: isIdle,
  },
  connectionWritten: { name: "SCNTL1.CON and bits that read 0 can be written", what: ["SCNTL1"], bits: 0x13 },
  reservedWritten: { name: "bits of CTEST0 that read 0 can be written", what: ["CTEST0"], bits: 0x82 },
  adjustStays: { name: "CTEST5.ADCK and BBCK do nothing and stay set", what: ["CTEST5"], bits: 0xc0 },
  revisionWritten: {
    name: "the revision in CTEST8 can be written over, CLF stays set and FLF does not",
    what: ["CTEST8"],
    bits: 0xdc,
  },
  clockLost: { name: "one bit of DCNTL.CF cannot be set", what: ["DCNTL"], bits: 0x40 },
} as const satisfies Readonly<Record<string, NamedMask>>;

/** All of them, for {@link compareOn}. */
export const fsUaeMasks: readonly NamedMask[] = Object.values(fsUaeFaults);

/** For what is read between a chip reset and the first write or read of DSTAT only. */
export const fsUaeMasksAfterReset: readonly NamedMask[] = [
  // DFE counts as a cause there.
  { name: "DIP is set after a reset until DSTAT is read", what: ["ISTAT"], bits: 0x01 },
  {
    name: "a reset leaves CTEST0, CTEST3, CTEST6, CTEST7, CTEST8, DWT, LCRC and SFBR",
    what: ["CTEST0", "CTEST3", "CTEST6", "CTEST7", "CTEST8", "DWT", "LCRC"],
  },
];

/**
 * What ends the emulator and so must not be in a sequence for it: it takes these for its own faults.
 * Besides them: a chip reset while a command is under way, and messages that it does not know.
 */
export const fsUaeDeadlyBits: Readonly<Partial<Record<RegisterName, number>>> = { SCNTL0: 0x20, SCNTL1: 0x40 };

/** Whether a step that writes `value` would end it. */
export function endsFsUae(register: RegisterName, value: number): boolean {
  return ((fsUaeDeadlyBits[register] ?? 0) & value) !== 0;
}
