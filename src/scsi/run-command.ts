/** One command to one unit with plain buffers: for programs that have a unit and no transport. */
import { Scatter } from "../memory/index.js";
import type { LogicalUnit } from "./logical-unit.js";
import { Nexus } from "./nexus.js";
import { maxCdbLength, ScsiTask } from "./task.js";

/** How a command ended. */
export interface CommandResult {
  readonly status: number;
  /** Empty without CHECK CONDITION. */
  readonly sense: Uint8Array;
  /** What came from the unit. */
  readonly data: Uint8Array;
  /** Bytes that the unit took of the data sent. */
  readonly taken: number;
  /** Bytes that the CDB asked to move, either way. */
  readonly expectedIn: number;
  readonly expectedOut: number;
}

/** What goes with a command; every field has a default. */
export interface RunOptions {
  /** Data for the unit. */
  readonly dataOut?: Uint8Array;
  /** Room for data from the unit. Default: what the CDB asks for, at most 16 MiB. */
  readonly room?: number;
  /** Who asks. Default: somebody new, who finds the power-on attention. */
  readonly nexus?: Nexus;
}

const defaultRoomLimit = 16 * 1024 * 1024;

/** Prepares and executes `cdb`. @throws RangeError when the CDB is empty or longer than any. */
export async function runCommand(unit: LogicalUnit, cdb: Uint8Array, options: RunOptions = {}): Promise<CommandResult> {
  if (cdb.length === 0 || cdb.length > maxCdbLength) throw new RangeError(`a CDB has 1…${maxCdbLength} bytes`);
  const task = new ScsiTask();
  task.cdb.set(cdb);
  const nothing = new Scatter();
  task.begin(options.nexus ?? new Nexus("program"), nothing, nothing);
  unit.prepare(task);
  const data = new Uint8Array(options.room ?? Math.min(task.expectedIn, defaultRoomLimit));
  task.dataIn = Scatter.of(data);
  task.dataOut = Scatter.of(options.dataOut ?? new Uint8Array(0));
  await unit.execute(task);
  return {
    status: task.status,
    sense: task.sense.slice(0, task.senseLength),
    data: data.subarray(0, task.transferredIn),
    taken: task.transferredOut,
    expectedIn: task.expectedIn,
    expectedOut: task.expectedOut,
  };
}
