/**
 * The commands that one kind of unit carries out: for each a line of the command table and two functions. Adding a
 * command to a unit is adding one entry.
 */

import { type BitPlace, type CommandDefinition, serviceActionOf } from "./command-table.js";
import { type AccessRule, accessRuleOf } from "./reservation-access.js";
import type { ScsiTask } from "./task.js";

/** How a unit carries out one command. */
export interface CommandEntry<U> {
  readonly definition: CommandDefinition;
  /**
   * Sets `expectedIn`, `expectedOut`, `lba`, `blocks` from the CDB. Without it the definition's length field, if any,
   * is what is expected.
   */
  prepare?(unit: U, task: ScsiTask): void;
  /** Carries it out; may throw or reject with a store's error, which becomes sense. */
  execute(unit: U, task: ScsiTask): undefined | Promise<void>;
  /** A pending unit attention neither stops this command nor is reported by it (INQUIRY, REPORT LUNS, REQUEST SENSE). */
  readonly passesAttention?: boolean;
}

/** An entry, ready for use: what the checks before every command need stands in plain fields. */
export class UnitCommand<U> {
  readonly definition: CommandDefinition;
  readonly passesAttention: boolean;
  /** What reservations of others do to it. */
  readonly access: AccessRule;
  /** The byte of the CDB with bits that must be zero, and those bits. */
  readonly zeroByte: number;
  readonly zeroMask: number;
  /** SAM-5 §5.2: the byte that holds NACA. */
  readonly controlByte: number;
  readonly prepare: (unit: U, task: ScsiTask) => void;
  readonly execute: (unit: U, task: ScsiTask) => undefined | Promise<void>;

  constructor(entry: CommandEntry<U>) {
    const { definition } = entry;
    this.definition = definition;
    this.passesAttention = entry.passesAttention ?? false;
    this.access = accessRuleOf(definition);
    [this.zeroByte, this.zeroMask] = zeroBits(definition);
    this.controlByte = definition.opcode === 0x7f ? 1 : definition.cdbLength - 1;
    this.prepare = entry.prepare ?? prepareLength(definition);
    this.execute = entry.execute;
  }
}

/** All fields that must be zero as one: they stand in one byte of the CDB. */
function zeroBits({ name, zero = {} }: CommandDefinition): BitPlace {
  const places = Object.values(zero);
  const byte = places[0]?.[0] ?? 0;
  if (places.some(([other]) => other !== byte)) throw new RangeError(`${name}: fields that must be zero in two bytes`);
  return [byte, places.reduce((all, [, mask]) => all | mask, 0)];
}

function prepareLength(definition: CommandDefinition): (unit: unknown, task: ScsiTask) => void {
  if (definition.length === undefined) return () => {};
  const [at, size] = definition.length;
  const isIn = definition.data === "in";
  return (_unit, task) => {
    let length = 0;
    for (let index = at; index < at + size; index++) length = length * 256 + task.cdb[index];
    if (isIn) task.expectedIn = length;
    else task.expectedOut = length;
  };
}

/** Commands by opcode and service action. */
export class CommandSet<U> {
  /** Commands that are told by their opcode alone. */
  readonly #direct: (UnitCommand<U> | undefined)[] = new Array(256).fill(undefined);
  /** Commands that are told by a service action too. */
  readonly #byAction: (UnitCommand<U>[] | undefined)[] = new Array(256).fill(undefined);
  readonly #all: UnitCommand<U>[] = [];

  constructor(entries: readonly CommandEntry<U>[]) {
    for (const entry of entries) {
      const command = new UnitCommand(entry);
      const { opcode, serviceAction } = entry.definition;
      this.#all.push(command);
      if (serviceAction === undefined) this.#direct[opcode] = command;
      else (this.#byAction[opcode] ??= []).push(command);
    }
  }

  /** The command that a CDB names. */
  find(cdb: Uint8Array): UnitCommand<U> | undefined {
    const direct = this.#direct[cdb[0]];
    if (direct !== undefined) return direct;
    const candidates = this.#byAction[cdb[0]];
    if (candidates === undefined) return undefined;
    const action = serviceActionOf(cdb);
    return candidates.find((command) => command.definition.serviceAction === action);
  }

  /** Whether the opcode exists, if only with another service action. */
  hasOpcode(opcode: number): boolean {
    return this.#direct[opcode] !== undefined || this.#byAction[opcode] !== undefined;
  }

  /** Whether commands of this opcode are told by a service action. */
  hasActions(opcode: number): boolean {
    return this.#byAction[opcode] !== undefined;
  }

  /** Every command's definition, in the order of opcodes and service actions. */
  definitions(): readonly CommandDefinition[] {
    return this.#all
      .map((command) => command.definition)
      .sort((one, other) => one.opcode - other.opcode || (one.serviceAction ?? 0) - (other.serviceAction ?? 0));
  }
}
