/**
 * Assembler for SCRIPTS: the NCR language with the directives ARCH, ABSOLUTE, RELATIVE, EXTERNAL, ENTRY, PROC and PASS,
 * and one of our own, `WORD`, which takes words as they are. Two passes: lines are read and places given to labels, then
 * operands become words.
 */
import { type Diagnostic, Diagnostics, type SourcePlace, SourceProblem, TooManyProblems } from "./diagnostics.js";
import { type Dialect, dialects } from "./dialect.js";
import { type Encode, Encoder } from "./encoder.js";
import { type Expression, evaluate, parseDefinition, parseExpression } from "./expression.js";
import { type ChipName, type ChipTraits, chipNames, chips } from "./family.js";
import { tokenize } from "./lexer.js";
import type { AssembledLine, AssembledProgram } from "./program.js";
import { statements } from "./statements.js";
import { SymbolTable } from "./symbols.js";
import { TokenReader } from "./token-reader.js";

/** How to assemble; every field has a default. */
export interface AssembleOptions {
  /** Until the source says ARCH. Default the 53C710. */
  readonly chip?: ChipName;
  /** Default ours. */
  readonly dialect?: Dialect;
  /** Problems after which to stop. Default 50. */
  readonly problemLimit?: number;
  /** Words after which to stop. Default 1 Mi. */
  readonly wordLimit?: number;
}

/** What came of it: a program, unless there were errors. */
export interface AssembleResult {
  readonly program: AssembledProgram | undefined;
  readonly diagnostics: readonly Diagnostic[];
}

/** Assembles a source. Never throws for what is in it. */
export function assemble(source: string, options: AssembleOptions = {}): AssembleResult {
  const assembly = new Assembly(options);
  let program: AssembledProgram | undefined;
  try {
    program = assembly.run(source);
  } catch (error) {
    if (!(error instanceof TooManyProblems)) throw error;
  }
  return { program, diagnostics: assembly.diagnostics.sorted() };
}

const defaultProblemLimit = 50;
const defaultWordLimit = 1 << 20;
const keywords = new Set([
  ...statements.keys(),
  "ARCH",
  "ABSOLUTE",
  "RELATIVE",
  "EXTERN",
  "EXTERNAL",
  "ENTRY",
  "PASS",
  "PROC",
  "WORD",
]);

/** An instruction whose operands are not known yet. */
interface Pending extends SourcePlace {
  readonly chip: ChipTraits;
  readonly length: number;
  readonly encode: Encode;
}

class Assembly {
  readonly diagnostics: Diagnostics;
  readonly #dialect: Dialect;
  readonly #wordLimit: number;
  readonly #symbols = new SymbolTable();
  readonly #pending: Pending[] = [];
  readonly #procedures: { name: string; offset: number }[] = [];
  readonly #passed: string[] = [];
  #chip: ChipTraits;
  #words = 0;

  constructor(options: AssembleOptions) {
    this.diagnostics = new Diagnostics(options.problemLimit ?? defaultProblemLimit);
    this.#dialect = options.dialect ?? dialects.ringside;
    this.#wordLimit = options.wordLimit ?? defaultWordLimit;
    this.#chip = chips[options.chip ?? "710"];
  }

  run(source: string): AssembledProgram | undefined {
    const sourceLines = source.split("\n");
    for (const [index, text] of sourceLines.entries()) {
      this.diagnostics.guard(() => this.#readLine(text, index + 1));
      if (this.#words > this.#wordLimit) {
        this.diagnostics.add("error", { line: index + 1, column: 1 }, `expected at most ${this.#wordLimit} words`);
        return undefined;
      }
    }
    return this.#encode(sourceLines);
  }

  #readLine(text: string, line: number): void {
    const pass = /^\s*PASS\b\s*\(?(.*?)\)?\s*$/i.exec(text);
    if (pass !== null) {
      this.#passed.push(pass[1].replace(/^(["'])(.*)\1$/, "$2"));
      return;
    }
    const reader = new TokenReader(tokenize(text, line));
    while (reader.next.kind === "name" && reader.peek(1).text === ":") {
      const { text: name, line: at, column } = reader.take();
      reader.take();
      this.#symbols.label(name, this.#words * 4, { line: at, column });
    }
    const { kind, upper, column } = reader.next;
    if (kind === "end") return;
    if (kind !== "name") reader.fail("a label, a directive or an instruction");
    const parse = statements.get(upper);
    if (parse !== undefined) {
      reader.take();
      const { length, encode } = parse(reader, this.#chip);
      reader.end();
      this.#add({ line, column, length, encode });
      return;
    }
    if (!keywords.has(upper)) reader.fail("a label with a colon, a directive or an instruction");
    reader.take();
    this.#readDirective(upper, reader);
    reader.end();
  }

  #readDirective(keyword: string, reader: TokenReader): void {
    switch (keyword) {
      case "ARCH":
        this.#readArch(reader);
        return;
      case "ABSOLUTE":
        this.#readDefinitions(reader, "absolute");
        return;
      case "RELATIVE":
        this.#readDefinitions(reader, "relative");
        return;
      case "ENTRY":
        list(reader, "a label", ({ text, line, column }) => {
          if (!this.#symbols.entries.has(text)) this.#symbols.entries.set(text, { line, column });
        });
        return;
      case "PROC": {
        const { text } = reader.name("a name for the program");
        reader.accept(":");
        this.#procedures.push({ name: text, offset: this.#words * 4 });
        return;
      }
      case "WORD":
        this.#readWords(reader);
        return;
      default:
        list(reader, "a name", (name) => this.#symbols.define("external", name.text, 0, name));
    }
  }

  #readArch(reader: TokenReader): void {
    const { text } = reader.next;
    const chip = chipNames.find((name) => name === text);
    if (chip === undefined) reader.fail(`one of ${chipNames.join(", ")}`);
    reader.take();
    this.#chip = chips[chip];
  }

  /** `ABSOLUTE a = 1, b = 2`; `RELATIVE base a = 1, b = 2`. */
  #readDefinitions(reader: TokenReader, kind: "absolute" | "relative"): void {
    let base: string | undefined;
    if (kind === "relative" && reader.next.kind === "name" && reader.peek(1).kind === "name") base = reader.take().text;
    do {
      const name = reader.name("a name to define");
      reader.expect("=");
      const value = this.#constant(parseDefinition(reader, "a value"));
      this.#symbols.define(kind, name.text, value, name, base);
    } while (reader.accept(",") || (kind === "relative" && reader.next.kind === "name"));
  }

  #readWords(reader: TokenReader): void {
    const values: Expression[] = [];
    const { line, column } = reader.next;
    do values.push(parseExpression(reader, "a word"));
    while (reader.accept(","));
    const encode: Encode = (encoder) => {
      for (const value of values) encoder.emit(encoder.address(value, 0));
    };
    this.#add({ line, column, length: values.length, encode });
  }

  #add(instruction: Omit<Pending, "chip">): void {
    this.#pending.push({ ...instruction, chip: this.#chip });
    this.#words += instruction.length;
  }

  /** The value of a definition, which must be known already. */
  #constant(expression: Expression): number {
    const lenient = this.#dialect.undefinedNames === "warning" ? this.diagnostics : undefined;
    const value = evaluate(expression, (name, place) => {
      const found = this.#symbols.lookup(name, place, -1, lenient);
      if (found.labels === 0 && found.external === undefined) return found;
      throw new SourceProblem(place, `expected a constant, "${name}" is a label or external`);
    });
    return value.value >>> 0;
  }

  #encode(sourceLines: readonly string[]): AssembledProgram | undefined {
    const encoder = new Encoder(this.#chip, this.#dialect, this.#symbols, this.diagnostics);
    const lines: AssembledLine[] = [];
    for (const { line, column, length, chip, encode } of this.#pending) {
      const offset = encoder.words.length;
      encoder.chip = chip;
      this.diagnostics.guard(() => encode(encoder));
      // After a problem the places of what follows stay right.
      while (encoder.words.length < offset + length) encoder.emit(0);
      lines.push({ line, column, offset: offset * 4, length });
    }
    const entries = new Map<string, number>();
    for (const [name, place] of this.#symbols.entries) {
      const label = this.#symbols.labels.get(name);
      if (label !== undefined) entries.set(name, label.offset);
      else this.diagnostics.guard(() => missingEntry(name, place));
    }
    if (this.diagnostics.errors > 0) return undefined;
    const { defined, labels } = this.#symbols;
    return {
      chip: this.#chip,
      words: Uint32Array.from(encoder.words),
      lines,
      sourceLines,
      symbols: [...defined.values()],
      labels: [...labels.values()],
      entries,
      labelPatches: encoder.labelPatches,
      procedures: this.#procedures,
      passed: this.#passed,
    };
  }
}

function missingEntry(name: string, place: SourcePlace): never {
  throw new SourceProblem(place, `expected a label named "${name}" for this ENTRY, there is none`);
}

function list(reader: TokenReader, what: string, take: (name: ReturnType<TokenReader["take"]>) => void): void {
  do take(reader.name(what));
  while (reader.accept(","));
}
