/** What a target needs of a logical unit, whatever kind it is. */
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

/** One logical unit. */
export interface LogicalUnit {
  /** `disk`, `cd-rom`, … */
  readonly kind: string;
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
  /** Listens to changes that a transport reports as events (capacity, medium, …). Returns the way to stop. */
  onParameterChange(listener: (code: AttentionCode) => void): () => void;
  /** Closes the store. */
  close(): undefined | Promise<void>;
}
