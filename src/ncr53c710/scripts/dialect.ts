/** Where assemblers for this language differ. The quirks of other tools are data here. */

/** How an assembler writes what the language leaves open. */
export interface Dialect {
  /** A negative REL offset in DSPS: cut to 24 bits, or sign-extended to 32. The chip takes both. */
  readonly relativeOffsets: "masked" | "extended";
  /** Whether a table move has its offset in the command word's count too. */
  readonly tableOffset: "both" | "dsps";
  /** The command word of NOP. */
  readonly nop: number;
  /** A value that is too large for its field: an error, or or-ed into the word all the same. */
  readonly overflow: "error" | "or";
  /** A name without definition: an error, or a warning and 0. */
  readonly undefinedNames: "error" | "warning";
}

/** The dialects by name: ours, which is strict, and two that write what other tools write. */
export const dialects = {
  ringside: {
    relativeOffsets: "masked",
    tableOffset: "both",
    nop: 0x8000_0000,
    overflow: "error",
    undefinedNames: "error",
  },
  /** As NetBSD's and a4091-software's assembler writes. */
  ncr53cxxx: {
    relativeOffsets: "extended",
    tableOffset: "both",
    nop: 0x8000_0000,
    overflow: "or",
    undefinedNames: "warning",
  },
  /** As Linux's script_asm.pl writes. */
  script_asm: {
    relativeOffsets: "masked",
    tableOffset: "dsps",
    nop: 0x8088_0000,
    overflow: "error",
    undefinedNames: "error",
  },
} as const satisfies Record<string, Dialect>;

/** A dialect's name. */
export type DialectName = keyof typeof dialects;
