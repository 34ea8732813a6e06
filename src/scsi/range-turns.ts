/**
 * Whose turn it is on a range of blocks. COMPARE AND WRITE must see no other write between its read and its write
 * (SBC-3 §5.2); with a store that answers late, others would get in between. Whoever comes later and overlaps waits;
 * since everybody waits only for those who came earlier, nobody waits for ever. With a store that answers at once there
 * is never anybody to wait for, and asking is one comparison.
 */

/** A range that is being worked on, or waits to be. */
export class RangeTurn {
  readonly lba: number;
  readonly blocks: number;
  /** Nobody else may write to the range meanwhile. */
  readonly isExclusive: boolean;
  #ended: Promise<void> | undefined;
  #resolve: (() => void) | undefined;

  constructor(lba: number, blocks: number, isExclusive: boolean) {
    this.lba = lba;
    this.blocks = blocks;
    this.isExclusive = isExclusive;
  }

  /** Resolves when the turn has ended; made only when somebody waits. */
  ended(): Promise<void> {
    this.#ended ??= new Promise((resolve) => {
      this.#resolve = resolve;
    });
    return this.#ended;
  }

  /** Lets those who wait go on. */
  end(): void {
    this.#resolve?.();
  }
}

/** The ranges of one unit. */
export class RangeTurns {
  readonly #turns = new Set<RangeTurn>();
  /** Exclusive turns among them. */
  #exclusive = 0;

  /** Whether an exclusive turn is there that touches the range: the caller then has to `enter` and wait. */
  isTaken(lba: number, blocks: number): boolean {
    if (this.#exclusive === 0) return false;
    for (const turn of this.#turns) if (turn.isExclusive && overlaps(turn, lba, blocks)) return true;
    return false;
  }

  /** Queues up for a range. Wait for `before`, work, then `leave`. */
  enter(lba: number, blocks: number, isExclusive: boolean): { turn: RangeTurn; before: undefined | Promise<void> } {
    const earlier: Promise<void>[] = [];
    if (isExclusive || this.#exclusive > 0) {
      for (const turn of this.#turns) {
        if ((isExclusive || turn.isExclusive) && overlaps(turn, lba, blocks)) earlier.push(turn.ended());
      }
    }
    const turn = new RangeTurn(lba, blocks, isExclusive);
    this.#turns.add(turn);
    if (isExclusive) this.#exclusive++;
    return { turn, before: earlier.length === 0 ? undefined : Promise.all(earlier).then(() => {}) };
  }

  /** Ends a turn. */
  leave(turn: RangeTurn): void {
    if (!this.#turns.delete(turn)) return;
    if (turn.isExclusive) this.#exclusive--;
    turn.end();
  }
}

function overlaps(turn: RangeTurn, lba: number, blocks: number): boolean {
  return turn.lba < lba + blocks && lba < turn.lba + turn.blocks;
}
