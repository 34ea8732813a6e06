/** A SCSI target: logical units by number. */
import { AbsentUnit, ReportLunsUnit } from "./absent-unit.js";
import type { LogicalUnit } from "./logical-unit.js";
import { lunLength, lunLimit, reportLunsWellKnown, writeLun } from "./lun-address.js";
import type { Nexus } from "./nexus.js";
import type { LunInventory } from "./report-luns.js";
import { Attentions } from "./sense-codes.js";

/** Units by LUN; answers for those that it does not have. */
export class ScsiTarget implements LunInventory {
  readonly #units = new Map<number, LogicalUnit>();
  readonly #voice = new AbsentUnit(this, true);
  readonly #absent = new AbsentUnit(this, false);
  readonly #wellKnown = new ReportLunsUnit(this);

  /** Number of units. */
  get size(): number {
    return this.#units.size;
  }

  /** The LUNs that have a unit, ascending. */
  luns(): readonly number[] {
    return [...this.#units.keys()].sort((one, other) => one - other);
  }

  /** The unit at `lun`, or undefined. */
  unit(lun: number): LogicalUnit | undefined {
    return this.#units.get(lun);
  }

  /** Who answers at `lun`: its unit, the well-known unit, or one that says that there is none. */
  lookup(lun: number): LogicalUnit {
    const unit = this.#units.get(lun);
    if (unit !== undefined) return unit;
    if (lun === 0) return this.#voice;
    return lun === reportLunsWellKnown ? this.#wellKnown : this.#absent;
  }

  /**
   * Puts a unit at `lun`; the other units of the target queue 3Fh/0Eh.
   * @throws RangeError when `lun` is taken or not within 0…16383.
   */
  add(lun: number, unit: LogicalUnit): void {
    if (!Number.isInteger(lun) || lun < 0 || lun >= lunLimit) {
      throw new RangeError(`LUN must be an integer within 0…${lunLimit - 1}, got ${lun}`);
    }
    if (this.#units.has(lun)) throw new RangeError(`LUN ${lun} is taken`);
    this.#inventoryChanged();
    this.#units.set(lun, unit);
    unit.joinTarget(this);
  }

  /** Takes the unit at `lun` away (and does not close it); the others queue 3Fh/0Eh. Returns it, if there was one. */
  remove(lun: number): LogicalUnit | undefined {
    const unit = this.#units.get(lun);
    if (unit === undefined) return undefined;
    this.#units.delete(lun);
    unit.joinTarget(undefined);
    this.#inventoryChanged();
    return unit;
  }

  /** SPC-4 §6.33: LUN 0 is always in the list of units. */
  lunList(select: 0 | 1 | 2): Uint8Array {
    const luns: number[] = [];
    if (select !== 1) {
      if (!this.#units.has(0)) luns.push(0);
      luns.push(...this.luns());
    }
    if (select !== 0) luns.push(reportLunsWellKnown);
    const list = new Uint8Array(luns.length * lunLength);
    for (const [index, lun] of luns.entries()) writeLun(list, index * lunLength, lun);
    return list;
  }

  listRead(nexus: Nexus): void {
    for (const unit of this.#units.values()) unit.clearAttention(Attentions.reportedLunsChanged, nexus);
  }

  #inventoryChanged(): void {
    for (const unit of this.#units.values()) unit.attention(Attentions.reportedLunsChanged);
  }
}
