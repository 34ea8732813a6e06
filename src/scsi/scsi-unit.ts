/**
 * What every logical unit does the same way, whatever its kind: finding the command, unit attentions, fields that must
 * be zero, failures of a store as sense. Kinds give their {@link CommandSet} and their identity.
 */
import type { SavedFields, SavedReader } from "../bytes/index.js";
import { StoreError } from "../storage/index.js";
import { checkCondition, invalidField } from "./check-condition.js";
import type { CommandSet, UnitCommand } from "./command-set.js";
import type { AttentionCode, LogicalUnit, MediumChange, ResetKind, UnitChange } from "./logical-unit.js";
import type { Nexus } from "./nexus.js";
import type { LunInventory } from "./report-luns.js";
import type { Reservations } from "./reservations.js";
import type { SenseDetails, SenseFormat } from "./sense.js";
import { Attentions, Conditions, type SenseCondition, SenseKey } from "./sense-codes.js";
import { ScsiStatus, type ScsiTask } from "./task.js";
import { attentionQueueLimit, UnitAttentions } from "./unit-attention.js";

/** SAM-5 §5.2, NACA: auto contingent allegiance, which units here do not have. */
const naca = 0x04;
/** Of what a unit keeps in a snapshot. */
const stateVersion = 1;

const resetAttentions: Readonly<Record<ResetKind, AttentionCode>> = {
  "power-on": Attentions.powerOn,
  "bus-reset": Attentions.busReset,
  "unit-reset": Attentions.unitReset,
  "nexus-loss": Attentions.nexusLoss,
};

/** The base of every kind of unit. */
export abstract class ScsiUnit implements LogicalUnit {
  abstract readonly kind: string;
  readonly hasRemovableMedium: boolean = false;
  readonly #commands: CommandSet<ScsiUnit>;
  readonly attentions: UnitAttentions;
  readonly #listeners = new Set<(change: UnitChange) => void>();
  /** Undefined for units that cannot be reserved. */
  readonly reservations: Reservations | undefined;
  /** The format of sense data, D_SENSE of the control mode page. */
  senseFormat: SenseFormat = "fixed";
  /** What REPORT LUNS answers; a unit without a target knows only itself. */
  inventory: LunInventory | undefined;

  /** @param powerOnAttention whether a nexus finds 29h/00h at first. */
  constructor(commands: CommandSet<ScsiUnit>, powerOnAttention: boolean, reservations?: Reservations) {
    this.#commands = commands;
    this.reservations = reservations;
    this.attentions = new UnitAttentions(powerOnAttention);
  }

  /** The commands that this unit carries out. */
  get commands(): CommandSet<ScsiUnit> {
    return this.#commands;
  }

  /** Standard INQUIRY data. */
  abstract inquiryData(): Uint8Array;
  /** A vital product data page with its header, or undefined when there is none of that code. */
  abstract vitalPage(code: number): Uint8Array | undefined;
  /** What keeps the unit from being ready. */
  notReady(): SenseCondition | undefined {
    return undefined;
  }

  prepare(task: ScsiTask): void {
    const command = this.#commands.find(task.cdb);
    if (command !== undefined) command.prepare(this, task);
  }

  execute(task: ScsiTask): undefined | Promise<void> {
    const { cdb } = task;
    const command = this.#commands.find(cdb);
    if (this.attentions.isPending(task.nexus) && command?.passesAttention !== true) {
      this.#reportAttention(task);
      return undefined;
    }
    if (command === undefined) {
      if (this.#commands.hasOpcode(cdb[0])) invalidField(task, this.senseFormat, cdb[0] === 0x7f ? 8 : 1);
      else this.fail(task, Conditions.invalidOperationCode);
      return undefined;
    }
    const { reservations } = this;
    if (reservations?.isRestricting === true && !reservations.allows(task.nexus, command.access, cdb)) {
      task.status = ScsiStatus.ReservationConflict;
      return undefined;
    }
    if ((cdb[command.zeroByte] & command.zeroMask) !== 0) {
      invalidField(task, this.senseFormat, command.zeroByte, wrongBit(command, cdb));
      return undefined;
    }
    if ((cdb[command.controlByte] & naca) !== 0) {
      invalidField(task, this.senseFormat, command.controlByte, 2);
      return undefined;
    }
    try {
      const answer = command.execute(this, task);
      return answer === undefined ? undefined : this.#guarded(task, answer);
    } catch (error) {
      this.storeFailed(task, error);
      return undefined;
    }
  }

  #guarded(task: ScsiTask, answer: Promise<void>): Promise<void> {
    return answer.then(undefined, (error: unknown) => this.storeFailed(task, error));
  }

  /** Ends `task` with CHECK CONDITION. */
  fail(task: ScsiTask, what: SenseCondition, details?: SenseDetails): void {
    checkCondition(task, what, details, this.senseFormat);
  }

  /** Ends `task` with INVALID FIELD IN CDB. */
  invalidField(task: ScsiTask, byte: number, bit?: number): void {
    invalidField(task, this.senseFormat, byte, bit);
  }

  /** Ends `task` with the sense that a store's failure stands for. */
  storeFailed(task: ScsiTask, error: unknown): void {
    task.transferredIn = 0;
    task.transferredOut = 0;
    const what = error instanceof StoreError ? storeCondition(error.code) : Conditions.internalFailure;
    if (what.key !== SenseKey.MediumError || !(error instanceof StoreError)) this.fail(task, what);
    else this.fail(task, what, this.#placeOf(task, error));
  }

  /** The block where the medium failed: the one that the store names, or the only one that was asked for. */
  #placeOf(task: ScsiTask, { position }: StoreError): SenseDetails | undefined {
    const block = position === undefined ? undefined : this.blockAt(position);
    if (block !== undefined && block >= task.lba && block < task.lba + task.blocks) return { information: block };
    return task.blocks === 1 ? { information: task.lba } : undefined;
  }

  /** The logical block that holds a byte of the store; undefined for units without blocks. */
  blockAt(_position: number): number | undefined {
    return undefined;
  }

  reset(kind: ResetKind, nexus?: Nexus): void {
    const code = resetAttentions[kind];
    if (nexus !== undefined) this.attentions.queueFor(nexus, code);
    else this.attentions.queueForAll(code);
    // SPC-2 §5.5.1: what RESERVE(6) reserved is free after a reset, and when its holder is lost.
    this.reservations?.endLegacy(kind === "nexus-loss" ? nexus : undefined);
  }

  attention(code: AttentionCode, except?: Nexus): void {
    this.attentions.queueForAll(code, except);
  }

  clearAttention(code: AttentionCode, nexus: Nexus): void {
    this.attentions.clear(nexus, code);
  }

  joinTarget(inventory: LunInventory | undefined): void {
    this.inventory = inventory;
  }

  onChange(listener: (change: UnitChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Queues the attention for every nexus and tells the listeners. */
  protected parameterChanged(code: AttentionCode): void {
    this.attention(code);
    this.#tell({ kind: "parameter", code });
  }

  /** Tells the listeners of the medium; an attention, if one is due, is the caller's to queue. */
  protected mediumChanged(change: MediumChange, code: AttentionCode): void {
    this.#tell({ kind: "medium", change, code });
  }

  /** Has the transport end the tasks of an initiator port at this unit. */
  preemptTasks(initiatorPort: string): void {
    this.#tell({ kind: "tasks-preempted", initiatorPort });
  }

  #tell(change: UnitChange): void {
    for (const listener of [...this.#listeners]) listener(change);
  }

  saveState(nexus: Nexus): SavedFields {
    const attentions = this.attentions.pending(nexus).map(({ asc, ascq }) => ({ asc, ascq }));
    const reservations = this.reservations?.save(nexus);
    return { version: stateVersion, attentions, ...(reservations === undefined ? {} : { reservations }) };
  }

  readState(saved: SavedReader, nexus: Nexus): () => void {
    saved.version(stateVersion);
    const attentions = saved.list("attentions", attentionQueueLimit, (entry) => ({
      asc: entry.whole("asc", 0xff),
      ascq: entry.whole("ascq", 0xff),
    }));
    const reservations = this.reservations?.read(saved.part("reservations"), nexus);
    return () => {
      this.attentions.restore(nexus, attentions);
      reservations?.();
    };
  }

  abstract close(): undefined | Promise<void>;

  #reportAttention(task: ScsiTask): void {
    const { asc, ascq } = this.attentions.take(task.nexus) ?? Attentions.powerOn;
    task.status = ScsiStatus.CheckCondition;
    this.fail(task, { key: SenseKey.UnitAttention, asc, ascq });
  }
}

function storeCondition(code: StoreError["code"]): SenseCondition {
  switch (code) {
    case "read":
      return Conditions.unrecoveredRead;
    case "write":
      return Conditions.writeError;
    case "no-space":
      return Conditions.spaceAllocationFailed;
    case "read-only":
      return Conditions.writeProtected;
    default:
      return Conditions.internalFailure;
  }
}

/** The highest bit of the wrong field (SPC-4 §4.5.2.4.2): the first field, in the table's order, that is not zero. */
function wrongBit({ definition, zeroByte }: UnitCommand<ScsiUnit>, cdb: Uint8Array): number {
  const masks = Object.values(definition.zero ?? {}).map(([, mask]) => mask);
  return 31 - Math.clz32(masks.find((mask) => (cdb[zeroByte] & mask) !== 0) ?? 1);
}
