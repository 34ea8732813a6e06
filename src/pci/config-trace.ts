/** Records the configuration accesses of one machine and replays them on another: do both answer the same? */
import { type AccessWidth, hex, registerName } from "../bytes/index.js";
import { type FunctionAddress, formatFunctionAddress, type PciConfigAccess } from "./config-access.js";
import { configRegisters } from "./config-layout.js";

/** One configuration access and its answer. */
export interface ConfigAccessRecord {
  readonly kind: "read" | "write";
  /** Index of the bridge in the board's list. */
  readonly bridge: number;
  readonly address: FunctionAddress;
  readonly offset: number;
  readonly width: AccessWidth;
  /** Value written, or answer. */
  readonly value: number;
}

/** `access`, with every access added to `log`. */
export function recordConfig(access: PciConfigAccess, bridge: number, log: ConfigAccessRecord[]): PciConfigAccess {
  return {
    read(address, offset, width) {
      const value = access.read(address, offset, width);
      log.push({ kind: "read", bridge, address, offset, width, value });
      return value;
    },
    write(address, offset, width, value) {
      log.push({ kind: "write", bridge, address, offset, width, value });
      access.write(address, offset, width, value);
    },
  };
}

/** A read that was answered differently. */
export interface ConfigDifference {
  /** `bridge 1 00:0c.5 command`: what a table of known differences names. */
  readonly name: string;
  readonly record: ConfigAccessRecord;
  readonly got: number;
}

/** Repeats every access in order and tells which reads gave another answer. */
export function replayConfig(
  log: readonly ConfigAccessRecord[],
  accesses: readonly PciConfigAccess[],
): ConfigDifference[] {
  const differences: ConfigDifference[] = [];
  for (const record of log) {
    const access = accesses[record.bridge];
    if (access === undefined) throw new RangeError(`no bridge ${record.bridge}`);
    if (record.kind === "write") access.write(record.address, record.offset, record.width, record.value);
    else {
      const got = access.read(record.address, record.offset, record.width);
      if (got !== record.value) differences.push({ name: nameOf(record), record, got });
    }
  }
  return differences;
}

/** A difference that is known, with its reason. */
export interface KnownDifference {
  readonly name: string;
  readonly reason: string;
}

/** What a table of known differences leaves over: differences that it does not name, and names that did not occur. */
export interface DifferenceReview {
  readonly unexpected: readonly ConfigDifference[];
  readonly unseen: readonly KnownDifference[];
}

/** Holds differences against a table of known ones. */
export function reviewDifferences(
  differences: readonly ConfigDifference[],
  known: readonly KnownDifference[],
): DifferenceReview {
  const seen = new Set(differences.map((difference) => difference.name));
  const names = new Set(known.map((entry) => entry.name));
  return {
    unexpected: differences.filter((difference) => !names.has(difference.name)),
    unseen: known.filter((entry) => !seen.has(entry.name)),
  };
}

/** One line for people: where, what was recorded, what came now. */
export function formatConfigDifference(difference: ConfigDifference): string {
  const { record, got } = difference;
  const digits = record.width * 2;
  return `${difference.name}: recorded ${hex(record.value, digits)}, now ${hex(got, digits)}`;
}

function nameOf(record: ConfigAccessRecord): string {
  return `bridge ${record.bridge} ${formatFunctionAddress(record.address)} ${registerName(configRegisters, record.offset)}`;
}
