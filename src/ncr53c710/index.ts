/** The NCR 53C710 SCSI I/O processor: SCRIPTS tools, the chip's device half, and the A4091 board that carries it. */
export * from "./registers.js";
export * from "./scripts/assembler.js";
export * from "./scripts/diagnostics.js";
export * from "./scripts/dialect.js";
export * from "./scripts/disassembler.js";
export * from "./scripts/family.js";
export * from "./scripts/instruction-set.js";
export * from "./scripts/listing.js";
export * from "./scripts/output.js";
export * from "./scripts/program.js";
export * from "./scripts/read-words.js";
export type { DefinedSymbol, Label } from "./scripts/symbols.js";
