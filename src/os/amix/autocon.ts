/** `autocon`: where a driver asks for the n-th board of a product. */
import type { RegisterWindow } from "../../bytes/index.js";
import { type ChipsetGate, mayHaveOnboardScsi, probeWd33c93, wd33c93 } from "./chipset.js";

/** A board as the boot loader tells the kernel of it. */
export interface ConfigRecord {
  /** Manufacturer in bits 31:16, product in the low byte. */
  readonly product: number;
  readonly base: number;
  /** Bytes. */
  readonly size: number;
}

/** Records that the loader has room for. */
export const configRecordLimit = 16;

/** The name by which the A3000's SCSI is asked for, which is no AUTOCONFIG board. */
export const onboardScsiProduct = 0x0202_f003;

/** A kernel that ends above this makes the stock `autocon` believe in an A3000. */
const fastMemory = 0x0700_0000;

/** What `autocon` knows. */
export interface AutoconFacts {
  readonly records: readonly ConfigRecord[];
  /** First address behind the kernel. */
  readonly kernelEnd: number;
  readonly gate: ChipsetGate;
  /** The kernel's address space, for custom chips and probe. */
  readonly space: RegisterWindow;
}

/** A board that was found. */
export interface FoundPlace {
  readonly base: number;
  readonly size: number;
}

/** Finds boards. */
export class Autocon {
  readonly #facts: AutoconFacts;
  readonly #records: readonly ConfigRecord[];

  constructor(facts: AutoconFacts) {
    this.#facts = facts;
    this.#records = facts.records.slice(0, configRecordLimit);
  }

  get gate(): ChipsetGate {
    return this.#facts.gate;
  }

  /** The `index`-th board of a product, from 0 on. */
  find(product: number, index: number): FoundPlace | undefined {
    if (product === onboardScsiProduct && index === 0 && this.#hasOnboardScsi()) return { base: wd33c93.base, size: 0 };
    const found = this.#records.filter((record) => record.product === product)[index];
    return found === undefined ? undefined : { base: found.base, size: found.size };
  }

  #hasOnboardScsi(): boolean {
    const { gate, kernelEnd, space } = this.#facts;
    // Nobody looks whether it is there: on a machine without it, it is a phantom.
    if (gate === "stock") return kernelEnd > fastMemory;
    return mayHaveOnboardScsi(gate, space) && probeWd33c93(space);
  }
}
