/**
 * Which commands reservations keep from whom: SPC-4 table 49, SBC-3 table 13 for persistent reservations, SPC-2
 * table 9 for RESERVE(6). What is not listed here conflicts.
 */
import type { CommandDefinition } from "./command-table.js";

/** What a reservation lets through. */
export type CommandAccess =
  /** Conflicts with no reservation. */
  | "free"
  /** Conflicts where reading is exclusive. */
  | "reads"
  /** Conflicts with every reservation. */
  | "changes";

/** A command's lines in the tables. */
export interface AccessRule {
  readonly persistent: CommandAccess;
  /** Allowed while another nexus holds the unit by RESERVE(6). */
  readonly underReserve6: boolean;
}

const free: AccessRule = { persistent: "free", underReserve6: true };
const freeButReserve6: AccessRule = { persistent: "free", underReserve6: false };
const reads: AccessRule = { persistent: "reads", underReserve6: false };
const changes: AccessRule = { persistent: "changes", underReserve6: false };

const byOpcode = new Map<number, AccessRule>();
function list(rule: AccessRule, opcodes: readonly number[]): void {
  for (const opcode of opcodes) byOpcode.set(opcode, rule);
}

// REQUEST SENSE, INQUIRY, RELEASE(6), READ CAPACITY(10), LOG SENSE, RELEASE(10), REPORT LUNS
list(free, [0x03, 0x12, 0x17, 0x25, 0x4d, 0x57, 0xa0]);
// TEST UNIT READY; RESERVE(6) and (10), PERSISTENT RESERVE IN and OUT have rules of their own
list(freeButReserve6, [0x00, 0x16, 0x56, 0x5e, 0x5f]);
// READ(6), (10), (12), (16); VERIFY(10), (12), (16); PRE-FETCH(10), (16); SEEK(10); MODE SENSE(6), (10)
list(reads, [0x08, 0x28, 0xa8, 0x88, 0x2f, 0xaf, 0x8f, 0x34, 0x90, 0x2b, 0x1a, 0x5a]);

const byAction = new Map<string, AccessRule>([
  ["9e/10", free],
  ["9e/12", reads],
  ["a3/c", reads],
]);

/** The rule of a command. */
export function accessRuleOf({ opcode, serviceAction }: CommandDefinition): AccessRule {
  const action =
    serviceAction === undefined ? undefined : byAction.get(`${opcode.toString(16)}/${serviceAction.toString(16)}`);
  return action ?? byOpcode.get(opcode) ?? changes;
}

/**
 * The rule where it depends on the CDB: START STOP UNIT that starts and PREVENT ALLOW MEDIUM REMOVAL that allows are
 * free.
 */
export function accessRuleFor(rule: AccessRule, cdb: Uint8Array): AccessRule {
  if (cdb[0] === 0x1b && (cdb[4] & 0xf1) === 0x01) return free;
  if (cdb[0] === 0x1e && (cdb[4] & 0x03) === 0) return free;
  return rule;
}
