/** An assembled program as text or bytes: hexadecimal words, C arrays, TypeScript. */
import { instructionLength } from "./instruction-set.js";
import type { AssembledProgram } from "./program.js";

/** The textual forms. */
export const textFormats = ["hex", "ts", "c"] as const;

/** A textual form. */
export type TextFormat = (typeof textFormats)[number];

/** Eight hexadecimal digits. */
export function wordText(word: number): string {
  return word.toString(16).padStart(8, "0");
}

/** The program in one of the textual forms. `sourceName` is told to readers. */
export function programText(program: AssembledProgram, format: TextFormat, sourceName = "a source"): string {
  if (format === "hex") return hexText(program.words);
  return format === "ts" ? typeScript(program, sourceName) : cArrays(program, sourceName);
}

/** One instruction a line, as 32-bit words of eight digits. */
export function hexText(words: Uint32Array): string {
  let text = "";
  for (const { words: own } of instructions(words)) text += `${own.map(wordText).join(" ")}\n`;
  return text;
}

function* instructions(words: Uint32Array): Generator<{ offset: number; words: number[] }> {
  for (let index = 0; index < words.length; ) {
    const length = instructionLength(words[index]);
    yield { offset: index * 4, words: [...words.subarray(index, index + length)] };
    index += length;
  }
}

/** The arrays of a program: one, or one for each PROC. */
function procedures({
  procedures: named,
  words,
}: AssembledProgram): { name: string; from: number; words: Uint32Array }[] {
  const starts = named.length === 0 ? [{ name: "scripts", offset: 0 }] : [...named];
  // What comes before the first PROC belongs to it.
  return starts.map(({ name, offset }, index) => {
    const from = index === 0 ? 0 : offset;
    const end = starts[index + 1]?.offset ?? words.length * 4;
    return { name, from, words: words.subarray(from / 4, end / 4) };
  });
}

/** A name from a source as an identifier: assemblers allow dots. */
function identifier(name: string): string {
  return name.replaceAll(".", "_");
}

function safeComment(text: string): string {
  return text.replaceAll("*/", "* /").replaceAll(/[\r\n]/g, " ");
}

function arrayBody(words: Uint32Array, from: number, indent: string): string[] {
  return [...instructions(words)].map(({ offset, words: own }) => {
    const text = own.map((word) => `0x${wordText(word)},`).join(" ");
    return `${indent}${text.padEnd(36)} // ${(from + offset).toString(16).padStart(3, "0")}`;
  });
}

function indexList(values: readonly number[]): string {
  return values.map((value) => `0x${value.toString(16)}`).join(", ");
}

function typeScript(program: AssembledProgram, sourceName: string): string {
  const out = [`/** SCRIPTS assembled from ${safeComment(sourceName)}; do not edit. */`, ...program.passed, ""];
  for (const { name, from, words } of procedures(program)) {
    out.push(`/** Words of \`${name}\`. */`, `export const ${identifier(name)} = Uint32Array.of(`);
    out.push(...arrayBody(words, from, "  "), ");", "");
  }
  out.push("/** Values that the source defines. */", "export const values = {");
  for (const { kind, name, value } of program.symbols) {
    if (kind !== "external") out.push(`  ${quote(name)}: 0x${value.toString(16)},`);
  }
  out.push("} as const;", "", "/** Byte offsets of the entries. */", "export const entries = {");
  for (const [name, offset] of program.entries) out.push(`  ${quote(name)}: 0x${offset.toString(16)},`);
  out.push("} as const;", "", "/** Word indices where values and externals are used. */", "export const uses = {");
  for (const { name, uses } of program.symbols) {
    if (uses.length > 0) out.push(`  ${quote(name)}: [${indexList(uses)}],`);
  }
  out.push("} as const;", "", "/** Word indices to which the program's address is added. */");
  out.push(`export const labelPatches: readonly number[] = [${indexList(program.labelPatches)}];`);
  return `${out.join("\n")}\n`;
}

function quote(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name);
}

const prefixes = { absolute: "A", relative: "R", external: "E" } as const;

function cArrays(program: AssembledProgram, sourceName: string): string {
  const out = [
    `/* SCRIPTS assembled from ${safeComment(sourceName)}; do not edit. */`,
    "#include <stdint.h>",
    ...program.passed,
    "",
  ];
  for (const { name, from, words } of procedures(program)) {
    out.push(`const uint32_t ${identifier(name)}[] = {`, ...arrayBody(words, from, "\t"), "};", "");
  }
  for (const { kind, name, value, uses } of program.symbols) {
    const full = `${prefixes[kind]}_${identifier(name)}`;
    if (kind !== "external") out.push(`#define ${full}\t0x${wordText(value)}`);
    // An empty initializer is no C before C23.
    if (uses.length > 0) out.push(`static const uint32_t ${full}_Used[] = { ${indexList(uses)} };`);
  }
  for (const [name, offset] of program.entries) out.push(`#define Ent_${identifier(name)}\t0x${wordText(offset)}`);
  const { labelPatches, lines } = program;
  out.push("", `#define INSTRUCTIONS\t${lines.length}`, `#define PATCHES\t${labelPatches.length}`);
  if (labelPatches.length > 0) out.push(`static const uint32_t LABELPATCHES[] = { ${indexList(labelPatches)} };`);
  return `${out.join("\n")}\n`;
}
