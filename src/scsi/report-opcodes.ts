/** REPORT SUPPORTED OPERATION CODES (SPC-4 §6.34): made from the unit's own command set, both ways. */
import { readU16, readU32, writeU16, writeU32 } from "./big-endian.js";
import { reply } from "./check-condition.js";
import type { CommandEntry, CommandSet } from "./command-set.js";
import { type CommandDefinition, Commands, cdbUsage } from "./command-table.js";
import type { ScsiUnit } from "./scsi-unit.js";

/** Length of the command timeouts descriptor, all of whose fields are "not told" here. */
const timeoutsLength = 12;

function timeoutsDescriptor(): Uint8Array {
  const descriptor = new Uint8Array(timeoutsLength);
  writeU16(descriptor, 0, timeoutsLength - 2);
  return descriptor;
}

function allCommands(definitions: readonly CommandDefinition[], withTimeouts: boolean): Uint8Array {
  const size = withTimeouts ? 8 + timeoutsLength : 8;
  const data = new Uint8Array(4 + definitions.length * size);
  writeU32(data, 0, data.length - 4);
  for (const [index, definition] of definitions.entries()) {
    const at = 4 + index * size;
    data[at] = definition.opcode;
    writeU16(data, at + 2, definition.serviceAction ?? 0);
    data[at + 5] = (definition.serviceAction === undefined ? 0 : 1) | (withTimeouts ? 2 : 0);
    writeU16(data, at + 6, definition.cdbLength);
    if (withTimeouts) data.set(timeoutsDescriptor(), at + 8);
  }
  return data;
}

function oneCommand(definition: CommandDefinition | undefined, withTimeouts: boolean): Uint8Array {
  // Support 1: the unit does not have it; 3: it has it as the standard says.
  if (definition === undefined) return Uint8Array.of(0, 1, 0, 0);
  const usage = cdbUsage(definition);
  const data = new Uint8Array(4 + usage.length + (withTimeouts ? timeoutsLength : 0));
  data[1] = (withTimeouts ? 0x80 : 0) | 3;
  writeU16(data, 2, usage.length);
  data.set(usage, 4);
  if (withTimeouts) data.set(timeoutsDescriptor(), 4 + usage.length);
  return data;
}

function findDefinition(commands: CommandSet<ScsiUnit>, opcode: number, action: number): CommandDefinition | undefined {
  return commands
    .definitions()
    .find((found) => found.opcode === opcode && (found.serviceAction === undefined || found.serviceAction === action));
}

/** Answers from the unit's own {@link CommandSet}, so that it cannot disagree with what is carried out. */
export const reportOpcodesEntry: CommandEntry<ScsiUnit> = {
  definition: Commands.reportSupportedOperationCodes,
  execute(unit, task) {
    const { cdb } = task;
    const withTimeouts = (cdb[2] & 0x80) !== 0;
    const options = cdb[2] & 7;
    const definition = findDefinition(unit.commands, cdb[3], readU16(cdb, 4));
    const hasActions = unit.commands.hasActions(cdb[3]);
    if (options === 0) reply(task, allCommands(unit.commands.definitions(), withTimeouts));
    else if (options > 3) unit.invalidField(task, 2, 2);
    // 1 asks for an opcode without service actions, 2 for one with them; 3 takes either.
    else if (options === 1 && hasActions) unit.invalidField(task, 3);
    else if (options === 2 && unit.commands.hasOpcode(cdb[3]) && !hasActions) unit.invalidField(task, 4);
    else reply(task, oneCommand(definition, withTimeouts));
    return undefined;
  },
};

/** One command that a device says it has. */
export interface SupportedCommand {
  readonly opcode: number;
  readonly serviceAction: number | undefined;
  readonly cdbLength: number;
}

/** Reads the list of all commands; undefined below 4 bytes. */
export function parseSupportedCommands(data: Uint8Array): readonly SupportedCommand[] | undefined {
  if (data.length < 4) return undefined;
  const end = Math.min(data.length, 4 + readU32(data, 0));
  const commands: SupportedCommand[] = [];
  for (let at = 4; at + 8 <= end; ) {
    const flags = data[at + 5];
    commands.push({
      opcode: data[at],
      serviceAction: (flags & 1) !== 0 ? readU16(data, at + 2) : undefined,
      cdbLength: readU16(data, at + 6),
    });
    at += (flags & 2) !== 0 ? 8 + timeoutsLength : 8;
  }
  return commands;
}

/** Reads the answer for one command: its usage map, or undefined when the device does not have it. */
export function parseCommandUsage(data: Uint8Array): Uint8Array | undefined {
  if (data.length < 4 || ((data[1] & 7) !== 3 && (data[1] & 7) !== 5)) return undefined;
  return data.slice(4, 4 + readU16(data, 2));
}
