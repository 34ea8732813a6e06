/**
 * A store that answers by promises, late and out of order, as one behind a network does. Each request is carried out
 * when its time comes, not when it is asked.
 */
import type { Scatter } from "../memory/index.js";
import type { Answer, ExtentStatus, Store } from "../storage/index.js";
import { type SeededRandom, seededRandom } from "./seeded-random.js";

/** How late a store answers. */
export interface SlowStoreOptions {
  /** Chooses delays and order. Default 1. */
  seed?: number;
  /** Milliseconds. Default 3. */
  longestDelay?: number;
  /** Requests wait until the test calls `releaseOne` or `releaseAll`. Default false. */
  isHeld?: boolean;
}

export class SlowStore implements Store {
  readonly description: string;
  readonly byteLength: number;
  readonly isReadOnly: boolean;
  readonly #base: Store;
  readonly #random: SeededRandom;
  readonly #longestDelay: number;
  readonly #isHeld: boolean;
  readonly #held: (() => void)[] = [];

  constructor(base: Store, options: SlowStoreOptions = {}) {
    this.#base = base;
    this.description = `slow ${base.description}`;
    this.byteLength = base.byteLength;
    this.isReadOnly = base.isReadOnly;
    this.#random = seededRandom(options.seed ?? 1);
    this.#longestDelay = options.longestDelay ?? 3;
    this.#isHeld = options.isHeld ?? false;
  }

  /** Requests that are held now. */
  get heldRequests(): number {
    return this.#held.length;
  }

  /** Carries out a random one of the requests that are held; false when there is none. */
  releaseOne(): boolean {
    const [work] = this.#held.splice(this.#random.below(this.#held.length), 1);
    work?.();
    return work !== undefined;
  }

  /** Carries out what is held and what comes in meanwhile, in random order. */
  async releaseAll(): Promise<void> {
    while (this.releaseOne()) await new Promise<void>((resolve) => setTimeout(resolve, 0));
  }

  read(position: number, target: Scatter, length: number): Answer {
    return this.#later(() => this.#base.read(position, target, length));
  }

  write(position: number, source: Scatter, length: number): Answer {
    return this.#later(() => this.#base.write(position, source, length));
  }

  flush(): Answer {
    return this.#later(() => this.#base.flush());
  }

  discard(position: number, length: number): Answer {
    return this.#later(() => this.#base.discard(position, length));
  }

  writeZeroes(position: number, length: number, keepSpace: boolean): Answer {
    return this.#later(() => this.#base.writeZeroes(position, length, keepSpace));
  }

  extentAt(position: number): ExtentStatus {
    return this.#base.extentAt(position);
  }

  close(): Answer {
    return this.#base.close();
  }

  #later(work: () => Answer): Promise<void> {
    return new Promise((resolve, reject) => {
      const run = () => {
        try {
          const answer = work();
          if (answer === undefined) resolve();
          else answer.then(resolve, reject);
        } catch (error) {
          reject(error);
        }
      };
      if (this.#isHeld) this.#held.push(run);
      else setTimeout(run, this.#random.below(this.#longestDelay + 1));
    });
  }
}
