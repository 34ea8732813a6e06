/** Sense data between CHECK CONDITION and REQUEST SENSE: on this bus it does not come with the status. */
import { buildSense, type SenseCondition } from "../../scsi/index.js";

export class SenseKeeper {
  readonly #kept = new Map<number, Uint8Array>();

  keep(initiator: number, lun: number, sense: Uint8Array, length: number): void {
    this.#kept.set(initiator * 8 + lun, sense.slice(0, length));
  }

  keepCondition(initiator: number, lun: number, condition: SenseCondition): void {
    const sense = new Uint8Array(32);
    this.keep(initiator, lun, sense, buildSense(sense, "fixed", condition));
  }

  /** Gives it once. */
  take(initiator: number, lun: number): Uint8Array | undefined {
    const sense = this.#kept.get(initiator * 8 + lun);
    this.#kept.delete(initiator * 8 + lun);
    return sense;
  }

  /** Any other command ends it. */
  forget(initiator: number, lun: number): void {
    this.#kept.delete(initiator * 8 + lun);
  }

  clear(): void {
    this.#kept.clear();
  }
}
