/** The ranges of a DISCARD or WRITE_ZEROES request, device half: copied, then checked, then used (virtio 1.2 §5.2.6). */
import type { Endianness } from "../../bytes/index.js";
import type { Scatter } from "../../memory/index.js";
import { blkRange, unmapFlag } from "./protocol.js";

/** A range as it came. */
export interface ParsedRange {
  /** Above 2^53 not exact, but still past every capacity. */
  readonly sector: number;
  readonly sectors: number;
  readonly unmap: boolean;
  /** Bits that nobody knows. */
  readonly hasUnknownFlags: boolean;
}

/** All ranges of `data`, whose length is a whole number of ranges. Allocates: such requests are rare and large. */
export function parseRanges(data: Scatter, endianness: Endianness): ParsedRange[] {
  const bytes = data.toBytes();
  const view = new DataView(bytes.buffer);
  const ranges: ParsedRange[] = [];
  for (let at = 0; at < bytes.length; at += blkRange.size) {
    const { sector, sectors, flags } = blkRange.read(view, at, endianness);
    ranges.push({
      sector: Number(sector),
      sectors,
      unmap: (flags & unmapFlag) !== 0,
      hasUnknownFlags: (flags & ~unmapFlag) !== 0,
    });
  }
  return ranges;
}
