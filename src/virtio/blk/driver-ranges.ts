/** Ranges of DISCARD and WRITE_ZEROES requests, driver half: cut to the device's limits and encoded. */
import type { Endianness } from "../../bytes/index.js";
import { blkRange } from "./protocol.js";

/** Some sectors. */
export interface SectorRange {
  readonly sector: number;
  readonly sectors: number;
}

/** The ranges of each request: none longer than the device takes, and no more of them. Empty ranges are left out. */
export function splitRanges(
  ranges: readonly SectorRange[],
  { maxSectors, maxRanges }: { readonly maxSectors: number; readonly maxRanges: number },
): SectorRange[][] {
  const requests: SectorRange[][] = [];
  let request: SectorRange[] = [];
  for (const { sector, sectors } of ranges) {
    for (let done = 0; done < sectors; done += maxSectors) {
      if (request.length === 0 || request.length === maxRanges) requests.push((request = []));
      request.push({ sector: sector + done, sectors: Math.min(maxSectors, sectors - done) });
    }
  }
  return requests;
}

/** The data of one request. */
export function encodeRanges(ranges: readonly SectorRange[], flags: number, endianness: Endianness): Uint8Array {
  const bytes = new Uint8Array(ranges.length * blkRange.size);
  const view = new DataView(bytes.buffer);
  for (const [index, { sector, sectors }] of ranges.entries()) {
    blkRange.write(view, index * blkRange.size, endianness, { sector: BigInt(sector), sectors, flags });
  }
  return bytes;
}
