/** `ringside scripts assemble` and `disassemble`: files in, files out. */
import { writeFileSync } from "node:fs";
import {
  type AssembledProgram,
  assemble,
  type ChipName,
  type DialectName,
  dialects,
  disassemble,
  formatDiagnostic,
  listing,
  programText,
  readWords,
  type TextFormat,
  WordsError,
  wordsToBytes,
} from "../ncr53c710/index.js";
import { Interrupted, UsageError, WorkFailed } from "./errors.js";
import { readInputFile } from "./input-file.js";
import type { Interruption } from "./interruption.js";
import { writeOutput } from "./output.js";
import { printable } from "./table.js";

/** Options of assembling as the command line gives them. */
export interface SourceOptions {
  readonly arch: ChipName;
  readonly dialect: DialectName;
}

const largestSource = 16 << 20;

function nameOf(path: string): string {
  return path === "-" ? "standard input" : path;
}

/** A file's bytes; `-` is standard input. @throws UsageError, Interrupted */
export async function readScriptsFile(path: string, interruption: Interruption): Promise<Uint8Array> {
  try {
    return await readInputFile(path === "-" ? undefined : path, largestSource, interruption);
  } catch (cause) {
    if (cause instanceof UsageError || cause instanceof Interrupted) throw cause;
    const { code } = cause as NodeJS.ErrnoException;
    throw new UsageError(`${nameOf(path)} cannot be read (${code}): give a file that exists`, { cause });
  }
}

/** Assembles a source, telling its problems on standard error. @throws WorkFailed */
export function assembleSource(path: string, bytes: Uint8Array, options: SourceOptions): AssembledProgram {
  const source = new TextDecoder().decode(bytes);
  const name = nameOf(path);
  const { program, diagnostics } = assemble(source, { chip: options.arch, dialect: dialects[options.dialect] });
  if (diagnostics.length > 0) {
    const lines = diagnostics.map((diagnostic) => printable(formatDiagnostic(diagnostic, name)));
    process.stderr.write(`${lines.join("\n")}\n`);
  }
  if (program !== undefined) return program;
  const errors = diagnostics.filter(({ severity }) => severity === "error").length;
  throw new WorkFailed(`${name} was not assembled: ${errors} ${errors === 1 ? "error" : "errors"}`);
}

/** @throws WorkFailed, UsageError */
export async function assembleFile(
  path: string,
  options: SourceOptions & {
    readonly format: TextFormat | "binary";
    readonly output?: string;
    readonly listing?: string;
  },
  interruption: Interruption,
): Promise<void> {
  const program = assembleSource(path, await readScriptsFile(path, interruption), options);
  if (options.listing !== undefined) writeFile(options.listing, listing(program));
  const { format } = options;
  const result = format === "binary" ? wordsToBytes(program.words) : programText(program, format, path);
  await emit(options.output, result);
}

/** @throws WorkFailed, UsageError */
export async function disassembleFile(
  path: string,
  options: { readonly arch: ChipName; readonly output?: string },
  interruption: Interruption,
): Promise<void> {
  const bytes = await readScriptsFile(path, interruption);
  let words: Uint32Array;
  try {
    words = readWords(bytes);
  } catch (error) {
    if (error instanceof WordsError) throw new WorkFailed(`${nameOf(path)}: ${error.message}`, { cause: error });
    throw error;
  }
  await emit(options.output, disassemble(words, { chip: options.arch }));
}

async function emit(output: string | undefined, data: string | Uint8Array): Promise<void> {
  if (output === undefined || output === "-") await writeOutput(data);
  else writeFile(output, data);
}

function writeFile(path: string, data: string | Uint8Array): void {
  try {
    writeFileSync(path, data);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new WorkFailed(`${path} cannot be written (${code}): give another file`, { cause });
  }
}
