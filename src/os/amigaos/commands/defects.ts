/**
 * Known defects of commands, sizes, geometry, errors and memory, as what puts them back into a profile. B: chapter 10.1 of the
 * reference, Q: 3.8, C: weaknesses of v1.5 that chapters 4 to 6 and 10.2 name. Those of queues, registers, discovery and
 * tasks are in `device/`.
 */
import type { CommandBehaviour } from "./behaviour.js";

/** One defect. */
export interface CommandDefect {
  readonly id: string;
  readonly text: string;
  readonly change: Partial<CommandBehaviour>;
}

function defect(id: string, text: string, change: Partial<CommandBehaviour>): CommandDefect {
  return { id, text, change };
}

/** By id. */
export const commandDefects: readonly CommandDefect[] = [
  defect("B1", "the program's address is given to the device", { addresses: "virtual" }),
  defect("B2", "TD_FORMAT writes nothing", { format: "nothing" }),
  defect("B4", "a scattered buffer is taken for a contiguous one", { pages: "first" }),
  defect("B6", "change requests of all units go to the first", { changeUnit: "first" }),
  defect("B16", "ATA PASS-THROUGH is an unknown command", { ataPassThrough: "unknown" }),
  defect("B17", "no READ CAPACITY(16)", { capacity: "short" }),
  defect("B18", "every failure is 45", { errors: "bad-status" }),
  defect("B23", "part of a block counts as a block", { transferCheck: "none" }),
  defect("B28a", "the reserved word of a geometry is left dirty", { geometryReserved: "dirty" }),
  defect("B28b", "buffers in public memory only", { bufferMemory: "public" }),
  defect("B28c", "a drive type that SmartFilesystem does not take", { driveType: "new-style" }),
  defect("B29a", "more than 32 bits of sectors are what is left of them", { totalSectors: "wrapped" }),
  defect("B29b", "cylinders of 64 blocks lose the rest", { shape: "fixed-64" }),
  defect("B30", "a stale RDB with a wrong checksum is taken", { rdb: "name" }),
  defect("B31", "more than 65 535 blocks wrap", { cdbChoice: "address", splitting: "none" }),
  defect("B34", "a held request without a unit is never answered", { changeWithoutUnit: "no-answer" }),
  defect("B35", "no tracks", { tracks: "zero" }),
  defect("Q5", "the scatter list overflows", { splitting: "none", scatterBounds: "unchecked", mostSegments: 62 }),
  defect("C1", "blocks of 512 until somebody asks for the geometry", { blockSizeKnown: "at-geometry" }),
  defect("C2", "a scattered buffer of more than 62 pages is refused", { splitting: "none", mostSegments: 62 }),
  defect("C3", "nothing makes writes durable", { update: "nothing" }),
  defect("C4", "an older change request is forgotten", { replacedRequest: "forgotten" }),
  defect("C5", "a request that takes itself back is answered twice", { sameRequest: "twice" }),
  defect("C6", "change counts and medium are constants", { mediumState: "constant" }),
  defect("C7", "read-only disks show as writable", { protection: "never" }),
  defect("C8", "a CD-ROM shows as a disk", { geometryType: "disk" }),
  defect("C9", "ETD commands ignore the change count", { etdCount: "ignored" }),
  defect("C10", "sense of forwarded commands is thrown away", { forwardedSense: "discarded" }),
  defect("C11", "only six SCSI commands", { opcodes: "list", localAnswers: "always" }),
  defect("C12", "two LUNs of a target look alike", { localAnswers: "always", identifiers: "target" }),
  defect("C13", "VPD pages are not cut to the allocation", { localAnswers: "always", shortRoom: "refused" }),
  defect("C14", "SMART data without a checksum", { smartChecksum: "zero" }),
  defect("C15", "sense in descriptor format is taken for fixed", { senseFormats: "fixed" }),
  defect("C16", "TD_EJECT does nothing", { eject: "nothing" }),
];

/** A profile's behaviour with defects put back. @throws RangeError for an id that is none */
export function commandsWith(behaviour: CommandBehaviour, ids: readonly string[]): CommandBehaviour {
  const changes = ids.map((id) => {
    const found = commandDefects.find((candidate) => candidate.id === id);
    if (found === undefined) throw new RangeError(`there is no defect ${id}`);
    return found.change;
  });
  return Object.assign({}, behaviour, ...changes) as CommandBehaviour;
}
