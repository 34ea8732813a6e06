/** The names of a program: constants, relatives, externals and labels, and where each is used. */
import type { Diagnostics, SourcePlace } from "./diagnostics.js";
import { SourceProblem } from "./diagnostics.js";
import { constant, type Value } from "./expression.js";

/** What `ABSOLUTE`, `RELATIVE` or `EXTERNAL` defined. */
export interface DefinedSymbol {
  readonly kind: "absolute" | "relative" | "external";
  readonly name: string;
  /** 0 for an external. */
  readonly value: number;
  /** Of a relative: the buffer that it is an offset in, if it was named. */
  readonly base: string | undefined;
  /** Word indices where it is used, ascending. */
  readonly uses: number[];
}

/** A place in the program. */
export interface Label extends SourcePlace {
  readonly name: string;
  /** Byte offset from the program's start. */
  readonly offset: number;
}

/** All names of one source. */
export class SymbolTable {
  readonly defined = new Map<string, DefinedSymbol>();
  readonly labels = new Map<string, Label>();
  /** Names that `ENTRY` asked for, with the place where. */
  readonly entries = new Map<string, SourcePlace>();

  /** @throws SourceProblem when the name is taken. */
  define(kind: DefinedSymbol["kind"], name: string, value: number, place: SourcePlace, base?: string): void {
    this.#checkFree(name, place);
    this.defined.set(name, { kind, name, value, base, uses: [] });
  }

  /** @throws SourceProblem when the name is taken. */
  label(name: string, offset: number, place: SourcePlace): void {
    this.#checkFree(name, place);
    this.labels.set(name, { name, offset, line: place.line, column: place.column });
  }

  /**
   * What a name is worth, noting that word `word` uses it. An undefined name is a problem, or a warning and 0 where
   * `lenient` is given.
   */
  lookup(name: string, place: SourcePlace, word: number, lenient: Diagnostics | undefined): Value {
    const symbol = this.defined.get(name);
    if (symbol !== undefined) {
      if (word >= 0 && symbol.uses.at(-1) !== word) symbol.uses.push(word);
      if (symbol.kind === "external") return { value: 0, labels: 0, external: name };
      return constant(symbol.value);
    }
    const label = this.labels.get(name);
    if (label !== undefined) return { value: label.offset, labels: 1, external: undefined };
    if (lenient === undefined) throw new SourceProblem(place, `expected a name that is defined, "${name}" is not`);
    lenient.add("warning", place, `"${name}" is not defined: taken as 0`);
    return constant(0);
  }

  #checkFree(name: string, place: SourcePlace): void {
    const label = this.labels.get(name);
    if (label !== undefined) {
      throw new SourceProblem(place, `expected a new name, "${name}" is a label in line ${label.line}`);
    }
    const symbol = this.defined.get(name);
    if (symbol !== undefined) throw new SourceProblem(place, `expected a new name, "${name}" is defined already`);
  }
}
