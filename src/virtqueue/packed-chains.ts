/**
 * The chain objects of a packed queue's device half. A buffer id is any 16-bit number that the driver likes, so objects
 * are not kept by id: one that is free is taken, and a map of bits says which ids are in flight.
 */
import { Chain } from "./chain.js";

const idBits = 16;

export class PackedChains {
  readonly #free: Chain[] = [];
  #freeCount = 0;
  readonly #inFlight = new Int32Array(2 ** idBits / 32);

  /** An object for the next chain; it is nobody's until `begin`. */
  acquire(): Chain {
    return this.#freeCount > 0 ? this.#free[this.#freeCount - 1] : new Chain(0);
  }

  /** The chain that was acquired last is in flight. False: its id is so already. */
  begin(chain: Chain, id: number): boolean {
    const bit = 1 << (id & 31);
    if ((this.#inFlight[id >>> 5] & bit) !== 0) return false;
    this.#inFlight[id >>> 5] |= bit;
    if (this.#freeCount > 0) this.#freeCount--;
    chain.head = id;
    chain.inFlight = true;
    return true;
  }

  /** The chain was given back; its object is used again. */
  end(chain: Chain): void {
    this.forget(chain);
    this.#free[this.#freeCount++] = chain;
  }

  /** As `end`, for an object that is not to be used again: somebody may still hold it. */
  forget(chain: Chain): void {
    this.#inFlight[chain.head >>> 5] &= ~(1 << (chain.head & 31));
    chain.inFlight = false;
  }
}
