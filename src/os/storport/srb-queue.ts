/** SRBs that wait, first come first served; one that found no room goes back to the front. Allocates nothing in steady state. */
import type { Srb } from "./srb.js";

export class SrbQueue {
  #slots: (Srb | undefined)[] = new Array<Srb | undefined>(64).fill(undefined);
  #first = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(srb: Srb): void {
    if (this.#length === this.#slots.length) this.#grow();
    this.#slots[(this.#first + this.#length) & (this.#slots.length - 1)] = srb;
    this.#length++;
  }

  /** Back to the front. */
  unshift(srb: Srb): void {
    if (this.#length === this.#slots.length) this.#grow();
    this.#first = (this.#first - 1) & (this.#slots.length - 1);
    this.#slots[this.#first] = srb;
    this.#length++;
  }

  shift(): Srb | undefined {
    if (this.#length === 0) return undefined;
    const srb = this.#slots[this.#first];
    this.#slots[this.#first] = undefined;
    this.#first = (this.#first + 1) & (this.#slots.length - 1);
    this.#length--;
    return srb;
  }

  #grow(): void {
    const size = this.#slots.length;
    const larger = new Array<Srb | undefined>(2 * size).fill(undefined);
    for (let index = 0; index < this.#length; index++) larger[index] = this.#slots[(this.#first + index) & (size - 1)];
    this.#slots = larger;
    this.#first = 0;
  }
}
