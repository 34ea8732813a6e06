/** Vital product data pages of block devices (SBC-3 §6.6): B0h, B1h, B2h, both ways. */
import { bytes, struct, u8, u16, u32, u64 } from "../bytes/index.js";
import { zeroExtended } from "./text.js";
import { parseVpdPage, VpdPage } from "./vpd.js";

/** Page B0h behind its header, 60 bytes. Zero says "not reported" (for transfer lengths: no limit). */
export const BlockLimitsLayout = struct({
  flags: u8,
  maximumCompareAndWrite: u8,
  optimalGranularity: u16,
  maximumTransfer: u32,
  optimalTransfer: u32,
  maximumPrefetch: u32,
  maximumUnmapBlocks: u32,
  maximumUnmapDescriptors: u32,
  optimalUnmapGranularity: u32,
  unmapAlignment: u32,
  maximumWriteSame: u64,
  reserved: bytes(20),
});

/** Limits in blocks; 0 is "none told". */
export interface BlockLimits {
  /** WSNZ: WRITE SAME with a count of 0 is refused. */
  readonly writeSameNonZero: boolean;
  readonly maximumCompareAndWrite: number;
  /** Transfers should be multiples of this. */
  readonly optimalGranularity: number;
  readonly maximumTransfer: number;
  readonly optimalTransfer: number;
  readonly maximumPrefetch: number;
  readonly maximumUnmapBlocks: number;
  readonly maximumUnmapDescriptors: number;
  readonly optimalUnmapGranularity: number;
  readonly maximumWriteSame: number;
}

/** The body of page B0h. */
export function buildBlockLimits(limits: BlockLimits): Uint8Array {
  const body = new Uint8Array(BlockLimitsLayout.size);
  BlockLimitsLayout.write(new DataView(body.buffer), 0, "big", {
    flags: limits.writeSameNonZero ? 1 : 0,
    maximumCompareAndWrite: limits.maximumCompareAndWrite,
    optimalGranularity: limits.optimalGranularity,
    maximumTransfer: limits.maximumTransfer,
    optimalTransfer: limits.optimalTransfer,
    maximumPrefetch: limits.maximumPrefetch,
    maximumUnmapBlocks: limits.maximumUnmapBlocks,
    maximumUnmapDescriptors: limits.maximumUnmapDescriptors,
    optimalUnmapGranularity: limits.optimalUnmapGranularity,
    maximumWriteSame: BigInt(limits.maximumWriteSame),
  });
  return body;
}

/** Page B0h, or undefined. */
export function parseBlockLimits(data: Uint8Array): BlockLimits | undefined {
  const page = parseVpdPage(data, VpdPage.BlockLimits);
  if (page === undefined) return undefined;
  const { flags, maximumWriteSame, ...rest } = BlockLimitsLayout.read(
    zeroExtended(page.body, BlockLimitsLayout.size),
    0,
    "big",
  );
  const { unmapAlignment: _alignment, reserved: _reserved, ...limits } = rest;
  const largest = BigInt(Number.MAX_SAFE_INTEGER);
  return {
    ...limits,
    writeSameNonZero: (flags & 1) !== 0,
    maximumWriteSame: Number(maximumWriteSame < largest ? maximumWriteSame : largest),
  };
}

/** What page B1h tells. */
export interface BlockCharacteristics {
  /** Revolutions per minute; 1 for media that do not turn, 0 not told. */
  readonly rotationRate: number;
}

/** The body of page B1h, 60 bytes. */
export function buildBlockCharacteristics(fields: BlockCharacteristics): Uint8Array {
  const body = new Uint8Array(60);
  body[0] = fields.rotationRate >>> 8;
  body[1] = fields.rotationRate;
  return body;
}

/** Page B1h, or undefined. */
export function parseBlockCharacteristics(data: Uint8Array): BlockCharacteristics | undefined {
  const page = parseVpdPage(data, VpdPage.BlockCharacteristics);
  return page && { rotationRate: ((page.body[0] ?? 0) << 8) | (page.body[1] ?? 0) };
}

/** What page B2h tells. */
export interface Provisioning {
  /** LBPU: UNMAP works. */
  readonly unmap: boolean;
  /** LBPWS: WRITE SAME(16) with UNMAP works. */
  readonly writeSame16: boolean;
  /** LBPWS10: WRITE SAME(10) with UNMAP works. */
  readonly writeSame10: boolean;
  /** LBPRZ: unmapped blocks read as zeros. */
  readonly readZeros: boolean;
  /** 0 fully provisioned or not told, 1 resource, 2 thin. */
  readonly type: number;
}

/** The body of page B2h, 4 bytes. */
export function buildProvisioning(fields: Provisioning): Uint8Array {
  const flags = (fields.unmap ? 0x80 : 0) | (fields.writeSame16 ? 0x40 : 0) | (fields.writeSame10 ? 0x20 : 0);
  return Uint8Array.of(0, flags | (fields.readZeros ? 0x04 : 0), fields.type & 7, 0);
}

/** Page B2h, or undefined. */
export function parseProvisioning(data: Uint8Array): Provisioning | undefined {
  const page = parseVpdPage(data, VpdPage.LogicalBlockProvisioning);
  if (page === undefined) return undefined;
  const flags = page.body[1] ?? 0;
  return {
    unmap: (flags & 0x80) !== 0,
    writeSame16: (flags & 0x40) !== 0,
    writeSame10: (flags & 0x20) !== 0,
    readZeros: (flags & 0x04) !== 0,
    type: (page.body[2] ?? 0) & 7,
  };
}
