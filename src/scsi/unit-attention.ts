/**
 * Unit attention conditions of one unit, queued for each nexus (SAM-5 §5.14). A nexus that the unit has not seen
 * before gets the power-on condition. Asking for a nexus that asked last is one comparison.
 */

import type { AttentionCode } from "./logical-unit.js";
import type { Nexus } from "./nexus.js";
import { Attentions } from "./sense-codes.js";

/** Conditions kept for a nexus; the least important are dropped first. */
export const attentionQueueLimit = 8;

/** What waits for one nexus, most important first. */
interface Pending {
  readonly codes: AttentionCode[];
  readonly initiatorPort: string;
}

/** The unit attentions of one unit. */
export class UnitAttentions {
  readonly #powerOn: boolean;
  readonly #byNexus = new WeakMap<Nexus, Pending>();
  /** Every queue that may still be alive, so that a condition reaches all of them. */
  #queues: WeakRef<Pending>[] = [];
  #lastNexus: Nexus | undefined;
  #last: Pending = { codes: [], initiatorPort: "" };

  /** @param powerOn whether a new nexus finds 29h/00h. */
  constructor(powerOn: boolean) {
    this.#powerOn = powerOn;
  }

  /** Whether a condition waits for `nexus`. */
  isPending(nexus: Nexus): boolean {
    if (nexus !== this.#lastNexus) this.#select(nexus);
    return this.#last.codes.length > 0;
  }

  /** Takes the most important condition. */
  take(nexus: Nexus): AttentionCode | undefined {
    return this.isPending(nexus) ? this.#last.codes.shift() : undefined;
  }

  /** Queues a condition for every nexus but `except`. */
  queueForAll(code: AttentionCode, except?: Nexus): void {
    const spared = except === undefined ? undefined : this.#pendingOf(except);
    this.#queues = this.#queues.filter((reference) => {
      const pending = reference.deref();
      if (pending !== undefined && pending !== spared) insert(pending.codes, code);
      return pending !== undefined;
    });
  }

  /** Queues a condition for one nexus. */
  queueFor(nexus: Nexus, code: AttentionCode): void {
    insert(this.#pendingOf(nexus).codes, code);
  }

  /** Queues a condition for every nexus of an initiator port. */
  queueForPort(initiatorPort: string, code: AttentionCode): void {
    for (const reference of this.#queues) {
      const pending = reference.deref();
      if (pending?.initiatorPort === initiatorPort) insert(pending.codes, code);
    }
  }

  /** Ends a condition without reporting it. */
  clear(nexus: Nexus, code: AttentionCode): void {
    const { codes } = this.#pendingOf(nexus);
    const index = codes.findIndex((found) => isSame(found, code));
    if (index >= 0) codes.splice(index, 1);
  }

  /** What waits for `nexus`, most important first. */
  pending(nexus: Nexus): readonly AttentionCode[] {
    return this.#pendingOf(nexus).codes;
  }

  /** These wait for `nexus`, and nothing else does. */
  restore(nexus: Nexus, restored: readonly AttentionCode[]): void {
    const { codes } = this.#pendingOf(nexus);
    codes.length = 0;
    for (const code of restored) insert(codes, code);
  }

  #select(nexus: Nexus): void {
    this.#last = this.#pendingOf(nexus);
    this.#lastNexus = nexus;
  }

  #pendingOf(nexus: Nexus): Pending {
    const known = this.#byNexus.get(nexus);
    if (known !== undefined) return known;
    const pending: Pending = {
      codes: this.#powerOn ? [Attentions.powerOn] : [],
      initiatorPort: nexus.initiatorPort,
    };
    this.#byNexus.set(nexus, pending);
    this.#queues = this.#queues.filter((reference) => reference.deref() !== undefined);
    this.#queues.push(new WeakRef(pending));
    return pending;
  }
}

function isSame(one: AttentionCode, other: AttentionCode): boolean {
  return one.asc === other.asc && one.ascq === other.ascq;
}

/** SAM-5 §5.14.2: resets first, the more thorough the earlier; the others in the order in which they came. */
function rank(code: AttentionCode): number {
  return code.asc === 0x29 ? code.ascq : 0x100;
}

function insert(codes: AttentionCode[], code: AttentionCode): void {
  if (codes.some((found) => isSame(found, code))) return;
  // After a power on nothing else is news.
  if (isSame(code, Attentions.powerOn)) codes.length = 0;
  else if (codes.length > 0 && isSame(codes[0], Attentions.powerOn) && code.asc === 0x29) return;
  let at = codes.length;
  while (at > 0 && rank(codes[at - 1]) > rank(code)) at--;
  codes.splice(at, 0, code);
  if (codes.length > attentionQueueLimit) codes.length = attentionQueueLimit;
}
