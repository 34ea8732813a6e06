/**
 * Exec's tasks and signals. A task is an async function; it gives up the processor where it waits. Priorities are kept as
 * facts: nothing is preempted here.
 */

/** First signal that `allocSignal` gives; those below are exec's own. */
const firstFreeSignal = 16;

/** SIGBREAKF_CTRL_C: what a task is stopped with. */
export const ctrlCSignal = 1 << 12;
/** SIGF_SINGLE: for waits that belong to nobody else. */
export const singleSignal = 1 << 4;

/** One task. */
export class ExecTask {
  readonly name: string;
  readonly priority: number;
  /** Signals that came and nobody waited for yet. */
  #received = 0;
  #allocated = 0;
  #waitingFor = 0;
  #wake: ((signals: number) => void) | undefined;

  constructor(name: string, priority = 0) {
    this.name = name;
    this.priority = priority;
  }

  /** AllocSignal(-1): the bit as a mask. @throws RangeError when all 16 are taken. */
  allocateSignal(): number {
    for (let bit = firstFreeSignal; bit < 32; bit++) {
      const mask = (1 << bit) >>> 0;
      if ((this.#allocated & mask) !== 0) continue;
      this.#allocated = (this.#allocated | mask) >>> 0;
      this.#received = (this.#received & ~mask) >>> 0;
      return mask;
    }
    throw new RangeError(`${this.name}: no signal left`);
  }

  /** FreeSignal. */
  freeSignal(mask: number): void {
    this.#allocated = (this.#allocated & ~mask) >>> 0;
  }

  /** Signal: from anywhere, interrupts too. */
  signal(mask: number): void {
    this.#received = (this.#received | mask) >>> 0;
    const wake = this.#wake;
    if (wake === undefined || (this.#received & this.#waitingFor) === 0) return;
    this.#wake = undefined;
    wake(this.#take(this.#waitingFor));
  }

  /** SetSignal(0, mask): takes what is there of these signals, without waiting. */
  takeSignals(mask: number): number {
    return this.#take(mask);
  }

  /** Wait: until one of these signals comes; gives (and clears) all of them that are there. One waiter a task. */
  wait(mask: number): Promise<number> {
    const there = this.#take(mask);
    if (there !== 0) return Promise.resolve(there);
    if (this.#wake !== undefined) throw new RangeError(`${this.name} waits twice`);
    this.#waitingFor = mask;
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #take(mask: number): number {
    const there = (this.#received & mask) >>> 0;
    this.#received = (this.#received & ~mask) >>> 0;
    return there;
  }
}
