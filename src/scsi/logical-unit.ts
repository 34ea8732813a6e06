/** What a target needs of a logical unit, whatever kind it is. */
import type { SavedFields, SavedReader } from "../bytes/index.js";
import type { Nexus } from "./nexus.js";
import type { LunInventory } from "./report-luns.js";
import type { ScsiTask } from "./task.js";

/** Additional sense of a unit attention: `asc` and `ascq`. */
export interface AttentionCode {
  readonly asc: number;
  readonly ascq: number;
}

/** What was reset, from the most thorough to the least. */
export type ResetKind = "power-on" | "bus-reset" | "unit-reset" | "nexus-loss";

/** What changed at a unit, for transports to tell. */
export type UnitChange =
  /** A parameter (capacity, mode parameters, …): the unit attention that goes with it. */
  | { readonly kind: "parameter"; readonly code: AttentionCode }
  /** The medium came or went, or somebody asks for it; the unit attention, or sense, that goes with it. */
  | { readonly kind: "medium"; readonly change: MediumChange; readonly code: AttentionCode }
  /** The tasks of this initiator port at the unit end (PERSISTENT RESERVE OUT, PREEMPT AND ABORT). */
  | { readonly kind: "tasks-preempted"; readonly initiatorPort: string };

/** `inserted` and `removed` have happened, `eject-requested` asks the initiators to let it happen. */
export type MediumChange = "inserted" | "removed" | "eject-requested";

/** One logical unit. */
export interface LogicalUnit {
  /** `disk`, `cd-rom`, … */
  readonly kind: string;
  /** The medium can be changed: the unit reports `medium` changes. */
  readonly hasRemovableMedium: boolean;
  /** Parses `task.cdb`: sets `expectedIn`, `expectedOut`, `lba`, `blocks`. Changes nothing else; never throws. */
  prepare(task: ScsiTask): void;
  /**
   * Carries the command out: fills status, sense and data. Never throws and never rejects; a failing store becomes
   * sense. Answers at once where the store does.
   */
  execute(task: ScsiTask): undefined | Promise<void>;
  /** Ends what a reset ends and queues the unit attention that goes with it, for `nexus` or for every nexus. */
  reset(kind: ResetKind, nexus?: Nexus): void;
  /** Queues a unit attention for every nexus but `except`. */
  attention(code: AttentionCode, except?: Nexus): void;
  /** Ends a unit attention that `nexus` has learnt of in another way. */
  clearAttention(code: AttentionCode, nexus: Nexus): void;
  /** Told by a target: whose units REPORT LUNS lists; undefined when the unit leaves its target. */
  joinTarget(inventory: LunInventory | undefined): void;
  /** Listens to changes that a transport reports or carries out. Returns the way to stop. */
  onChange(listener: (change: UnitChange) => void): () => void;
  /** What it keeps in memory for itself and for `nexus`, for a snapshot: nothing that the store holds. Default nothing. */
  saveState?(nexus: Nexus): SavedFields;
  /**
   * Reads what `saveState` gave, all of it, and gives the step that puts it in force without telling anybody.
   * @throws RangeError, UnsupportedError when it cannot be used
   */
  readState?(saved: SavedReader, nexus: Nexus): () => void;
  /** Closes the store. */
  close(): undefined | Promise<void>;
}
