/** An assembled program: words, and what is needed to place it in memory and to read about it. */
import type { ChipTraits } from "./family.js";
import type { DefinedSymbol, Label } from "./symbols.js";

/** Where the words of one source line are. */
export interface AssembledLine {
  /** From 1. */
  readonly line: number;
  readonly column: number;
  /** Bytes from the program's start. */
  readonly offset: number;
  /** Words. */
  readonly length: number;
}

/** What the assembler makes of a source. */
export interface AssembledProgram {
  /** The chip of the last ARCH. */
  readonly chip: ChipTraits;
  readonly words: Uint32Array;
  /** One for each instruction or WORD. */
  readonly lines: readonly AssembledLine[];
  readonly sourceLines: readonly string[];
  readonly symbols: readonly DefinedSymbol[];
  readonly labels: readonly Label[];
  /** Byte offsets of the labels that ENTRY names. */
  readonly entries: ReadonlyMap<string, number>;
  /** Indices of words that hold an offset from the program's start and need its address added. */
  readonly labelPatches: readonly number[];
  /** Names that PROC gave, with the byte offset where each begins. */
  readonly procedures: readonly { readonly name: string; readonly offset: number }[];
  /** Texts of PASS. */
  readonly passed: readonly string[];
}

/**
 * The words as they have to be when the program starts at `address`: labels are patched, and externals where `externals`
 * gives their values.
 */
export function placeProgram(
  program: AssembledProgram,
  address: number,
  externals: Readonly<Record<string, number>> = {},
): Uint32Array {
  const words = program.words.slice();
  for (const index of program.labelPatches) words[index] += address;
  for (const { kind, name, uses } of program.symbols) {
    if (kind === "external") for (const index of uses) words[index] += externals[name] ?? 0;
  }
  return words;
}

/** Words as bytes, as a big-endian machine has them in memory. */
export function wordsToBytes(words: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(words.length * 4);
  const view = new DataView(bytes.buffer);
  for (const [index, word] of words.entries()) view.setUint32(index * 4, word);
  return bytes;
}

/** Bytes as words; a rest of one to three bytes is filled with zeros. */
export function bytesToWords(bytes: Uint8Array): Uint32Array {
  const padded = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
  padded.set(bytes);
  const view = new DataView(padded.buffer);
  return Uint32Array.from({ length: padded.length / 4 }, (_, index) => view.getUint32(index * 4));
}
