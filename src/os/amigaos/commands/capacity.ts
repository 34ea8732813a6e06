/** READ CAPACITY through the synchronous path (5.4 of the reference). */
import { cdb, parseCapacity10, parseCapacity16 } from "../../../scsi/index.js";
import type { CdbOutcome, UnitAccess } from "../device/unit.js";
import { IoError } from "../exec/index.js";
import { ioErrorOf } from "./io-errors.js";

/** io_Error of a command of the synchronous path. */
export function outcomeError(unit: UnitAccess, outcome: CdbOutcome): number {
  if (outcome.pathError !== 0) return outcome.pathError;
  const { response, status, sense } = outcome;
  return ioErrorOf(response, status, sense, sense.length, unit.profile.commands);
}

/**
 * Finds out how large a unit is, unless that is known: sets `unit.capacity` and `unit.blockSize`. With the profile's
 * `blockSizeKnown: "before-transfers"` the device calls this before a unit's first transfer and after media events.
 * @returns an {@link IoError}; 0 when the unit's capacity is known now.
 */
export async function learnCapacity(unit: UnitAccess): Promise<number> {
  if (unit.capacity !== undefined) return 0;
  const { commands } = unit.profile;
  const short = await ask(unit, cdb.readCapacity10(), 8);
  if (short.error !== 0) return short.error;
  const found = parseCapacity10(short.data);
  if (found === undefined) return IoError.BadStatus;
  let { blockSize } = found;
  // 0xFFFFFFFF as the last block says that there are more than 32 bits hold.
  let blocks = found.blocks ?? 2 ** 32;
  if (found.blocks === undefined && commands.capacity === "long-when-needed") {
    const long = await ask(unit, cdb.readCapacity16(), 32);
    if (long.error !== 0) return long.error;
    const parsed = parseCapacity16(long.data);
    if (parsed === undefined) return IoError.BadStatus;
    ({ blockSize, blocks } = parsed);
  }
  if (!isBlockSize(blockSize) || !Number.isSafeInteger(blocks)) return IoError.BadStatus;
  unit.capacity = { blockSize, blocks };
  unit.blockSize = blockSize;
  return 0;
}

/** What can be a block: nothing is divided by 0, and a block fits the buffers. */
function isBlockSize(size: number): boolean {
  return size >= 512 && size <= 65536 && size % 512 === 0;
}

async function ask(
  unit: UnitAccess,
  command: Uint8Array,
  length: number,
): Promise<{ error: number; data: Uint8Array }> {
  const data = { address: unit.scratch, length, isWrite: false };
  const outcome = await unit.sendCdb({ cdb: command, data });
  const error = outcomeError(unit, outcome);
  if (error !== 0) return { error, data: new Uint8Array() };
  if (outcome.actual < Math.min(length, 12)) return { error: IoError.BadStatus, data: new Uint8Array() };
  return { error: 0, data: unit.memory.read(unit.scratch, outcome.actual) };
}
