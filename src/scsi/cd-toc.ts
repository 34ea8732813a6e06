/** READ TOC/PMA/ATIP (MMC-5 §6.26) of a disc with one session and one data track. */
import { writeU16, writeU32 } from "./big-endian.js";

/** ADR 1, CONTROL 4: a data track. */
const dataTrack = 0x14;
const leadOut = 0xaa;
/** Frames before block 0: two seconds. */
const pregap = 150;

/** Minute, second and frame of a block, as SCSI writes addresses with TIME. */
function minuteSecondFrame(lba: number): readonly [number, number, number] {
  const frames = lba + pregap;
  return [Math.min(Math.floor(frames / 75 / 60), 255), Math.floor(frames / 75) % 60, frames % 75];
}

function address(bytes: Uint8Array, at: number, lba: number, asTime: boolean): void {
  if (asTime) bytes.set(minuteSecondFrame(lba), at + 1);
  else writeU32(bytes, at, lba);
}

function withLength(bytes: Uint8Array): Uint8Array {
  writeU16(bytes, 0, bytes.length - 2);
  return bytes;
}

function tracks(blocks: number, first: number, asTime: boolean): Uint8Array {
  const list: [number, number][] = first <= 1 ? [[1, 0]] : [];
  list.push([leadOut, blocks]);
  const toc = new Uint8Array(4 + 8 * list.length);
  toc.set([1, 1], 2);
  for (const [index, [track, lba]] of list.entries()) {
    const at = 4 + 8 * index;
    toc.set([0, dataTrack, track], at);
    address(toc, at + 4, lba, asTime);
  }
  return withLength(toc);
}

function sessions(asTime: boolean): Uint8Array {
  const toc = new Uint8Array(12);
  toc.set([1, 1, 0, dataTrack, 1], 2);
  address(toc, 8, 0, asTime);
  return withLength(toc);
}

/** Points A0h (first track), A1h (last track), A2h (lead-out), 1; always as time. */
function fullToc(blocks: number): Uint8Array {
  const points: readonly (readonly [number, readonly number[]])[] = [
    [0xa0, [1, 0, 0]],
    [0xa1, [1, 0, 0]],
    [0xa2, minuteSecondFrame(blocks)],
    [1, minuteSecondFrame(0)],
  ];
  const toc = new Uint8Array(4 + 11 * points.length);
  toc.set([1, 1], 2);
  for (const [index, [point, place]] of points.entries()) {
    toc.set([1, dataTrack, 0, point, 0, 0, 0, 0, ...place], 4 + 11 * index);
  }
  return withLength(toc);
}

/**
 * Formats 0 (tracks from `first` on), 1 (sessions) and 2 (everything).
 * @returns the data, or which field of the CDB is wrong.
 */
export function buildToc(
  blocks: number,
  format: number,
  first: number,
  asTime: boolean,
): Uint8Array | "format" | "track" {
  if (format === 0) return first > 1 && first !== leadOut ? "track" : tracks(blocks, first, asTime);
  if (format === 1) return sessions(asTime);
  if (format === 2) return first > 1 ? "track" : fullToc(blocks);
  return "format";
}
