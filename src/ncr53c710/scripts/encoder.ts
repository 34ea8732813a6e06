/** Turns the operands of one instruction into words, and notes what has to be patched when the program is placed. */
import { type Diagnostics, type SourcePlace, SourceProblem } from "./diagnostics.js";
import type { Dialect } from "./dialect.js";
import { type Expression, evaluate, type Value } from "./expression.js";
import type { ChipTraits } from "./family.js";
import type { SymbolTable } from "./symbols.js";

/** An address operand: absolute, or relative to the next instruction. */
export interface Target {
  readonly expression: Expression;
  /** REL follows the dialect; REL24 and REL32 say how a negative offset is written. */
  readonly relative: "no" | "dialect" | "masked" | "extended";
}

/** Makes the words of one instruction. */
export type Encode = (encoder: Encoder) => void;

export class Encoder {
  /** Of the instruction at hand: ARCH may change it. */
  chip: ChipTraits;
  readonly dialect: Dialect;
  readonly words: number[] = [];
  /** Word indices to which the load address has to be added. */
  readonly labelPatches: number[] = [];
  readonly #symbols: SymbolTable;
  readonly #diagnostics: Diagnostics;

  constructor(chip: ChipTraits, dialect: Dialect, symbols: SymbolTable, diagnostics: Diagnostics) {
    this.chip = chip;
    this.dialect = dialect;
    this.#symbols = symbols;
    this.#diagnostics = diagnostics;
  }

  /** Appends words. */
  emit(...words: readonly number[]): void {
    for (const word of words) this.words.push(word >>> 0);
  }

  /**
   * A field of `bits` bits of the word `ahead` of the next one. Negative values are taken where `signed`.
   * @throws SourceProblem when it is no constant or does not fit.
   */
  field(
    expression: Expression,
    bits: number,
    what: string,
    options: { ahead?: number; signed?: boolean } = {},
  ): number {
    const value = this.#evaluate(expression, options.ahead ?? 0);
    if (value.labels !== 0 || value.external !== undefined) {
      throw new SourceProblem(expression.place, `expected a constant as ${what}`);
    }
    const least = options.signed ? -(2 ** (bits - 1)) : 0;
    const most = 2 ** bits - 1;
    if (value.value >= least && value.value <= most) return value.value < 0 ? (value.value & most) >>> 0 : value.value;
    if (this.dialect.overflow === "or") {
      this.#diagnostics.add("warning", expression.place, `${what} does not fit into ${bits} bits: or-ed into the word`);
      return value.value >>> 0;
    }
    throw new SourceProblem(
      expression.place,
      `expected ${what} within ${least}…0x${most.toString(16)}, found ${value.value}`,
    );
  }

  /** 32 bits that may be relative to where the program is put, for the word `ahead` of the next one. */
  address(expression: Expression, ahead = 1): number {
    const value = this.#evaluate(expression, ahead);
    if (value.labels === 1) this.labelPatches.push(this.words.length + ahead);
    else if (value.labels !== 0) {
      throw new SourceProblem(expression.place, "expected an address: one label, with numbers added to it");
    }
    return value.value >>> 0;
  }

  /** An address operand as DSPS has it. `length` is that of the instruction in words. */
  target(target: Target, length = 2): number {
    if (target.relative === "no") return this.address(target.expression);
    const { place } = target.expression;
    const value = this.#evaluate(target.expression, 1);
    if (value.external !== undefined || value.labels > 1 || value.labels < 0) {
      throw new SourceProblem(place, "expected a place in this program in REL(…)");
    }
    const offset = value.value - (this.words.length + length) * 4;
    if (offset < -0x80_0000 || offset > 0x7f_ffff) {
      throw new SourceProblem(place, `expected a place within 8 MiB, this one is ${offset} bytes away`);
    }
    const style = target.relative === "dialect" ? this.dialect.relativeOffsets : target.relative;
    return style === "masked" ? offset & 0xff_ffff : offset >>> 0;
  }

  /** @throws SourceProblem unless the chip has what `has` tells. */
  require(has: boolean, what: string, place: SourcePlace): void {
    if (!has) throw new SourceProblem(place, `the 53C${this.chip.name} has no ${what}: say ARCH of a chip that has`);
  }

  #evaluate(expression: Expression, ahead: number): Value {
    const word = this.words.length + ahead;
    const lenient = this.dialect.undefinedNames === "warning" ? this.#diagnostics : undefined;
    return evaluate(expression, (name, place) => this.#symbols.lookup(name, place, word, lenient));
  }
}
