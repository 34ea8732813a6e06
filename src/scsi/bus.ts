/**
 * Targets by number, as one adapter sees them, and what changes among them. Transports look units up here and turn
 * the events into their own (virtio-scsi: into the event queue).
 */
import { ReportLunsUnit } from "./absent-unit.js";
import type { AttentionCode, LogicalUnit, MediumChange, ResetKind, UnitChange } from "./logical-unit.js";
import {
  busReportLuns,
  lunLength,
  lunOf,
  targetLimit,
  targetOf,
  type UnitAddress,
  unitAddress,
  writeVirtioLun,
} from "./lun-address.js";
import type { Nexus } from "./nexus.js";
import type { LunInventory } from "./report-luns.js";
import { ScsiTarget } from "./target.js";

/** Something changed at a unit. */
export type BusEvent =
  | { readonly kind: "unit-added"; readonly target: number; readonly lun: number; readonly unit: LogicalUnit }
  | { readonly kind: "unit-removed"; readonly target: number; readonly lun: number; readonly unit: LogicalUnit }
  | { readonly kind: "parameter-changed"; readonly target: number; readonly lun: number; readonly code: AttentionCode }
  | {
      readonly kind: "medium-changed";
      readonly target: number;
      readonly lun: number;
      readonly change: MediumChange;
      readonly code: AttentionCode;
    }
  | { readonly kind: "tasks-preempted"; readonly target: number; readonly lun: number; readonly initiatorPort: string }
  | { readonly kind: "reset"; readonly target: number; readonly lun: number; readonly reset: ResetKind };

/** A unit with its place. */
export interface PlacedUnit {
  readonly target: number;
  readonly lun: number;
  readonly unit: LogicalUnit;
}

/** Targets and units of one adapter. */
export class ScsiBus implements LunInventory {
  readonly #targets: (ScsiTarget | undefined)[] = new Array(targetLimit).fill(undefined);
  readonly #listeners = new Set<(event: BusEvent) => void>();
  /** By address: how to stop listening to a unit. */
  readonly #stops = new Map<UnitAddress, () => void>();
  readonly #wellKnown = new ReportLunsUnit(this);

  /** The target, which exists while it has a unit. */
  target(number: number): ScsiTarget | undefined {
    return this.#targets[number];
  }

  /**
   * Who answers at an address; undefined when there is no such target. Where the target has no such LUN the answer is
   * a unit that says so ({@link ScsiBus.unit} tells whether there is one). Allocates nothing.
   */
  lookup(address: UnitAddress): LogicalUnit | undefined {
    const target = this.#targets[targetOf(address)];
    if (target !== undefined) return target.lookup(lunOf(address));
    return address === busReportLuns ? this.#wellKnown : undefined;
  }

  /** The unit at an address, if there is one. */
  unit(target: number, lun: number): LogicalUnit | undefined {
    return this.#targets[target]?.unit(lun);
  }

  /** All units, by target and LUN. */
  units(): readonly PlacedUnit[] {
    const placed: PlacedUnit[] = [];
    for (const [target, found] of this.#targets.entries()) {
      for (const lun of found?.luns() ?? []) {
        const unit = found?.unit(lun);
        if (unit !== undefined) placed.push({ target, lun, unit });
      }
    }
    return placed;
  }

  /**
   * Adds a unit. Its target's other units queue 3Fh/0Eh; listeners get `unit-added`.
   * @throws RangeError when the place is taken or does not exist.
   */
  attach(target: number, lun: number, unit: LogicalUnit): void {
    const address = unitAddress(target, lun);
    const place = this.#targets[target] ?? new ScsiTarget();
    place.add(lun, unit);
    this.#targets[target] = place;
    this.#stops.set(
      address,
      unit.onChange((change) => this.#emit(busEvent(target, lun, change))),
    );
    this.#emit({ kind: "unit-added", target, lun, unit });
  }

  /** Takes a unit away and returns it, if there was one; whoever detaches it closes it. */
  detach(target: number, lun: number): LogicalUnit | undefined {
    const place = this.#targets[target];
    const unit = place?.remove(lun);
    if (place === undefined || unit === undefined) return undefined;
    if (place.size === 0) this.#targets[target] = undefined;
    const address = unitAddress(target, lun);
    this.#stops.get(address)?.();
    this.#stops.delete(address);
    this.#emit({ kind: "unit-removed", target, lun, unit });
    return unit;
  }

  /**
   * Resets every unit, those of one target, or one unit; for one nexus or for all. Listeners get `reset` for each.
   */
  reset(kind: ResetKind, where: { target?: number; lun?: number; nexus?: Nexus } = {}): void {
    for (const { target, lun, unit } of this.units()) {
      if (where.target !== undefined && where.target !== target) continue;
      if (where.lun !== undefined && where.lun !== lun) continue;
      unit.reset(kind, where.nexus);
      this.#emit({ kind: "reset", target, lun, reset: kind });
    }
  }

  /** Listens to what changes. Returns the way to stop. */
  onEvent(listener: (event: BusEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Detaches and closes every unit. */
  async close(): Promise<void> {
    for (const { target, lun, unit } of this.units()) {
      this.detach(target, lun);
      await unit.close();
    }
  }

  /** For the REPORT LUNS unit of the whole adapter: all units in virtio-scsi's form. */
  lunList(select: 0 | 1 | 2): Uint8Array {
    const addresses = select === 1 ? [] : this.units().map(({ target, lun }) => unitAddress(target, lun));
    if (select !== 0) addresses.push(busReportLuns);
    const list = new Uint8Array(addresses.length * lunLength);
    for (const [index, address] of addresses.entries()) writeVirtioLun(list, index * lunLength, address);
    return list;
  }

  listRead(nexus: Nexus): void {
    for (const target of this.#targets) target?.listRead(nexus);
  }

  #emit(event: BusEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}

function busEvent(target: number, lun: number, what: UnitChange): BusEvent {
  switch (what.kind) {
    case "parameter":
      return { kind: "parameter-changed", target, lun, code: what.code };
    case "medium":
      return { kind: "medium-changed", target, lun, change: what.change, code: what.code };
    case "tasks-preempted":
      return { kind: "tasks-preempted", target, lun, initiatorPort: what.initiatorPort };
  }
}
