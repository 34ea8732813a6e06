/**
 * Sense data between CHECK CONDITION and REQUEST SENSE: on this bus it does not come with the status. That time is a
 * contingent allegiance (SCSI-2 §7.6), of which a nexus of initiator and unit has one: it lasts up to the next command of
 * that nexus, ABORT or a reset, and the nexus's other commands stay away meanwhile, or their sense would take the place
 * of this one.
 */
export class SenseKeeper {
  readonly #kept = new Map<number, Uint8Array>();

  /** CHECK CONDITION was returned: the allegiance begins. */
  keep(initiator: number, lun: number, sense: Uint8Array, length: number): void {
    this.#kept.set(initiator * 8 + lun, sense.slice(0, length));
  }

  /** Whether there is an allegiance. */
  isKept(initiator: number, lun: number): boolean {
    return this.#kept.size > 0 && this.#kept.has(initiator * 8 + lun);
  }

  /** Gives the sense data once; the allegiance is over. */
  take(initiator: number, lun: number): Uint8Array | undefined {
    const sense = this.#kept.get(initiator * 8 + lun);
    this.#kept.delete(initiator * 8 + lun);
    return sense;
  }

  /** Any other command ends it, and ABORT does. */
  forget(initiator: number, lun: number): void {
    if (this.#kept.size > 0) this.#kept.delete(initiator * 8 + lun);
  }

  /** The same for all initiators: CLEAR QUEUE. */
  forgetUnit(lun: number): void {
    for (let initiator = 0; initiator < 8; initiator++) this.forget(initiator, lun);
  }

  clear(): void {
    this.#kept.clear();
  }
}
