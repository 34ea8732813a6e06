/** GET LBA STATUS (SBC-3 §5.4), both ways: which blocks have space, as the store tells. */
import { readNumber, readU32, readU64, writeU32, writeU64 } from "./big-endian.js";
import { reply } from "./check-condition.js";
import type { CommandEntry } from "./command-set.js";
import { Commands } from "./command-table.js";
import type { Disk } from "./disk.js";
import { Conditions } from "./sense-codes.js";

/** SBC-3 table 46. */
export const ProvisioningStatus = { Mapped: 0, Deallocated: 1, Anchored: 2 } as const;

/** A range of one status. */
export interface LbaStatus {
  readonly lba: number;
  readonly blocks: number;
  readonly status: number;
}

const headerLength = 8;
const descriptorLength = 16;
/** Descriptors in an answer, whatever the allocation length: the initiator asks on from the last. */
const descriptorLimit = 256;
/** Extents of the store looked at for an answer. */
const extentLimit = 4096;

/** The ranges from `lba` on, at most `limit`, neighbours of one status joined. */
function statusesFrom(disk: Disk, lba: number, limit: number): readonly LbaStatus[] {
  const ranges: LbaStatus[] = [];
  let at = lba;
  for (let extents = 0; at < disk.blocks && extents < extentLimit; extents++) {
    const extent = disk.store.extentAt(at * disk.blockSize);
    // Blocks that a hole covers in part have space; the store tells of at least one byte.
    const covered = extent.length / disk.blockSize;
    const isHole = !extent.allocated && covered >= 1;
    const blocks = Math.min(isHole ? Math.floor(covered) : Math.max(1, Math.ceil(covered)), disk.blocks - at);
    const status = isHole ? ProvisioningStatus.Deallocated : ProvisioningStatus.Mapped;
    const last = ranges.at(-1);
    if (last?.status === status && last.blocks + blocks <= 0xffff_ffff) {
      ranges[ranges.length - 1] = { ...last, blocks: last.blocks + blocks };
      at += blocks;
    } else {
      if (ranges.length === limit) break;
      const taken = Math.min(blocks, 0xffff_ffff);
      ranges.push({ lba: at, blocks: taken, status });
      at += taken;
    }
  }
  return ranges;
}

function buildLbaStatus(ranges: readonly LbaStatus[]): Uint8Array {
  const data = new Uint8Array(headerLength + ranges.length * descriptorLength);
  writeU32(data, 0, data.length - 4);
  for (const [index, { lba, blocks, status }] of ranges.entries()) {
    const at = headerLength + index * descriptorLength;
    writeU64(data, at, lba);
    writeU32(data, at + 8, blocks);
    data[at + 12] = status;
  }
  return data;
}

/** The descriptors that came whole; undefined below 8 bytes. */
export function parseLbaStatus(data: Uint8Array): readonly LbaStatus[] | undefined {
  if (data.length < headerLength) return undefined;
  const end = Math.min(data.length, 4 + readU32(data, 0));
  const ranges: LbaStatus[] = [];
  for (let at = headerLength; at + descriptorLength <= end; at += descriptorLength) {
    ranges.push({ lba: readU64(data, at), blocks: readU32(data, at + 8), status: data[at + 12] & 0x0f });
  }
  return ranges;
}

/** GET LBA STATUS. */
export const getLbaStatusEntry: CommandEntry<Disk> = {
  definition: Commands.getLbaStatus,
  prepare(_disk, task) {
    task.lba = readU64(task.cdb, 2);
    task.expectedIn = readNumber(task.cdb, 10, 4);
  },
  execute(disk, task) {
    if (task.lba >= disk.blocks) {
      disk.fail(task, Conditions.lbaOutOfRange);
      return undefined;
    }
    const room = Math.floor((task.expectedIn - headerLength) / descriptorLength);
    reply(task, buildLbaStatus(statusesFrom(disk, task.lba, Math.min(Math.max(room, 1), descriptorLimit))));
    return undefined;
  },
};
