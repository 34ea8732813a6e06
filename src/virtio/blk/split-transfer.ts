/**
 * Cuts a transfer into requests that a device takes: a pure function, for every driver and face that has buffers in
 * pieces and a device with limits.
 */
import { sectorSize } from "./protocol.js";

/** A piece of a buffer as the device sees it. */
export interface TransferSegment {
  readonly address: number;
  /** Bytes. */
  readonly length: number;
}

/** What one request may have. */
export interface TransferLimits {
  /** Segments, at least 1. */
  readonly segMax: number;
  /** Bytes of a segment, at least 1; infinite for no limit. */
  readonly sizeMax: number;
  /** Bytes of a request, at least a granule. */
  readonly maxBytes: number;
  /** Every request but the last is a whole number of these bytes: a multiple of 512. Default 512. */
  readonly granule?: number;
}

/** One request of a transfer. */
export interface TransferPart {
  /** First sector. */
  readonly sector: number;
  readonly byteLength: number;
  readonly segments: readonly TransferSegment[];
}

/**
 * The requests that move `segments`, in order, from `sector` on.
 * @throws RangeError when the segments are no whole number of sectors, or a sector lies in more pieces than a request may
 * have: such a buffer has to be copied together first.
 */
export function splitTransfer(
  sector: number,
  segments: readonly TransferSegment[],
  limits: TransferLimits,
): TransferPart[] {
  const granule = limits.granule ?? sectorSize;
  const parts: TransferPart[] = [];
  let part: TransferSegment[] = [];
  let byteLength = 0;
  let at = sector;
  const end = (whole: number): TransferSegment[] => {
    const [kept, rest] = cut(part, whole, limits.sizeMax);
    parts.push({ sector: at, byteLength: whole, segments: kept });
    at += whole / sectorSize;
    byteLength -= whole;
    return rest;
  };
  for (const segment of segments) {
    for (let done = 0; done < segment.length; ) {
      const address = segment.address + done;
      const last = part.at(-1);
      const room = Math.min(segment.length - done, limits.maxBytes - byteLength);
      const isNext = last !== undefined && last.address + last.length === address && last.length < limits.sizeMax;
      if (room === 0 || (!isNext && part.length >= limits.segMax)) {
        const whole = wholeLength(byteLength, granule);
        if (whole === 0) {
          throw new RangeError(`${sectorSize} bytes lie in more than ${limits.segMax} pieces that the device takes`);
        }
        part = end(whole);
        continue;
      }
      const length = Math.min(room, limits.sizeMax - (isNext ? last.length : 0));
      if (isNext) part[part.length - 1] = { address: last.address, length: last.length + length };
      else part.push({ address, length });
      byteLength += length;
      done += length;
    }
  }
  if (byteLength % sectorSize !== 0) throw new RangeError(`${byteLength} bytes at the end are no whole sector`);
  if (byteLength > 0) end(byteLength);
  return parts;
}

/** The largest whole number of granules within `length`, or of sectors when that is none. */
function wholeLength(length: number, granule: number): number {
  const whole = length - (length % granule);
  return whole > 0 ? whole : length - (length % sectorSize);
}

/** The first `length` bytes, and what is left: joined where a segment of `sizeMax` bytes allows it. */
function cut(
  segments: readonly TransferSegment[],
  length: number,
  sizeMax: number,
): [TransferSegment[], TransferSegment[]] {
  const kept: TransferSegment[] = [];
  const rest: TransferSegment[] = [];
  let left = length;
  for (const segment of segments) {
    const take = Math.min(left, segment.length);
    left -= take;
    if (take > 0) kept.push({ address: segment.address, length: take });
    if (take === segment.length) continue;
    const [address, remaining] = [segment.address + take, segment.length - take];
    const last = rest.at(-1);
    const joins = last !== undefined && last.address + last.length === address && last.length + remaining <= sizeMax;
    if (joins) rest[rest.length - 1] = { address: last.address, length: last.length + remaining };
    else rest.push({ address, length: remaining });
  }
  return [kept, rest];
}
