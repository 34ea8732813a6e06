/** READ CAPACITY data (SBC-3 §5.15, §5.16), both ways. */
import { bytes, struct, u8, u16, u32, u64 } from "../bytes/index.js";
import { zeroExtended } from "./text.js";

/** READ CAPACITY(10): 8 bytes. */
export const Capacity10 = struct({ lastLba: u32, blockSize: u32 });

/** READ CAPACITY(16): 32 bytes. */
export const Capacity16 = struct({
  lastLba: u64,
  blockSize: u32,
  protection: u8,
  exponents: u8,
  provisioning: u16,
  reserved: bytes(16),
});

/** What a disk holds. */
export interface Capacity {
  /** Number of logical blocks; at least 1. */
  readonly blocks: number;
  /** Bytes of a logical block. */
  readonly blockSize: number;
  /** log2 of the logical blocks in a physical one. */
  readonly physicalExponent: number;
  /** The first LBA that starts a physical block. */
  readonly lowestAlignedLba: number;
  /** LBPME: UNMAP or WRITE SAME with UNMAP work. */
  readonly thinProvisioned: boolean;
  /** LBPRZ: unmapped blocks read as zeros. */
  readonly unmappedReadZero: boolean;
}

/** READ CAPACITY(10) data; FFFFFFFFh says "ask with READ CAPACITY(16)". */
export function buildCapacity10(capacity: Pick<Capacity, "blocks" | "blockSize">): Uint8Array {
  const data = new Uint8Array(Capacity10.size);
  const lastLba = Math.min(capacity.blocks - 1, 0xffff_ffff);
  Capacity10.write(new DataView(data.buffer), 0, "big", { lastLba, blockSize: capacity.blockSize });
  return data;
}

/** READ CAPACITY(16) data. */
export function buildCapacity16(capacity: Capacity): Uint8Array {
  const data = new Uint8Array(Capacity16.size);
  Capacity16.write(new DataView(data.buffer), 0, "big", {
    lastLba: BigInt(capacity.blocks) - 1n,
    blockSize: capacity.blockSize,
    exponents: capacity.physicalExponent,
    provisioning:
      (capacity.thinProvisioned ? 0x8000 : 0) |
      (capacity.unmappedReadZero ? 0x4000 : 0) |
      (capacity.lowestAlignedLba & 0x3fff),
  });
  return data;
}

/**
 * Reads READ CAPACITY(10) data. Undefined when it is short or the block size is 0; `blocks` is undefined when only
 * READ CAPACITY(16) can tell.
 */
export function parseCapacity10(data: Uint8Array): { blocks: number | undefined; blockSize: number } | undefined {
  if (data.length < Capacity10.size) return undefined;
  const { lastLba, blockSize } = Capacity10.read(zeroExtended(data, Capacity10.size), 0, "big");
  if (blockSize === 0) return undefined;
  return { blocks: lastLba === 0xffff_ffff ? undefined : lastLba + 1, blockSize };
}

/**
 * Reads READ CAPACITY(16) data, of which 12 bytes must be there. Undefined when it is short, the block size is 0 or
 * the disk would be larger than 2^53 bytes.
 */
export function parseCapacity16(data: Uint8Array): Capacity | undefined {
  if (data.length < 12) return undefined;
  const values = Capacity16.read(zeroExtended(data, Capacity16.size), 0, "big");
  const blocks = values.lastLba + 1n;
  if (values.blockSize === 0 || blocks * BigInt(values.blockSize) > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
  return {
    blocks: Number(blocks),
    blockSize: values.blockSize,
    physicalExponent: values.exponents & 0x0f,
    lowestAlignedLba: values.provisioning & 0x3fff,
    thinProvisioned: (values.provisioning & 0x8000) !== 0,
    unmappedReadZero: (values.provisioning & 0x4000) !== 0,
  };
}
