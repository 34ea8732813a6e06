/** The device's configuration, copied and given its meaning by the features that were agreed on. */
import { blkConfig, blkFeatures, sectorSize } from "../../virtio/index.js";
import type { Behaviour } from "./behaviour.js";

/** The disk in numbers. */
export interface BlkConfigInfo {
  /** Sectors of 512 bytes. */
  readonly capacity: number;
  /** Bytes of a logical block. */
  readonly blockSize: number;
  /** Undefined: not agreed on. */
  readonly sizeMax: number | undefined;
  readonly segMax: number | undefined;
  readonly geometry: { readonly cylinders: number; readonly heads: number; readonly sectors: number } | undefined;
  readonly physicalExponent: number;
  /** Logical blocks to the first aligned one. */
  readonly alignmentOffset: number;
  /** Blocks, 0 for unknown. */
  readonly minimumIo: number;
  readonly optimalIo: number;
  readonly isReadOnly: boolean;
  /** A volatile cache is on: FLUSH makes durable. */
  readonly writeCache: boolean;
  readonly canFlush: boolean;
  readonly canSwitchCache: boolean;
  readonly queues: number;
  /** Sectors a range, ranges a request, alignment in sectors. */
  readonly discard: { readonly maxSectors: number; readonly maxRanges: number; readonly alignment: number } | undefined;
  readonly writeZeroes: { readonly maxSectors: number; readonly maxRanges: number } | undefined;
}

/** Before the device was looked at. */
export const noBlkConfig: BlkConfigInfo = {
  capacity: 0,
  blockSize: sectorSize,
  sizeMax: undefined,
  segMax: undefined,
  geometry: undefined,
  physicalExponent: 0,
  alignmentOffset: 0,
  minimumIo: 0,
  optimalIo: 0,
  isReadOnly: false,
  writeCache: false,
  canFlush: false,
  canSwitchCache: false,
  queues: 1,
  discard: undefined,
  writeZeroes: undefined,
};

/** Reads `length` bytes of the configuration at `offset`. */
export type ReadConfig = (offset: number, length: number) => Uint8Array;

const largestBlock = 1 << 26;
const largest32 = 0xffff_ffff;

/** A pure function of the configuration's bytes, the features and the driver's own assumptions. */
export function readBlkConfig(
  read: ReadConfig,
  {
    little,
    has,
    behaviour,
    defaultSizeMax,
  }: {
    readonly little: boolean;
    readonly has: (feature: number) => boolean;
    readonly behaviour: Behaviour;
    /** What SIZE_MAX is taken for when it is not offered. */
    readonly defaultSizeMax: number;
  },
): BlkConfigInfo {
  const view = (name: keyof typeof blkConfig.offset, length: number) => {
    const bytes = read(blkConfig.offset[name], length);
    return new DataView(bytes.buffer, bytes.byteOffset, length);
  };
  const u32 = (name: keyof typeof blkConfig.offset) => view(name, 4).getUint32(0, little);
  const u16 = (name: keyof typeof blkConfig.offset) => view(name, 2).getUint16(0, little);
  const u8 = (name: keyof typeof blkConfig.offset) => view(name, 1).getUint8(0);
  const f = blkFeatures;
  const capacity = view("capacity", 8);
  const sizeMax = has(f.SIZE_MAX) ? u32("sizeMax") : undefined;
  const hasTopology = has(f.TOPOLOGY);
  const told = has(f.BLK_SIZE) ? u32("blkSize") : sectorSize;
  const isBlock = told >= sectorSize && told <= largestBlock && (told & (told - 1)) === 0;
  const assumed = behaviour.blockLength === "size-max" ? (sizeMax ?? defaultSizeMax) : isBlock ? told : sectorSize;
  const canFlush = has(f.FLUSH);
  const canSwitchCache = has(f.CONFIG_WCE);
  return {
    capacity: Math.min(Number(capacity.getBigUint64(0, little)), Number.MAX_SAFE_INTEGER),
    blockSize: assumed,
    sizeMax,
    segMax: has(f.SEG_MAX) ? u32("segMax") : undefined,
    geometry: has(f.GEOMETRY) ? { cylinders: u16("cylinders"), heads: u8("heads"), sectors: u8("sectors") } : undefined,
    physicalExponent: hasTopology ? Math.min(u8("physicalBlockExp"), 15) : 0,
    alignmentOffset: hasTopology ? u8("alignmentOffset") : 0,
    minimumIo: hasTopology ? u16("minIoSize") : 0,
    optimalIo: hasTopology ? u32("optIoSize") : 0,
    isReadOnly: has(f.RO),
    writeCache: behaviour.writeCache === "claimed" || (canSwitchCache ? u8("writeback") !== 0 : canFlush),
    canFlush,
    canSwitchCache,
    queues: has(f.MQ) ? Math.max(1, u16("numQueues")) : 1,
    discard: has(f.DISCARD)
      ? {
          maxSectors: u32("maxDiscardSectors") || largest32,
          maxRanges: Math.max(1, u32("maxDiscardSeg")),
          alignment: u32("discardSectorAlignment"),
        }
      : undefined,
    writeZeroes: has(f.WRITE_ZEROES)
      ? { maxSectors: u32("maxWriteZeroesSectors") || largest32, maxRanges: Math.max(1, u32("maxWriteZeroesSeg")) }
      : undefined,
  };
}

/** Whole blocks of the disk. */
export function blocksOf(info: BlkConfigInfo): number {
  return Math.floor(info.capacity / (info.blockSize / sectorSize));
}
