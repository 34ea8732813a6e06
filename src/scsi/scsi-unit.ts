/**
 * What every logical unit does the same way, whatever its kind: finding the command, unit attentions, fields that must
 * be zero, failures of a store as sense. Kinds give their {@link CommandSet} and their identity.
 */
import { StoreError } from "../storage/index.js";
import { checkCondition, invalidField } from "./check-condition.js";
import type { CommandSet } from "./command-set.js";
import type { AttentionCode, LogicalUnit, ResetKind } from "./logical-unit.js";
import type { Nexus } from "./nexus.js";
import type { LunInventory } from "./report-luns.js";
import type { SenseDetails, SenseFormat } from "./sense.js";
import { Attentions, Conditions, type SenseCondition, SenseKey } from "./sense-codes.js";
import { ScsiStatus, type ScsiTask } from "./task.js";
import { UnitAttentions } from "./unit-attention.js";

/** SAM-5 §5.2, NACA: auto contingent allegiance, which units here do not have. */
const naca = 0x04;

const resetAttentions: Readonly<Record<ResetKind, AttentionCode>> = {
  "power-on": Attentions.powerOn,
  "bus-reset": Attentions.busReset,
  "unit-reset": Attentions.unitReset,
  "nexus-loss": Attentions.nexusLoss,
};

/** The base of every kind of unit. */
export abstract class ScsiUnit implements LogicalUnit {
  abstract readonly kind: string;
  readonly #commands: CommandSet<ScsiUnit>;
  readonly attentions: UnitAttentions;
  readonly #listeners = new Set<(code: AttentionCode) => void>();
  /** The format of sense data, D_SENSE of the control mode page. */
  senseFormat: SenseFormat = "fixed";
  /** What REPORT LUNS answers; a unit without a target knows only itself. */
  inventory: LunInventory | undefined;

  /** @param powerOnAttention whether a nexus finds 29h/00h at first. */
  constructor(commands: CommandSet<ScsiUnit>, powerOnAttention: boolean) {
    this.#commands = commands;
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
    if ((cdb[command.zeroByte] & command.zeroMask) !== 0) {
      invalidField(task, this.senseFormat, command.zeroByte, 31 - Math.clz32(command.zeroMask));
      return undefined;
    }
    if ((cdb[command.controlByte] & naca) !== 0) {
      invalidField(task, this.senseFormat, command.controlByte, 2);
      return undefined;
    }
    try {
      return command.execute(this, task);
    } catch (error) {
      this.storeFailed(task, error);
      return undefined;
    }
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
    // Only for a single block the store's error says which one it was.
    const isLocated = what.key === SenseKey.MediumError && task.blocks === 1;
    this.fail(task, what, isLocated ? { information: task.lba } : undefined);
  }

  reset(kind: ResetKind, nexus?: Nexus): void {
    const code = resetAttentions[kind];
    if (nexus !== undefined) this.attentions.queueFor(nexus, code);
    else this.attentions.queueForAll(code);
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

  onParameterChange(listener: (code: AttentionCode) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Queues the attention for every nexus and tells the listeners. */
  protected parameterChanged(code: AttentionCode): void {
    this.attention(code);
    for (const listener of [...this.#listeners]) listener(code);
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
