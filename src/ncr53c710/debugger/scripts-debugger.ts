/** A debugger for SCRIPTS: breakpoints, steps, registers, trace. It looks without the side effects that a host has. */
import type { Ncr53c710 } from "../chip/chip.js";
import { longRegisters, Reg } from "../registers.js";
import { disassembleInstruction } from "../scripts/disassembler.js";
import { describeStop } from "./describe-stop.js";

/** One instruction about to be carried out. */
export interface TracedInstruction {
  readonly address: number;
  /** Its words, two or three. */
  readonly words: readonly number[];
  readonly text: string;
}

/** How a debugger is made. */
export interface DebuggerOptions {
  /** A name for an address, for the texts. */
  readonly nameOf?: (address: number) => string | undefined;
  /** Told of every instruction before it is carried out. */
  readonly trace?: (instruction: TracedInstruction) => void;
}

export class ScriptsDebugger {
  /** Addresses before which SCRIPTS are held. */
  readonly breakpoints = new Set<number>();
  readonly #chip: Ncr53c710;
  readonly #options: DebuggerOptions;
  /** Instructions that may still start before SCRIPTS are held. */
  #allowance = Number.POSITIVE_INFINITY;

  /** Attaches to a chip; {@link detach} ends it. A chip has one debugger. */
  constructor(chip: Ncr53c710, options: DebuggerOptions = {}) {
    this.#chip = chip;
    this.#options = options;
    const { trace } = options;
    chip.engine.inspector = {
      stopBefore: (address) => this.#allowance <= 0 || this.breakpoints.has(address),
      executing: (address, command, dsps, third) => {
        this.#allowance--;
        trace?.(this.#instruction(address, [command, dsps, third]));
      },
    };
  }

  /** SCRIPTS are held before an instruction, by a breakpoint, a step or {@link pause}. */
  get isHeld(): boolean {
    return this.#chip.engine.isHeld;
  }

  /** What the chip is doing, in words. */
  get state(): string {
    return describeStop(this.#chip);
  }

  /** Holds SCRIPTS before the next instruction, also one that a host starts later. */
  pause(): void {
    this.#allowance = 0;
  }

  /** Lets held SCRIPTS run on to the next breakpoint, and those that start later too. */
  continue(): void {
    this.#allowance = Number.POSITIVE_INFINITY;
    this.#chip.resume();
  }

  /** Lets `count` instructions start, then holds SCRIPTS. */
  step(count = 1): void {
    this.#allowance = count;
    this.#chip.resume();
  }

  /** Byte registers, longwords, carry: what they hold, without a read's effects. */
  registers(): Record<string, number> {
    const { file, causes, engine } = this.#chip;
    const values: Record<string, number> = {};
    for (const [name, number] of Object.entries(Reg)) {
      if ((longRegisters as readonly string[]).includes(name)) values[name] = file.long(number);
      else values[name] = name === "DBC" ? file.count : file.bytes[number];
    }
    values["DSTAT"] = causes.dma;
    values["SSTAT0"] = causes.scsi;
    values["CARRY"] = engine.carry ? 1 : 0;
    return values;
  }

  /** The instructions from an address on, as far as there is memory. */
  disassemble(address: number, count: number): TracedInstruction[] {
    const { bus } = this.#chip;
    const list: TracedInstruction[] = [];
    let at = (address & ~3) >>> 0;
    for (let index = 0; index < count; index++) {
      // Memory only: a look at a register window would have effects.
      const words = [0, 4, 8].flatMap((offset) => {
        const place = (at + offset) >>> 0;
        return bus.memory.findRange(place, 4) === undefined ? [] : [bus.read32(place)];
      });
      if (words.length < 2) break;
      const instruction = this.#instruction(at, words);
      list.push(instruction);
      at = (at + instruction.words.length * 4) >>> 0;
    }
    return list;
  }

  detach(): void {
    this.#chip.engine.inspector = undefined;
    if (this.isHeld) this.#chip.resume();
  }

  #instruction(address: number, words: readonly number[]): TracedInstruction {
    const { nameOf } = this.#options;
    const options = nameOf === undefined ? { address } : { address, nameOf };
    const { text, length } = disassembleInstruction(words, 0, options);
    return { address, words: words.slice(0, length), text };
  }
}
