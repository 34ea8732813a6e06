/** Requests of virtio-blk as bytes, for tests that send exactly these. */
import type { Endianness } from "../bytes/index.js";
import { blkHeader, blkRange } from "../virtio/index.js";

/** A header and what follows it in the readable part. */
export function blkRequestBytes(
  endianness: Endianness,
  type: number,
  sector: number | bigint,
  data: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const bytes = new Uint8Array(blkHeader.size + data.length);
  blkHeader.write(new DataView(bytes.buffer), 0, endianness, { type, reserved: 0, sector: BigInt(sector) });
  bytes.set(data, blkHeader.size);
  return bytes;
}

/** One range of a DISCARD or WRITE_ZEROES request. */
export interface BlkRangeValues {
  readonly sector: number | bigint;
  readonly sectors: number;
  readonly flags?: number;
}

/** The data of a DISCARD or WRITE_ZEROES request. */
export function blkRangeBytes(endianness: Endianness, ranges: readonly BlkRangeValues[]): Uint8Array {
  const bytes = new Uint8Array(ranges.length * blkRange.size);
  const view = new DataView(bytes.buffer);
  for (const [index, { sector, sectors, flags = 0 }] of ranges.entries()) {
    blkRange.write(view, index * blkRange.size, endianness, { sector: BigInt(sector), sectors, flags });
  }
  return bytes;
}
